"""What codecs do to voices, learned from the same speech with and without them; see carillon/inference/lines.py."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.evaluation.conditions import Condition, EmbeddedSpeech
from carillon.evaluation.lines import LINES, PhoneLine
from carillon.evaluation.pieces import PIECE_SECONDS, Hearing
from carillon.evaluation.trials import pairs_of
from carillon.inference import LEAST_SECONDS, LineCompensation

CODECS: Final[tuple[PhoneLine, ...]] = ("GSM-FR", "AMR-NB", "Opus")
SECONDS: Final = 10
"""The length at which the shift is fitted: what an identification rests on."""
_RIDGE: Final = 1e-3
"""On the weights that tell a codec from none, so that they know lines and not the people: of 3e-4 to 1e-2 the best on
people whom they were not made from."""
_STEPS: Final = 40
_CLOSE: Final = 1e-7

_Floats = npt.NDArray[np.float64]


def learned(listened: EmbeddedSpeech, people: Sequence[int]) -> LineCompensation:
    """Learn from some people of `listened`, whose embeddings are centered."""
    names = {listened.people[number] for number in people}
    plain = _voices(listened, Hearing("telephone"), names)
    coded = [_voices(listened, Hearing("telephone", line=line), names) for line in CODECS]
    moved = np.array([np.mean(voices, axis=0) - np.mean(plain, axis=0) for voices in coded])
    truth = np.repeat([0.0, *[1.0] * len(coded)], [len(plain), *map(len, coded)])
    each = np.repeat(
        [1 / len(plain), *[1 / len(voices) / len(coded) for voices in coded]], [len(plain), *map(len, coded)]
    )
    found = logistic(np.concatenate([plain, *coded]), truth, each / 2, _RIDGE)
    lines = LineCompensation(
        directions=np.linalg.svd(moved, full_matrices=False)[2].astype(np.float32),
        weights=found[:-1].astype(np.float32),
        bias=round(float(found[-1]), 4),
        shift=1.0,
        usual=0.0,
    )
    usual = float(np.mean(lines.of(plain.astype(np.float32))[1]))
    return replace(lines, shift=round(_shift(listened, people, lines), 4), usual=round(usual, 4))


def _voices(listened: EmbeddedSpeech, hearing: Hearing, names: set[str]) -> _Floats:
    said = [piece.embedding for piece in listened.pieces[hearing, PIECE_SECONDS] if piece.speaker in names]
    return np.array(said, np.float64)


def _shift(listened: EmbeddedSpeech, people: Sequence[int], certain: LineCompensation) -> float:
    """Return what cosines lack where a codec is certain: by logistic regression on cosine and probability."""
    features, truth, weights = [], [], []
    for condition in heard_over(Condition("telephone", False, SECONDS)):
        pairs, with_shift = (
            pairs_of(comparison.among(np.array(people)))
            for lines in (replace(certain, shift=0.0), certain)
            if (comparison := EmbeddedSpeech(listened.pieces, listened.people, lines).compared(condition)) is not None
        )
        if pairs is None or with_shift is None:
            continue
        for is_genuine, cosines, shifted in (
            (1.0, pairs.genuine, with_shift.genuine),
            (0.0, pairs.impostor, with_shift.impostor),
        ):
            features.append(np.stack([cosines, shifted - cosines], axis=1))
            truth.append(np.full(len(cosines), is_genuine))
            weights.append(np.full(len(cosines), 1 / len(cosines)))
    each = np.concatenate(weights)
    slope, of_codec, _ = logistic(np.concatenate(features), np.concatenate(truth), each / each.sum(), _CLOSE)
    return float(of_codec / slope)


def heard_over(condition: Condition) -> list[Condition]:
    """Return a telephone's condition as it is, with noise, and over each line, as far as voices were heard so."""
    ways = [condition, replace(condition, noisy=True)]
    is_long = condition.seconds >= LEAST_SECONDS
    return ways + [replace(condition, line=line) for line in LINES if is_long]


def logistic(features: _Floats, truth: _Floats, weights: _Floats, ridge: float) -> _Floats:
    """Return (f + 1,) weights and offset that tell (n,) truths, 0 or 1, from (n, f) features, rows weighed by (n,)."""
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    found = np.zeros(rows.shape[1])
    penalty = np.append(np.full(features.shape[1], ridge), _CLOSE)
    for _ in range(_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -500.0, 500.0)))
        slope = rows.T @ (weights * (probability - truth)) + penalty * found
        curvature = (rows * (weights * probability * (1.0 - probability))[:, None]).T @ rows + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        longest = float(np.abs(step).max())
        found -= step * min(1.0, 5.0 / max(longest, _CLOSE))
        if longest < _CLOSE:
            break
    return found
