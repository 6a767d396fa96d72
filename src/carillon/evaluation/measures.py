"""Figures of merit. Pure functions of scores and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BINS: Final = 10
"""Of confidences, each a tenth wide."""


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Both kinds of error at every threshold, from one that accepts everything to one that rejects everything."""

    missed: Scores  # (t,) share of genuine pairs rejected, rising from 0 to 1
    accepted: Scores  # (t,) share of impostor pairs accepted, falling from 1 to 0


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence, and how many of them were right."""

    share: float
    """Of all answers, in [0, 1]."""
    confidence: float
    """Mean."""
    right: float
    """Share of them that were right, in [0, 1]."""


def error_rates(
    genuine: Scores,
    impostor: Scores,
    genuine_weights: Scores | None = None,
    impostor_weights: Scores | None = None,
) -> Rates:
    """Return the rates of both errors as the threshold rises.

    Args:
        genuine: (g,) scores of pairs of one person, g >= 1.
        impostor: (i,) scores of pairs of two people, i >= 1.
        genuine_weights: (g,) how often each counts; None for once.
        impostor_weights: (i,) likewise.
    """
    scores = np.concatenate([genuine, impostor])
    order = np.argsort(scores, kind="stable")
    hits = np.ones(len(genuine)) if genuine_weights is None else genuine_weights
    others = np.ones(len(impostor)) if impostor_weights is None else impostor_weights
    is_last_of_ties = np.append(np.diff(scores[order]) > 0, True)
    below = np.concatenate([hits, np.zeros(len(impostor))])[order].cumsum()[is_last_of_ties]
    others_below = np.concatenate([np.zeros(len(genuine)), others])[order].cumsum()[is_last_of_ties]
    missed, accepted = below / hits.sum(), 1.0 - others_below / others.sum()
    return Rates(np.concatenate([[0.0], missed]), np.concatenate([[1.0], accepted]))


def equal_error_rate(
    genuine: Scores,
    impostor: Scores,
    genuine_weights: Scores | None = None,
    impostor_weights: Scores | None = None,
) -> float:
    """Return the rate, in [0, 1], at which as many genuine pairs are rejected as impostor pairs are accepted.

    Takes what `error_rates` takes.
    """
    rates = error_rates(genuine, impostor, genuine_weights, impostor_weights)
    missed, accepted = rates.missed, rates.accepted
    crossing = int(np.argmax(missed >= accepted))
    before, after = crossing - 1, crossing
    gap_before, gap_after = accepted[before] - missed[before], missed[after] - accepted[after]
    share = 0.0 if gap_before + gap_after == 0 else gap_before / (gap_before + gap_after)
    return float(missed[before] + share * (missed[after] - missed[before]))


def minimum_detection_cost(genuine: Scores, impostor: Scores, prior: float) -> float:
    """Return the least cost of a verifier at this prior, both errors costing 1: 0 is perfect, 1 as good as no verifier.

    Source: NIST speaker recognition evaluation plans, "minimum detection cost".
    """
    rates = error_rates(genuine, impostor)
    costs = prior * rates.missed + (1.0 - prior) * rates.accepted
    return float(costs.min() / min(prior, 1.0 - prior))


def log_ratio_cost(genuine: Scores, impostor: Scores) -> float:
    """Return Cllr in bits: what natural log likelihood ratios cost at all priors; 0 is perfect, 1 is knowing nothing.

    Source: N. Brümmer, J. du Preez, "Application-independent evaluation of speaker detection", 2006.
    """
    misses, alarms = np.logaddexp(0.0, -genuine).mean(), np.logaddexp(0.0, impostor).mean()
    return float((misses + alarms) / (2.0 * np.log(2.0)))


def reliability(confidences: Scores, is_right: Flags, weights: Scores | None = None) -> list[Bin]:
    """Compare (n,) confidences in [0, 1] with how often they were right; bins without an answer are left out."""
    weights = np.ones(len(confidences)) if weights is None else weights
    which = np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in np.unique(which):
        chosen = which == number
        weight = weights[chosen].sum()
        if weight > 0:
            mean = float((confidences[chosen] * weights[chosen]).sum() / weight)
            right = float((is_right[chosen] * weights[chosen]).sum() / weight)
            bins.append(Bin(float(weight / weights.sum()), mean, right))
    return bins


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return ECE, in [0, 1]: how far confidence is from being right, on average over all answers."""
    return sum(item.share * abs(item.confidence - item.right) for item in bins)
