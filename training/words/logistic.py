"""Multinomial logistic regression: convex, so the answer is the same whoever computes it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

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

    weights: Array  # (d, classes)
    bias: Array  # (classes,)

    def __call__(self, features: Array) -> Array:
        """Return (n, classes) logits of (n, d)."""
        return features @ self.weights + self.bias


def fit(features: Array, labels: Labels, penalty: float, row_weights: Array | None = None) -> Linear:
    """Fit by L-BFGS to (n, d) features, float32 or float64.

    Args:
        features: normalized.
        labels: (n,), from 0; as many classes as the highest says.
        penalty: of half the squared weights, beside the mean log loss; the bias is free.
        row_weights: (n,), of any sum; None: every class weighs the same, however many rows it has.
    """
    size = features.shape[1]
    classes = int(labels.max()) + 1
    weights = balanced(labels) if row_weights is None else row_weights / row_weights.sum()
    wanted = np.eye(classes)[labels]

    def loss(flat: Array) -> tuple[float, Array]:
        current = flat.reshape(size + 1, classes)
        logits = features @ current[:-1].astype(features.dtype) + current[-1]
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        total = powers.sum(axis=1, keepdims=True)
        error = (powers / total - wanted) * weights[:, None]
        found = -(weights[:, None] * wanted * (logits - np.log(total))).sum() + penalty / 2 * (current[:-1] ** 2).sum()
        slope = np.vstack([features.T @ error.astype(features.dtype) + penalty * current[:-1], error.sum(axis=0)])
        return float(found), slope.ravel().astype(np.float64)

    found = minimize(loss, np.zeros((size + 1) * classes), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    best: Array = found.x.reshape(size + 1, classes)
    return Linear(best[:-1], best[-1])


def fit_temperature(logits: Array, labels: Labels) -> float:
    """Return what logits of unseen speakers must be divided by to be as sure as they are right."""
    candidates = np.geomspace(0.1, 20.0, 200)
    return float(min(candidates, key=lambda temperature: log_loss(logits / temperature, labels)))


def balanced(labels: Labels) -> Array:
    """Return a weight for each row such that every class sums to the same, and all to 1."""
    weights = 1.0 / np.bincount(labels)[labels]
    normalized: Array = weights / weights.sum()
    return normalized


def softmax(logits: Array) -> Array:
    """Return (n, classes) probabilities."""
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
