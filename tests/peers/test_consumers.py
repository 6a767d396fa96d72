"""Consumers over TLS: boto3, the AWS SDK for JavaScript v3, ffmpeg's demuxer and our own reader."""

import hashlib
import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from botocore.exceptions import ClientError

from carillon.media import FragmentParser
from producer_c import matroska
from producer_c.producer import Producer, StreamInfo
from producer_c.wire import Upload

Fragments = Callable[..., list[matroska.Frame]]
JS = Path(__file__).parents[1] / "compatibility" / "js"
EPOCH_MS = 1_767_225_600_000
END = matroska.tags(matroska.END_OF_FRAGMENT, "")
OURS = ["FRAGMENT_NUMBER", "SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP", "MILLIS_BEHIND_NOW", "CONTINUATION_TOKEN"]


@contextmanager
def stored(producer: Producer, call: Fragments, count: int) -> Iterator[tuple[Upload, list[bytes]]]:
    """Send fragments on a connection that stays open; yield it, and them without their metadata."""
    producer.create()
    clusters = [matroska.cluster(EPOCH_MS + index * 2000, call(index, EPOCH_MS)) for index in range(count)]
    with producer.put_media() as upload:
        upload.send(producer.header)
        for index in range(count):
            upload.send(producer.fragment(call(index, EPOCH_MS)))
        upload.send(END).hear("PERSISTED", EPOCH_MS + (count - 1) * 2000)
        yield upload, clusters


def last_of_its_moment(tags: list[dict[str, str]], index: int) -> int:
    """Of the fragments that began to arrive in the same millisecond, a time means the last."""
    times = [one["AWS_KINESISVIDEO_SERVER_TIMESTAMP"] for one in tags]
    return max(at for at, time in enumerate(times) if time == times[index])


def test_boto3_reads_from_every_start(peers: Any, a_law: Any, call: Fragments, name: str) -> None:
    with stored(peers.producer(a_law(metadata=[("CallId", "c-1")])), call, 4) as (upload, clusters):
        upload.end().hear_all()
    everything = peers.read(name)
    numbers = [document.number for document in everything]
    assert [document.cluster for document in everything] == clusters
    second = everything[1].tags
    server_at, producer_at = (
        datetime.fromtimestamp(float(second[f"AWS_KINESISVIDEO_{side}_TIMESTAMP"]), UTC)
        for side in ("SERVER", "PRODUCER")
    )
    token = everything[0].tags["AWS_KINESISVIDEO_CONTINUATION_TOKEN"]
    arrived = last_of_its_moment([document.tags for document in everything], 1)
    starts: list[tuple[str, dict[str, Any], int]] = [
        ("FRAGMENT_NUMBER", {"AfterFragmentNumber": numbers[0]}, 1),
        ("CONTINUATION_TOKEN", {"ContinuationToken": token}, 1),
        ("SERVER_TIMESTAMP", {"StartTimestamp": server_at}, arrived),
        ("PRODUCER_TIMESTAMP", {"StartTimestamp": producer_at}, 1),
    ]
    for kind, companion, first in starts:
        assert [document.number for document in peers.read(name, kind, **companion)] == numbers[first:], kind
    assert [document.number for document in peers.read(name, "NOW")] in ([], numbers[-1:])
    with pytest.raises(ClientError, match="InvalidArgumentException"):
        peers.read(name, "CONTINUATION_TOKEN")


def test_javascript_reads_from_every_start_and_goes_on_by_token(
    peers: Any, a_law: Any, call: Fragments, name: str, node: str
) -> None:
    producer = peers.producer(a_law(metadata=[("CallId", "c-1"), ("AccountId", "4")]))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))}
    environment = {**inherited, **peers.server.environment, "AWS_EC2_METADATA_DISABLED": "true"}
    said: dict[str, list[dict[str, Any]]] = {}
    with (
        stored(producer, call, 4) as (upload, clusters),
        subprocess.Popen(
            [node, str(JS / "media.mjs"), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "NODE_EXTRA_CA_CERTS": str(peers.authorities)},
        ) as process,
    ):
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            told = json.loads(line)
            if "waits" in told:
                clusters.append(matroska.cluster(EPOCH_MS + 8000, call(4, EPOCH_MS)))
                upload.send(producer.fragment(call(4, EPOCH_MS)) + END).hear("PERSISTED", EPOCH_MS + 8000)
                upload.end().hear_all()
            else:
                said[told["selector"]] = told["found"]
        errors = process.stderr.read()
    assert process.returncode == 0, errors[-3000:]
    numbers = [heard.number for heard in upload.heard if heard.kind == "PERSISTED"]
    hashes = [hashlib.sha256(cluster).hexdigest() for cluster in clusters]
    expected = {
        "EARLIEST": slice(0, 4),
        "FRAGMENT_NUMBER": slice(2, 4),
        "CONTINUATION_TOKEN": slice(2, 4),
        "SERVER_TIMESTAMP": slice(last_of_its_moment([one["ours"] for one in said["EARLIEST"]], 1), 4),
        "PRODUCER_TIMESTAMP": slice(1, 4),
        "continued": slice(0, 4),
    }
    for selector, part in expected.items():
        found = said[selector]
        assert [one["number"] for one in found] == numbers[part], selector
        assert [one["cluster"] for one in found] == hashes[part], selector
        assert all(one["own"] == {"CallId": "c-1", "AccountId": "4"} for one in found)
    assert said["EARLIEST"][0]["names"] == [f"AWS_KINESISVIDEO_{name}" for name in OURS]
    assert said["NOW"][-1]["cluster"] == hashes[4]
    (unknown,) = said["unknown"]
    assert unknown["ours"]["AWS_KINESISVIDEO_ERROR_ID"] == "4000"


def test_ffmpeg_decodes_what_get_media_sends(peers: Any, call: Fragments, name: str) -> None:
    packets, private = _aac()
    track = matroska.Track("kvs_audio_track", "A_AAC", private, 48_000, 1)
    assert private[:2] == matroska.aac(48_000, 1)
    producer = peers.producer(StreamInfo(name, "audio/aac", [track]))
    producer.create()
    frames = [matroska.Frame(1, EPOCH_MS + n * 1024 // 48, data, 0x80) for n, data in enumerate(packets)]
    with producer.put_media() as upload:
        upload.send(producer.header + producer.fragment(frames[:50]) + producer.fragment(frames[50:]) + END)
        upload.hear("PERSISTED", frames[50].at_ms)
        upload.end().hear_all()
    documents = peers.read(name)
    rejoined = [packet for document in documents for packet in _packets(document.data)]
    assert rejoined == packets
    with av.open(io.BytesIO(documents[0].data), "r") as container:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(decoded) > 48_000
    assert np.abs(decoded).max() > 0.1


def test_our_own_reader_takes_a_fragment_for_what_it_is(peers: Any, a_law: Any, call: Fragments, name: str) -> None:
    with stored(peers.producer(a_law(metadata=[("CallId", "c-1")])), call, 2) as (upload, _):
        upload.end().hear_all()
    data = b"".join(document.data for document in peers.read(name))
    fragments: list[Any] = list(FragmentParser().feed(data))
    assert [fragment.timecode_ms for fragment in fragments] == [EPOCH_MS, EPOCH_MS + 2000]
    assert all(fragment.tags == {"CallId": "c-1"} for fragment in fragments)
    (track,) = fragments[0].tracks
    assert (track.codec_id, track.name, track.codec_private) == (
        "A_MS/ACM",
        "kvs_audio_track",
        matroska.g711(6, 8000, 1),
    )
    for index, fragment in enumerate(fragments):
        sent = [(frame.at_ms, frame.data) for frame in call(index, EPOCH_MS)]
        assert [(block.timecode_ms, bytes(block.data)) for block in fragment.blocks] == sent


def _aac() -> tuple[list[bytes], bytes]:
    """Return two seconds of AAC-LC, 48 kHz mono, and its AudioSpecificConfig."""
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "fltp"
    packets = []
    for at in range(0, 96_000, 1024):
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(at, at + 1024) / 48_000)
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None, :], format="fltp", layout="mono")
        frame.rate, frame.pts = 48_000, at
        packets += encoder.encode(frame)
    assert encoder.extradata
    return [bytes(packet) for packet in packets], encoder.extradata


def _packets(document: bytes) -> list[bytes]:
    with av.open(io.BytesIO(document), "r") as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
