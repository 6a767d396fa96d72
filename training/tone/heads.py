"""A head and how it is trained: one linear map of normalized features, less part of the speaker's habit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from habits import Histories, drawn
from listening import BANDS, PARTS, Features
from logistic import Array, Labels, Linear, Normalizer, fit

from carillon.inference.tone import LABELS

EXCITED: Final = {"angry": 1, "happy": 1, "fearful": 1, "sad": 0, "calm": 0, "neutral": 0}
"""Arousal by emotion. Disgust is acted both ways, and is left out."""

_FOLDS: Final = 6
_DRAWS: Final = 2  # of histories, for every clip and condition
_UNKNOWN: Final = -1

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Labelled speech."""

    features: Mapping[str, Features]
    """(n, d) by condition: the two bands, and what training adds."""
    tones: Labels
    excited: Labels
    """1, 0, or -1 where it is not known."""
    speakers: Sequence[str]
    corpora: Sequence[str]
    names: Sequence[str]
    seconds: Array

    def where(self, chosen: Mask) -> "Clips":
        """Return only some of them."""
        rows = np.flatnonzero(chosen)
        return Clips(
            {condition: features[rows] for condition, features in self.features.items()},
            self.tones[rows],
            self.excited[rows],
            [self.speakers[row] for row in rows],
            [self.corpora[row] for row in rows],
            [self.names[row] for row in rows],
            self.seconds[rows],
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a head hears, and how it is held back."""

    parts: Mapping[str, float]
    """Descriptions of speech, in the order of `PARTS`, and how much each counts beside the others."""
    penalty: float

    def columns(self, features: Features) -> Features:
        """Return what is heard of (n, d) features."""
        return np.hstack([features[:, PARTS[part]] for part in self.parts])

    def normalizer(self, features: Features) -> Normalizer:
        """Measure a population of what is heard, and weigh the parts."""
        own = Normalizer.of(features)
        sizes = [PARTS[part].stop - PARTS[part].start for part in self.parts]
        weights = np.repeat(list(self.parts.values()), sizes)
        return Normalizer(own.mean.astype(np.float32), (own.deviation / weights).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes logits as sure as they should be."""

    temperature: float = 1.0
    neutral: float = 0.0
    """Added to neutral, after the temperature."""
    arousal_temperature: float = 1.0

    def of_tone(self, logits: Array) -> Array:
        """Calibrate (n, 3)."""
        return logits / self.temperature + np.array([0.0, self.neutral, 0.0])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Judges what its recipe hears; not calibrated."""

    recipe: Recipe
    normalizer: Normalizer
    tone: Linear
    arousal: Linear  # (d, 1)

    def __call__(self, features: Features, histories: Histories) -> tuple[Array, Array]:
        """Return (n, 3) logits of tone and (n,) of arousal for (n, d) features."""
        heard = histories.taken_from(self.normalizer(self.recipe.columns(features)))
        return self.tone(heard), self.arousal(heard)[:, 0]


def train(clips: Clips, recipe: Recipe, seed: int = 0) -> Head:
    """Fit a head to every condition of some clips, with histories that are drawn."""
    columns = {condition: recipe.columns(features) for condition, features in clips.features.items()}
    normalizer = recipe.normalizer(np.vstack(list(columns.values())))
    generator = np.random.default_rng(seed)
    heard: list[Features] = []
    for features in columns.values():
        normalized = normalizer(features)
        for _ in range(_DRAWS):
            histories = drawn(generator, clips.speakers, clips.tones, clips.seconds)
            heard.append(histories.taken_from(normalized))
    rows = np.vstack(heard).astype(np.float32)
    tones, excited = np.tile(clips.tones, len(heard)), np.tile(clips.excited, len(heard))
    known = excited != _UNKNOWN
    weights = np.tile(_weights(clips.tones, clips.corpora), len(heard))
    tone = fit(rows, tones, recipe.penalty, weights)
    arousal_weights = np.tile(_weights(clips.excited, clips.corpora), len(heard))
    of_two = fit(rows[known], excited[known], recipe.penalty, arousal_weights[known])
    arousal = Linear(of_two.weights[:, 1:] - of_two.weights[:, :1], of_two.bias[1:] - of_two.bias[:1])
    return Head(recipe, normalizer, tone, arousal)


def _weights(labels: Labels, corpora: Sequence[str]) -> Array:
    """Weigh rows such that in a corpus every class counts the same, and a corpus as the root of its size."""
    names = np.array(corpora)
    weights = np.zeros(len(labels))
    for corpus in set(corpora):
        inside = names == corpus
        counts = np.bincount(labels[inside] + 1)
        weights[inside] = np.sqrt(inside.sum()) / counts[labels[inside] + 1]
    return weights


def folds(clips: Clips) -> list[Mask]:
    """Deal the speakers of every corpus to six folds; return which clips are held out in each."""
    fold_of: dict[str, int] = {}
    for corpus in sorted(set(clips.corpora)):
        own = sorted({speaker for speaker, of in zip(clips.speakers, clips.corpora, strict=True) if of == corpus})
        order = np.random.default_rng(0).permutation(len(own))
        fold_of |= {own[place]: number % _FOLDS for number, place in enumerate(order)}
    numbers = np.array([fold_of[speaker] for speaker in clips.speakers])
    return [numbers == number for number in range(_FOLDS)]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What is said of every clip by heads that never heard its speaker."""

    logits: Mapping[tuple[str, str], Array]
    """(n, 3) by band and history."""
    arousal: Mapping[tuple[str, str], Array]
    """(n,), likewise."""


def judge(clips: Clips, by: Sequence[tuple[Head, Mask]], histories: Mapping[str, Histories]) -> Judged:
    """Judge clips in both bands and after all histories, each by the head that is not to know it."""
    keys = [(band, name) for band in BANDS for name in histories]
    logits = {key: np.zeros((len(clips.tones), len(LABELS))) for key in keys}
    arousal = {key: np.zeros(len(clips.tones)) for key in keys}
    for head, mask in by:
        for band, name in keys:
            said, excited = head(clips.features[band], histories[name])
            logits[band, name][mask], arousal[band, name][mask] = said[mask], excited[mask]
    return Judged(logits, arousal)
