"""Multinomial logistic regression in plain numpy: convex, so the answer is the same whoever computes it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

CLASSES: Final = 3

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Normalizer:
    """Brings features to mean 0 and deviation 1 over one population."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, features: Array) -> "Normalizer":
        """Measure a population, (n, d)."""
        return cls(features.mean(axis=0), features.std(axis=0) + 1e-6)

    def __call__(self, features: Array) -> Array:
        """Normalize (n, d)."""
        return (features - self.mean) / self.deviation


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Logits of normalized features."""

    weights: Array  # (d, 3)
    bias: Array  # (3,)

    def __call__(self, features: Array) -> Array:
        """Return (n, 3) logits of (n, d)."""
        return features @ self.weights + self.bias


def fit(features: Array, labels: Labels, penalty: float, steps: int = 1500) -> Linear:
    """Fit by accelerated gradient descent; every class weighs the same, however many rows it has."""
    ones = np.column_stack([features, np.ones(len(features))])
    row_weights = balanced(labels)
    wanted = np.eye(CLASSES)[labels]
    decay = np.full((ones.shape[1], 1), penalty)
    decay[-1] = 0.0
    lipschitz = 0.5 * np.linalg.norm(ones * np.sqrt(row_weights)[:, None], 2) ** 2 + penalty
    current = ahead = np.zeros((ones.shape[1], CLASSES))
    momentum = 1.0
    for _ in range(steps):
        error = (softmax(ones @ ahead) - wanted) * row_weights[:, None]
        following = ahead - (ones.T @ error + decay * ahead) / lipschitz
        next_momentum = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = following + (momentum - 1.0) / next_momentum * (following - current)
        current, momentum = following, next_momentum
    return Linear(current[:-1], current[-1])


def fit_temperature(logits: Array, labels: Labels) -> float:
    """Return what logits of unseen speakers must be divided by to be as sure as they are right."""
    candidates = np.geomspace(0.1, 20.0, 200)
    return float(min(candidates, key=lambda temperature: log_loss(logits / temperature, labels)))


def balanced(labels: Labels) -> Array:
    """Return a weight for each row such that every class sums to the same, and all to 1."""
    weights = 1.0 / np.bincount(labels, minlength=CLASSES)[labels]
    normalized: Array = weights / weights.sum()
    return normalized


def softmax(logits: Array) -> Array:
    """Return (n, 3) probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def log_loss(logits: Array, labels: Labels) -> float:
    """Return the mean of -log(probability of the truth), classes balanced; knowing nothing gives 1.10."""
    truth = softmax(logits)[np.arange(len(labels)), labels]
    return float(-(np.log(truth) * balanced(labels)).sum())


def unweighted_recall(logits: Array, labels: Labels) -> float:
    """Return the mean recall of the classes; guessing gives a third."""
    guesses = logits.argmax(axis=1)
    return float(np.mean([(guesses[labels == label] == label).mean() for label in range(CLASSES)]))


def calibration_error(logits: Array, labels: Labels, bins: int = 10) -> float:
    """Return the expected calibration error: how far confidence is from being right, on average."""
    probabilities = softmax(logits)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(sure[which == i].mean() - right[which == i].mean()) * (which == i).mean() for i in set(which.tolist())]
    return float(np.sum(gaps))
