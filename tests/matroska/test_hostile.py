"""Whatever is sent, a demuxer answers with events or with its own errors, soon, and holds no more than it must."""

import tracemalloc
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carillon.matroska import Block, Demuxer, Event, Limits, MatroskaError, Muxer, Track, tags_element
from carillon.matroska import elements as ids
from carillon.matroska.elements import write_element, write_id, write_uint, write_vint

MUXER = Muxer(Track(1, 1, 2, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16))
GOOD = (
    MUXER.header()
    + tags_element([("a", "b"), ("c", "d")])
    + MUXER.cluster(0, [Block(1, 20 * i, b"0123456789") for i in range(6)])
    + MUXER.cluster(200, [Block(1, 200 + i, b"0123456789") for i in range(6)], known_size=False)
    + MUXER.header()
)
CLUSTER = MUXER.header() + write_id(ids.CLUSTER) + b"\xff" + write_uint(ids.TIMECODE, 0)
SMALL = Limits(max_element_bytes=64, max_header_bytes=256)


def outcome(pieces: list[bytes]) -> tuple[list[Event], str, int]:
    demuxer = Demuxer(SMALL)
    events: list[Event] = []
    try:
        for piece in pieces:
            events += demuxer.feed(piece)
            assert len(demuxer._pending) <= 256 + 12
        events += demuxer.end()
    except MatroskaError as error:
        return events, type(error).__name__, error.offset
    return events, "", 0


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4), st.integers(1, 40))
def test_bytes_changed_anywhere_give_one_answer_however_they_are_cut(changes: list[tuple[int, int]], size: int) -> None:
    body = bytearray(GOOD)
    for at, value in changes:
        body[at] = value
    data = bytes(body)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert outcome(pieces) == outcome([data])


@given(st.binary(max_size=400))
@example(b"\x1a\x45\xdf\xa3" + b"\xff" * 8)
def test_noise_gives_one_answer_however_it_is_cut(noise: bytes) -> None:
    for data in (noise, CLUSTER + noise):
        assert outcome([data[at : at + 1] for at in range(len(data))]) == outcome([data])


def feed_all(data: bytes, size: int) -> float:
    demuxer = Demuxer()
    began = process_time()
    for at in range(0, len(data), size):
        demuxer.feed(data[at : at + size])
    return process_time() - began


@pytest.mark.parametrize(
    "element",
    [
        write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80" + bytes(316)),
        write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80" + bytes(10)) + write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80"),
        write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80") * 2 + write_element(ids.VOID, b""),
        write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x82\xff" + bytes(255)),
    ],
    ids=["a call", "sizes that alternate", "runs that break off", "256 empty laced frames"],
)
def test_twice_the_bytes_cost_twice_the_time(element: bytes) -> None:
    once = element * (60_000 // len(element))
    fastest = {n: min(feed_all(CLUSTER + once * n, 1 << 22) for _ in range(3)) for n in (1, 4)}
    assert fastest[4] < 10 * fastest[1] + 0.02


def test_a_large_element_in_small_pieces_is_not_looked_at_again_for_each() -> None:
    block = write_id(ids.SIMPLE_BLOCK) + write_vint(1_000_000) + b"\x81\0\0\x80" + bytes(999_996)
    assert feed_all(CLUSTER + block, 100) < 1.0


def test_memory_stays_at_the_element_at_hand() -> None:
    demuxer = Demuxer(Limits(max_element_bytes=100_000))
    demuxer.feed(CLUSTER)
    piece = write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80" + bytes(60_000)) * 4
    demuxer.feed(piece)
    tracemalloc.start()
    try:
        for _ in range(100):
            demuxer.feed(piece[:100_001])
            demuxer.feed(piece[100_001:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
