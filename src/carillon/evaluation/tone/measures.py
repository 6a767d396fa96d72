"""Figures of merit of a judge of three classes. Pure functions of counts and probabilities."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.inference import Probabilities

Counts = npt.NDArray[np.int64]
"""(..., 3, 3) answers by truth (row) and guess (column): negative, neutral, positive."""

LABELS: Final = ("negative", "neutral", "positive")
NEUTRAL: Final = LABELS.index("neutral")

_RESAMPLES: Final = 1_000
_OUTSIDE: Final = (2.5, 97.5)
_LEAST_PROBABILITY: Final = 1e-6
"""What log loss takes for a probability that was said to be 0: one such answer must not make all others vanish."""


def guess_of(probabilities: Probabilities) -> int:
    """Return the most probable class; neutral where it is as probable as another, as the product does."""
    best = int(np.argmax(probabilities))
    return NEUTRAL if probabilities[NEUTRAL] == probabilities[best] else best


def confusion(truths: Sequence[int], guesses: Sequence[int]) -> Counts:
    """Count (n,) guesses as (3, 3)."""
    counts: Counts = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(counts, (np.array(truths, np.int64), np.array(guesses, np.int64)), 1)
    return counts


def recalls(counts: Counts) -> list[float | None]:
    """Return how much of each class was found, in [0, 1]; None for a class that does not occur."""
    return [float(row[i] / row.sum()) if row.sum() else None for i, row in enumerate(counts)]


def unweighted_average_recall(counts: Counts) -> float:
    """Return the mean recall, in [0, 1], over the classes that occur; 0 if none does."""
    found = [recall for recall in recalls(counts) if recall is not None]
    return sum(found) / len(found) if found else 0.0


def macro_f1(counts: Counts) -> float:
    """Return the mean F1, in [0, 1], over the classes that occur in truth; 0 if none does."""
    hits, truths, guesses = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    occurs = truths > 0
    scores = 2 * hits[occurs] / (truths[occurs] + guesses[occurs])
    return float(scores.mean()) if len(scores) else 0.0


def brier_score(probabilities: Sequence[Probabilities], truths: Sequence[int]) -> float:
    """Return the mean squared distance to the truth, in [0, 2]; a third for each class gives 0.667.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    distance = np.array(probabilities) - np.eye(len(LABELS))[list(truths)]
    return float((distance**2).sum(axis=1).mean())


def log_loss(probabilities: Sequence[Probabilities], truths: Sequence[int]) -> float:
    """Return the mean of -ln(probability of the truth), every answer counting the same; a third each gives 1.099."""
    of_truth = np.array(probabilities)[np.arange(len(truths)), list(truths)]
    return float(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)).mean())


def recall_interval(by_speaker: Counts) -> tuple[float, float] | None:
    """Return where unweighted average recall lies with 95 % if other speakers of the same kind were drawn.

    Speakers are drawn with replacement, 1,000 times, by a seeded generator: clips of one speaker are not independent.
    Draws that miss a class which the whole has are left out.

    Args:
        by_speaker: (s, 3, 3) counts of each speaker.

    Returns:
        The two ends; None of fewer than two speakers, or if no draw has all classes.
    """
    speakers = len(by_speaker)
    if speakers < 2:
        return None
    drawn = np.random.default_rng(speakers).integers(0, speakers, (_RESAMPLES, speakers))
    needed = by_speaker.sum(axis=(0, 2)) > 0
    sums = by_speaker[drawn].sum(axis=1)  # (r, 3, 3)
    whole = [unweighted_average_recall(counts) for counts in sums if (counts.sum(axis=1)[needed] > 0).all()]
    if not whole:
        return None
    low, high = np.percentile(whole, _OUTSIDE)
    return float(low), float(high)
