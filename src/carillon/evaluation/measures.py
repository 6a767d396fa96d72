"""Figures of merit. Pure functions of scores and labels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """Return the rate, in [0, 1], at which as many genuine pairs are rejected as impostor pairs are accepted.

    Args:
        genuine: (g,) scores of pairs of one person, g >= 1.
        impostor: (i,) scores of pairs of two people, i >= 1.
    """
    scores = np.concatenate([genuine, impostor])
    order = np.argsort(scores, kind="stable")
    is_genuine = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])[order]
    is_last_of_ties = np.append(np.diff(scores[order]) > 0, True)
    missed = np.cumsum(is_genuine)[is_last_of_ties] / len(genuine)
    accepted = 1 - np.cumsum(1 - is_genuine)[is_last_of_ties] / len(impostor)
    missed, accepted = np.concatenate([[0.0], missed]), np.concatenate([[1.0], accepted])
    crossing = int(np.argmax(missed >= accepted))
    before, after = crossing - 1, crossing
    gap_before, gap_after = accepted[before] - missed[before], missed[after] - accepted[after]
    share = 0.0 if gap_before + gap_after == 0 else gap_before / (gap_before + gap_after)
    return float(missed[before] + share * (missed[after] - missed[before]))


def confusion(truth: Sequence[str], guess: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """Count guesses: row by truth, column by guess, in the order of `labels`."""
    return [
        [sum(t == row and g == column for t, g in zip(truth, guess, strict=True)) for column in labels]
        for row in labels
    ]


def unweighted_average_recall(counts: Sequence[Sequence[int]]) -> float:
    """Return the mean recall, in [0, 1], over the classes that occur; 0 if none does."""
    recalls = [row[i] / sum(row) for i, row in enumerate(counts) if sum(row)]
    return sum(recalls) / len(recalls) if recalls else 0.0
