import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.clock import ManualClock, from_millis
from carillon.matroska import AUDIO, UNKNOWN_SIZE_SEGMENT, Block, Demuxer, Muxer, TagsRead, Track, tags_element
from carillon.streams import AckErrorCode, AckEventType, FragmentAck, StreamSettings
from carillon.streams.fragment_numbers import NumberSource
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.ingest.parser import IngestEvent, PutMediaParser

NOW = ManualClock().now()
VOID = bytes.fromhex("EC 83 000000")
SMALL = StreamSettings(max_fragment_bytes=40_000, max_header_bytes=2_000)


def new_ingest(settings: StreamSettings = SMALL, producer_start: datetime | None = None) -> PutMediaParser:
    numbers = NumberSource(0, lambda: 5)
    numbers.extend(1_000_000)
    return PutMediaParser(numbers, producer_start, settings)


def told(outcomes: Sequence[IngestEvent]) -> list[Any]:
    """Acknowledgements as (kind, timecode) or (kind, timecode, error_code), fragments as their timecode."""
    return [_told(outcome) for outcome in outcomes]


def _told(outcome: IngestEvent) -> Any:
    if isinstance(outcome, ReceivedFragment):
        return outcome.timecode_ms
    return (outcome.kind.value, outcome.timecode_ms, *([outcome.error_code] if outcome.error_code else []))


def run(body: bytes, cut: int, settings: StreamSettings = SMALL) -> list[IngestEvent]:
    ingest = new_ingest(settings)
    outcomes = [o for at in range(0, len(body), cut) for o in ingest.feed(body[at : at + cut], NOW)]
    return outcomes + ingest.end(NOW)


def test_a_fragment_is_buffered_when_it_begins_and_received_when_the_next_begins(producer: Any) -> None:
    ingest = new_ingest()
    first = producer.fragment(0)
    assert ingest.feed(producer.header, NOW) == []
    assert told(ingest.feed(first[:20], NOW)) == [("BUFFERING", 0)]
    assert ingest.feed(first[20:], NOW) == []
    assert told(ingest.feed(producer.fragment(1)[:20], NOW)) == [0, ("RECEIVED", 0), ("BUFFERING", 1000)]


def test_the_end_of_the_body_completes_the_last_fragment(producer: Any) -> None:
    for known_size in (True, False):
        ingest = new_ingest()
        ingest.feed(producer.body(1, known_size), NOW)
        assert told(ingest.end(NOW)) == [0, ("RECEIVED", 0)]
        assert ingest.ended


def test_a_fragment_keeps_its_bytes_as_sent_and_its_times(producer: Any) -> None:
    started = from_millis(1_511_852_108_513)
    ingest = new_ingest(producer_start=started)
    later = NOW + timedelta(microseconds=1_234_567)
    ingest.feed(producer.body(1), NOW)
    ingest.feed(producer.fragment(1), later)
    first, second = [
        o for o in ingest.feed(producer.fragment(2), NOW) + ingest.end(NOW) if isinstance(o, ReceivedFragment)
    ]
    assert (first.head, first.body) == (producer.header, producer.fragment(1))
    assert first.server_at == NOW + timedelta(milliseconds=1_234)  # whole milliseconds, as in the number
    assert first.producer_at == started + timedelta(seconds=1)
    assert (first.timecode_ms, first.duration_ms) == (1000, 1000)
    assert (second.number, second.body) > (first.number, b"")
    assert "body" not in repr(first)
    assert "head" not in repr(first)


RICH = "header tags, void, tags behind a known and an unknown size"


def bodies(make_producer: Any) -> dict[str, bytes]:
    """Bodies of every kind: the good ones, and one for each rule that can be broken."""
    one, two = make_producer(), make_producer(tracks=2)
    fragment = one.fragment
    tags = tags_element([("TransactionId", "t"), ("CallId", "c")])
    tagged = make_producer(metadata=[("ENCODER", "x" * 500)])
    late = one.muxer.cluster(1000, [Block(1, 1000, b"\0\0"), Block(1, 21_001, b"\0\0")])
    repeated = one.muxer.cluster(1900, [Block(1, 1900, b"\0\0" * 80)])
    return {
        "nothing": b"",
        "only a header": one.header,
        RICH: tagged.header
        + VOID
        + fragment(0)
        + tags
        + fragment(1, known_size=False)
        + tags
        + VOID
        + fragment(2, known_size=False)
        + fragment(3),
        "two tracks": two.body(3),
        "a second document": one.body(1) + one.body(1),
        "a second Segment": one.body(1) + UNKNOWN_SIZE_SEGMENT,
        "Tracks again": one.body(1) + one.header[one.header.index(bytes.fromhex("1654AE6B")) :] + fragment(1),
        "no Tracks": one.header[: one.header.index(bytes.fromhex("1654AE6B"))] + fragment(0),
        "four tracks": make_producer(tracks=4).body(1),
        "an undeclared track": one.body(1) + one.fragment(1, tracks=[1, 2]),
        "a silent track": two.body(1) + two.fragment(1, tracks=[1]) + two.fragment(2),
        "a Cluster without frames": one.body(1) + one.muxer.cluster(1000, []) + fragment(2),
        "going back": one.body(2) + fragment(0),
        "the last frame again": one.body(2) + repeated,
        "too long": one.body(1) + late,
        "too large": one.body(1) + one.muxer.cluster(1000, [Block(1, 1000 + n, b"\0" * 9_000) for n in range(6)]),
        "too large a frame": one.body(1) + one.muxer.cluster(1000, [Block(1, 1000, b"\0" * 41_000)]),
        "too large a header": one.header + bytes.fromhex("EC 4900") + b"\0" * 0x900 + fragment(0),
        "a name of AWS's in the header": one.header + tags_element([("AWS_X", "1")]) + fragment(0),
        "closed by the producer": one.body(1, known_size=False)
        + tags_element([(f"n{n}", "") for n in range(10)])
        + tags_element([("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")])
        + fragment(1, known_size=False)
        + tags_element([("AWS_KINESISVIDEO_IMAGE_GENERATION", ""), ("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")]) * 2,
        "a name of AWS's": one.body(1) + tags_element([("AWSX", "1")]) + fragment(1),
        "eleven tags": one.body(1) + tags_element([(f"n{n}", "") for n in range(6)]) * 2 + fragment(1),
        "a long name": one.body(1) + tags_element([("n" * 129, "")]) + fragment(1),
        "a long value": one.body(1) + tags_element([("n", "ü" * 129)]) + fragment(1),
        "garbage": b"GET / HTTP/1.1\r\n" + bytes(100),
        "garbage behind a fragment": one.body(2) + b"\xff" * 50,
        "cut off in a Cluster": one.body(3)[:-7],
        "cut off in tags": one.body(1) + tags[:-3],
        "year 10000": one.header + one.muxer.cluster(2**50, [Block(1, 2**50, b"\0\0")]),
        "a time beyond all calendars": one.header + one.muxer.cluster(2**62, [Block(1, 2**62, b"\0\0")]),
    }


EXPECTED = {
    "nothing": [],
    "only a header": [],
    RICH: [("RECEIVED", 0), ("RECEIVED", 1000), ("RECEIVED", 2000), ("RECEIVED", 3000)],
    "two tracks": [("RECEIVED", 0), ("RECEIVED", 1000), ("RECEIVED", 2000)],
    "a second document": [("RECEIVED", 0), ("ERROR", None, AckErrorCode.INVALID_MKV_DATA)],
    "a second Segment": [("RECEIVED", 0), ("ERROR", None, AckErrorCode.INVALID_MKV_DATA)],
    "Tracks again": [("RECEIVED", 0), ("ERROR", None, AckErrorCode.INVALID_MKV_DATA)],
    "no Tracks": [("ERROR", None, AckErrorCode.INVALID_MKV_DATA)],
    "four tracks": [("ERROR", None, AckErrorCode.MORE_THAN_ALLOWED_TRACKS_FOUND)],
    "an undeclared track": [("RECEIVED", 0), ("ERROR", 1000, AckErrorCode.TRACK_NUMBER_MISMATCH)],
    "a silent track": [("RECEIVED", 0), ("ERROR", 1000, AckErrorCode.FRAMES_MISSING_FOR_TRACK)],
    "a Cluster without frames": [("RECEIVED", 0), ("ERROR", 1000, AckErrorCode.FRAMES_MISSING_FOR_TRACK)],
    "going back": [
        ("RECEIVED", 0),
        ("RECEIVED", 1000),
        ("ERROR", 0, AckErrorCode.FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS),
    ],
    "the last frame again": [
        ("RECEIVED", 0),
        ("RECEIVED", 1000),
        ("ERROR", 1900, AckErrorCode.FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS),
    ],
    "too long": [("RECEIVED", 0), ("ERROR", 1000, AckErrorCode.MAX_FRAGMENT_DURATION_REACHED)],
    "too large": [("RECEIVED", 0), ("ERROR", 1000, AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)],
    "too large a frame": [("RECEIVED", 0), ("ERROR", 1000, AckErrorCode.MAX_FRAGMENT_SIZE_REACHED)],
    "too large a header": [("ERROR", None, AckErrorCode.INVALID_MKV_DATA)],
    "a name of AWS's in the header": [("ERROR", None, AckErrorCode.INVALID_FRAGMENT_METADATA)],
    "closed by the producer": [("RECEIVED", 0), ("RECEIVED", 1000)],
    "a name of AWS's": [("ERROR", 0, AckErrorCode.INVALID_FRAGMENT_METADATA)],
    "eleven tags": [("ERROR", 0, AckErrorCode.FRAGMENT_METADATA_LIMIT_REACHED)],
    "a long name": [("ERROR", 0, AckErrorCode.FRAGMENT_METADATA_LIMIT_REACHED)],
    "a long value": [("ERROR", 0, AckErrorCode.FRAGMENT_METADATA_LIMIT_REACHED)],
    "garbage": [("ERROR", None, AckErrorCode.INVALID_MKV_DATA)],
    "garbage behind a fragment": [
        ("RECEIVED", 0),
        ("RECEIVED", 1000),
        ("ERROR", None, AckErrorCode.INVALID_MKV_DATA),
    ],
    "cut off in a Cluster": [
        ("RECEIVED", 0),
        ("RECEIVED", 1000),
        ("ERROR", 2000, AckErrorCode.STREAM_READ_ERROR),
    ],
    "cut off in tags": [("RECEIVED", 0), ("ERROR", None, AckErrorCode.STREAM_READ_ERROR)],
    "year 10000": [("ERROR", 2**50, AckErrorCode.INVALID_PRODUCER_TIMESTAMP)],
    "a time beyond all calendars": [("ERROR", 2**62, AckErrorCode.INVALID_PRODUCER_TIMESTAMP)],
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_rule_ends_the_connection_and_keeps_what_was_received(kind: str, make_producer: Any) -> None:
    outcomes = run(bodies(make_producer)[kind], 1_000_000)
    assert [o for o in told(outcomes) if isinstance(o, tuple) and o[0] != "BUFFERING"] == EXPECTED[kind]
    numbers = [o.number for o in outcomes if isinstance(o, ReceivedFragment)]
    assert numbers == [o.number for o in outcomes if isinstance(o, FragmentAck) and o.kind is AckEventType.RECEIVED]


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("cut", [1, 7, 4_096])
def test_any_split_gives_the_same_outcomes(kind: str, cut: int, make_producer: Any) -> None:
    body = bodies(make_producer)[kind]
    assert run(body, cut) == run(body, 1_000_000)


@given(
    cuts=st.lists(st.integers(1, 70_000), max_size=8), flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)))
)
def test_no_bytes_whatsoever_bring_it_down(cuts: list[int], flips: list[tuple[int, int]]) -> None:
    body = bytearray(DAMAGED)
    for at, value in flips:
        body[at % len(body)] = value
    pieces, rest = [], bytes(body)
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    ingest = new_ingest()
    outcomes = [o for piece in [*pieces, rest] for o in ingest.feed(piece, NOW)] + ingest.end(NOW)
    assert outcomes == run(bytes(body), 1_000_000)
    errors = [o for o in outcomes if isinstance(o, FragmentAck) and o.kind is AckEventType.ERROR]
    assert errors in ([], outcomes[-1:])


def test_each_part_of_a_body_leads_to_its_state(producer: Any) -> None:
    ingest = new_ingest()
    header, end = producer.header, tags_element([("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")])
    segment = header.index(UNKNOWN_SIZE_SEGMENT)
    first, second = producer.fragment(0), producer.fragment(1)
    states = [ingest._state]
    for piece in (
        header[:segment],
        UNKNOWN_SIZE_SEGMENT,
        header[segment + len(UNKNOWN_SIZE_SEGMENT) :],
        first[:8],
        first[8:20],
        first[20:],
        end,
        second[:8],
        second[8:],
    ):
        ingest.feed(piece, NOW)
        states.append(ingest._state)
    ingest.finalize(NOW)
    states.append(ingest._state)
    ingest.end(NOW)
    states.append(ingest._state)
    assert [state.name for state in states] == [
        "EMPTY",
        "DOCUMENT",
        "HEAD",
        "READY",
        "CLUSTER",
        "FRAMES",
        "WHOLE",
        "BETWEEN",
        "CLUSTER",
        "WHOLE",
        "BETWEEN",
        "ENDED",
    ]


def test_header_tags_stand_in_the_head_and_late_tags_in_the_body(make_producer: Any) -> None:
    first, second, third, _ = [
        o for o in run(bodies(make_producer)[RICH], 1_000_000) if isinstance(o, ReceivedFragment)
    ]
    tags = tags_element([("TransactionId", "t"), ("CallId", "c")])
    assert first.head == second.head == make_producer(metadata=[("ENCODER", "x" * 500)]).header + VOID
    assert first.body == make_producer().fragment(0) + tags
    assert second.body == make_producer().fragment(1, known_size=False) + tags + VOID
    assert third.body == make_producer().fragment(2, known_size=False)
    read = [e.tags for f in (first, second) for e in Demuxer().feed(f.head + f.body) if isinstance(e, TagsRead)]
    assert read == [(("ENCODER", "x" * 500),), (("TransactionId", "t"), ("CallId", "c"))] * 2


def test_a_segment_of_known_size_becomes_one_of_unknown_size(producer: Any) -> None:
    before, _, inside = producer.body(2).partition(UNKNOWN_SIZE_SEGMENT)
    size = (0x1000_0000 | len(inside)).to_bytes(4, "big")
    sized = before + UNKNOWN_SIZE_SEGMENT[:4] + size + inside
    fragments = [o for o in run(sized, 999) if isinstance(o, ReceivedFragment)]
    assert [f.head for f in fragments] == [producer.header] * 2


def test_a_complete_cluster_settles_without_the_next(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.body(1)[:-1], NOW)
    assert ingest.finalize(NOW) == []
    ingest.feed(producer.body(1)[-1:], NOW)
    assert told(ingest.finalize(NOW)) == [0, ("RECEIVED", 0)]
    assert ingest.finalize(NOW) == []
    assert told(ingest.feed(producer.fragment(1), NOW)) == [("BUFFERING", 1000)]
    assert told(ingest.end(NOW)) == [1000, ("RECEIVED", 1000)]


def test_a_cluster_of_unknown_size_does_not_settle_before_something_ends_it(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.body(1, known_size=False), NOW)
    assert ingest.finalize(NOW) == []
    ingest.feed(tags_element([("CallId", "c")]), NOW)
    assert told(ingest.finalize(NOW)) == [0, ("RECEIVED", 0)]


def test_a_producer_can_close_a_fragment_that_none_follows(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.body(1, known_size=False), NOW)
    end = tags_element([("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")])
    fragment, received = ingest.feed(end, NOW)
    assert told([fragment, received]) == [0, ("RECEIVED", 0)]
    assert isinstance(fragment, ReceivedFragment)
    assert fragment.body == producer.fragment(0, known_size=False) + end
    assert ingest.end(NOW) == []


def test_tags_that_come_after_settling_stand_before_the_next_cluster(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.body(1), NOW)
    ingest.finalize(NOW)
    tags = tags_element([("CallId", "c")])
    assert ingest.feed(tags, NOW) == []
    ingest.feed(producer.fragment(1), NOW)
    (fragment,) = [o for o in ingest.end(NOW) if isinstance(o, ReceivedFragment)]
    assert fragment.head == producer.header + tags
    assert fragment.body == producer.fragment(1)


def test_what_breaks_off_is_discarded_unless_its_cluster_is_whole(producer: Any) -> None:
    whole, torn = new_ingest(), new_ingest()
    whole.feed(producer.body(1), NOW)
    torn.feed(producer.body(1)[:-1], NOW)
    assert told(whole.fail(AckErrorCode.STREAM_READ_ERROR, NOW)) == [
        0,
        ("RECEIVED", 0),
        ("ERROR", None, AckErrorCode.STREAM_READ_ERROR),
    ]
    assert told(torn.fail(AckErrorCode.STREAM_READ_ERROR, NOW)) == [("ERROR", 0, AckErrorCode.STREAM_READ_ERROR)]
    assert torn.feed(producer.fragment(1), NOW) == torn.end(NOW) == []


@pytest.mark.parametrize("rate_hz", [float("nan"), float("inf"), -8000.0, 0.0, 1e-320])
def test_an_absurd_rate_does_no_harm(rate_hz: float) -> None:
    muxer = Muxer(Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", rate_hz, 1, 16))
    body = muxer.header() + muxer.cluster(0, [Block(1, 0, b"\0\0"), Block(1, 30, b"\0\0")])
    outcomes = run(body, 1_000_000)
    if not math.isfinite(rate_hz):
        assert told(outcomes) == [("ERROR", None, AckErrorCode.INVALID_MKV_DATA)]
        return
    (fragment,) = [o for o in outcomes if isinstance(o, ReceivedFragment)]
    assert 0 <= fragment.duration_ms <= 20_030


def test_no_more_is_held_than_the_fragment_that_is_open(producer: Any) -> None:
    ingest = new_ingest()
    ingest.feed(producer.header, NOW)
    for index in range(50):
        ingest.feed(producer.fragment(index), NOW)
        assert len(ingest._held) <= len(producer.fragment(index))


def _damaged_base() -> bytes:
    muxer = Muxer(Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8000.0, 1, 16))
    clusters = [muxer.cluster(n * 100, [Block(1, n * 100, b"\1\2" * 20)], known_size=n % 2 == 0) for n in range(6)]
    return muxer.header() + tags_element([("a", "b")]).join(clusters)


DAMAGED = _damaged_base()
