import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodies import ffmpeg
from bodies.lacing import EBML, FIXED, KINDS, XIPH, lace, laced_block
from carillon.matroska import BlockRead, Demuxer, InvalidElement, Muxer, Track
from carillon.matroska.elements import CLUSTER, TIMECODE, write_element, write_uint
from carillon.matroska.lacing import unlace

frames_of_any_size = st.lists(st.integers(0, 700), min_size=1, max_size=256)
frames_of_one_size = st.builds(lambda count, size: [size] * count, st.integers(1, 256), st.integers(1, 100))


def frames_of(sizes: list[int]) -> list[bytes]:
    return [bytes([number % 256]) * size for number, size in enumerate(sizes)]


@pytest.mark.parametrize("lacing", [XIPH, EBML])
@given(frames_of_any_size)
def test_what_is_laced_comes_apart_as_it_was(lacing: int, sizes: list[int]) -> None:
    assert unlace(lace(frames_of(sizes), lacing), lacing, 0) == frames_of(sizes)


@given(frames_of_one_size)
def test_fixed_laces_come_apart_as_they_were(sizes: list[int]) -> None:
    assert unlace(lace(frames_of(sizes), FIXED), FIXED, 0) == frames_of(sizes)


@pytest.mark.parametrize("lacing", KINDS.values(), ids=KINDS)
@settings(deadline=None, max_examples=15)
@given(st.data())
def test_ffmpeg_reads_the_same_frames_out_of_a_laced_block(lacing: int, data: st.DataObject) -> None:
    counts = st.lists(st.integers(1, 350), min_size=2, max_size=12)
    sizes = [2 * count for count in data.draw(counts)]  # whole samples, or ffmpeg would wait for the other half
    frames = frames_of(sizes[:1] * len(sizes) if lacing == FIXED else sizes)
    header = Muxer(Track(1, 1, 2, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)).header()
    blocks = laced_block(frames, lacing) + laced_block(frames, lacing, relative=500)
    body = header + write_element(CLUSTER, write_uint(TIMECODE, 0) + blocks)
    ours = [event for event in Demuxer().feed(body) if isinstance(event, BlockRead)]
    theirs = ffmpeg.read(body).frames
    assert [frame.data for frame in ours] == [frame.data for frame in theirs] == frames * 2
    first_of_each = slice(None, None, len(frames))  # ffmpeg counts on from there for PCM, but not for other codecs
    assert [frame.timecode_ms for frame in ours[first_of_each]] == [0, 500]
    assert [frame.timecode_ms for frame in theirs[first_of_each]] == [0, 500]


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
