"""A head and how it is fitted: one linear map of normalized features, less part of the speaker's baseline.

With few people and several corpora, what matters is what a head must not listen to. It is fitted by least squares,
which has a closed form, so that whoever computes it gets the same, with three things held against it:

- plainly large weights (`penalty`): strong, so that it leans on differences of class means and on nothing subtle;
- whatever tells corpora and lines apart within one tone (`invariance`): else it learns the room instead of the mood;
- whatever varies among people who only read aloud (`steadiness`): that is no mood either.

Source: T. Hastie, A. Buja, R. Tibshirani, "Penalized Discriminant Analysis", Annals of Statistics 23 (1995), of which
this is a case; A. Hatch, S. Kajarekar, A. Stolcke, "Within-class covariance normalization" (2006), for the second.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from carillon.inference.tone import LABELS
from carillon.training.tone.clips import UNKNOWN, Array, Clips, Labels, Mask
from carillon.training.tone.histories import Histories, drawn
from carillon.training.tone.listening import PARTS, Features

NEUTRAL: Final = LABELS.index("neutral")
_LEAST_ROWS: Final = 5  # of a tone of a corpus, for its mean to mean something


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a head hears, and what is held against it."""

    parts: Mapping[str, float]
    """Descriptions of speech, in the order of `PARTS`, and how much each counts beside the others."""
    penalty: float
    invariance: float = 0.0
    steadiness: float = 0.0
    calm: Sequence[str] = ()
    """Corpora of people who only read aloud: plain speech, taken for neutral."""
    shares: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """How much a corpus counts within a tone, by corpus and tone; 1 where nothing is said."""

    def columns(self, features: Features) -> Features:
        """Return what is heard of (n, d) features."""
        return np.hstack([features[:, PARTS[part]] for part in self.parts])


DEFAULT: Final = Recipe(
    {"hidden": 1.0, "prosody": 2.0, "voice": 2.0},
    penalty=30.0,
    invariance=1.0,
    steadiness=2.0,
    calm=("librispeech", "speechocean762"),
    shares={("emodb", "neutral"): 2.0, ("emodb", "positive"): 3.0},
)
LIGHT: Final = replace(DEFAULT, parts={"layer_2": 1.4, "prosody": 2.0})
"""What costs a quarter of it, and is a little less right."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Scores what its recipe hears. Not calibrated: the highest score wins."""

    recipe: Recipe
    mean: Features
    deviation: Features
    weights: Array  # (d, 4): of negative, neutral, positive, excited
    bias: Array  # (4,)

    def __call__(self, features: Features, histories: Histories) -> Array:
        """Return (n, 4) scores of (n, d) features."""
        heard = histories.taken_from((self.recipe.columns(features) - self.mean) / self.deviation)
        scores: Array = heard @ self.weights + self.bias
        return scores


def fit(clips: Clips, recipe: Recipe, seed: int = 0) -> Head:
    """Fit a head to every condition of some clips, with histories that are drawn."""
    columns = [recipe.columns(features) for features in clips.features.values()]
    everything = np.vstack(columns)
    counts = np.repeat(list(recipe.parts.values()), [PARTS[part].stop - PARTS[part].start for part in recipe.parts])
    mean, deviation = everything.mean(axis=0), ((everything.std(axis=0) + 1e-6) / counts).astype(np.float32)
    plain = [(features - mean) / deviation for features in columns]
    generator = np.random.default_rng(seed)
    heard = np.vstack(
        [
            drawn(generator, clips.speakers.tolist(), clips.tones, clips.seconds).taken_from(normalized)
            for normalized in plain
        ]
    )
    against = _held_against(clips, recipe, plain)
    tones = np.eye(len(LABELS))[np.tile(clips.tones, len(plain))]
    of_tone = _least_squares(heard, tones, np.tile(_weights(clips, clips.tones, recipe), len(plain)), against)
    excited = np.tile(clips.excited, len(plain))
    known = excited != UNKNOWN
    if len(set(excited[known].tolist())) < 2:
        return Head(recipe, mean, deviation, of_tone[0], of_tone[1])
    rows = np.tile(_weights(clips, clips.excited, recipe), len(plain))[known]
    of_arousal = _least_squares(heard[known], excited[known, None] - 0.5, rows, against)
    weights, bias = (np.concatenate(pair, axis=-1) for pair in zip(of_tone, of_arousal, strict=True))
    return Head(recipe, mean, deviation, weights, bias)


def _held_against(clips: Clips, recipe: Recipe, plain: Sequence[Features]) -> npt.NDArray[np.floating]:
    """Return (d, d), what is added to the covariance of the rows."""
    size = plain[0].shape[1]
    against = np.zeros((size, size), np.float32)
    shifts = np.vstack(list(_shifts(clips, plain)))
    against += recipe.invariance * (shifts.T @ shifts) / len(shifts)
    for corpus in recipe.calm:
        inside = clips.corpora == corpus
        for normalized in plain if inside.any() else ():
            reading = normalized[inside] - normalized[inside].mean(axis=0)
            against += recipe.steadiness / len(recipe.calm) / len(plain) * (reading.T @ reading) / len(reading)
    against[np.diag_indices(size)] += recipe.penalty
    return against


def _shifts(clips: Clips, plain: Sequence[Features]) -> Iterator[Features]:
    """Yield how the corpora differ within a tone, in every condition: (k, d)."""
    for tone in range(len(LABELS)):
        means = []
        for corpus in np.unique(clips.corpora):
            inside = (clips.tones == tone) & (clips.corpora == corpus)
            if inside.sum() >= _LEAST_ROWS:
                means += [normalized[inside].mean(axis=0) for normalized in plain]
        if means:
            yield np.array(means) - np.mean(means, axis=0)


def _weights(clips: Clips, classes: Labels, recipe: Recipe) -> Array:
    """Weigh rows such that classes count the same; in a class corpora by their shares; in those emotions by the root
    of how many there are.
    """
    weights = np.zeros(len(classes))
    for number in np.unique(classes[classes != UNKNOWN]):
        for corpus in np.unique(clips.corpora):
            inside = (classes == number) & (clips.corpora == corpus)
            for emotion in np.unique(clips.emotions[inside]):
                alike = inside & (clips.emotions == emotion)
                weights[alike] = 1 / np.sqrt(alike.sum())
            if inside.any():
                weights[inside] *= _share(clips, inside, recipe, corpus) / weights[inside].sum()
        weights[classes == number] /= weights[classes == number].sum()
    normalized: Array = weights / weights.sum()
    return normalized


def _share(clips: Clips, inside: Mask, recipe: Recipe, corpus: str) -> float:
    tones = set(clips.tones[inside].tolist())
    return recipe.shares.get((corpus, LABELS[tones.pop()]), 1.0) if len(tones) == 1 else 1.0


def _least_squares(
    rows: Features, wanted: npt.NDArray[np.floating], weights: Array, against: npt.NDArray[np.floating]
) -> tuple[Array, Array]:
    """Return the (d, k) weights and (k,) bias that come nearest to (n, k) targets."""
    weighted = (weights / weights.sum()).astype(np.float32)[:, None]
    middle, target = (rows * weighted).sum(axis=0), (wanted * weighted).sum(axis=0)
    centered = rows - middle
    gram = (centered * weighted).T @ centered + against
    right = (centered * weighted).T @ (wanted - target).astype(np.float32)
    found = cho_solve(cho_factor(gram.astype(np.float64)), right.astype(np.float64))
    return found, target - middle @ found
