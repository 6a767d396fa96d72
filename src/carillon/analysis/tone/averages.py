"""The tone of a stretch of a call: the evidence of all its speech, put together.

What was judged of a few seconds are modest probabilities. Many of them that agree are better evidence than one, though
not as good as if they were independent: it is one voice, on one line, judged by one model. So log probabilities are
averaged, each frame of speech weighing the same, and count as so many judgments (`judgments`) as speech is worth: less
than one where there is little of it, and never more than a few.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from carillon.analysis.speech import FRAME_SAMPLES, FRAME_SECONDS
from carillon.audio import MODEL_RATE_HZ
from carillon.inference import Probabilities

Label: TypeAlias = Literal["negative", "neutral", "positive"]

SAMPLES_PER_MS: Final = MODEL_RATE_HZ // 1000

MOST_JUDGMENTS: Final = 6.0
HALF_SECONDS: Final = 10.0
"""With so much speech, half of them. training/tone/windows.py fits 7.9 and 10.9 to acted speech of people that no head
had heard; these are more modest, since calls are milder and less of one tone."""

PRIOR: Final[Probabilities] = (0.15, 0.7, 0.15)
"""How often half a minute of a call is negative, neutral and positive, before any audio. Nobody has counted:
chosen on eight calls, so that polite people whom a head cannot place stay neutral (docs/discussion/tone-model.md)."""

_LEAST: Final = 1e-4
"""A probability below counts as this: no few seconds decide alone."""


@dataclass(frozen=True, slots=True)
class ToneAverage:
    """The tone of all speech between two moments of media time, counted from the task's first sample."""

    begin_ms: int
    end_ms: int
    negative: float
    neutral: float
    positive: float
    arousal: float | None
    """Mean probability that the voice is excited rather than calm, in [0, 1]; None if the model does not tell it."""
    words_per_minute: float | None
    """Of the speech whose words were understood, pauses left out; None if there was none."""
    speech_seconds: float
    """How much speech it rests on."""

    @property
    def label(self) -> Label:
        """Return the most probable tone; neutral where it is as probable as another."""
        probabilities: dict[Label, float] = {
            "neutral": self.neutral,
            "negative": self.negative,
            "positive": self.positive,
        }
        return max(probabilities, key=lambda label: probabilities[label])

    @property
    def valence(self) -> float:
        """Return how positive it is rather than negative, in [-1, 1]."""
        return self.positive - self.negative


@dataclass(frozen=True, slots=True)
class ToneSegment:
    """Up to a few seconds of speech that were judged together."""

    frames: tuple[int, ...]
    """Numbers of the frames that held the speech, rising."""
    probabilities: Probabilities
    arousal: float | None
    words_per_frame: float | None = None
    """None if its words were not understood, or not yet."""

    def frames_since(self, sample: int) -> int:
        """Count the frames that end after a position at 16 kHz."""
        return len(self.frames) - bisect_left(self.frames, sample // FRAME_SAMPLES)


@dataclass(frozen=True, slots=True)
class ToneSum:
    """A weighted sum that grows: the whole call in a few numbers."""

    frames: int = 0
    logs: Probabilities = (0.0, 0.0, 0.0)
    """Of probabilities."""
    arousal: float | None = 0.0
    """None once a segment came without."""
    worded_frames: int = 0
    """Those whose words were understood."""
    words: float = 0.0

    def plus(self, segment: ToneSegment, frames: int) -> "ToneSum":
        """Return the sum with so many frames of a segment more."""
        negative, neutral, positive = (
            total + frames * math.log(max(probability, _LEAST))
            for total, probability in zip(self.logs, segment.probabilities, strict=True)
        )
        is_worded = segment.words_per_frame is not None
        is_told = self.arousal is not None and segment.arousal is not None
        return ToneSum(
            frames=self.frames + frames,
            logs=(negative, neutral, positive),
            arousal=(self.arousal or 0.0) + frames * (segment.arousal or 0.0) if is_told else None,
            worded_frames=self.worded_frames + (frames if is_worded else 0),
            words=self.words + frames * (segment.words_per_frame or 0.0),
        )

    def average(self, begin_ms: int, end_ms: int) -> ToneAverage | None:
        """Return the tone of the stretch that the caller says it covers; None if there was no speech."""
        if self.frames == 0:
            return None
        seconds = self.frames * FRAME_SECONDS
        worth = judgments(seconds) / self.frames
        logits = [math.log(prior) + worth * total for prior, total in zip(PRIOR, self.logs, strict=True)]
        powers = [math.exp(logit - max(logits)) for logit in logits]
        negative, neutral, positive = (power / sum(powers) for power in powers)
        minutes = self.worded_frames * FRAME_SECONDS / 60
        return ToneAverage(
            begin_ms=begin_ms,
            end_ms=end_ms,
            negative=negative,
            neutral=neutral,
            positive=positive,
            arousal=None if self.arousal is None else self.arousal / self.frames,
            words_per_minute=self.words / minutes if minutes else None,
            speech_seconds=seconds,
        )


def judgments(speech_seconds: float) -> float:
    """Return how many judgments of a few seconds so much speech is worth."""
    return MOST_JUDGMENTS * speech_seconds / (speech_seconds + HALF_SECONDS)


def average_of(segments: Sequence[ToneSegment], begin_ms: int, end_ms: int) -> ToneAverage | None:
    """Put together segments' speech after `begin_ms`; none of it may be later than `end_ms`. None without speech."""
    total = ToneSum()
    for segment in segments:
        total = total.plus(segment, segment.frames_since(begin_ms * SAMPLES_PER_MS))
    return total.average(begin_ms, end_ms)
