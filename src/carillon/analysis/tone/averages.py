"""Averages of tone over a stretch of a call, weighted by speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from carillon.analysis.speech import FRAME_SAMPLES
from carillon.audio import MODEL_RATE_HZ

Label: TypeAlias = Literal["negative", "neutral", "positive"]
Probabilities: TypeAlias = tuple[float, float, float]
"""Of negative, neutral and positive; they sum to 1."""

SAMPLES_PER_MS = MODEL_RATE_HZ // 1000


@dataclass(frozen=True, slots=True)
class ToneAverage:
    """The tone of all speech between two moments of media time, counted from the task's first sample."""

    begin_ms: int
    end_ms: int
    negative: float
    neutral: float
    positive: float

    @property
    def label(self) -> Label:
        """Return the most probable tone; neutral where it is as probable as another."""
        probabilities: dict[Label, float] = {
            "neutral": self.neutral,
            "negative": self.negative,
            "positive": self.positive,
        }
        return max(probabilities, key=lambda label: probabilities[label])


@dataclass(frozen=True, slots=True)
class Segment:
    """A few seconds of speech that were judged together."""

    frames: tuple[int, ...]
    """Numbers of the frames that held the speech, rising."""
    probabilities: Probabilities

    def frames_since(self, sample: int) -> int:
        """Count the frames that end after a position at 16 kHz."""
        return sum((frame + 1) * FRAME_SAMPLES > sample for frame in self.frames)


@dataclass(frozen=True, slots=True)
class Total:
    """A weighted sum that grows: the whole call in four numbers."""

    frames: int = 0
    sums: Probabilities = (0.0, 0.0, 0.0)

    def plus(self, frames: int, probabilities: Probabilities) -> "Total":
        """Return the sum with so many frames of one judgment more."""
        negative, neutral, positive = (
            total + frames * probability for total, probability in zip(self.sums, probabilities, strict=True)
        )
        return Total(self.frames + frames, (negative, neutral, positive))

    def average(self, begin_ms: int, end_ms: int) -> ToneAverage | None:
        """Return the mean, for the stretch that the caller says it covers; None if there was no speech."""
        if self.frames == 0:
            return None
        negative, neutral, positive = (total / self.frames for total in self.sums)
        return ToneAverage(begin_ms, end_ms, negative, neutral, positive)


def average_of(segments: Sequence[Segment], begin_ms: int, end_ms: int) -> ToneAverage | None:
    """Average the segments' speech after `begin_ms`; none of it may be later than `end_ms`. None without speech."""
    total = Total()
    for segment in segments:
        total = total.plus(segment.frames_since(begin_ms * SAMPLES_PER_MS), segment.probabilities)
    return total.average(begin_ms, end_ms)
