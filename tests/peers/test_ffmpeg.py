"""ffmpeg's own Matroska, written to a pipe as `ffmpeg ... -f matroska -` does, through PutMedia, and back out."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from producer_c.acknowledgements import Parser
from producer_c.signing import Headers, signed_headers
from producer_c.wire import Connection

RATE_HZ = 8000
SECONDS = 5


class Pipe(io.RawIOBase):
    """What ffmpeg writes to a pipe: no seeking, so sizes stay unknown."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


@dataclass(frozen=True)
class Layout:
    codec: str
    channels: str = "mono"
    tracks: int = 1
    options: tuple[tuple[str, str], ...] = ()
    rate_hz: int = RATE_HZ


LAYOUTS = {
    "s16le": Layout("pcm_s16le"),
    "s16le stereo, live": Layout("pcm_s16le", "stereo", options=(("live", "1"),)),
    "two tracks, short clusters": Layout("pcm_s16le", tracks=2, options=(("cluster_time_limit", "500"),)),
    "a cluster for each second, live": Layout("pcm_s16le", options=(("cluster_time_limit", "1000"), ("live", "1"))),
    "s16be without CRCs": Layout("pcm_s16be", options=(("write_crc32", "0"),)),
    "float": Layout("pcm_f32le"),
    "AAC": Layout("aac", rate_hz=48000),
    "Opus": Layout("libopus", rate_hz=48000),
    "WebM": Layout("libopus", rate_hz=48000),
}
CASES = [*((layout, "chunked") for layout in LAYOUTS), ("s16le", "content-length"), ("AAC", "content-length")]


def written(layout: Layout, format_name: str) -> bytes:
    """Encode a tone, or one for each track."""
    pipe = Pipe()
    with av.open(pipe, "w", format=format_name, options=dict(layout.options)) as container:
        streams = []
        for _ in range(layout.tracks):
            stream = container.add_stream(layout.codec, rate=layout.rate_hz)
            assert isinstance(stream, av.AudioStream)
            stream.layout = layout.channels
            streams.append(stream)
        block = layout.rate_hz // 50
        for at in range(0, SECONDS * layout.rate_hz, block):
            for number, stream in enumerate(streams):
                container.mux(stream.encode(_frame(layout, at, block, 300 + 200 * number)))
        for stream in streams:
            container.mux(stream.encode(None))
    return bytes(pipe.data)


def _frame(layout: Layout, at: int, count: int, hertz: int) -> av.AudioFrame:
    wave = np.sin(2 * math.pi * hertz * np.arange(at, at + count) / layout.rate_hz)
    samples = np.repeat((wave * 8000).astype(np.int16), 2 if layout.channels == "stereo" else 1)
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout=layout.channels)
    frame.rate, frame.pts, frame.time_base = layout.rate_hz, at, Fraction(1, layout.rate_hz)
    return frame


def packets(body: bytes) -> list[list[bytes]]:
    """Return the encoded packets of each track, as ffmpeg's demuxer finds them."""
    with av.open(io.BytesIO(body), "r") as container:
        found: list[list[bytes]] = [[] for _ in container.streams]
        for packet in container.demux():
            if packet.size:
                found[packet.stream_index].append(bytes(packet))
    return found


@pytest.fixture
def headers(peers: Any, name: str) -> Callable[..., Headers]:
    """PutMedia's headers for a stream that is there."""
    peers.boto3("kinesisvideo").create_stream(StreamName=name, DataRetentionInHours=1)

    def sign(*more: tuple[str, str]) -> Headers:
        given = [("x-amzn-stream-name", name), ("x-amzn-fragment-timecode-type", "RELATIVE"), *more]
        given.append(("x-amzn-producer-start-timestamp", "1767225600"))
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        return signed_headers(f"{peers.url}/putMedia", given, None, peers.key, "us-east-1", stamp)

    return sign


def head(headers: Headers) -> bytes:
    lines = ["POST /putMedia HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(("layout", "framing"), CASES)
def test_a_pipe_of_ffmpeg_is_stored_and_read_back(
    peers: Any, headers: Callable[..., Headers], name: str, layout: str, framing: str
) -> None:
    body = written(LAYOUTS[layout], "webm" if layout == "WebM" else "matroska")
    with Connection(peers.url, peers.authorities) as connection:
        if framing == "chunked":
            connection.write(head(headers(("transfer-encoding", "chunked"))))
            for piece in _pieces(body, 4093):
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.write(b"0\r\n\r\n")
        else:
            connection.write(head(headers(("content-length", str(len(body))))))
            for piece in _pieces(body, 40_000):
                connection.write(piece)
        assert connection.answer()[0] == 200
        parser = Parser()
        heard = [one for chunk in connection.chunks() for one in parser.feed(chunk)]
    assert {one.kind for one in heard} == {"BUFFERING", "RECEIVED", "PERSISTED"}
    persisted = [one.number for one in heard if one.kind == "PERSISTED"]
    read = peers.read(name)
    assert [document.number for document in read] == persisted
    assert len(read) >= 1
    found = [packets(document.data) for document in read]
    rejoined = [[packet for one in found for packet in one[track]] for track in range(len(found[0]))]
    assert rejoined == packets(body)


def test_a_live_pipe_is_acknowledged_while_it_is_written(
    peers: Any, headers: Callable[..., Headers], name: str
) -> None:
    body = written(LAYOUTS["s16le stereo, live"], "matroska")
    start = body.index(bytes.fromhex("1F43B675"))
    clusters = [at for at in range(start, len(body)) if body.startswith(bytes.fromhex("1F43B675"), at)]
    assert len(clusters) >= 2
    with Connection(peers.url, peers.authorities) as connection:
        connection.write(head(headers(("transfer-encoding", "chunked"))))
        assert connection.answer()[0] == 200
        chunks, parser = connection.chunks(), Parser()
        for begin, end in zip([0, *clusters[1:]], [*clusters[1:], len(body)], strict=True):
            piece = body[begin:end]
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            kinds: list[str] = []
            while "PERSISTED" not in kinds:  # although the next cluster has not begun
                kinds += [one.kind for one in parser.feed(next(chunks))]
            assert kinds == ["BUFFERING", "RECEIVED", "PERSISTED"]
        connection.write(b"0\r\n\r\n")
        assert list(chunks) == []


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))
