import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.matroska import (
    Block,
    BlockRead,
    ClusterTimecode,
    Demuxer,
    Muxer,
    TagsRead,
    Track,
    TracksRead,
    tags_element,
)
from carillon.matroska.elements import read_vint, write_vint

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
tracks = st.builds(
    Track,
    number=st.integers(1, 2**20),
    uid=st.integers(0, 2**64 - 1),
    kind=st.just(2),
    name=texts,
    codec_id=texts,
    codec_private=st.binary(max_size=200),
    rate_hz=st.floats(1, 1e6),
    channels=st.integers(1, 255),
    bit_depth=st.none() | st.integers(1, 64),
    codec_delay_ns=st.integers(0, 2**63),
)
clusters = st.tuples(
    st.integers(40_000, 2**60),
    st.lists(st.tuples(st.integers(1, 2**20), st.integers(-0x8000, 0x7FFF), st.binary(max_size=400)), max_size=20),
    st.booleans(),
)


@given(
    st.lists(tracks, min_size=1, max_size=3),
    st.lists(clusters, max_size=4),
    st.lists(st.tuples(texts, texts)),
    st.data(),
)
def test_what_is_muxed_comes_out_of_the_demuxer(
    declared: list[Track],
    sent: list[tuple[int, list[tuple[int, int, bytes]], bool]],
    pairs: list[tuple[str, str]],
    data: st.DataObject,
) -> None:
    muxer = Muxer(*declared)
    blocks = [[Block(track, at + rel, frame) for track, rel, frame in rows] for at, rows, _ in sent]
    body = muxer.header() + tags_element(pairs)
    for (at, _, known_size), row in zip(sent, blocks, strict=True):
        body += muxer.cluster(at, row, known_size)
    demuxer = Demuxer()
    half = data.draw(st.integers(0, len(body)))
    events = [*demuxer.feed(body[:half]), *demuxer.feed(body[half:]), *demuxer.end()]
    read = [event for event in events if isinstance(event, BlockRead)]
    expected = [block for row in blocks for block in row]
    assert [(event.track, event.timecode_ms, event.data) for event in read] == [
        (block.track, block.timecode_ms, block.data) for block in expected
    ]
    assert [event.tracks for event in events if isinstance(event, TracksRead)] == [tuple(declared)]
    assert [event.tags for event in events if isinstance(event, TagsRead)] == [tuple(pairs)]
    assert [event.timecode for event in events if isinstance(event, ClusterTimecode)] == [at for at, _, _ in sent]


@given(st.integers(0, (1 << 56) - 2))
def test_sizes_take_the_fewest_bytes_and_come_back(value: int) -> None:
    encoded = write_vint(value)
    assert read_vint(encoded, 0, 0) == (value, len(encoded))
    assert len(encoded) == 1 or value >= (1 << 7 * (len(encoded) - 1)) - 1
    assert read_vint(write_vint(value, 8), 0, 0) == (value, 8)


def test_metadata_of_the_document_stands_in_its_header() -> None:
    track = Track(
        number=1,
        uid=1,
        kind=2,
        name="",
        codec_id="A_PCM/INT/LIT",
        codec_private=b"",
        rate_hz=8e3,
        channels=1,
        bit_depth=16,
    )
    header = Muxer(track, metadata=[("CallId", "7")]).header()
    assert header.endswith(tags_element([("CallId", "7")]))


def test_a_block_too_far_from_its_cluster_is_refused() -> None:
    track = Track(1, 1, 1, "", "V_VP8", b"", 0.0, 0, None)
    with pytest.raises(ValueError, match="new Cluster"):
        Muxer(track).cluster(0, [Block(1, 32_768, b"")])
    with pytest.raises(ValueError, match="at least one track"):
        Muxer()
