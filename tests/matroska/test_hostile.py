"""Whatever is sent, a demuxer answers with events or with its own errors, soon, and holds no more than it must."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from time import process_time
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bodies.hostile import BODIES, CLUSTER, many
from carillon.matroska import Block, Demuxer, Limits, MatroskaError, Muxer, Track, headers, tags_element
from carillon.matroska import elements as ids
from carillon.matroska.elements import write_element, write_id, write_text, write_vint
from invariants import demux

MUXER = Muxer(Track(1, 1, 2, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16))
GOOD = (
    MUXER.header()
    + tags_element([("a", "b"), ("c", "d")])
    + MUXER.cluster(0, [Block(1, 20 * i, b"0123456789") for i in range(6)])
    + MUXER.cluster(200, [Block(1, 200 + i, b"0123456789") for i in range(6)], known_size=False)
    + MUXER.header()
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=130)  # up to beyond sizes of one byte
SLACK = 20_000
UNLIMITED = Limits(max_header_bytes=1 << 22, max_tracks=1 << 22, max_tags=1 << 22)
a_call = many(write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80" + bytes(316)))
large_blocks = many(write_element(ids.SIMPLE_BLOCK, b"\x81\0\0\x80" + bytes(18_000)))


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4), st.integers(1, 40))
def test_bytes_changed_anywhere_give_one_answer_however_they_are_cut(changes: list[tuple[int, int]], size: int) -> None:
    body = bytearray(GOOD)
    for at, value in changes:
        body[at] = value
    data = bytes(body)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert demux(pieces) == demux([data])


@given(st.binary(max_size=400))
@example(b"\x1a\x45\xdf\xa3" + b"\xff" * 8)
def test_noise_gives_one_answer_however_it_is_cut(noise: bytes) -> None:
    for data in (noise, CLUSTER + noise):
        assert demux(data[at : at + 1] for at in range(len(data))) == demux([data])


@given(st.lists(st.tuples(texts, texts), max_size=4), st.binary(max_size=3), st.data())
def test_tags_in_the_form_that_kinesis_sends_are_read_as_all_others_are(
    pairs: list[tuple[str, str]], odd: bytes, data: st.DataObject
) -> None:
    parts = [write_text(ids.TAG_NAME, name) + write_text(ids.TAG_STRING, text) for name, text in pairs]
    simple_tags = b"".join(write_element(ids.SIMPLE_TAG, part) for part in parts)
    at = data.draw(st.integers(0, len(simple_tags)))
    bent = simple_tags[:at] + odd + simple_tags[at + len(odd) :]
    body = MUXER.header() + write_element(ids.TAGS, write_element(ids.TAG, bent))
    with patch.object(headers, "_read_plain_tags", return_value=None):
        expected = demux([body])
    assert demux([body]) == expected


def feed_all(data: bytes, size: int) -> float:
    """Return the CPU seconds that it took; our own errors end it."""
    demuxer = Demuxer(UNLIMITED)
    began = process_time()
    with suppress(MatroskaError):
        for at in range(0, len(data), size):
            demuxer.feed(data[at : at + size])
    return process_time() - began


@pytest.mark.parametrize("make", [a_call, *BODIES.values()], ids=["a-call", *BODIES])
@pytest.mark.parametrize("piece_bytes", [1_000, 1 << 22])
def test_twice_the_bytes_cost_twice_the_time(make: Callable[[int], bytes], piece_bytes: int) -> None:
    """Four times the bytes in less than ten times the time; were it quadratic, it would be sixteen, at every try."""
    bodies = make(30_000), make(120_000)

    def is_linear() -> bool:
        once, fourfold = (feed_all(body, piece_bytes) for body in bodies)
        return fourfold < 10 * once + 0.02

    assert any(is_linear() for _ in range(3))


def test_a_large_element_in_small_pieces_is_not_looked_at_again_for_each() -> None:
    block = write_id(ids.SIMPLE_BLOCK) + write_vint(1_000_000) + b"\x81\0\0\x80" + bytes(999_996)
    assert feed_all(CLUSTER + block, 100) < 1.0


@pytest.mark.parametrize("make", [a_call, large_blocks, *BODIES.values()], ids=["a-call", "large-blocks", *BODIES])
def test_memory_stays_within_what_the_demuxer_promises(make: Callable[[int], bytes]) -> None:
    """In small pieces, of which its bounds allow the least."""
    piece_bytes = 1_000
    limits = Limits(max_element_bytes=20_000, max_header_bytes=10_000)
    for body in (make(9_000), make(100_000)):
        held, peak = memory(Demuxer(limits), body, piece_bytes)
        assert held < max(limits.max_element_bytes, limits.max_header_bytes) + 5 * limits.max_header_bytes + SLACK
        element = max(4 * limits.max_element_bytes, 10 * limits.max_header_bytes, 100 * limits.max_tags)
        assert peak < 5 * limits.max_header_bytes + element + 80 * min(len(body), piece_bytes) + SLACK


def memory(demuxer: Demuxer, body: bytes, piece_bytes: int) -> tuple[int, int]:
    """Return the most that it held between two feeds, and at any moment, its events thrown away."""
    held = peak = 0
    tracemalloc.start()
    try:
        with suppress(MatroskaError):
            for at in range(0, len(body), piece_bytes):
                demuxer.feed(body[at : at + piece_bytes])
                held = max(held, tracemalloc.get_traced_memory()[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return held, peak
