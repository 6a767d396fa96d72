"""`carillon eval speaker`: does the embedding know people apart?

Every speaker's speech, silence dropped by the gate that live calls use, is cut into pieces of equal length. All pairs
of pieces give the equal error rate; the first piece of each speaker, enrolled, against all others gives rank 1.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from carillon.analysis.speaker import embed_speech
from carillon.analysis.speech import speech_of
from carillon.audio import MODEL_RATE_HZ, Embedding, Pcm16
from carillon.evaluation.manifest import BadManifest, Recording, read_manifest
from carillon.evaluation.measures import equal_error_rate
from carillon.evaluation.progress import tracked
from carillon.evaluation.telephone import RATE_HZ, through_telephone
from carillon.inference import Models, Settings

Band = Literal["wideband", "telephone"]

BANDS: Final[tuple[Band, ...]] = ("wideband", "telephone")
PIECE_SECONDS: Final = (3, 5, 10)
_MOST_PIECES: Final = 8
"""Pieces of one speaker; more would let a talkative one decide the figure."""


@dataclass(frozen=True, slots=True)
class SpeakerFigures:
    """How well people were known apart under one condition."""

    band: Band
    seconds: int
    speakers: int
    pieces: int
    genuine_pairs: int
    equal_error_rate: float
    """In [0, 1]."""
    rank_1: float
    """Share of pieces whose best match among the enrolled is the right speaker, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class SpeakerReport:
    """All conditions of one folder."""

    directory: str
    model: str
    figures: Sequence[SpeakerFigures]


def evaluate_speaker(directory: Path, settings: Settings, *, threads: int = 2) -> SpeakerReport:
    """Measure the speaker model on a folder of recordings with speaker names.

    Raises:
        BadManifest: no usable manifest, or too little speech to compare anybody.
    """
    recordings = read_manifest(directory, ())
    models = Models(settings)
    figures = []
    with ThreadPoolExecutor(threads) as pool:
        for band in BANDS:
            speech = tracked(pool, partial(_speech, band=band, models=models), recordings, f"speech, {band}")
            by_speaker = _by_speaker(recordings, speech)
            for seconds in PIECE_SECONDS:
                pieces = _pieces(by_speaker, seconds)
                names = [name for name, _ in pieces]
                embed = partial(_embed, models)
                embeddings = tracked(pool, embed, [piece for _, piece in pieces], f"{seconds} s, {band}")
                if measured := _figures(band, seconds, names, embeddings):
                    figures.append(measured)
    if not figures:
        raise BadManifest(f"{directory} has no two speakers with two pieces of {PIECE_SECONDS[0]} s of speech each.")
    return SpeakerReport(str(directory), models.speaker.id, figures)


def _speech(recording: Recording, band: Band, models: Models) -> Pcm16:
    samples, rate_hz = recording.read()
    if band == "telephone":
        samples, rate_hz = through_telephone(samples, rate_hz), RATE_HZ
    return speech_of(samples, rate_hz, models.vad)


def _embed(models: Models, piece: Pcm16) -> Embedding:
    return embed_speech(models.speaker, piece)


def _by_speaker(recordings: Iterable[Recording], speech: Iterable[Pcm16]) -> Mapping[str, Pcm16]:
    gathered: dict[str, list[Pcm16]] = defaultdict(list)
    for recording, part in zip(recordings, speech, strict=True):
        gathered[recording.speaker].append(part)
    return {speaker: np.concatenate(parts) for speaker, parts in gathered.items()}


def _pieces(by_speaker: Mapping[str, Pcm16], seconds: int) -> list[tuple[str, Pcm16]]:
    length = seconds * MODEL_RATE_HZ
    return [
        (speaker, speech[i * length : (i + 1) * length])
        for speaker, speech in by_speaker.items()
        for i in range(min(_MOST_PIECES, len(speech) // length))
    ]


def _figures(
    band: Band, seconds: int, names: Sequence[str], embeddings: Sequence[npt.NDArray[np.float32]]
) -> SpeakerFigures | None:
    speakers = np.array(names)
    first, second = np.triu_indices(len(names), k=1)
    is_same = speakers[first] == speakers[second] if len(names) else np.zeros(0, np.bool_)
    if not is_same.any() or is_same.all():
        return None
    scores = np.stack(embeddings) @ np.stack(embeddings).T
    pairs = scores[first, second].astype(np.float64)
    return SpeakerFigures(
        band=band,
        seconds=seconds,
        speakers=len(set(names)),
        pieces=len(names),
        genuine_pairs=int(is_same.sum()),
        equal_error_rate=equal_error_rate(pairs[is_same], pairs[~is_same]),
        rank_1=_rank_1(speakers, scores),
    )


def _rank_1(speakers: npt.NDArray[np.str_], scores: npt.NDArray[np.float32]) -> float:
    _, enrolled = np.unique(speakers, return_index=True)
    searched = np.setdiff1d(np.arange(len(speakers)), enrolled)
    best = enrolled[np.argmax(scores[np.ix_(searched, enrolled)], axis=1)]
    return float(np.mean(speakers[best] == speakers[searched]))
