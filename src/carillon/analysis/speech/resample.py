"""Any telephone or studio rate to 16 kHz, such that it never matters how the samples arrived.

A stream resampler's output depends on where its input was cut: in the last bits, and in what it still holds back. Here
the call is cut into blocks at fixed positions instead, and each block is resampled on its own, between enough of its
neighbors that the filter never sees the cut (16 ms; more changes nothing above the rounding of float32). So the same
call gives the same bits however it is split, and all that must be remembered is a few hundredths of a second of input.
Blocks that are there at the same time go through the filter side by side, as if they were channels, which changes
nothing in any of them and takes half the time.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.errors import InvalidRequest

LEAST_RATE_HZ: Final = 8_000
MOST_RATE_HZ: Final = 48_000

_BLOCK_SECONDS: Final = 0.064
_CONTEXT_SECONDS: Final = 0.016
_BLOCKS_AT_ONCE: Final = 64


class UnsupportedRate(InvalidRequest):
    """The audio's rate is outside what Amazon Chime SDK call analytics takes."""

    def __init__(self, rate_hz: int) -> None:
        super().__init__(f"A rate of {rate_hz} Hz is not supported; use {LEAST_RATE_HZ} to {MOST_RATE_HZ} Hz.")
        self.rate_hz = rate_hz


def _nothing() -> Pcm:
    return np.zeros(0, np.float32)


def within_reach(rate_hz: int) -> int:
    """Return the rate itself if it is supported, else the nearest that is: what to resample a recording to."""
    return min(max(rate_hz, LEAST_RATE_HZ), MOST_RATE_HZ)


@dataclass(frozen=True, slots=True, eq=False)
class ResamplerState:
    """What a Resampler remembers. Replaced, never mutated."""

    pending: Pcm = field(default_factory=_nothing, repr=False)
    """Input not yet resampled, the left neighborhood of the next block first. Empty at the start: nothing came yet."""


class Resampler:
    """Turns one channel into 16 kHz, with up to 0.08 s of delay.

    Args:
        rate_hz: of the input, 8000 to 48000; at 16000 samples pass through untouched and at once.
        state: where an earlier resampler of the same rate stopped.

    Raises:
        UnsupportedRate: the rate is out of range.
    """

    def __init__(self, rate_hz: int, state: ResamplerState | None = None) -> None:
        if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
            raise UnsupportedRate(rate_hz)
        self._rate_hz = rate_hz
        unit = rate_hz // math.gcd(rate_hz, MODEL_RATE_HZ)  # the fewest samples that become a whole number of samples
        self._block = unit * math.ceil(rate_hz * _BLOCK_SECONDS / unit)
        self._context = unit * math.ceil(rate_hz * _CONTEXT_SECONDS / unit)
        self.state = state or ResamplerState()

    def push(self, samples: Pcm) -> Pcm:
        """Take (n,) samples, any n; return what is finished at 16 kHz, perhaps nothing."""
        if self._rate_hz == MODEL_RATE_HZ:
            return samples
        before = self.state.pending if len(self.state.pending) else np.zeros(self._context, np.float32)
        pending = np.concatenate([before, samples])
        count = max(0, (len(pending) - 2 * self._context) // self._block)
        firsts = range(0, count, _BLOCKS_AT_ONCE)
        resampled = [self._resampled(pending, first, min(first + _BLOCKS_AT_ONCE, count)) for first in firsts]
        self.state = ResamplerState(pending[count * self._block :])
        return np.concatenate(resampled) if resampled else _nothing()

    def end(self) -> Pcm:
        """Return the rest, as if silence followed."""
        if len(self.state.pending) == 0:
            return _nothing()
        left = len(self.state.pending) - self._context
        flushed = self.push(np.zeros(self._block + self._context, np.float32))
        self.state = ResamplerState()
        return flushed[: self._at_model_rate(left)]

    def _resampled(self, pending: Pcm, first: int, end: int) -> Pcm:
        """Return the blocks `first` to `end`, one after the other."""
        part = pending[first * self._block : end * self._block + 2 * self._context]
        blocks = np.lib.stride_tricks.sliding_window_view(part, self._block + 2 * self._context)[:: self._block]
        whole: npt.NDArray[np.float32] = soxr.resample(blocks.T, self._rate_hz, MODEL_RATE_HZ).T
        skipped = self._at_model_rate(self._context)
        return whole[:, skipped : skipped + self._at_model_rate(self._block)].ravel()

    def _at_model_rate(self, samples: int) -> int:
        return samples * MODEL_RATE_HZ // self._rate_hz
