"""From judgments to figures: for every way of hearing, every corpus, and all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from carillon.evaluation.measures import Bin, calibration_error, reliability
from carillon.evaluation.pieces import BANDS, BandName
from carillon.evaluation.tone.measures import (
    brier_score,
    confusion,
    guess_of,
    log_loss,
    macro_f1,
    recall_interval,
    recalls,
    unweighted_average_recall,
)
from carillon.inference import Probabilities

Unit: TypeAlias = Literal["clip", "clip, history", "window", "window, history"]
"""What is judged at a time: a clip by itself; a clip of somebody whose earlier clips were heard; 30 s of one tone at
the beginning of a call; 30 s of one tone in a call."""
Inputs: TypeAlias = Literal["acoustics", "with words"]

UNITS: Final[tuple[Unit, ...]] = ("clip", "clip, history", "window", "window, history")
INPUTS: Final[tuple[Inputs, ...]] = ("acoustics", "with words")
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Judgment:
    """One clip or window, and what was said of it."""

    band: BandName
    unit: Unit
    inputs: Inputs
    corpus: str
    speaker: str
    truth: int
    """Number of the class."""
    probabilities: Probabilities | None
    """None if it holds too little speech."""
    is_english: bool
    """Words count only in English: without it, "with words" is acoustics alone."""


@dataclass(frozen=True, slots=True)
class ToneQuality:
    """How right some judgments are."""

    unweighted_average_recall: float
    """Mean recall of the classes that occur, in [0, 1]."""
    interval: tuple[float, float] | None
    """Of 95 %, by drawing speakers; None of fewer than two."""
    macro_f1: float
    recalls: Sequence[float | None]
    """Of negative, neutral, positive; None where the class does not occur."""
    ece: float
    """How far the probability of the label is from how often it is right, in [0, 1]."""
    brier: float
    log_loss: float
    confusion: Sequence[Sequence[int]]
    """Judgments by truth (row) and label (column): negative, neutral, positive."""
    bins: Sequence[Bin]


@dataclass(frozen=True, slots=True)
class ToneFigures:
    """How well tone was heard in one way."""

    band: BandName
    unit: Unit
    inputs: Inputs
    corpus: str
    """"all" is every clip together, each counting the same."""
    speakers: int
    judged: int
    skipped: int
    """Clips with less than half a second of speech, or windows with less than 10 s."""
    quality: ToneQuality | None
    """None if nothing was judged."""


def figures_of(judgments: Sequence[Judgment]) -> list[ToneFigures]:
    """Measure everything that there are judgments of, in the order of reports."""
    found = []
    for band in BANDS:
        for unit in UNITS:
            for inputs in INPUTS:
                chosen = [it for it in judgments if (it.band, it.unit, it.inputs) == (band, unit, inputs)]
                groups = [(name, [it for it in chosen if it.corpus == name]) for name in _corpora(chosen)]
                for corpus, own in (*groups, (ALL, chosen)):
                    if any(inputs == "acoustics" or it.is_english for it in own):
                        found.append(_figures(band, unit, inputs, corpus, own))
    return found


def _corpora(judgments: Sequence[Judgment]) -> list[str]:
    return sorted({it.corpus for it in judgments})


def _figures(band: BandName, unit: Unit, inputs: Inputs, corpus: str, own: Sequence[Judgment]) -> ToneFigures:
    judged = [it for it in own if it.probabilities is not None]
    return ToneFigures(
        band=band,
        unit=unit,
        inputs=inputs,
        corpus=corpus,
        speakers=len({(it.corpus, it.speaker) for it in judged}),
        judged=len(judged),
        skipped=len(own) - len(judged),
        quality=_quality(judged) if judged else None,
    )


def _quality(judged: Sequence[Judgment]) -> ToneQuality:
    probabilities = [it.probabilities for it in judged if it.probabilities is not None]
    truths, guesses = [it.truth for it in judged], [guess_of(each) for each in probabilities]
    counts = confusion(truths, guesses)
    by_speaker: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for it, guess in zip(judged, guesses, strict=True):
        of_speaker = by_speaker.setdefault((it.corpus, it.speaker), ([], []))
        of_speaker[0].append(it.truth)
        of_speaker[1].append(guess)
    confidences = np.array([each[guess] for each, guess in zip(probabilities, guesses, strict=True)])
    bins = reliability(confidences, np.array(truths) == np.array(guesses))
    return ToneQuality(
        unweighted_average_recall=unweighted_average_recall(counts),
        interval=recall_interval(np.array([confusion(*own) for own in by_speaker.values()])),
        macro_f1=macro_f1(counts),
        recalls=recalls(counts),
        ece=calibration_error(bins),
        brier=brier_score(probabilities, truths),
        log_loss=log_loss(probabilities, truths),
        confusion=counts.tolist(),
        bins=bins,
    )
