"""Labeled clips, and what is said of each: by itself, and after the same person's earlier clips.

Clips go through the speech gate of live calls, and their speech is cut as the analyzer would cut it if nobody paused:
utterances of up to 10 s for the words, pieces of up to 5 s for the sound, all of a clip equally long. A clip's tone is
the mean of its pieces.

A person's clips are heard in an order that no label has a say in: that of a hash of their paths.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

import numpy as np
import soxr

from carillon.analysis import ToneModel, VadModel, WordsModel, speech_of
from carillon.analysis.speech.telephone import RATE_HZ, through_telephone
from carillon.audio import MODEL_RATE_HZ, Pcm, from_pcm16
from carillon.evaluation.manifest import BadManifest, ManifestRecording
from carillon.evaluation.pieces import BandName
from carillon.evaluation.tone.measures import LABELS
from carillon.inference import AcousticJudgment, Probabilities, SpeakerBaseline, WordsJudgment, fuse

LEAST_SECONDS: Final = 0.5
MOST_SECONDS: Final = 30
"""Of a clip's speech; what is said later is not heard."""

_PIECE_SECONDS: Final = 5
_UTTERANCE_SECONDS: Final = 10
_LEAST_SECONDS_OF_WORDS: Final = 1
_REMEMBERED: Final = 8


@dataclass(frozen=True, slots=True)
class ToneModels:
    """What listens."""

    vad: VadModel
    tone: ToneModel
    words: WordsModel | None
    """None: acoustics alone."""


class JudgmentCache:
    """Judges what two listeners to the same call ask for, one with words and one without, only once.

    Both must hear the call at the same pace: only the last few judgments are remembered.
    """

    def __init__(self, tone: ToneModel) -> None:
        self.id = tone.id
        self._tone = tone
        self._last: deque[tuple[bytes, float, tuple[AcousticJudgment, SpeakerBaseline]]] = deque(maxlen=_REMEMBERED)

    def judge(self, speech: Pcm, baseline: SpeakerBaseline, /) -> tuple[AcousticJudgment, SpeakerBaseline]:
        """Judge (n,) speech as the model does."""
        data = speech.tobytes()
        for heard, seconds, judged in self._last:
            if (heard, seconds) == (data, baseline.seconds):
                return judged
        self._last.append((data, baseline.seconds, self._tone.judge(speech, baseline)))
        return self._last[-1][2]


@dataclass(frozen=True, slots=True)
class Clip:
    """A line of the manifest, understood."""

    recording: ManifestRecording
    truth: int
    """Number of the class that was asked for."""
    corpus: str
    is_english: bool
    """True also if the manifest has no column `language`: the product is told en-US by every client of AWS's."""

    def samples(self, band: BandName) -> tuple[Pcm, int] | None:
        """Read it as (n,) samples of one band at 16 or 8 kHz; None if it was never recorded in that band.

        Raises:
            BadManifest: the file is not audio that can be read.
        """
        samples, rate_hz = self.recording.read()
        if band == "wideband" and rate_hz <= RATE_HZ:
            return None
        to_hz = MODEL_RATE_HZ if band == "wideband" else RATE_HZ
        if band == "telephone" and rate_hz > RATE_HZ:
            return through_telephone(samples, rate_hz), to_hz
        resampled: Pcm = samples if rate_hz == to_hz else soxr.resample(samples, rate_hz, to_hz)
        return resampled, to_hz


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one clip."""

    clip: Clip
    alone: Mapping[bool, Probabilities] | None
    """With words (True) and without; None if it holds too little speech."""
    after_others: Mapping[bool, Probabilities] | None = field(default=None)
    """The same, knowing how the person sounded before."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, at one sitting: what a call could hold."""

    corpus: str
    speaker: str
    session: str
    clips: Sequence[Clip]
    """In the order in which they are heard."""


def people_of(recordings: Sequence[ManifestRecording]) -> list[Person]:
    """Sort a manifest's lines by person and sitting.

    Raises:
        BadManifest: a valence is none of negative, neutral, positive; a corpus is missing; or a file is listed twice.
    """
    clips: dict[tuple[str, str, str], list[Clip]] = defaultdict(list)
    seen = set()
    for recording in recordings:
        clip = _clip(recording)
        if recording.name in seen:
            raise BadManifest(f"{recording.path} is listed twice, and would count twice. Keep one line.")
        seen.add(recording.name)
        clips[clip.corpus, recording.speaker, recording.session].append(clip)
    return [Person(*who, sorted(own, key=_place)) for who, own in sorted(clips.items())]


def _clip(recording: ManifestRecording) -> Clip:
    labels = recording.labels
    if labels["valence"] not in LABELS:
        raise BadManifest(
            f"{recording.path}: the valence must be one of {', '.join(LABELS)}, not {labels['valence']!r}. "
            "Correct that line, or choose others with --where column=value."
        )
    if not labels["corpus"]:
        raise BadManifest(f"{recording.path}: the corpus is empty. Name the set of recordings that it belongs to.")
    language = (labels.get("language") or "en").lower()
    is_english = language in ("en", "eng", "english") or language.startswith(("en-", "en_"))
    return Clip(recording, LABELS.index(labels["valence"]), labels["corpus"], is_english)


def _place(clip: Clip) -> str:
    return hashlib.sha256(clip.recording.name.encode()).hexdigest()


def answers(person: Person, band: BandName, ears: ToneModels) -> Iterator[Answer]:
    """Listen to a person's clips, one after the other.

    Raises:
        BadManifest: a file is not audio that can be read.
    """
    baseline = SpeakerBaseline()
    for clip in person.clips:
        read = clip.samples(band)
        if read is None:
            continue
        speech = from_pcm16(speech_of(*read, ears.vad))[: MOST_SECONDS * MODEL_RATE_HZ]
        if len(speech) < LEAST_SECONDS * MODEL_RATE_HZ:
            yield Answer(clip, None)
            continue
        said = _said(speech, ears.words if clip.is_english else None)
        alone, _ = _tone(said, ears.tone, SpeakerBaseline())
        after_others, baseline = _tone(said, ears.tone, baseline)
        yield Answer(clip, alone, after_others)


def _said(speech: Pcm, words: WordsModel | None) -> list[tuple[Pcm, WordsJudgment | None]]:
    """Cut speech into utterances, and understand each."""
    least = _LEAST_SECONDS_OF_WORDS * MODEL_RATE_HZ
    parts = _evenly(speech, _UTTERANCE_SECONDS)
    return [(part, words.judge(part) if words is not None and len(part) >= least else None) for part in parts]


def _tone(
    said: Sequence[tuple[Pcm, WordsJudgment | None]], tone: ToneModel, baseline: SpeakerBaseline
) -> tuple[Mapping[bool, Probabilities], SpeakerBaseline]:
    """Return the tone of some utterances with (True) and without words, and what is known of the person afterwards."""
    sums = {True: np.zeros(3), False: np.zeros(3)}
    for utterance, words in said:
        for piece in _evenly(utterance, _PIECE_SECONDS):
            sound, baseline = tone.judge(piece, baseline)
            fused = sound.probabilities if words is None else fuse(sound.probabilities, words.probabilities)
            sums[False] += len(piece) * np.array(sound.probabilities)
            sums[True] += len(piece) * np.array(fused)
    return {key: _normalized(total) for key, total in sums.items()}, baseline


def _normalized(total: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Probabilities:
    negative, neutral, positive = (total / total.sum()).tolist()
    return negative, neutral, positive


def _evenly(speech: Pcm, most_seconds: int) -> list[Pcm]:
    """Cut (n,) speech into the fewest parts of at most so many seconds, equally long."""
    return np.array_split(speech, ceil(len(speech) / (most_seconds * MODEL_RATE_HZ)))
