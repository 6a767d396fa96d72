"""What does a cosine say? Fits the lines of a calibration to pairs whose speakers are known, and tests them on others.

Logistic regression on one number: convex, so the answer is the same whoever computes it. Both kinds of pairs weigh the
same, however many there are. A small ridge and a steepest slope keep a line honest where the classes hardly touch:
there the slope rests on few pairs, and without them it would grow beyond all bounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal, TypeAlias

import numpy as np

from carillon.evaluation.conditions import Condition, EmbeddedSpeech
from carillon.evaluation.figures import Decision, answers_of, bins_of, cost_of, joined
from carillon.evaluation.measures import Scores, calibration_error, equal_error_rate
from carillon.evaluation.trials import Comparison, Numbers, Pairs, open_searches, pairs_of
from carillon.inference import CalibrationLine

STEEPEST: Final = 60.0
"""Natural logarithm of the odds per unit of cosine."""
MOST_OVERLAP: Final = 0.15
"""Equal error rate beyond which a cosine is said to tell nothing: one answer in seven would be wrong at even odds."""

_RIDGE: Final = 1e-6
_STEPS: Final = 100
_LONGEST_STEP: Final = 5.0
_CLOSE: Final = 1e-9
_REPEATS: Final = 5
_SPLITS: Final = 4
"""Choices of who is known, for each half."""
_EVEN: Final = Decision(threshold=0.5, known=0.5, limit=10)


@dataclass(frozen=True, slots=True)
class Needed:
    """How much must be there before a line is fitted."""

    people: int = 10
    """With two stretches of speech that may be compared."""
    genuine_pairs: int = 30


@dataclass(frozen=True, slots=True)
class FitQuality:
    """How good lines are on people whom they were not fitted to."""

    cllr: float
    """Cost of the likelihood ratios, in bits: 0 is perfect, 1 is knowing nothing."""
    ece: float
    """How far the confidence of a search's best candidate is from how often it is right."""


Verdict: TypeAlias = Literal["fitted", "too little", "overlap", "no better"]
"""Why there is a line, or none: too few people or pairs; classes that overlap too far for any number to be given; or
lines that are worse on other people than those in force."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One length and channel of a calibration."""

    condition: Condition
    verdict: Verdict
    line: CalibrationLine | None
    """None unless it was fitted."""
    people: int = 0
    """With two stretches that may be compared."""
    genuine_pairs: int = 0
    impostor_pairs: int = 0
    equal_error_rate: float | None = None
    """None without pairs."""
    held_out: FitQuality | None = None
    """Fitted to half of the people and tested on the other half, ten times; None if that cannot be done."""
    before: FitQuality | None = None
    """Of the line that is in force, on the same people; None if there is none."""


def fit_line(pairs: Pairs) -> CalibrationLine:
    """Fit a line to pairs: rising, no steeper than `STEEPEST`."""
    scores = np.concatenate([pairs.genuine, pairs.impostor])
    truth = np.concatenate([np.ones(len(pairs.genuine)), np.zeros(len(pairs.impostor))])
    weights = np.where(truth == 1, 0.5 / len(pairs.genuine), 0.5 / len(pairs.impostor))
    a, b = _newton(scores, truth, weights, steepest=None)
    if 0.0 <= a <= STEEPEST:
        return CalibrationLine(a, b)
    a = min(max(a, 0.0), STEEPEST)
    return CalibrationLine(a, _newton(scores, truth, weights, steepest=a)[1])


def fit_condition(
    listened: EmbeddedSpeech, condition: Condition, in_force: CalibrationLine | None, needed: Needed
) -> Fitted:
    """Fit a line for one length and channel, or say why not.

    Args:
        listened: everybody's embeddings.
        condition: the length and the channel.
        in_force: the line that would be replaced; None if there is none.
        needed: how much must be there.
    """
    comparison = listened.compared(condition)
    pairs = pairs_of(comparison) if comparison else None
    if comparison is None or pairs is None:
        return Fitted(condition, "too little", None)
    error = equal_error_rate(pairs.genuine, pairs.impostor)
    fitted = Fitted(
        condition=condition,
        verdict="fitted",
        line=fit_line(pairs),
        people=len(np.unique(pairs.genuine_speakers)),
        genuine_pairs=len(pairs.genuine),
        impostor_pairs=len(pairs.impostor),
        equal_error_rate=error,
    )
    if fitted.people < needed.people or fitted.genuine_pairs < needed.genuine_pairs:
        return replace(fitted, verdict="too little", line=None)
    if error > MOST_OVERLAP:
        return replace(fitted, verdict="overlap", line=None)
    tests = [
        (fit_line(train), comparison.among(test))
        for half, test in halves(len(listened.people))
        if (train := pairs_of(comparison.among(half))) is not None
    ]
    held_out = quality_of(tests)
    before = None if in_force is None else quality_of([(in_force, test) for _, test in tests])
    is_worse = held_out is not None and before is not None and held_out.cllr > before.cllr
    fitted = replace(fitted, held_out=held_out, before=before)
    return replace(fitted, verdict="no better", line=None) if is_worse else fitted


def halves(people: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield numbers of people to fit to and of others to test on, both ways round, for several halvings."""
    for seed in range(_REPEATS):
        shuffled = np.random.default_rng(seed).permutation(people)
        one, other = shuffled[: people // 2], shuffled[people // 2 :]
        yield one, other
        yield other, one


def quality_of(tests: Sequence[tuple[CalibrationLine, Comparison]]) -> FitQuality | None:
    """Measure each line on its own comparison, all together; None if there is nobody to compare or to search for."""
    costs, answers = [], []
    for line, comparison in tests:
        pairs = pairs_of(comparison)
        if pairs is not None:
            costs.append(cost_of(line, pairs))
            answers += [answers_of(search, line, _EVEN) for search in islice(open_searches(comparison), _SPLITS)]
    together = joined(answers)
    return FitQuality(float(np.mean(costs)), calibration_error(bins_of(together, _EVEN))) if together else None


def _newton(scores: Scores, truth: Scores, weights: Scores, steepest: float | None) -> tuple[float, float]:
    """Return slope and offset, (n,) scores and truths 0 or 1 being weighed; the slope is held where it is given."""
    rows = np.stack([scores, np.ones(len(scores))], axis=1)
    found = np.array([steepest if steepest is not None else 10.0, -5.0])
    is_free = np.array([steepest is None, True])
    ridge = np.array([_RIDGE, _CLOSE])
    for _ in range(_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -500.0, 500.0)))
        slope = rows.T @ (weights * (probability - truth)) + ridge * found
        curvature = (rows * (weights * probability * (1.0 - probability))[:, None]).T @ rows + np.diag(ridge)
        step = np.zeros(2)
        step[is_free] = np.linalg.solve(curvature[np.ix_(is_free, is_free)], slope[is_free])
        longest = float(np.abs(step).max())
        found -= step * min(1.0, _LONGEST_STEP / max(longest, _CLOSE))
        if longest < _CLOSE:
            break
    return float(found[0]), float(found[1])
