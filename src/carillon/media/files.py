"""Recordings as live streams: a file becomes Matroska, a fragment at a time, as fast as a caller would speak it.

A recording is read, resampled and written while it plays, a fragment at a time and in a thread, so neither its length
nor its format matters to memory or to the event loop.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from anyio import to_thread

from carillon.audio import to_pcm16
from carillon.clock import Clock, SystemClock, to_millis
from carillon.errors import InvalidRequest
from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.media.sound import MAX_RATE_HZ, UnreadableRecording, opened, resampled

FRAGMENT_SECONDS: Final = 1.0
_SHORTEST_FRAGMENT_SECONDS: Final = 0.02
_LONGEST_FRAGMENT_SECONDS: Final = 20.0  # AWS: a longer one is MAX_FRAGMENT_DURATION_REACHED
_BLOCK_SECONDS: Final = 0.02  # as telephones packetize
_MOST_CHANNELS: Final = 2

Frames = npt.NDArray[np.int16]
"""(n, channels) int16."""


class BadFragmentLength(InvalidRequest):
    """Fragments of such a length cannot be sent."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"A fragment lasts {_SHORTEST_FRAGMENT_SECONDS:g} to {_LONGEST_FRAGMENT_SECONDS:g} seconds, "
            f"not {seconds:g}. Change fragment_seconds."
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on disk, and the rate at which it is played. Its samples are read while they are."""

    path: Path
    seconds: float
    channels: int
    """1 or 2."""
    rate_hz: int


def read_recording(path: Path, rate_hz: int | None = None) -> Recording:
    """Look at a recording (`sound.py`); have it resampled while it plays if another rate is asked for.

    It reads from the disk, the whole file for some formats: call it in a thread.

    Raises:
        UnreadableRecording: not a recording, an empty one, or more than two channels.
    """
    if rate_hz is not None and not 1 <= rate_hz <= MAX_RATE_HZ:
        raise UnreadableRecording(
            f"{path} cannot be played at {rate_hz} Hz. Ask for a rate above zero and up to {MAX_RATE_HZ}, or for none."
        )
    with opened(path) as sound:
        check_channels(sound.channels, str(path))
        return Recording(path, sound.frames() / sound.rate_hz, sound.channels, rate_hz or sound.rate_hz)


def check_channels(channels: int, name: str) -> None:
    """Return if a call may have so many.

    Raises:
        UnreadableRecording: it may not.
    """
    if channels > _MOST_CHANNELS:
        raise UnreadableRecording(f"{name} has {channels} channels; a call has one or two (ffmpeg: -ac 1).")


async def as_live(
    recording: Recording,
    speed: float,
    *,
    on_sent: Callable[[float], None] = lambda _: None,
    clock: Clock | None = None,
    fragment_seconds: float = FRAGMENT_SECONDS,
) -> AsyncGenerator[bytes]:
    """Yield a recording as Matroska with absolute timecodes, each fragment when its last sample would have been spoken.

    Args:
        recording: what to play.
        speed: 1 is natural; 8 is eight times as fast; 0 does not wait at all.
        on_sent: called with the seconds of the recording that were yielded so far; at the end, how long it lasts.
        clock: gives the time of the first sample, and the pace.
        fragment_seconds: how long each fragment is, 0.02 to 20; the last may be shorter.

    Raises:
        UnreadableRecording: the file is not what it was, or is damaged.
        BadFragmentLength: out of range.
    """
    check_fragment_seconds(fragment_seconds)
    clock = clock or SystemClock()
    muxer = Muxer(_track(recording))
    started_at_ms, began = to_millis(clock.now()), clock.monotonic()
    yield muxer.header()
    with closing(_clusters(recording, muxer, started_at_ms, fragment_seconds)) as clusters:
        while (made := await to_thread.run_sync(_next, clusters)) is not None:
            cluster, seconds = made
            if speed > 0:
                await clock.sleep(max(0.0, seconds / speed - (clock.monotonic() - began)))
            yield cluster
            on_sent(min(seconds, recording.seconds))
    on_sent(recording.seconds)


def check_fragment_seconds(seconds: float) -> None:
    """Return if fragments may be so long.

    Raises:
        BadFragmentLength: out of range.
    """
    if not _SHORTEST_FRAGMENT_SECONDS <= seconds <= _LONGEST_FRAGMENT_SECONDS:
        raise BadFragmentLength(seconds)


def _track(recording: Recording) -> Track:
    return Track(
        number=1,
        uid=1,
        kind=AUDIO,
        name="call",
        codec_id="A_PCM/INT/LIT",
        codec_private=b"",
        rate_hz=float(recording.rate_hz),
        channels=recording.channels,
        bit_depth=16,
    )


def _next(clusters: Iterator[tuple[bytes, float]]) -> tuple[bytes, float] | None:
    return next(clusters, None)


def _clusters(
    recording: Recording, muxer: Muxer, started_at_ms: int, fragment_seconds: float
) -> Generator[tuple[bytes, float]]:
    """Yield each fragment with the seconds of the recording up to its end."""
    rate_hz = recording.rate_hz
    sent = 0
    for frames in _cut(_played(recording), max(1, round(fragment_seconds * rate_hz))):
        yield _cluster(muxer, frames, started_at_ms, sent, rate_hz), (sent + len(frames)) / rate_hz
        sent += len(frames)


def _cluster(muxer: Muxer, frames: Frames, started_at_ms: int, first: int, rate_hz: int) -> bytes:
    """Return (n, channels) frames, which stand at frame `first` of the recording, as one Cluster."""
    step = max(1, round(_BLOCK_SECONDS * rate_hz))
    blocks = [
        Block(1, started_at_ms + (first + at) * 1000 // rate_hz, frames[at : at + step].astype("<i2").tobytes())
        for at in range(0, len(frames), step)
    ]
    return muxer.cluster(blocks[0].timecode_ms, blocks)


def _cut(arrays: Iterator[Frames], size: int) -> Iterator[Frames]:
    """Yield what comes in arrays of any length in arrays of one, the last perhaps shorter."""
    pending: Frames | None = None
    for array in arrays:
        pending = array if pending is None else np.concatenate([pending, array])
        whole = len(pending) - len(pending) % size
        for at in range(0, whole, size):
            yield pending[at : at + size]
        pending = pending[whole:]
    if pending is not None and len(pending):
        yield pending


def _played(recording: Recording) -> Iterator[Frames]:
    """Yield a recording's frames at the rate asked for, in arrays of no particular length."""
    with opened(recording.path) as sound:
        if sound.channels != recording.channels:
            raise UnreadableRecording(f"{recording.path} has changed since it was looked at. Try again.")
        for samples in resampled(sound, recording.rate_hz):
            yield to_pcm16(samples)
