"""Is it still the same person? Later speech of a call against that by which the caller was identified.

Of each 6 s of speech the last 3 s are embedded and compared, and the cosines are summed up as evidence by Shiryaev's
rule: before each comparison somebody else may have taken over, with a small probability; the odds that somebody did are
then multiplied by what the cosine says. So one odd sentence is outweighed by the next ones, and a change shows within
two comparisons. What is surely the caller's joins what is compared with: a voice may change its mood within a call.
Where the line changes, the same person would seem to be another: by telephone, a wideband voice's narrowband embedding
is what counts.

Source: A. N. Shiryaev, "On optimum methods in quickest detection problems", 1963.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np

from carillon.audio import MODEL_RATE_HZ, Band, BandPair, Embedding

CYCLE_SAMPLES: Final = 6 * MODEL_RATE_HZ
CHECKED_SAMPLES: Final = 3 * MODEL_RATE_HZ

_COMPARABLE_SECONDS: Final = 7.5
"""3 s tell as much beside 10 s of the same call as so much does beside as much of another call: by 81 people of
speechocean762, whose evidence is then right on LibriSpeech, too."""
_CHANGE: Final = 0.004
"""How likely somebody else takes over from one comparison to the next: once in 25 minutes of speech."""
_MOST_EVIDENCE: Final = 8.0
"""Of one comparison, a natural logarithm: a cough must not end a call's identity."""
_SURE: Final = 0.03
"""Odds of a change below which speech counts as the caller's."""
_WEIGHT: Final = np.float32(0.2)
"""Of such speech, beside a piece of 5 s of the identification."""


class LogLikelihoodRatio(Protocol):
    """What the cosines of a speaker model are evidence for."""

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: BandPair, /) -> float:
        """Return how much likelier a cosine is of one voice than of two, as a natural logarithm."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Continuity:
    """Whose speech it is, and how likely it no longer is. Replaced, never mutated."""

    voice: Embedding | None = field(default=None, repr=False)
    """(d,) sum of the speech that is taken for one person's, in pieces of 5 s; None until there is some."""
    band: Band = "wb"
    """What carried that."""
    narrowband: Embedding | None = field(default=None, repr=False)
    """(d,) the same as a telephone would carry it; None for a telephone's, and until it is known."""
    odds: float = 0.0
    """That somebody else speaks now."""

    @property
    def change(self) -> float:
        """Return the probability that somebody else speaks now, in [0, 1]."""
        return self.odds / (1.0 + self.odds)

    def after(self, piece: Embedding, band: Band, evidence: LogLikelihoodRatio) -> "Continuity":
        """Return what is known once another (d,) piece, L2 norm 1, was heard.

        Nothing more where it does not compare: there is no voice yet, or none that was heard in its band.
        """
        is_same_band = band == self.band
        voice = self.voice if is_same_band else self.narrowband if band == "tel" else None
        if voice is None:
            return self
        score = float(voice @ piece) / float(np.linalg.norm(voice))
        ratio = evidence.log_likelihood_ratio(score, _COMPARABLE_SECONDS, band if is_same_band else "cross")
        ratio = min(max(ratio, -_MOST_EVIDENCE), _MOST_EVIDENCE)
        odds = (self.odds + _CHANGE) / (1.0 - _CHANGE) * math.exp(-ratio)
        is_surely_the_same = odds < _SURE and is_same_band
        return replace(self, odds=odds, voice=voice + piece * _WEIGHT if is_surely_the_same else self.voice)
