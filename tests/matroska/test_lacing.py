import pytest

from carillon.matroska import InvalidElement
from carillon.matroska.lacing import unlace

XIPH, FIXED, EBML = 0x02, 0x04, 0x06


def test_xiph_sizes_are_sums_of_bytes_and_the_last_frame_takes_the_rest() -> None:
    frames = [bytes(300), b"", bytes(255), b"last"]
    body = b"\x03" + b"\xff\x2d" + b"\x00" + b"\xff\x00" + b"".join(frames)
    assert unlace(body, XIPH, 0) == frames


def test_ebml_sizes_are_differences_from_the_one_before() -> None:
    # The example of RFC 9559, section 10.3.3: 800, 500 and 1000 bytes, sizes 800 and then -300.
    frames = [bytes(800), bytes(500), bytes(1_000)]
    assert unlace(bytes.fromhex("02 4320 5ed3") + b"".join(frames), EBML, 0) == frames


def test_fixed_lacing_divides_evenly() -> None:
    assert unlace(b"\x02aabbcc", FIXED, 0) == [b"aa", b"bb", b"cc"]


def test_a_lace_of_one_frame_is_that_frame() -> None:
    for flags in (XIPH, FIXED, EBML):
        assert unlace(b"\x00abc", flags, 0) == [b"abc"]


@pytest.mark.parametrize(
    ("body", "flags"),
    [
        (b"", XIPH),
        (b"\xff", FIXED),  # seven bytes of block must not become 256 frames
        (b"\x02abcd", FIXED),
        (b"\x01\xff\xff", XIPH),
        (b"\x01\x05abc", XIPH),
        (b"\x02\x01", XIPH),
        (b"\x01", EBML),
        (b"\x01\xff", EBML),  # unknown size
        (b"\x01\x85abc", EBML),
        (b"\x02\x81\x80abc", EBML),  # 1, then 1 - 63
        (b"\x01\x00abc", EBML),
    ],
)
def test_sizes_that_do_not_fit_their_block_are_refused(body: bytes, flags: int) -> None:
    with pytest.raises(InvalidElement) as raised:
        unlace(body, flags, 77)
    assert raised.value.offset == 77
