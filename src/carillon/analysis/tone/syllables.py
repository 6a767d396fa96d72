"""How many syllables? Each has a vowel, and a vowel is a nucleus of loudness between two valleys.

Counted in the band where vowels are loud and hisses are not, without knowing the language. docs/voice-tone.md has how
near the counts come to transcripts.

Source: N. de Jong, T. Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically" (2009).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.analysis.speech import FRAME_SAMPLES, JudgedFrames

_SUMMED: Final = 4
"""Neighboring samples: what is left is below 2 kHz, more or less."""
_STEPS: Final = 4
"""Of 8 ms, in a frame."""
_SMOOTHED: Final = 8
"""Steps that a loudness is the mean of: over the pitch, under a syllable."""
_DEPTH: Final = 10 ** (2 / 10)
"""How far, as a ratio of powers, loudness must fall for a nucleus to be over: 2 dB."""
_FLOOR: Final = 16.0 * FRAME_SAMPLES
"""The power that silence counts as: a step or so of 16 bits."""


@dataclass(frozen=True, slots=True)
class SyllableNuclei:
    """What counting remembers of the frames before."""

    powers: tuple[float, ...] = (0.0,) * (_SMOOTHED - 1)
    """Of the last steps, oldest first."""
    extreme: float = _FLOOR
    """The highest loudness of the nucleus that is being climbed, else the lowest of the valley."""
    is_hill: bool = False

    def count(self, judged: JudgedFrames) -> tuple[npt.NDArray[np.int64], "SyllableNuclei"]:
        """Return (k,) how many nuclei end in each of the frames, and what to remember. What is no speech is silence."""
        bands = judged.frames.reshape(-1, _SUMMED).sum(axis=1, dtype=np.int64)
        steps = (bands**2).reshape(len(judged.frames), _STEPS, -1).sum(axis=2)
        powers = np.concatenate([self.powers, np.where(judged.is_speech[:, None], steps, 0).ravel()])
        levels = np.convolve(powers, np.ones(_SMOOTHED), "valid") + _FLOOR  # whole numbers: exact however it was split
        counts = np.zeros(len(judged.frames), np.int64)
        extreme, is_hill = self.extreme, self.is_hill
        for step, level in enumerate(levels.tolist()):
            if is_hill and level * _DEPTH < extreme:
                counts[step // _STEPS] += 1
                extreme, is_hill = level, False
            elif not is_hill and level > extreme * _DEPTH:
                extreme, is_hill = level, True
            else:
                extreme = max(extreme, level) if is_hill else min(extreme, level)
        return counts, SyllableNuclei(tuple(powers[len(powers) - _SMOOTHED + 1 :].tolist()), extreme, is_hill)
