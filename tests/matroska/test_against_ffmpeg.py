"""ffmpeg is the other side, by way of PyAV: it writes what we read, and it reads what we write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodies import ffmpeg
from bodies.ffmpeg import ENCODED, PCM, Frame
from bodies.parts import cut, demux
from carillon.matroska import AUDIO, Block, Muxer, Track, TracksRead

LAYOUTS = {"mono": (1, 1), "stereo": (1, 2), "two mono tracks": (2, 1)}  # tracks, channels

some = settings(deadline=None, max_examples=6)
rates = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
opus_rates = st.sampled_from([8_000, 12_000, 16_000, 24_000, 48_000])
muxer_options = st.fixed_dictionaries(
    {
        "live": st.sampled_from(["0", "1"]),
        "cluster_time_limit": st.sampled_from(["20", "100", "1000"]),
        "write_crc32": st.sampled_from(["0", "1"]),
    }
)
cuts = st.lists(st.integers(1, 5_000), min_size=1, max_size=5)
layouts = pytest.mark.parametrize(("tracks", "channels"), LAYOUTS.values(), ids=LAYOUTS)


@st.composite
def pcm(draw: st.DrawFn, frame_bytes: int, tracks: int) -> list[Frame]:
    """Frames of any whole samples at rising times, the tracks mixed but each heard."""
    frames = []
    time_ms = draw(st.integers(0, 3_000))
    order = [*range(1, tracks + 1), *draw(st.lists(st.integers(1, tracks), max_size=12))]
    for number, track in enumerate(order):
        size = draw(st.integers(1, 400) | st.just(160)) * frame_bytes
        frames.append(Frame(track, time_ms, (bytes([number, 255 - number]) * size)[:size]))
        time_ms += draw(st.integers(1, 700) | st.just(20))
    return frames


@st.composite
def packets(draw: st.DrawFn, codec: str, rate_hz: int, tracks: int, channels: int) -> list[Frame]:
    """Real packets, 20 ms apart, every track the same."""
    data = ffmpeg.encoded(codec, rate_hz, channels)
    count, time_ms = draw(st.integers(1, len(data))), draw(st.integers(0, 3_000))
    return [Frame(track, time_ms + 20 * i, it) for i, it in enumerate(data[:count]) for track in range(1, tracks + 1)]


@layouts
@pytest.mark.parametrize("codec", PCM)
@some
@given(st.data())
def test_uncompressed_audio_from_ffmpeg_is_read_as_ffmpeg_reads_it(
    codec: str, tracks: int, channels: int, data: st.DataObject
) -> None:
    frames = data.draw(pcm(PCM[codec] * channels, tracks))
    check_reading(codec, data.draw(rates), channels, frames, data)


@layouts
@pytest.mark.parametrize("codec", ENCODED)
@some
@given(st.data())
def test_compressed_audio_from_ffmpeg_is_read_as_ffmpeg_reads_it(
    codec: str, tracks: int, channels: int, data: st.DataObject
) -> None:
    rate_hz = data.draw(opus_rates if codec == "libopus" else rates)
    check_reading(codec, rate_hz, channels, data.draw(packets(codec, rate_hz, tracks, channels)), data)


def check_reading(codec: str, rate_hz: int, channels: int, frames: list[Frame], data: st.DataObject) -> None:
    body = ffmpeg.write(codec, rate_hz, channels, frames, data.draw(muxer_options), to_file=data.draw(st.booleans()))
    if data.draw(st.booleans()):
        body = ffmpeg.with_unknown_sizes(body)
    heard = ffmpeg.read(body)
    assert heard.frames == frames
    events = demux(cut(body, data.draw(cuts)))
    declared = next(event.tracks for event in events if isinstance(event, TracksRead))
    assert {(track.codec_id, track.kind) for track in declared} == {(ffmpeg.CODEC_IDS[codec], AUDIO)}
    assert [(track.rate_hz, track.channels) for track in declared] == [(rate_hz, channels)] * len(heard.tracks)
    assert heard.tracks == [(heard_rate(codec, rate_hz), channels)] * len(declared)
    assert ffmpeg.presented(events) == heard.frames


@layouts
@pytest.mark.parametrize("codec", [*PCM, *ENCODED])
@some
@given(st.data())
def test_what_we_write_ffmpeg_reads(codec: str, tracks: int, channels: int, data: st.DataObject) -> None:
    rate_hz = data.draw(opus_rates if codec == "libopus" else rates)
    frames = data.draw(
        packets(codec, rate_hz, tracks, channels) if codec in ENCODED else pcm(PCM[codec] * channels, tracks)
    )
    declared = [declare(number, codec, rate_hz, channels) for number in range(1, tracks + 1)]
    muxer = Muxer(*declared, metadata=[("CallId", "7")])
    body = muxer.header()
    size = data.draw(st.integers(1, 5))
    for at in range(0, len(frames), size):
        blocks = [Block(it.track, it.timecode_ms, it.data) for it in frames[at : at + size]]
        body += muxer.cluster(blocks[0].timecode_ms, blocks, known_size=data.draw(st.booleans()))
    heard = ffmpeg.read(body)
    assert heard.tracks == [(heard_rate(codec, rate_hz), channels)] * tracks
    assert heard.frames == ffmpeg.presented(demux([body]))
    assert [(frame.track, frame.data) for frame in heard.frames] == [(frame.track, frame.data) for frame in frames]


def declare(number: int, codec: str, rate_hz: int, channels: int) -> Track:
    """Return a track as ffmpeg declares it, with the same CodecPrivate and delay."""
    data = ffmpeg.encoded(codec, rate_hz, channels)[0] if codec in ENCODED else bytes(PCM[codec] * channels)
    events = demux([ffmpeg.write(codec, rate_hz, channels, [Frame(number, 0, data)], {})])
    return next(event.tracks for event in events if isinstance(event, TracksRead))[number - 1]


def heard_rate(codec: str, rate_hz: int) -> int:
    """Opus always decodes to 48 kHz; the rate in the track is that of the recording."""
    return 48_000 if codec == "libopus" else rate_hz
