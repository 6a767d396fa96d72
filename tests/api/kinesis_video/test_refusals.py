"""Every error that a producer's bytes, or its patience, can bring about."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carillon.api import kinesis_video
from carillon.matroska import AUDIO, Block, Muxer, Track, tags_element
from carillon.streams import StreamSettings

MUXERS = [
    Muxer(*(Track(n + 1, n + 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8000.0, 1, 16) for n in range(k))) for k in (2, 4)
]


def kinds(events: list[dict[str, Any]]) -> str:
    return "".join(event["EventType"][0] for event in events)


@pytest.fixture(scope="module")
def strict(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that takes small fragments only."""
    settings = StreamSettings(end_seconds=0.2, max_fragment_bytes=100_000, handover_seconds=0.1)
    with serve(
        tmp_path_factory.mktemp("strict"), settings, kinesis_video.PutMediaSettings(linger_seconds=0.3)
    ) as server:
        yield server


def bodies(call: Any) -> dict[tuple[int, str], tuple[bytes, str]]:
    """Return, by error, a body that brings it about, and the kinds of acknowledgement that it gets."""
    two, four = MUXERS
    good, frames = call.body(1), [Block(track, 1000, bytes(320)) for track in (1, 2)]
    tags = [tags_element([(f"n{n}", "v")]) for n in range(11)]
    blocks = [Block(1, 1000 + n, bytes(30_000)) for n in range(4)]
    return {
        (4000, "STREAM_READ_ERROR"): (call.body(2)[:-1], "BRBE"),
        (4001, "MAX_FRAGMENT_SIZE_REACHED"): (good + call.muxer.cluster(1000, blocks), "BRBE"),
        (4002, "MAX_FRAGMENT_DURATION_REACHED"): (
            good + call.muxer.cluster(1000, [Block(1, 1000, b"\0\0"), Block(1, 21_020, b"\0\0")]),
            "BRBE",
        ),
        (4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"): (call.body(2) + call.cluster(0), "BRBRBE"),
        (4005, "MORE_THAN_ALLOWED_TRACKS_FOUND"): (four.header(), "E"),
        (4006, "INVALID_MKV_DATA"): (good + b"\xff" * 20, "BRE"),
        (4007, "INVALID_PRODUCER_TIMESTAMP"): (
            call.header + call.muxer.cluster(2**50, [Block(1, 2**50, b"\0\0")]),
            "E",
        ),
        (4009, "FRAGMENT_METADATA_LIMIT_REACHED"): (good + b"".join(tags) + call.cluster(1), "BE"),
        (4010, "TRACK_NUMBER_MISMATCH"): (good + call.muxer.cluster(1000, frames), "BRBE"),
        (4011, "FRAMES_MISSING_FOR_TRACK"): (
            two.header() + two.cluster(1000, frames) + two.cluster(2000, [Block(1, 2000, bytes(320))]),
            "BRBE",
        ),
        (4012, "INVALID_FRAGMENT_METADATA"): (good + tags_element([("AWS_KINESISVIDEO_X", "1")]), "BE"),
    }


ERRORS = [4000, 4001, 4002, 4004, 4005, 4006, 4007, 4009, 4010, 4011, 4012]


@pytest.mark.parametrize("wants", ["1", "0"])
@pytest.mark.parametrize("error_id", ERRORS)
def test_a_body_that_breaks_a_rule_is_told_which_and_nothing_after_that(
    strict: Any, call: Any, error_id: int, wants: str
) -> None:
    ((name, body, told),) = [
        (name, body, told) for (number, name), (body, told) in bodies(call).items() if number == error_id
    ]
    stream = f"{name}-{wants}"
    strict.client("kinesisvideo").create_stream(StreamName=stream)
    with strict.put_media(stream, x_amzn_fragment_acknowledgment_required=wants) as connection:
        connection.head()
        events = connection.send(body).end().events()
        assert connection.is_closed_by_server()
    assert kinds(events) == (told if wants == "1" else "E")
    assert (events[-1]["ErrorId"], events[-1]["ErrorCode"]) == (error_id, name)
    assert len(strict.get_media(stream)) == told.count("R")
    with strict.put_media(stream) as connection:  # what was refused is not held against the next
        assert connection.head()[0] == 200


def test_a_stream_that_is_deleted_is_4008(strict: Any, call: Any) -> None:
    client = strict.client("kinesisvideo")
    arn = client.create_stream(StreamName="deleted")["StreamARN"]
    with strict.put_media("deleted") as connection:
        connection.head()
        connection.send(call.body(1) + call.cluster(1)[:100])
        assert kinds([connection.event() for _ in range(3)]) == "BRB"
        client.delete_stream(StreamARN=arn)
        (error,) = connection.send(call.cluster(1)[100:]).events()
    assert (error["ErrorId"], error["ErrorCode"], error["FragmentTimecode"]) == (4008, "STREAM_NOT_ACTIVE", 1000)


def test_a_connection_that_is_too_old_is_4003_and_what_is_whole_is_kept(serve: Any, call: Any, tmp_path: Path) -> None:
    patience = kinesis_video.PutMediaSettings(max_connection_seconds=0.3)
    with serve(tmp_path, StreamSettings(end_seconds=0.2), patience) as server:
        server.client("kinesisvideo").create_stream(StreamName="call", DataRetentionInHours=1)
        with server.put_media("call") as connection:
            connection.head()
            events = connection.send(call.body(2)[:-1]).events()
            assert connection.is_closed_by_server()
        assert kinds([event for event in events if event["EventType"] != "PERSISTED"]) == "BRBE"
        assert (events[-1]["ErrorId"], events[-1]["ErrorCode"]) == (4003, "MAX_CONNECTION_DURATION_REACHED")
        assert len(server.get_media("call")) == 1


def test_a_newcomer_takes_the_stream_over_where_that_is_asked_for(serve: Any, call: Any, tmp_path: Path) -> None:
    with serve(
        tmp_path, StreamSettings(end_seconds=0.2, takeover_seconds=5), kinesis_video.PutMediaSettings()
    ) as server:
        server.client("kinesisvideo").create_stream(StreamName="call")
        with server.put_media("call") as first:
            assert first.head()[0] == 200
            first.send(call.body(2)[:-1])
            assert kinds([first.event() for _ in range(3)]) == "BRB"
            second = server.put_media("call")
            assert second.head()[0] == 200
            (error,) = first.events()
            assert (error["ErrorId"], error["FragmentTimecode"]) == (4000, 1000)
            assert first.is_closed_by_server()
        with second:
            second.send(call.header + call.cluster(1)).end()
            assert kinds(second.events()) == "BR"
        assert [document["cluster"] for document in server.get_media("call")] == [call.cluster(n).hex() for n in (0, 1)]


def test_a_stream_that_is_called_too_often_is_refused_before_the_body(serve: Any, call: Any, tmp_path: Path) -> None:
    with serve(
        tmp_path, StreamSettings(end_seconds=0.2, calls_per_second=0.01), kinesis_video.PutMediaSettings()
    ) as server:
        server.client("kinesisvideo").create_stream(StreamName="call")
        with server.put_media("call") as connection:
            connection.head()
            assert kinds(connection.send(call.body(1)).end().events()) == "BR"
        with server.put_media("call") as connection:
            status, headers = connection.head()
        assert (status, headers["x-amzn-errortype"]) == (400, "ClientLimitExceededException")
        assert len(server.get_media("call")) == 1
        media = server.client("kinesis-video-media")
        with pytest.raises(media.exceptions.ClientLimitExceededException):
            server.get_media("call")


def test_a_producer_that_sends_too_fast_waits_and_loses_nothing(serve: Any, call: Any, tmp_path: Path) -> None:
    settings = StreamSettings(end_seconds=0.2, written_bytes_per_second=200_000)
    with serve(tmp_path, settings, kinesis_video.PutMediaSettings()) as server:
        server.client("kinesisvideo").create_stream(StreamName="call")
        with server.put_media("call") as connection:
            connection.head()
            assert kinds(connection.send(call.body(15)).end().events()) == "BR" * 15
        assert len(server.get_media("call")) == 15


Stream = Callable[..., str]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("1511852108", "1511852108.000"),
        ("1511852108.5", "1511852108.500"),  # as the C producer writes 5 ms, too; AWS reads a decimal number
        ("1511852108.513", "1511852108.513"),
        (".5", "0.500"),
        ("0.0", "0.000"),
        ("5", "5.000"),
    ],
)
def test_the_producer_says_in_seconds_when_it_started(
    served: Any, stream: Stream, call: Any, start: str, told: str
) -> None:
    name = stream()
    changed = {"x_amzn_fragment_timecode_type": "RELATIVE", "x_amzn_producer_start_timestamp": start}
    with served.put_media(name, **changed) as connection:
        connection.head()
        connection.send(call.body(1)).end()
        connection.events()
    assert [document["PRODUCER_TIMESTAMP"] for document in served.get_media(name)] == [told]


LACED = {  # what follows the flags of a block that carries three frames of 2, 4 and 6 bytes
    "Xiph": (0x02, bytes.fromhex("02 02 04") + bytes(12)),
    "EBML": (0x06, bytes.fromhex("02 82 C1") + bytes(12)),
    "fixed": (0x04, bytes.fromhex("02") + bytes(12)),
}


@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("lacing", LACED)
def test_laced_blocks_of_two_tracks_are_kept_as_sent(
    served: Any, stream: Stream, known_size: bool, lacing: str
) -> None:
    name, muxer = stream(hours=1), MUXERS[0]
    flags, content = LACED[lacing]
    blocks = b"".join(
        bytes([0xA3, 0x80 + 4 + len(content), 0x80 + track, 0, at, 0x80 | flags]) + content
        for at in (0, 20)
        for track in (1, 2)
    )
    inside = bytes.fromhex("E7 81 00") + blocks
    cluster = bytes.fromhex("1F43B675") + (bytes([0x40, len(inside)]) if known_size else b"\xff") + inside
    with served.put_media(name) as connection:
        connection.head()
        assert kinds(connection.send(muxer.header() + cluster).end().events()) == "BRP"
    assert [document["cluster"] for document in served.get_media(name)] == [cluster.hex()]
