"""Recordings as live streams: a file becomes Matroska, a fragment at a time, as fast as a caller would speak it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from anyio import sleep, to_thread

from carillon.clock import Clock, SystemClock, to_millis
from carillon.errors import InvalidRequest
from carillon.matroska import Block, Muxer, Track

FRAGMENT_SECONDS: Final = 1.0
_BLOCK_SECONDS: Final = 0.02  # as telephones packetize
_MOST_CHANNELS: Final = 2

Frames = npt.NDArray[np.int16]
"""(n, channels) int16."""


class UnreadableRecording(InvalidRequest):
    """A file is not a recording that can be streamed."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recording in memory."""

    frames: Frames
    rate_hz: int

    @property
    def seconds(self) -> float:
        """Return how long it lasts."""
        return len(self.frames) / self.rate_hz

    @property
    def channels(self) -> int:
        """Return 1 or 2."""
        return int(self.frames.shape[1])


def read_recording(path: Path, rate_hz: int | None = None) -> Recording:
    """Read wav, flac, mp3 or ogg; resample it if another rate is asked for.

    Raises:
        UnreadableRecording: not a sound file, or more than two channels.
    """
    try:
        samples, own_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnreadableRecording(f"{path} is not a wav, flac, mp3 or ogg file: {error.error_string}") from error
    if samples.shape[1] > _MOST_CHANNELS:
        raise UnreadableRecording(f"{path} has {samples.shape[1]} channels; a call has one or two.")
    rate = rate_hz or own_rate_hz
    if rate != own_rate_hz:
        samples = soxr.resample(samples, own_rate_hz, rate)
    frames: Frames = np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype(np.int16)
    return Recording(frames, rate)


async def as_live(
    recording: Recording,
    speed: float,
    *,
    on_sent: Callable[[float], None] = lambda _: None,
    clock: Clock | None = None,
    wait: Callable[[float], Awaitable[None]] = sleep,
) -> AsyncIterator[bytes]:
    """Yield a recording as Matroska with absolute timecodes, each fragment when its last sample would have been spoken.

    Args:
        recording: what to play.
        speed: 1 is natural; 8 is eight times as fast; 0 does not wait at all.
        on_sent: told the seconds of the recording that were yielded so far.
        clock: gives the time of the first sample, and the pace.
        wait: sleeps.
    """
    clock = clock or SystemClock()
    track = Track(
        number=1,
        uid=1,
        kind=2,
        name="call",
        codec_id="A_PCM/INT/LIT",
        codec_private=b"",
        rate_hz=float(recording.rate_hz),
        channels=recording.channels,
        bit_depth=16,
    )
    muxer = Muxer(track)
    started_at, began = clock.now(), clock.monotonic()
    yield muxer.header()
    step = round(FRAGMENT_SECONDS * recording.rate_hz)
    for first in range(0, len(recording.frames), step):
        seconds = min(len(recording.frames), first + step) / recording.rate_hz
        if speed > 0:
            await wait(max(0.0, seconds / speed - (clock.monotonic() - began)))
        at_ms = to_millis(started_at + timedelta(seconds=first / recording.rate_hz))
        frames = recording.frames[first : first + step]
        yield await to_thread.run_sync(_cluster, muxer, frames, at_ms, recording.rate_hz)
        on_sent(seconds)


def _cluster(muxer: Muxer, frames: Frames, at_ms: int, rate_hz: int) -> bytes:
    step = round(_BLOCK_SECONDS * rate_hz)
    blocks = [
        Block(1, at_ms + first * 1000 // rate_hz, frames[first : first + step].tobytes())
        for first in range(0, len(frames), step)
    ]
    return muxer.cluster(at_ms, blocks)
