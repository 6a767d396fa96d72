"""Which normalization of scores helps? Measured on people of speechocean762 whom nothing was made from.

    python training/speaker/normalization.py DIR

DIR is what calibrate.py takes. Half of the people of speechocean762 and all of LibriSpeech are the cohort, the other
half is tested, both ways round for five halvings; figures are means over those. Compared are the bare cosine, one
center for all speech, the centers of calibrate.py, one for each band, and adaptive s-norm (Matejka et al., "Analysis of
score normalization in multilingual speaker recognition", 2017): a score is set against the highest scores of both sides
with a cohort, LibriSpeech's or the mixed.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from calibrate import SOURCES, centers_of, clean, listen_raw, recentered

from carillon.evaluation.conditions import Condition, EmbeddedSpeech
from carillon.evaluation.fitting import halves
from carillon.evaluation.manifest import read_manifest
from carillon.evaluation.measures import equal_error_rate, minimum_detection_cost
from carillon.evaluation.pieces import Hearing
from carillon.evaluation.trials import pairs_of, voices_of

CONDITIONS: Final = tuple(
    Condition(compared, False, seconds)
    for compared in ("wideband", "telephone", "cross, narrowband")
    for seconds in (3, 5, 10)
)
HIGHEST: Final = 20
PRIOR: Final = 0.01

Voices: TypeAlias = npt.NDArray[np.float32]


def main(directory: Path) -> int:
    """Print equal error rate and minDCF(0.01) of every condition and normalization."""
    recordings = clean(read_manifest(directory, ("source",)))
    listened = listen_raw(recordings)
    tested = {r.speaker for r in recordings if r.labels["source"].startswith(SOURCES[0])}
    numbers = np.array([i for i, name in enumerate(listened.people) if name in tested])
    rest = np.setdiff1d(np.arange(len(listened.people)), numbers)
    found: dict[tuple[Condition, str], list[tuple[float, float]]] = {}
    for half, others in halves(len(numbers)):
        cohort, test = np.concatenate([numbers[half], rest]), numbers[others]
        centers = centers_of(listened, cohort.tolist(), recordings)
        centered = recentered(listened, centers)
        one: Voices = np.mean(list(centers.values()), axis=0)
        ways: Mapping[str, tuple[EmbeddedSpeech, npt.NDArray[np.int64] | None]] = {
            "cosine": (listened, None),
            "one center": (recentered(listened, dict.fromkeys(centers, one)), None),
            "centered": (centered, None),
            "s-norm, LibriSpeech": (listened, rest),
            "s-norm, mixed": (listened, cohort),
            "centered, s-norm, mixed": (centered, cohort),
        }
        for condition in CONDITIONS:
            for name, (voices, against) in ways.items():
                if errors := _errors(voices, condition, test, against):
                    found.setdefault((condition, name), []).append(errors)
    for condition, name in found:
        rate, cost = np.mean(found[condition, name], axis=0)
        print(f"{condition.compared:12} {condition.seconds:2} s  {name:24} EER {rate:6.2%}  minDCF {cost:.3f}")
    return 0


def _errors(
    listened: EmbeddedSpeech, condition: Condition, test: npt.NDArray[np.int64], cohort: npt.NDArray[np.int64] | None
) -> tuple[float, float] | None:
    comparison = listened.compared(condition)
    assert comparison is not None
    if cohort is not None:
        enrolled_as, searched_as = condition.sides
        scores = comparison.scores
        rows = _standing(_embeddings(listened, enrolled_as, condition), _cohort(listened, searched_as, cohort))
        columns = _standing(_embeddings(listened, searched_as, condition), _cohort(listened, enrolled_as, cohort))
        normalized = (scores - rows[0][:, None]) / rows[1][:, None] + (scores - columns[0]) / columns[1]
        comparison = replace(comparison, scores=normalized.astype(np.float32))
    pairs = pairs_of(comparison.among(test))
    if pairs is None:
        return None
    return equal_error_rate(pairs.genuine, pairs.impostor), minimum_detection_cost(pairs.genuine, pairs.impostor, PRIOR)


def _embeddings(listened: EmbeddedSpeech, hearing: Hearing, condition: Condition) -> Voices:
    return voices_of(listened.pieces, hearing, condition.seconds, listened.people).embeddings


def _cohort(listened: EmbeddedSpeech, hearing: Hearing, people: npt.NDArray[np.int64]) -> Voices:
    """Return one voice of each person of the cohort: the mean of all pieces of 5 s."""
    voices = voices_of(listened.pieces, hearing, 5, listened.people)
    means = [voices.embeddings[voices.speaker == number].mean(axis=0) for number in people if number in voices.speaker]
    stacked = np.stack(means)
    unit: Voices = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    return unit


def _standing(voices: Voices, cohort: Voices) -> tuple[Voices, Voices]:
    """Return mean and deviation of each voice's highest scores with the cohort."""
    highest = np.sort(voices @ cohort.T, axis=1)[:, -HIGHEST:]
    return highest.mean(axis=1), highest.std(axis=1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
