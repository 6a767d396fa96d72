"""Is this speech fit to know a person by? Judged on what the microphone and the line did to it, not on what was said.

Three things make an embedding lie: samples cut off at full scale, noise nearly as loud as the voice, and two people on
one channel. Each is measured on the very speech that is embedded, and has a limit in the settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.speech import JudgedFrames
from carillon.audio import Embedding, Pcm16

QualityFault: TypeAlias = Literal["clipped", "noisy", "two voices"]

FULL_SCALE: Final = 31_900
"""Where 16-bit samples count as cut off: G.711 mu-law ends at 32124, A-law at 32256."""

_BINS: Final = 48
_BIN_DB: Final = 2.0
_LEAST_FRAMES: Final = 16
"""Half a second between the words is needed to hear the noise."""
_QUIET_SHARE: Final = 0.25
"""The noise is the level that a quarter of the frames without speech stay under: rings and clicks do not count."""


def _no_levels() -> npt.NDArray[np.float32]:
    return np.zeros(_BINS, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class NoiseState:
    """How loud it was while nobody spoke. Replaced, never mutated."""

    levels: npt.NDArray[np.float32] = field(
        default_factory=_no_levels, repr=False
    )  # (48,) frames by level, 2 dB each, 0 dBFS last

    def after(self, judged: JudgedFrames) -> "NoiseState":
        """Return what is known once the frames of `judged` are counted."""
        quiet = judged.frames[~judged.is_speech].astype(np.float32)
        if not len(quiet):
            return self
        found = np.bincount(_bin_of(np.mean(quiet**2, axis=1)), minlength=_BINS)
        return NoiseState(self.levels + found.astype(np.float32))

    @property
    def power(self) -> float | None:
        """Return the power of the noise in squared 16-bit steps, None before half a second without speech."""
        counted = np.cumsum(self.levels)
        if counted[-1] < _LEAST_FRAMES:
            return None
        index = int(np.searchsorted(counted, counted[-1] * _QUIET_SHARE))
        return float(32_768.0**2 * 10 ** (-(_BINS - index - 0.5) * _BIN_DB / 10))


@dataclass(frozen=True, slots=True)
class SpeechQuality:
    """What was measured of a stretch of speech."""

    clipped_share: float
    """Samples at full scale, in [0, 1]."""
    signal_to_noise_db: float | None
    """Power of the speech, without the noise in it, over the noise; None where there was no pause to hear it in."""
    agreement: float | None
    """The least cosine between two pieces of 5 s, in [-1, 1]; None for a single one."""

    def fault(self, settings: AnalysisSettings) -> tuple[QualityFault, str] | None:
        """Return what makes the speech unfit and how to say so, None if it is fit."""
        if self.clipped_share > settings.most_clipped_share:
            return "clipped", (
                f"The speech is clipped: {self.clipped_share:.1%} of its samples are at full scale. "
                "Lower the level at its source."
            )
        if self.signal_to_noise_db is not None and self.signal_to_noise_db < settings.least_signal_to_noise_db:
            return "noisy", (
                f"The speech is only {self.signal_to_noise_db:.0f} dB louder than the noise; "
                f"{settings.least_signal_to_noise_db:.0f} dB are needed."
            )
        if self.agreement is not None and self.agreement < settings.least_agreement:
            return "two voices", "More than one voice seems to speak on this channel."
        return None


def quality_of(speech: Pcm16, pieces: Sequence[Embedding], noise: NoiseState) -> SpeechQuality:
    """Measure (n,) speech, n >= 1, its pieces of 5 s embedded already, and the noise around it."""
    power, noise_power = float(np.mean(speech.astype(np.float32) ** 2)), noise.power
    ratio = None
    if noise_power is not None:
        ratio = float(10 * np.log10(max(power - noise_power, 1e-3) / noise_power))
    return SpeechQuality(
        clipped_share=float(np.mean(np.abs(speech.astype(np.int32)) >= FULL_SCALE)),
        signal_to_noise_db=ratio,
        agreement=min((float(one @ other) for one, other in combinations(pieces, 2)), default=None),
    )


def _bin_of(power: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    decibels = 10 * np.log10(np.maximum(power, 1e-9) / 32_768.0**2)
    bins: npt.NDArray[np.intp] = np.clip(_BINS + np.floor(decibels / _BIN_DB), 0, _BINS - 1).astype(np.intp)
    return bins
