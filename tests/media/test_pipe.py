"""What may come through a pipe, and what becomes of it."""

import io
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from carillon.clock import ManualClock, to_millis
from carillon.matroska import Block, BlockRead, ClusterTimecode, Demuxer, Muxer, TagsRead, TracksRead, tags_element
from carillon.media import BadFragmentLength, UnreadableRecording
from carillon.media.codecs import Codec, codec_of
from carillon.media.pipe import read_pipe
from carillon.media.splicer import Layout, SampleFormat

pytestmark = pytest.mark.anyio

SAMPLES = np.random.default_rng(3).integers(-30_000, 30_000, (20_000, 2), np.int16)


def pipe(data: bytes, size: int = 4096) -> Callable[[], Awaitable[bytes]]:
    source = io.BytesIO(data)

    async def read() -> bytes:
        return source.read(size)

    return read


async def document(data: bytes, raw: Layout | None = None, size: int = 4096, **given: Any) -> bytes:
    piped = await read_pipe(pipe(data, size), raw, **given)
    return b"".join([piece async for piece in piped.body])


def heard(body: bytes) -> tuple[Codec, bytes, list[int]]:
    """The track's codec, all samples, and the time of each fragment."""
    demuxer, samples, times, codecs = Demuxer(), b"", [], []
    for event in [*demuxer.feed(body), *demuxer.end()]:
        if isinstance(event, TracksRead):
            codecs.append(codec_of(event.tracks[0]))
        elif isinstance(event, ClusterTimecode):
            times.append(event.timecode_ms)
        elif isinstance(event, BlockRead):
            samples += event.data
    return codecs[0], samples, times


def blocks(body: bytes) -> list[tuple[int, int, bytes]]:
    """Track, time and content of every block."""
    return [
        (block.track, block.timecode_ms, block.data) for block in Demuxer().feed(body) if isinstance(block, BlockRead)
    ]


def ffmpeg(format_: str, codec: str, channels: int = 2) -> tuple[bytes, bytes]:
    """Write samples as ffmpeg does to a pipe, which cannot seek; return that, and the samples as encoded."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    written, packets = Pipe(), b""
    with av.open(written, "w", format=format_) as container:
        stream = container.add_stream(codec, rate=8000, layout="stereo" if channels == 2 else "mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(SAMPLES[:, :channels]).reshape(1, -1),
            format="s16",
            layout="stereo" if channels == 2 else "mono",
        )
        frame.rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            packets += bytes(packet)
            container.mux(packet)
    return written.getvalue(), packets


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_mulaw", "pcm_alaw"])
async def test_a_wav_as_ffmpeg_writes_it_to_a_pipe(codec: str, size: int) -> None:
    written, packets = ffmpeg("wav", codec)
    assert written[4:8] == b"\xff\xff\xff\xff"
    said, samples, times = heard(await document(written, size=size))
    assert (said.rate_hz, said.channels) == (8000, 2)
    assert samples == packets
    assert len(times) == 3


async def test_a_wav_from_a_file_ends_where_its_samples_do() -> None:
    written = io.BytesIO()
    soundfile.write(written, SAMPLES, 16_000, format="WAVEX", subtype="PCM_16")
    said, samples, _ = heard(await document(written.getvalue() + b"LIST\x04\0\0\0more"))
    assert (said.rate_hz, samples) == (16_000, SAMPLES.tobytes())


@pytest.mark.parametrize("format_", list(SampleFormat))
async def test_raw_samples_are_what_options_say(format_: SampleFormat) -> None:
    data = SAMPLES.tobytes()
    said, samples, _ = heard(await document(data, Layout(format_, 11_025, 2)))
    assert (said.rate_hz, said.channels, samples) == (11_025, 2, data)


@pytest.mark.parametrize("size", [5, 4096])
async def test_matroska_keeps_its_blocks_and_times_and_long_clusters_are_cut(size: int) -> None:
    written, packets = ffmpeg("matroska", "pcm_s16le", 1)  # 2.5 s in one Cluster, and even in one block
    clock, told = ManualClock(), list[float]()
    piped = await read_pipe(pipe(written, size), None, clock=clock, on_sent=told.append)
    assert piped.started_at == clock.now()
    body = b"".join([piece async for piece in piped.body])
    _, samples, times = heard(body)
    assert samples == packets
    assert len(times) == 3
    assert times == [0, 1_000, 2_000]
    assert told[-1] >= 2.0


async def test_one_cluster_of_half_a_minute_becomes_fragments_that_kinesis_takes() -> None:
    phone = Layout(SampleFormat.S16LE, 8_000, 1).track()
    second = [Block(1, 20 * number, number.to_bytes(2, "little") * 160) for number in range(1_500)]
    muxer = Muxer(phone)
    for known_size in (True, False):
        written = muxer.header() + tags_element([("Call", "7")]) + muxer.cluster(0, second, known_size)
        body = await document(written)
        assert heard(body)[2] == [1_000 * number for number in range(30)]
        assert blocks(body) == blocks(written)
        assert [event.tags for event in Demuxer().feed(body) if isinstance(event, TagsRead)] == [(("Call", "7"),)]


async def test_one_block_of_half_a_minute_is_cut_too() -> None:
    track = Layout(SampleFormat.S16LE, 48_000, 2).track()
    data = np.arange(30 * 96_000, dtype="<i2").tobytes()
    muxer = Muxer(track)
    body = await document(muxer.header() + muxer.cluster(0, [Block(1, 0, data)]))
    _, samples, times = heard(body)
    assert samples == data
    assert times == [1_000 * number for number in range(30)]


async def test_of_matroska_only_the_audio_is_sent_and_without_any_it_is_refused() -> None:
    phone = Layout(SampleFormat.S16LE, 8_000, 1).track()
    camera = replace(phone, number=2, kind=1, codec_id="V_VP8")
    for tracks, said in (((phone, camera), None), ((camera,), "no audio track"), ((phone,), "holds no sound")):
        muxer = Muxer(*tracks)
        cluster = muxer.cluster(0, [Block(track.number, 0, b"\1" * 320) for track in tracks]) if said is None else b""
        if said is None:
            assert {number for number, _, _ in blocks(await document(muxer.header() + cluster))} == {1}
        else:
            with pytest.raises(UnreadableRecording, match=said):
                await document(muxer.header() + cluster)


async def test_matroska_that_breaks_off_is_sent_as_far_as_it_goes_and_garbage_in_it_is_told() -> None:
    muxer = Muxer(Layout(SampleFormat.S16LE, 8_000, 1).track())
    second = [Block(1, 20 * number, number.to_bytes(2, "little") * 160) for number in range(100)]
    written = muxer.header() + muxer.cluster(0, second)
    assert blocks(await document(written[:-1])) == blocks(written)[:-1]
    with pytest.raises(UnreadableRecording, match="damaged"):
        await document(written + bytes(20_000))


async def test_times_are_those_of_the_clock_and_a_pause_was_silent() -> None:
    clock = ManualClock()
    pieces = [b"\x01" * 8000, b"\x02" * 8000, b""]

    async def read() -> bytes:
        clock.advance(timedelta(seconds=6 if pieces[0] == b"\x02" * 8000 else 0))
        return pieces.pop(0)

    began_ms = to_millis(clock.now())
    told: list[float] = []
    raw = Layout(SampleFormat.MU_LAW, 8_000, 1)
    piped = await read_pipe(read, raw, clock=clock, on_sent=told.append)
    assert piped.started_at is None
    _, samples, times = heard(b"".join([piece async for piece in piped.body]))
    assert samples == b"\x01" * 8000 + b"\xff" * 24_000 + b"\x02" * 8000
    assert times == [began_ms + 1000 * second for second in range(5)]
    assert told == [1.0, 5.0]


async def test_nothing_is_read_before_the_last_piece_was_taken() -> None:
    reads = 0

    async def read() -> bytes:
        nonlocal reads
        reads += 1
        return bytes(16_000)

    piped = await read_pipe(read, Layout(SampleFormat.S16LE, 8_000, 1))
    assert [reads, await anext(piped.body) != b"", reads] == [1, True, 1]
    for taken in range(1, 5):
        await anext(piped.body)
        assert reads == taken


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Nothing came"),
        (b"some samples", "has no header"),
        (b"RIFF\xff\xff\xff\xffWAVE", "ends before its samples"),
        (b"RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff", "does not say what"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \x04\0\0\0\0\0\0\0data\0\0\0\0", "does not say what"),
        (b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xff" + bytes(100), "ends before its samples"),
        (
            b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 6, 8000, 0, 12, 16) + b"data\0\0\0\0",
            "6 ch",
        ),
        (b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 0, 0, 2, 16) + b"data\0\0\0\0", "0 Hz"),
    ],
)
async def test_what_cannot_be_streamed_is_refused_with_a_word_on_what_to_do(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableRecording, match=said):
        await document(data)


async def test_options_must_not_contradict_a_header() -> None:
    raw = Layout(SampleFormat.S16LE, 8_000, 1)
    for format_ in ("wav", "matroska"):
        with pytest.raises(UnreadableRecording, match="leave out --rate"):
            await document(ffmpeg(format_, "pcm_s16le")[0], raw)


async def test_a_fragment_length_that_kinesis_does_not_take_is_refused() -> None:
    with pytest.raises(BadFragmentLength):
        await document(b"some samples", Layout(SampleFormat.S16LE, 8_000, 1), fragment_seconds=0.001)
