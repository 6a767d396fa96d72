"""What a comparison comes to: errors of verifying, of identifying, and of the confidence that goes with an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from carillon.evaluation.measures import (
    Bin,
    Flags,
    Rates,
    Scores,
    calibration_error,
    equal_error_rate,
    error_rates,
    log_ratio_cost,
    minimum_detection_cost,
    reliability,
)
from carillon.evaluation.trials import Comparison, Pairs, Search, closed_searches, open_searches, pairs_of
from carillon.inference import MOST_EVIDENCE, CalibrationLine, posteriors

TARGET_PRIOR: Final = 0.01
"""Of minDCF: one pair in a hundred is of one person."""
_REPLICATES: Final = 200
_MOST_RESAMPLED: Final = 50_000
_INTERVAL: Final = (0.025, 0.975)
_FIRST_TEN: Final = 10
_LEAST_RATE: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Decision:
    """How the product decides: its settings for speaker search."""

    threshold: float
    """A candidate of at least this confidence is a match."""
    known: float
    """How likely a caller is in the domain, before anything is heard."""
    limit: int
    """Candidates looked at."""


@dataclass(frozen=True, slots=True)
class Verifying:
    """Pairs of stretches: one person or two?"""

    genuine_pairs: int
    impostor_pairs: int
    across_sessions: int
    """Of the genuine pairs."""
    equal_error_rate: float
    """In [0, 1]."""
    interval: tuple[float, float]
    """Where 95 % of the equal error rates are when the people are drawn again, with replacement."""
    min_dcf: float
    """Least detection cost at a prior of 0.01; 1 is as good as accepting nobody."""
    cllr: float | None
    """Cost of the likelihood ratios, in bits; None without tables for the channel."""


@dataclass(frozen=True, slots=True)
class Identifying:
    """Searches in a domain."""

    enrolled: int
    """People, when everybody is enrolled with one stretch."""
    searches: int
    rank_1: float
    """Share of searches whose best candidate is the right person, in [0, 1]."""
    rank_10: float
    """Share of searches with the right person among the best ten."""


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Searches in a domain that knows half of the callers; means over 20 choices of that half."""

    enrolled: int
    known_searches: int
    strangers_searches: int
    false_positives: float
    """FPIR: share of searches for strangers that match somebody, in [0, 1]."""
    found: float
    """Share of searches for people of the domain that match the right one."""
    mistaken: float
    """Share of searches for people of the domain that match somebody else."""
    ece: float
    """How far the best candidate's confidence is from how often it is right, on average, in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What can be drawn."""

    missed: Sequence[float]
    """With `accepted`, the detection error trade-off."""
    accepted: Sequence[float]
    bins: Sequence[Bin]
    """Confidence of the best candidate against how often it was right; empty without tables for the channel."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """All of one comparison."""

    verifying: Verifying
    identifying: Identifying
    open_set: OpenSet | None
    curves: Curves


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What many searches of one domain came to."""

    confidence: Scores  # (n,) of the best candidate
    is_right: Flags  # (n,) it is the person
    is_known: Flags  # (n,) the person is in the domain


def figures_of(comparison: Comparison, line: CalibrationLine | None, decision: Decision) -> Figures | None:
    """Measure a comparison; None without a pair of one person and one of two.

    Args:
        comparison: who is compared with whom.
        line: what a cosine says under this condition; None if the model has no table for it.
        decision: how the product decides.
    """
    pairs = pairs_of(comparison)
    if pairs is None:
        return None
    answers, size = ([], 0) if line is None else _answers(comparison, line, decision)
    together = joined(answers)
    bins = bins_of(together, decision) if together else []
    rates = error_rates(pairs.genuine, pairs.impostor)
    seen = _can_be_seen(rates)
    return Figures(
        _verifying(pairs, line),
        _identifying(comparison),
        _open_set(together, size, bins, decision) if together else None,
        Curves(rates.missed[seen].tolist(), rates.accepted[seen].tolist(), bins),
    )


def log_ratios(line: CalibrationLine, scores: Scores) -> Scores:
    """Return what `CalibrationLine.at` returns, of many cosines at once."""
    return np.clip(line.a * scores + line.b, -MOST_EVIDENCE, MOST_EVIDENCE)


def cost_of(line: CalibrationLine, pairs: Pairs) -> float:
    """Return Cllr of pairs, in bits."""
    return log_ratio_cost(log_ratios(line, pairs.genuine), log_ratios(line, pairs.impostor))


def answers_of(search: Search, line: CalibrationLine, decision: Decision) -> Answers:
    """Answer searches as the product does: by the confidence of the best candidate."""
    best = np.argsort(-search.scores, axis=1, kind="stable")[:, : decision.limit]
    ratios = log_ratios(line, np.take_along_axis(search.scores, best, axis=1).astype(np.float64))
    size = search.scores.shape[1]
    confidence = np.array([posteriors(row.tolist(), size, decision.known)[0] for row in ratios], np.float64)
    return Answers(confidence, best[:, 0] == search.right, search.right >= 0)


def equal_error_interval(pairs: Pairs) -> tuple[float, float]:
    """Return where 95 % of the equal error rates are when the people are drawn again, with replacement.

    Source: F. Bimbot et al., "A tutorial on text-independent speaker verification", 2004, on dependence of trials.
    """
    generator = np.random.default_rng(0)
    chosen = np.arange(len(pairs.impostor))
    if len(chosen) > _MOST_RESAMPLED:
        chosen = generator.choice(len(chosen), _MOST_RESAMPLED, replace=False)
    impostor, (one, other) = pairs.impostor[chosen], pairs.impostor_speakers[chosen].T
    people = int(max(pairs.genuine_speakers.max(), pairs.impostor_speakers.max())) + 1
    present = np.unique(np.concatenate([pairs.genuine_speakers, pairs.impostor_speakers.ravel()]))
    found = []
    for _ in range(_REPLICATES):
        drawn = np.bincount(generator.choice(present, len(present)), minlength=people).astype(np.float64)
        genuine_weights, impostor_weights = drawn[pairs.genuine_speakers], drawn[one] * drawn[other]
        if genuine_weights.any() and impostor_weights.any():
            found.append(equal_error_rate(pairs.genuine, impostor, genuine_weights, impostor_weights))
    low, high = np.quantile(found, _INTERVAL) if found else (0.0, 1.0)
    return float(low), float(high)


def _verifying(pairs: Pairs, line: CalibrationLine | None) -> Verifying:
    return Verifying(
        genuine_pairs=len(pairs.genuine),
        impostor_pairs=len(pairs.impostor),
        across_sessions=pairs.across_sessions,
        equal_error_rate=equal_error_rate(pairs.genuine, pairs.impostor),
        interval=equal_error_interval(pairs),
        min_dcf=minimum_detection_cost(pairs.genuine, pairs.impostor, TARGET_PRIOR),
        cllr=cost_of(line, pairs) if line else None,
    )


def _identifying(comparison: Comparison) -> Identifying:
    ranks, enrolled = [], 0
    for search in closed_searches(comparison):
        own = search.scores[np.arange(len(search.right)), search.right]
        ranks.append(1 + (search.scores > own[:, None]).sum(axis=1))
        enrolled = search.scores.shape[1]
    rank = np.concatenate(ranks)
    return Identifying(enrolled, len(rank), float(np.mean(rank == 1)), float(np.mean(rank <= _FIRST_TEN)))


def _answers(comparison: Comparison, line: CalibrationLine, decision: Decision) -> tuple[list[Answers], int]:
    answers, size = [], 0
    for search in open_searches(comparison):
        answers.append(answers_of(search, line, decision))
        size = search.scores.shape[1]
    return answers, size


def joined(answers: Sequence[Answers]) -> Answers | None:
    """Join the answers of all splits; None unless there are some for known people and some for strangers."""
    if not answers:
        return None
    together = Answers(
        np.concatenate([part.confidence for part in answers]),
        np.concatenate([part.is_right for part in answers]),
        np.concatenate([part.is_known for part in answers]),
    )
    return together if together.is_known.any() and not together.is_known.all() else None


def bins_of(answers: Answers, decision: Decision) -> list[Bin]:
    """Weigh known people and strangers as the prior says, however many searches there are of each."""
    weights = np.where(
        answers.is_known,
        decision.known / answers.is_known.sum(),
        (1.0 - decision.known) / (~answers.is_known).sum(),
    )
    return reliability(answers.confidence, answers.is_right, weights)


def _open_set(answers: Answers, size: int, bins: Sequence[Bin], decision: Decision) -> OpenSet:
    matches = answers.confidence >= decision.threshold
    known, strangers = answers.is_known, ~answers.is_known
    return OpenSet(
        enrolled=size,
        known_searches=int(known.sum()),
        strangers_searches=int(strangers.sum()),
        false_positives=float(matches[strangers].mean()),
        found=float((matches & answers.is_right)[known].mean()),
        mistaken=float((matches & ~answers.is_right)[known].mean()),
        ece=calibration_error(bins),
    )


def _can_be_seen(rates: Rates) -> Flags:
    """Choose the points of a curve that differ from the one before by a tenth in log odds, which is how it is drawn."""
    odds = np.stack([np.clip(share, _LEAST_RATE, 1.0 - _LEAST_RATE) for share in (rates.missed, rates.accepted)])
    steps = np.rint(10.0 * np.log(odds / (1.0 - odds)))
    differs: Flags = np.append(True, np.any(np.diff(steps, axis=1) != 0, axis=0))
    return differs
