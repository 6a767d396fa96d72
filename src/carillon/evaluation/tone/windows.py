"""Windows of 30 s, each of one tone, heard by the analyzer of live calls.

Clips of one person and one tone are put together, with pauses, to stretches of 30 s. Each stretch is first a call of
its own: its current window, at 30 s, is somebody who has sounded so from the first word. Those with enough speech to be
reported at all (10 s) then follow each other in one call, in an order that no label has a say in: the current window at
the end of each is somebody whose tone has changed, or not, in mid-call.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from carillon.analysis import ToneAnalyzer, ToneFinding, ToneReported
from carillon.analysis.speech.telephone import RATE_HZ
from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.evaluation.pieces import BandName
from carillon.evaluation.tone.clips import Clip, JudgmentCache, Person, ToneModels
from carillon.evaluation.tone.measures import LABELS
from carillon.inference import Probabilities

STRETCH_SECONDS: Final = 30
PAUSE_SECONDS: Final = 0.6
"""After each clip: an utterance ends at a pause of 0.4 s, and speech goes on for 0.1 s after it sounds like it."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """30 s of one person in one tone."""

    truth: int
    is_english: bool
    """All of its clips are."""
    samples: Pcm
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Window:
    """What the analyzer said of one stretch; None where it says nothing, since there are no 10 s of speech."""

    truth: int
    is_english: bool
    alone: Mapping[bool, Probabilities] | None
    """As a call of its own, with words (True) and without."""
    in_call: Mapping[bool, Probabilities] | None
    """After the others of that person."""


def windows(person: Person, band: BandName, ears: ToneModels) -> list[Window]:
    """Listen to a person in stretches.

    Raises:
        BadManifest: a file is not audio that can be read.
    """
    found = [(stretch, _each([stretch], ears)[0]) for stretch in _stretches(person, band)]
    told = [stretch for stretch, alone in found if alone is not None]
    order = np.random.default_rng(zlib.crc32(person.speaker.encode())).permutation(len(told)).tolist()
    heard = _each([told[number] for number in order], ears)
    in_call = {id(told[number]): said for number, said in zip(order, heard, strict=True)}
    return [Window(stretch.truth, stretch.is_english, alone, in_call.get(id(stretch))) for stretch, alone in found]


def _each(stretches: Sequence[Stretch], ears: ToneModels) -> list[Mapping[bool, Probabilities] | None]:
    """Return the current window at the end of each stretch of one call, with words (True) and without."""
    if not stretches:
        return []
    rate_hz = stretches[0].rate_hz
    tone = JudgmentCache(ears.tone)
    analyzers = {False: ToneAnalyzer(ears.vad, tone, rate_hz)}
    if ears.words is not None and all(stretch.is_english for stretch in stretches):
        analyzers[True] = ToneAnalyzer(ears.vad, tone, rate_hz, words=ears.words)
    currents: dict[tuple[bool, int], Probabilities] = {}

    def note(with_words: bool, findings: Sequence[ToneFinding]) -> None:
        for finding in findings:
            if isinstance(finding, ToneReported):
                it = finding.current
                currents[with_words, it.end_ms] = (it.negative, it.neutral, it.positive)

    for stretch in stretches:
        for samples in np.array_split(stretch.samples, STRETCH_SECONDS):
            for with_words, analyzer in analyzers.items():
                note(with_words, analyzer.push(samples))
    for with_words, analyzer in analyzers.items():
        note(with_words, analyzer.end())
    return [_said(currents, 1000 * STRETCH_SECONDS * number) for number in range(1, len(stretches) + 1)]


def _said(currents: Mapping[tuple[bool, int], Probabilities], end_ms: int) -> Mapping[bool, Probabilities] | None:
    """Return what was reported at a moment; where nobody listened to words, they change nothing."""
    bare = currents.get((False, end_ms))
    return None if bare is None else {False: bare, True: currents.get((True, end_ms), bare)}


def _stretches(person: Person, band: BandName) -> Iterator[Stretch]:
    """Put a person's clips of each tone together, in the order in which they are heard anyway."""
    rate_hz = MODEL_RATE_HZ if band == "wideband" else RATE_HZ
    most, pause = STRETCH_SECONDS * rate_hz, round(PAUSE_SECONDS * rate_hz)
    for truth in range(len(LABELS)):
        parts: list[Pcm] = []
        clips: list[Clip] = []
        filled = 0
        for clip in person.clips:
            read = clip.samples(band) if clip.truth == truth else None
            if read is None:
                continue
            samples = read[0][: most - pause]
            if filled + len(samples) + pause > most:
                yield _stretch(parts, clips, most, rate_hz)
                parts, clips, filled = [], [], 0
            parts += [samples, np.zeros(pause, np.float32)]
            clips.append(clip)
            filled += len(samples) + pause
        if parts:
            yield _stretch(parts, clips, most, rate_hz)


def _stretch(parts: Sequence[Pcm], clips: Sequence[Clip], length: int, rate_hz: int) -> Stretch:
    samples = np.concatenate(parts)
    is_english = all(clip.is_english for clip in clips)
    return Stretch(clips[0].truth, is_english, np.pad(samples, (0, length - len(samples))), rate_hz)
