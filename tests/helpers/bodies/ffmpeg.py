"""What ffmpeg writes and what it reads, by way of PyAV."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from typing import Final

import av
import numpy as np

from carillon.matroska import (
    AUDIO,
    BlockRead,
    ClusterStarted,
    Demuxer,
    MatroskaEvent,
    Muxer,
    SegmentStarted,
    Track,
    TracksRead,
)
from carillon.matroska.elements import UNKNOWN_SIZE_CLUSTER, UNKNOWN_SIZE_SEGMENT

PCM: Final = {"pcm_s16le": 2, "pcm_s16be": 2, "pcm_f32le": 4, "pcm_f64le": 8, "pcm_alaw": 1, "pcm_mulaw": 1}
"""Bytes of a sample."""
WAVE_FORMATS: Final = {"pcm_alaw": 6, "pcm_mulaw": 7}
ENCODED: Final = ("aac", "libopus")
CODEC_IDS: Final = {
    "pcm_s16le": "A_PCM/INT/LIT",
    "pcm_s16be": "A_PCM/INT/BIG",
    "pcm_f32le": "A_PCM/FLOAT/IEEE",
    "pcm_f64le": "A_PCM/FLOAT/IEEE",
    "pcm_alaw": "A_MS/ACM",
    "pcm_mulaw": "A_MS/ACM",
    "aac": "A_AAC",
    "libopus": "A_OPUS",
}
_LAYOUTS: Final = {1: "mono", 2: "stereo"}
_MILLI: Final = Fraction(1, 1000)
_NANOS_PER_MILLI: Final = 1_000_000


@dataclass(frozen=True)
class Frame:
    """One packet of one track."""

    track: int
    """Counted from 1, as ffmpeg numbers them."""
    timecode_ms: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Heard:
    """What one reader makes of a body."""

    tracks: list[tuple[int, int]]
    """Rate in Hz and channels of each."""
    frames: list[Frame]


def write(
    codec: str, rate_hz: int, channels: int, frames: Sequence[Frame], options: Mapping[str, str], to_file: bool = False
) -> bytes:
    """Return what ffmpeg makes of frames, to a pipe or to a file that it can seek in.

    G.711 is written as PCM, to a pipe, and then declared as G.711: PyAV forbids what the ffmpeg command would do.
    """
    if codec in WAVE_FORMATS:
        written = write("pcm_s16le", rate_hz, channels, frames, options)
        return _declared_anew(written, [wave_track(i, codec, rate_hz, channels) for i in _numbers(frames)])
    output = BytesIO() if to_file else _Pipe()
    settings = {"fflags": "+bitexact", **options}
    with av.open(output, "w", format="matroska", options=settings) as container:
        streams = [container.add_stream(codec, rate=rate_hz, layout=_LAYOUTS[channels]) for _ in _numbers(frames)]
        container.start_encoding()
        for frame in frames:
            packet = av.Packet(frame.data)
            packet.stream = streams[frame.track - 1]
            packet.time_base = _MILLI
            packet.pts = packet.dts = frame.timecode_ms
            container.mux(packet)
    return output.getvalue()


def with_unknown_sizes(data: bytes) -> bytes:
    """Return the same body, its Segment and its Clusters of unknown size."""
    headers = {SegmentStarted: UNKNOWN_SIZE_SEGMENT, ClusterStarted: UNKNOWN_SIZE_CLUSTER}
    for event in reversed(_events(data)):
        header = headers.get(type(event))
        if header:
            data = data[: event.start] + header + data[event.end :]
    return data


def wave_track(number: int, codec: str, rate_hz: int, channels: int) -> Track:
    """Declare G.711 as ffmpeg does: a WAVEFORMATEX of which it fills in everything."""
    rate_bytes = rate_hz * channels
    private = struct.pack("<HHIIHHH", WAVE_FORMATS[codec], channels, rate_hz, rate_bytes, channels, 8, 0)
    return Track(number, number, AUDIO, "", CODEC_IDS[codec], private, float(rate_hz), channels, 8)


def _declared_anew(data: bytes, tracks: Sequence[Track]) -> bytes:
    header = Muxer(*tracks).header()
    ours, theirs = (next(e for e in _events(body) if isinstance(e, TracksRead)) for body in (header, data))
    return data[: theirs.start] + header[ours.start : ours.end] + data[theirs.end :]


def _events(data: bytes) -> list[MatroskaEvent]:
    return Demuxer().feed(data)


def _numbers(frames: Sequence[Frame]) -> range:
    return range(1, max(frame.track for frame in frames) + 1)


def read(data: bytes) -> Heard:
    """Return what ffmpeg reads from a pipe. Of laced frames it may give only the first a time; the others share it."""
    with av.open(_Pipe(data), "r", format="matroska") as container:
        tracks = [(stream.sample_rate, stream.channels) for stream in container.streams.audio]
        frames: list[Frame] = []
        for packet in container.demux():
            if packet.size:
                time_ms = (
                    frames[-1].timecode_ms if packet.pts is None else round(packet.pts * packet.time_base / _MILLI)
                )
                frames.append(Frame(packet.stream_index + 1, time_ms, bytes(packet)))
    return Heard(tracks, frames)


def presented(events: Sequence[MatroskaEvent]) -> list[Frame]:
    """Return our blocks with the times at which they are to be heard, in whole milliseconds as ffmpeg rounds them."""
    declared = [track for event in events if isinstance(event, TracksRead) for track in event.tracks]
    delays = {track.number: (track.codec_delay_ns + _NANOS_PER_MILLI // 2) // _NANOS_PER_MILLI for track in declared}
    return [
        Frame(event.track, event.timecode_ms - delays[event.track], event.data)
        for event in events
        if isinstance(event, BlockRead)
    ]


@lru_cache
def encoded(codec: str, rate_hz: int, channels: int) -> tuple[bytes, ...]:
    """Return half a second of noise as packets."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.AudioCodecContext)
    assert context.codec.audio_formats
    context.sample_rate, context.layout, context.time_base = rate_hz, _LAYOUTS[channels], Fraction(1, rate_hz)
    context.format = context.codec.audio_formats[0]
    context.open()
    noise = np.random.default_rng(7).normal(0, 3_000, (channels, rate_hz // 2)).astype(np.float32)
    resampler = av.AudioResampler(context.format, context.layout, rate_hz, context.frame_size)
    frame = av.AudioFrame.from_ndarray(noise / 32_768, "fltp", _LAYOUTS[channels])
    frame.sample_rate = rate_hz
    return tuple(bytes(packet) for part in resampler.resample(frame) for packet in context.encode(part))


class _Pipe:
    """All that ffmpeg may do with a pipe."""

    def __init__(self, data: bytes = b"") -> None:
        self._file = BytesIO(data)
        self.read, self.write, self.getvalue = self._file.read, self._file.write, self._file.getvalue
