"""From recordings to embeddings: every person's speech, cut into pieces, heard in every way that is asked for.

The unit of work is a person, so that memory does not grow with the folder: the recordings are read, the speech gate of
live calls drops silence, and of each way of hearing only the embeddings of pieces of 3 s and of 5 s are kept. Longer
stretches are means of pieces of 5 s, exactly as a call makes them, so nothing is ever embedded twice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from carillon.analysis.speaker import Embedder, embed_piece
from carillon.analysis.speech import FRAME_SAMPLES, SpeechGate, VadModel
from carillon.analysis.speech.telephone import RATE_HZ, narrowband_of, through_telephone
from carillon.audio import MODEL_RATE_HZ, Embedding, Pcm16
from carillon.evaluation.lines import PhoneLine, over_line
from carillon.evaluation.manifest import ManifestRecording
from carillon.evaluation.noise import Noise
from carillon.evaluation.progress import tracked

BandName: TypeAlias = Literal["wideband", "telephone"]
Carried: TypeAlias = Literal["wideband", "telephone", "narrowband"]
"""How speech came: as recorded at more than 8 kHz, by telephone, or wideband passed through a telephone afterwards."""

BANDS: Final[tuple[BandName, ...]] = ("wideband", "telephone")
SHORT_SECONDS: Final = 3
PIECE_SECONDS: Final = 5
_MOST_SECONDS: Final = 80
"""Of one person; more would let a talkative one decide the figures."""
_LEAST_SECONDS_OF_SESSION: Final = 20
_MOST_SESSIONS: Final = 8
_RECORDING_FRAMES: Final = 10**7
"""More frames than a recording has: numbers of frames of different recordings do not meet."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """One way of hearing a recording."""

    carried: Carried
    noisy: bool = False
    line: PhoneLine | None = None
    """What a telephone call came over; None for the telephone alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One stretch of somebody's speech, embedded."""

    speaker: str
    session: str
    first_frame: int
    """Where in the person's recordings it begins; the same in every hearing."""
    last_frame: int
    embedding: Embedding = field(repr=False)


Pieces: TypeAlias = Mapping[tuple[Hearing, int], Sequence[Piece]]
"""Pieces by hearing and by seconds, 3 or 5, each person's in the order of the recordings."""


@dataclass(frozen=True, slots=True, eq=False)
class _Speech:
    samples: Pcm16  # (n,) at 16 kHz
    frames: npt.NDArray[np.int64]  # (n / 512,) where each frame was in the person's recordings


def pieces_of(
    recordings: Sequence[ManifestRecording],
    hearings: Sequence[Hearing],
    embedder: Embedder,
    vad: VadModel,
    pool: Executor,
) -> Pieces:
    """Embed everybody's speech, up to 80 s of a person, in each of the ways that it can be heard.

    Recordings at 8 kHz or less are telephone as they are, and nothing else.

    Raises:
        BadManifest: a recording cannot be read.
    """
    by_speaker: dict[str, list[ManifestRecording]] = defaultdict(list)
    for recording in recordings:
        by_speaker[recording.speaker].append(recording)
    noise = Noise(recordings) if any(hearing.noisy for hearing in hearings) else None
    embedded = partial(_embedded, hearings=hearings, embedder=embedder, vad=vad, noise=noise)
    gathered: dict[tuple[Hearing, int], list[Piece]] = defaultdict(list)
    for person in tracked(pool, embedded, list(by_speaker.values()), "listening"):
        for key, pieces in person.items():
            gathered[key] += pieces
    return gathered


def _embedded(
    recordings: Sequence[ManifestRecording],
    hearings: Sequence[Hearing],
    embedder: Embedder,
    vad: VadModel,
    noise: Noise | None,
) -> Pieces:
    """Return the pieces of one person."""
    found: dict[tuple[Hearing, int], list[Piece]] = defaultdict(list)
    sessions = list(dict.fromkeys(recording.session for recording in recordings))[:_MOST_SESSIONS]
    most_seconds = max(_MOST_SECONDS // len(sessions), _LEAST_SECONDS_OF_SESSION)
    for session in sessions:
        numbered = [(number, r) for number, r in enumerate(recordings) if r.session == session]
        for hearing in hearings:
            if hearing.carried == "narrowband":
                continue
            speech = _speech(numbered, hearing, vad, noise, most_seconds * MODEL_RATE_HZ)
            ways: list[tuple[Hearing, Callable[[Pcm16], Pcm16]]] = [(hearing, _as_heard)]
            narrowband = Hearing("narrowband", hearing.noisy)
            if hearing.carried == "wideband" and narrowband in hearings:
                ways.append((narrowband, narrowband_of))
            for way, heard in ways:
                for seconds in (SHORT_SECONDS, PIECE_SECONDS):
                    found[way, seconds] += [
                        Piece(recordings[0].speaker, session, first, last, embed_piece(embedder, heard(samples)))
                        for first, last, samples in _cut(speech, seconds)
                    ]
    return found


def _speech(
    numbered: Sequence[tuple[int, ManifestRecording]],
    hearing: Hearing,
    vad: VadModel,
    noise: Noise | None,
    most_samples: int,
) -> _Speech:
    """Return up to so much of the speech of some recordings, one after the other."""
    samples, frames, total = [np.zeros(0, np.int16)], [np.zeros(0, np.int64)], 0
    for number, recording in numbered:
        if total >= most_samples:
            break
        heard, rate_hz = recording.read()
        if hearing.carried == "wideband" and rate_hz <= RATE_HZ:
            continue
        if hearing.noisy and noise is not None:
            heard = noise.over(heard, rate_hz, recording.speaker, recording.labels["path"])
        if hearing.carried == "telephone" and rate_hz > RATE_HZ:
            heard, rate_hz = through_telephone(heard, rate_hz), RATE_HZ
        if hearing.line is not None:
            heard = over_line(heard, hearing.line, recording.name)
        gate = SpeechGate(vad, rate_hz)
        for part in (gate.push(heard), gate.end()):
            samples.append(part.speech)
            frames.append(number * _RECORDING_FRAMES + part.first_frame + np.flatnonzero(part.is_speech))
        total += len(samples[-2]) + len(samples[-1])
    return _Speech(np.concatenate(samples)[:most_samples], np.concatenate(frames))


def _cut(speech: _Speech, seconds: int) -> Iterator[tuple[int, int, Pcm16]]:
    """Yield where each piece begins and ends in the recordings, and its samples; what is left over is dropped."""
    length = seconds * MODEL_RATE_HZ
    for start in range(0, len(speech.samples) - length + 1, length):
        end = start + length
        first, last = speech.frames[start // FRAME_SAMPLES], speech.frames[(end - 1) // FRAME_SAMPLES]
        yield int(first), int(last), speech.samples[start:end]


def _as_heard(samples: Pcm16) -> Pcm16:
    return samples
