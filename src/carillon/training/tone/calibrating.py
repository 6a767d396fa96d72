"""How sure a head may be: a lean to neutral and a temperature, both from people that it never heard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar

from carillon.training.tone.clips import UNKNOWN, Array, Clips, Labels, Mask
from carillon.training.tone.heads import NEUTRAL
from carillon.training.tone.listening import BANDS

ScoreTable = Mapping[tuple[str, str], Array]
"""(n, 4) of clips by people who were not learned from, by band and history."""

MOST_NEGATIVE: Final = {"wideband": 0.035, "telephone": 0.05}
LEAST_NEUTRAL: Final = {"wideband": 0.92, "telephone": 0.90}
"""Of clips by people who only read aloud."""

_LEANS: Final = np.arange(-60, 61) / 100


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """What turns scores into logits."""

    lean: float = 0.0
    """Added to the score of neutral."""
    temperature: float = 1.0
    arousal_temperature: float = 1.0

    def of_tone(self, scores: Array) -> Array:
        """Return (n, 3) logits of (n, 4) scores."""
        logits: Array = (scores[:, :3] + np.array([0.0, self.lean, 0.0])) / self.temperature
        return logits

    def of_arousal(self, scores: Array) -> Array:
        """Return (n,) logits of (n, 4) scores; all 0 if the head does not tell."""
        return scores[:, 3] / self.arousal_temperature if scores.shape[1] > 3 else np.zeros(len(scores))


def lean_of(scores: ScoreTable, calm: Mask) -> float:
    """Return the least lean to neutral with which people who only read aloud are called so; 0 if there are none."""
    if not calm.any():
        return 0.0

    def is_enough(lean: float) -> bool:
        for band in BANDS:
            guesses = ScoreCalibration(lean).of_tone(scores[band, "earlier"][calm]).argmax(axis=1)
            if (guesses == 0).mean() > MOST_NEGATIVE[band] or (guesses == NEUTRAL).mean() < LEAST_NEUTRAL[band]:
                return False
        return True

    return next((float(lean) for lean in _LEANS if is_enough(lean)), float(_LEANS[-1]))


def calibrate(clips: Clips, scores: ScoreTable, calm: Mask) -> ScoreCalibration:
    """Fit to both bands, at the start of a call and later in it: every tone and every corpus of it weighs the same."""
    lean = lean_of(scores, calm)
    stacked = np.vstack(list(scores.values()))
    times = len(scores)
    tones, weights = np.tile(clips.tones, times), np.tile(_even(clips, clips.tones), times)
    temperature = _temperature(ScoreCalibration(lean).of_tone(stacked), tones, weights)
    if stacked.shape[1] < 4:
        return ScoreCalibration(lean, temperature)
    known = np.tile(clips.excited != UNKNOWN, times)
    logits = np.column_stack([np.zeros(known.sum()), stacked[known, 3]])
    excited = np.tile(_even(clips, clips.excited), times)[known]
    return ScoreCalibration(lean, temperature, _temperature(logits, np.tile(clips.excited, times)[known], excited))


def softmax(logits: Array) -> Array:
    """Return (n, classes) probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _temperature(logits: Array, labels: Labels, weights: Array) -> float:
    rows = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        said = softmax(logits / np.exp(logarithm))[rows, labels]
        return float(-(np.log(said + 1e-12) * weights).sum() / weights.sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-5.0, 3.0), method="bounded").x))


def _even(clips: Clips, classes: Labels) -> Array:
    weights = np.zeros(len(classes))
    for number in np.unique(classes[classes != UNKNOWN]):
        for corpus in np.unique(clips.corpora):
            inside = (classes == number) & (clips.corpora == corpus)
            weights[inside] = 1 / max(inside.sum(), 1)
        weights[classes == number] /= weights[classes == number].sum()
    return weights


def merged(parts: Sequence[tuple[ScoreTable, Mask]]) -> ScoreTable:
    """Put together what several heads say, each of the clips that are its own."""
    keys = parts[0][0].keys()
    found = {key: np.zeros_like(parts[0][0][key]) for key in keys}
    for scores, mask in parts:
        for key in keys:
            found[key][mask] = scores[key][mask]
    return found
