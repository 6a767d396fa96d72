"""`carillon eval tone`: does the tone model hear what people were asked to express?"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from carillon.analysis.speech import speech_of
from carillon.audio import MODEL_RATE_HZ, from_pcm16
from carillon.evaluation.manifest import BadManifest, Recording, read_manifest
from carillon.evaluation.measures import confusion, unweighted_average_recall
from carillon.evaluation.pieces import BANDS, Band
from carillon.evaluation.progress import tracked
from carillon.evaluation.telephone import RATE_HZ, through_telephone
from carillon.inference import Models, Settings

LABELS: Final = ("negative", "neutral", "positive")
_LEAST_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 30
_ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class ToneFigures:
    """How well tone was heard under one condition."""

    band: Band
    corpus: str
    """"all" is every clip together."""
    clips: int
    skipped: int
    """Clips with less than half a second of speech."""
    unweighted_average_recall: float
    """Mean recall of the classes, in [0, 1]; chance is 1/3."""
    confusion: Sequence[Sequence[int]]
    """Clips by truth (row) and guess (column): negative, neutral, positive."""


@dataclass(frozen=True, slots=True)
class ToneReport:
    """All conditions of one folder."""

    directory: str
    model: str
    figures: Sequence[ToneFigures]


def evaluate_tone(directory: Path, settings: Settings, *, threads: int = 2) -> ToneReport:
    """Measure the tone model, a clip at a time, on a folder of recordings with valence labels.

    Raises:
        BadManifest: no usable manifest, or a valence that is none of negative, neutral, positive.
    """
    recordings = read_manifest(directory, ("valence", "corpus"))
    for recording in recordings:
        if recording.labels["valence"] not in LABELS:
            raise BadManifest(f"{recording.path}: the valence must be one of {', '.join(LABELS)}.")
    models = Models(settings)
    figures: list[ToneFigures] = []
    with ThreadPoolExecutor(threads) as pool:
        for band in BANDS:
            guesses = tracked(pool, partial(_guess, band=band, models=models), recordings, f"tone, {band}")
            corpora = sorted({recording.labels["corpus"] for recording in recordings})
            figures += [_figures(band, corpus, recordings, guesses) for corpus in (*corpora, _ALL)]
    return ToneReport(str(directory), models.tone.id, figures)


def _guess(recording: Recording, band: Band, models: Models) -> str | None:
    """Return the most probable tone, None if there is too little speech."""
    samples, rate_hz = recording.read()
    if band == "telephone":
        samples, rate_hz = through_telephone(samples, rate_hz), RATE_HZ
    speech = speech_of(samples, rate_hz, models.vad)[: _MOST_SECONDS * MODEL_RATE_HZ]
    if len(speech) < _LEAST_SECONDS * MODEL_RATE_HZ:
        return None
    probabilities = models.tone.probabilities(from_pcm16(speech))
    return max(zip(probabilities, LABELS, strict=True))[1]


def _figures(band: Band, corpus: str, recordings: Sequence[Recording], guesses: Sequence[str | None]) -> ToneFigures:
    chosen = [
        (recording.labels["valence"], guess)
        for recording, guess in zip(recordings, guesses, strict=True)
        if corpus in (_ALL, recording.labels["corpus"])
    ]
    judged = [(truth, guess) for truth, guess in chosen if guess is not None]
    counts = confusion([truth for truth, _ in judged], [guess for _, guess in judged], LABELS)
    return ToneFigures(
        band=band,
        corpus=corpus,
        clips=len(judged),
        skipped=len(chosen) - len(judged),
        unweighted_average_recall=unweighted_average_recall(counts),
        confusion=counts,
    )
