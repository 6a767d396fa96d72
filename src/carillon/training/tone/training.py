"""From clips to a head: fitted to all, calibrated and measured by heads that never heard what they judge.

Two questions are asked, each of as many heads as it needs. *Other people*: the speakers of every corpus are dealt to
folds, and each fold is judged by a head that was fitted to the others; that decides how sure a head may be. *Another
corpus*: each corpus is judged by a head that was fitted to the others; that is the one to believe of voices that come
from elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from carillon.errors import InvalidRequest
from carillon.inference.tone import LABELS
from carillon.training.tone import histories
from carillon.training.tone.calibrating import ScoreCalibration, ScoreTable, calibrate, merged
from carillon.training.tone.clips import Clips, Mask
from carillon.training.tone.figures import HeadFigures, measured
from carillon.training.tone.heads import Head, Recipe, fit
from carillon.training.tone.histories import Histories
from carillon.training.tone.listening import BANDS

_LEAST_PEOPLE: Final = 2


class TrainingRefused(InvalidRequest):
    """The recordings cannot carry a head."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A head, and what it is worth."""

    head: Head
    calibration: ScoreCalibration
    figures: Sequence[HeadFigures]
    """Of other corpora first, then of other people."""
    of_people: ScoreTable
    """What is said of every clip by a head that never heard the speaker."""


def train(
    clips: Clips,
    recipe: Recipe,
    *,
    others: Clips | None = None,
    folds: int = 5,
    done: Callable[[], None] = lambda: None,
) -> Trained:
    """Fit a head, calibrate it, measure it.

    Args:
        clips: what is learned from.
        recipe: what is heard.
        others: what is only measured on: corpora that may not be learned from.
        folds: of people.
        done: called after each head that was fitted.

    Raises:
        TrainingRefused: a tone, or people who express it, are missing.
    """
    _check(clips)
    before = histories_of(clips)
    everything = np.ones(len(clips.tones), bool)

    def judged(learned: Mask) -> tuple[Head, ScoreTable]:
        head = fit(clips.where(learned), recipe)
        done()
        return head, scores_of(head, clips, before)

    of_people = merged([(judged(~mask)[1], mask) for mask in dealt(clips, folds)])
    calm = np.isin(clips.corpora, recipe.calm)
    left_out = [clips.corpora == corpus for corpus in np.unique(clips.corpora)]
    can_spare = [mask for mask in left_out if _tones_of(clips.where(~mask))]
    of_corpora = merged([(judged(~mask)[1], mask) for mask in can_spare]) if can_spare else {}
    unheard = np.any(can_spare, axis=0) if can_spare else ~everything
    calibration = calibrate(clips, of_people, calm)
    head, _ = judged(everything)
    figures: list[HeadFigures] = []
    if others is not None:
        said = scores_of(head, others, histories_of(others))
        figures += measured(others, said, calibration, "corpus", np.ones(len(others.tones), bool))
    if can_spare:
        figures += measured(clips, of_corpora, calibration, "corpus", unheard)
    figures += measured(clips, of_people, calibration, "people", everything)
    return Trained(head, calibration, figures, of_people)


def dealt(clips: Clips, folds: int) -> list[Mask]:
    """Deal the speakers of every corpus to folds; return which clips are held out in each."""
    fold_of: dict[str, int] = {}
    for corpus in np.unique(clips.corpora):
        own = np.unique(clips.speakers[clips.corpora == corpus])
        order = np.random.default_rng(0).permutation(len(own))
        fold_of |= {str(own[place]): number % folds for number, place in enumerate(order)}
    numbers = np.array([fold_of[speaker] for speaker in clips.speakers.tolist()])
    return [numbers == number for number in range(folds)]


def _check(clips: Clips) -> None:
    for number, tone in enumerate(LABELS):
        people = len(np.unique(clips.speakers[clips.tones == number]))
        if people < _LEAST_PEOPLE:
            raise TrainingRefused(
                f"{people} people are heard {tone}: at least {_LEAST_PEOPLE} are needed, to try a head on people whom "
                "it never heard. Add recordings, or correct the manifest."
            )


def _tones_of(clips: Clips) -> bool:
    """Return whether every tone is left."""
    return len(np.unique(clips.tones)) == 3


def histories_of(clips: Clips) -> Mapping[str, Histories]:
    speakers, names = clips.speakers.tolist(), clips.names.tolist()
    return {"none": histories.none(clips.seconds), "earlier": histories.earlier(speakers, names, clips.seconds)}


def scores_of(head: Head, clips: Clips, before: Mapping[str, Histories]) -> ScoreTable:
    return {(band, name): head(clips.features[band], history) for band in BANDS for name, history in before.items()}
