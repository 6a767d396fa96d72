"""How sure a head may be: a temperature, and how far it leans to neutral, both from speakers that it never heard."""

from collections.abc import Sequence

import numpy as np
from heads import Calibration, Clips, Judged, Mask
from listening import BANDS
from logistic import Array, Labels, balanced, softmax
from scipy.optimize import minimize

from carillon.inference.tone import LABELS

NEUTRAL = LABELS.index("neutral")


def calibrate(clips: Clips, judged: Judged, among: Mask, neutral: Array | None = None) -> Calibration:
    """Fit to both bands, at the start of a call and later in it.

    Args:
        clips: all of them.
        judged: what heads say of them who never heard their speakers.
        among: those that may be used. Their corpora weigh the same.
        neutral: (n, 3), what such heads say of other speech that is known to be neutral. Then it is half of all that is
            neutral, every tone weighs the same, and the lean to neutral is fitted too; without, there is none. And the
            temperature is then that of the speaker who is known least: whoever is heard later, in another language and
            on another line, is no better known than that one, so the mean over speakers would be too sure of them.
    """
    keys = [(band, history) for band in BANDS for history in ("alone", "earlier")]
    logits = np.vstack([judged.logits[key][among] for key in keys])
    tones = np.tile(clips.tones[among], len(keys))
    known = among & (clips.excited >= 0)
    arousal = np.concatenate([judged.arousal[key][known] for key in keys])
    excited = np.tile(clips.excited[known], len(keys))
    of_two = _fitted(np.column_stack([np.zeros_like(arousal), arousal]), excited, _by_corpus(clips, known, len(keys)))
    if neutral is None:
        return Calibration(_fitted(logits, tones, _by_corpus(clips, among, len(keys)))[0], 0.0, of_two[0])
    own = {who: np.tile(np.array(clips.speakers)[among] == who, len(keys)) for who in set(clips.speakers)}
    fits = [_leaning(logits[rows], tones[rows], neutral) for rows in own.values() if rows.any()]
    temperature = max(temperature for temperature, _ in fits)
    return Calibration(temperature, _leaning(logits, tones, neutral, temperature)[1], of_two[0])


def _leaning(logits: Array, tones: Labels, neutral: Array, temperature: float | None = None) -> tuple[float, float]:
    """Return the temperature, unless it is given, and the lean to neutral, every tone weighing the same."""
    weights = balanced(tones)
    weights[tones == NEUTRAL] /= 2
    more = np.full(len(neutral), weights[tones == NEUTRAL].sum() / len(neutral))
    return _fitted(
        np.vstack([logits, neutral]),
        np.concatenate([tones, np.full(len(neutral), NEUTRAL)]),
        np.concatenate([weights, more]),
        temperature,
        leaning=True,
    )


def cross_calibrated(clips: Clips, judged: Judged, folds: Sequence[Mask]) -> Judged:
    """Calibrate every fold by the others, so that nothing is measured on those whom it was fitted to."""
    logits = {key: np.zeros_like(values) for key, values in judged.logits.items()}
    arousal = {key: np.zeros_like(values) for key, values in judged.arousal.items()}
    for fold in folds:
        part = calibrated(judged, calibrate(clips, judged, ~fold))
        for key in logits:
            logits[key][fold], arousal[key][fold] = part.logits[key][fold], part.arousal[key][fold]
    return Judged(logits, arousal)


def calibrated(judged: Judged, calibration: Calibration) -> Judged:
    """Make all logits as sure as a calibration says."""
    logits = {key: calibration.of_tone(values) for key, values in judged.logits.items()}
    arousal = {key: values / calibration.arousal_temperature for key, values in judged.arousal.items()}
    return Judged(logits, arousal)


def _by_corpus(clips: Clips, chosen: Mask, times: int) -> Array:
    """Return a weight for each chosen clip, so many times over, such that all corpora weigh the same."""
    _, numbers, counts = np.unique(np.array(clips.corpora)[chosen], return_inverse=True, return_counts=True)
    return np.tile(1.0 / counts[numbers], times)


def _fitted(
    logits: Array, labels: Labels, weights: Array, temperature: float | None = None, *, leaning: bool = False
) -> tuple[float, float]:
    """Return the temperature, unless it is given, and the lean to neutral or 0, of least log loss."""
    rows, normalized = np.arange(len(labels)), weights / weights.sum()

    def read(point: Array) -> tuple[float, float]:
        chosen = list(point)
        return temperature or float(np.exp(chosen.pop(0))), float(chosen.pop(0)) if leaning else 0.0

    def loss(point: Array) -> float:
        divisor, lean = read(point)
        said = logits / divisor
        if leaning:
            said[:, NEUTRAL] += lean
        return float(-(np.log(softmax(said)[rows, labels] + 1e-12) * normalized).sum())

    unknown = (temperature is None) + leaning
    return read(minimize(loss, np.zeros(unknown), method="Nelder-Mead").x)
