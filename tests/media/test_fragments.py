from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain

import pytest

from carillon.matroska import Block, MatroskaError, Muxer, Track, tags_element
from carillon.media import (
    Fragment,
    FragmentNotFound,
    FragmentParser,
    FragmentTooLarge,
    MalformedFragment,
    MediaEncrypted,
    UnreadableFragment,
)

PHONE = Track(1, 1, 2, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
CAMERA = Track(2, 2, 1, "", "V_MPEG4/ISO/AVC", b"", 0.0, 0, None)
NUMBERS = [str(2**156 + sequence * 2**92) for sequence in range(1, 5)]


def document(
    number: str,
    blocks: Sequence[Block] = (Block(1, 1_000, b"ab"),),
    *tracks: Track,
    producer_at: str = "1511852108.513",
    known_size: bool = True,
) -> bytes:
    """One fragment as GetMedia sends it."""
    muxer = Muxer(*(tracks or (PHONE,)))
    return b"".join(
        [
            muxer.header(),
            tags_element([("TransactionId", "t-1"), ("CallId", number[-1])]),
            tags_element(
                [
                    ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", number),
                    ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", "1511852109.126"),
                    ("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", producer_at),
                ]
            ),
            muxer.cluster(1_000, blocks, known_size),
            tags_element([("VoiceConnectorId", "vc")]),
            trailer(number),
        ]
    )


def trailer(number: str) -> bytes:
    return tags_element(
        [("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "250"), ("AWS_KINESISVIDEO_CONTINUATION_TOKEN", number)]
    )


def error_document(error_id: str, code: str = "SOME_CODE", number: str = NUMBERS[0]) -> bytes:
    pairs = [
        ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", number),
        ("AWS_KINESISVIDEO_ERROR_CODE", code),
        ("AWS_KINESISVIDEO_ERROR_ID", error_id),
    ]
    return Muxer(PHONE).header() + tags_element(pairs)


def read(data: bytes, size: int | None = None) -> list[Fragment | UnreadableFragment]:
    parser = FragmentParser()
    size = size or len(data)
    return [item for at in range(0, len(data), size) for item in parser.feed(data[at : at + size])]


def parse(data: bytes, size: int | None = None) -> list[Fragment]:
    fragments = [item for item in read(data, size) if isinstance(item, Fragment)]
    assert len(fragments) == len(read(data, size)), "all can be read"
    return fragments


def test_a_fragment_has_everything_that_the_stream_says_of_it() -> None:
    (fragment,) = parse(document(NUMBERS[0], [Block(1, 1_000, b"ab"), Block(1, 1_020, b"cd")]))
    assert fragment.number == NUMBERS[0]
    assert fragment.server_at == datetime(2017, 11, 28, 6, 55, 9, 126_000, UTC)
    assert fragment.producer_at == datetime(2017, 11, 28, 6, 55, 8, 513_000, UTC)
    assert fragment.tracks == (PHONE,)
    assert [(block.timecode_ms, block.data) for block in fragment.blocks] == [(1_000, b"ab"), (1_020, b"cd")]
    assert fragment.tags == {"TransactionId": "t-1", "CallId": NUMBERS[0][-1], "VoiceConnectorId": "vc"}
    assert (fragment.timecode_ms, fragment.behind_ms) == (1_000, 250)


@pytest.mark.parametrize("size", [1, 7, 100, 1_000])
@pytest.mark.parametrize("known_size", [True, False])
def test_any_split_gives_the_same_fragments(size: int, known_size: bool) -> None:
    body = b"".join(document(number, known_size=known_size) for number in NUMBERS)
    assert parse(body, size) == parse(body)
    assert [fragment.number for fragment in parse(body)] == NUMBERS


def test_a_fragment_is_complete_with_its_last_tags_and_not_before() -> None:
    body = document(NUMBERS[0])
    assert parse(body[:-1]) == []
    assert parse(body[: -len(trailer(NUMBERS[0]))] + document(NUMBERS[1]))[0].number == NUMBERS[1]
    apart = body[: -len(trailer(NUMBERS[0]))]
    apart += tags_element([("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "0")])
    assert parse(apart) == []
    assert len(parse(apart + tags_element([("AWS_KINESISVIDEO_CONTINUATION_TOKEN", "1")]))) == 1


def test_a_document_without_a_cluster_is_passed_over() -> None:
    empty = Muxer(PHONE).header() + tags_element([("AWS_KINESISVIDEO_FRAGMENT_NUMBER", "1")]) + trailer("1")
    assert [fragment.number for fragment in parse(empty + document(NUMBERS[0]))] == [NUMBERS[0]]


def test_video_is_not_kept() -> None:
    blocks = [Block(1, 1_000, b"sound"), Block(2, 1_000, bytes(1_000))]
    (fragment,) = parse(document(NUMBERS[0], blocks, PHONE, CAMERA))
    assert [block.data for block in fragment.blocks] == [b"sound"]


def test_a_producer_that_counts_from_zero_gets_the_time_of_the_server() -> None:
    (live,) = parse(document(NUMBERS[0]))
    (from_zero,) = parse(document(NUMBERS[0], producer_at="2.000"))
    assert live.wall_at == live.producer_at
    assert from_zero.wall_at == from_zero.server_at
    assert from_zero.producer_at.year == 1970


@pytest.mark.parametrize(
    ("error_id", "error"),
    [("3000", FragmentNotFound), ("4000", FragmentNotFound), ("4500", MediaEncrypted), ("4506", MediaEncrypted)],
)
def test_errors_in_mid_stream_come_after_the_fragments_before_them(error_id: str, error: type[Exception]) -> None:
    fragments = FragmentParser().feed(document(NUMBERS[0]) + error_document(error_id))
    assert named(next(fragments)) == NUMBERS[0]
    with pytest.raises(error):
        next(fragments)


def named(item: Fragment | UnreadableFragment) -> str | None:
    return item.number


@pytest.mark.parametrize(("error_id", "known"), [("3002", 3002), ("5000", 5000), ("", 0), ("soon", 0)])
@pytest.mark.parametrize("size", [None, 1, 50])
def test_a_fragment_that_the_endpoint_cannot_read_stands_among_the_others(
    error_id: str, known: int, size: int | None
) -> None:
    body = document(NUMBERS[0]) + error_document(error_id, number=NUMBERS[1]) + document(NUMBERS[2])
    first, unreadable, last = read(body, size)
    assert unreadable == UnreadableFragment(NUMBERS[1], "SOME_CODE", known)
    assert (named(first), named(last)) == (NUMBERS[0], NUMBERS[2])
    assert isinstance(last, Fragment)
    assert [block.data for block in last.blocks] == [b"ab"]


@pytest.mark.parametrize("number", ["", "12a"])
def test_an_endpoint_may_not_say_which_fragment_it_cannot_read(number: str) -> None:
    assert read(error_document("5000", number=number)) == [UnreadableFragment(None, "SOME_CODE", 5000)]


@pytest.mark.parametrize("known_size", [True, False])
def test_of_a_fragment_that_is_still_open_nothing_is_told_until_it_is_over(known_size: bool) -> None:
    blocks = [Block(1, 1_000 + 20 * at, bytes([at]) * 320) for at in range(50)]
    body = document(NUMBERS[0], blocks, known_size=known_size)
    parser = FragmentParser()
    for at in range(len(body) - 1):
        assert list(parser.feed(body[at : at + 1])) == []
    (fragment,) = parser.feed(body[-1:])
    assert isinstance(fragment, Fragment)
    assert [block.data for block in fragment.blocks] == [block.data for block in blocks]


@pytest.mark.parametrize("heard", [0, 1, 49, 50])
def test_a_fragment_that_breaks_off_is_dropped_by_whatever_comes_next(heard: int) -> None:
    blocks = [Block(1, 1_000 + 20 * at, bytes(320)) for at in range(50)]
    torn = document(NUMBERS[0], blocks[:heard], known_size=False).removesuffix(trailer(NUMBERS[0]))
    assert read(torn) == []
    (after,) = parse(torn + document(NUMBERS[1]))
    assert (after.number, len(after.blocks)) == (NUMBERS[1], 1)
    unreadable = UnreadableFragment(NUMBERS[0], "SOME_CODE", 5000)
    assert read(torn + error_document("5000")) == [unreadable]


def test_a_fragment_that_is_not_found_is_named() -> None:
    with pytest.raises(FragmentNotFound, match=NUMBERS[0]):
        parse(error_document("4000"))


def test_what_is_no_matroska_is_refused_in_the_same_feed() -> None:
    fragments = FragmentParser().feed(document(NUMBERS[0]) + b"\0\0\0\0")
    assert next(fragments).number == NUMBERS[0]
    with pytest.raises(MatroskaError):
        next(fragments)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FRAGMENT_NUMBER", "12a"),
        ("FRAGMENT_NUMBER", "-1"),
        ("FRAGMENT_NUMBER", "9" * 129),
        ("SERVER_TIMESTAMP", "soon"),
        ("SERVER_TIMESTAMP", "1e999999999"),
        ("PRODUCER_TIMESTAMP", "999999999999.000"),
        ("MILLIS_BEHIND_NOW", "9" * 99),
    ],
)
def test_tags_that_cannot_be_read_are_named(name: str, text: str) -> None:
    body = document(NUMBERS[0])[: -len(trailer(NUMBERS[0]))]
    last = {"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW": "0", "AWS_KINESISVIDEO_CONTINUATION_TOKEN": "1"}
    last[f"AWS_KINESISVIDEO_{name}"] = text
    with pytest.raises(MalformedFragment, match=name):
        parse(body + tags_element(list(last.items())))


def test_a_fragment_larger_than_the_limit_is_refused_while_it_comes() -> None:
    muxer = Muxer(PHONE)
    endless = muxer.header() + muxer.cluster(0, [], known_size=False)
    for data in (bytes(500), b""):
        parser = FragmentParser(max_fragment_bytes=20_000)
        assert list(parser.feed(endless)) == []
        block = muxer.cluster(0, [Block(1, 0, data)])[8:]
        block = block[block.index(b"\xa3") :]
        with pytest.raises(FragmentTooLarge):
            deque(chain.from_iterable(parser.feed(block) for _ in range(1_000)))


def test_a_repr_shows_no_sound() -> None:
    assert "secret" not in repr(parse(document(NUMBERS[0], [Block(1, 1_000, b"secret")])))
