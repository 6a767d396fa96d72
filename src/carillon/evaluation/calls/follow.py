"""A recorded call through the analyzers of live calls: what they say every 5 s, and the words that they understand.

Each channel has an analyzer with words and one without, fed a tenth of a second at a time. A report does not tell how
the words alone sound, so they are overheard on their way from the model.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.analysis import ToneAnalyzer, ToneFinding, ToneReported, WordsModel
from carillon.analysis.speech import FRAME_SAMPLES, FRAME_SECONDS, SpeechGate
from carillon.analysis.speech.resample import within_reach
from carillon.audio import Pcm
from carillon.evaluation.calls.files import BadCall, CallFile, Turn, call_files
from carillon.evaluation.manifest import CHANNELS
from carillon.evaluation.measures import Flags
from carillon.evaluation.progress import tracked
from carillon.evaluation.tone.clips import JudgmentCache, ToneModels
from carillon.inference import Models, ModelSettings, Probabilities, WordsJudgment
from carillon.media import UnreadableRecording, channel_of, opened, resampled

_PUSHED_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class CallWords:
    """Words, when they were said, and how they alone sound."""

    begin_seconds: float
    end_seconds: float
    text: str = field(repr=False)
    probabilities: Probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """One channel of a call."""

    name: str
    is_speech: Flags
    """(k,) for each 32 ms."""
    reports: Sequence[ToneReported]
    """As the product gives them: with words, if anything understands them."""
    by_sound: Sequence[ToneReported]
    """The same without words; empty if nothing understands them, since it is no different then."""
    understood: Sequence[CallWords]

    @property
    def speech_seconds(self) -> float:
        """Return how much of it is speech."""
        return float(self.is_speech.sum()) * FRAME_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class CallAnalysis:
    """What was heard of a call."""

    name: str
    seconds: float
    model: str
    words: str
    """What understands words; empty if nothing does."""
    parties: Sequence[Party]
    """One, or two: left and right."""
    turns: Sequence[Turn]


def follow_calls(directory: Path, settings: ModelSettings, *, threads: int = 2) -> list[CallAnalysis]:
    """Listen to every call of a folder.

    Args:
        directory: holds calls; see `files.py`.
        settings: which models are used.
        threads: calls that are listened to at the same time.

    Raises:
        BadCall: there are none, or one cannot be used; says which and why.
    """
    files = call_files(directory)
    models = Models(settings)
    ears = ToneModels(models.vad, models.tone, models.words)
    ids = (models.tone.id, "" if models.words is None else models.words.id)
    with ThreadPoolExecutor(threads) as pool:
        return tracked(pool, partial(follow, ears=ears, ids=ids), files, "calls")


def follow(file: CallFile, ears: ToneModels, ids: tuple[str, str]) -> CallAnalysis:
    """Listen to one call.

    Args:
        file: the call.
        ears: what listens.
        ids: of the models of tone and of words.

    Raises:
        BadCall: it cannot be read, or is not one or two channels.
    """
    try:
        with opened(file.path) as sound:
            if sound.channels > len(CHANNELS):
                raise BadCall(f"{file.path} has {sound.channels} channels. A call has one or two: convert it.")
            rate_hz = within_reach(sound.rate_hz)
            names = file.parties if sound.channels > 1 else ("both parties",)
            listeners = [_Listener(name, ears, rate_hz) for name in names]
            step = round(rate_hz * _PUSHED_SECONDS)
            for samples in resampled(sound, rate_hz):
                for at in range(0, len(samples), step):
                    for channel, listener in enumerate(listeners):
                        listener.push(channel_of(samples[at : at + step], channel))
            seconds = sound.frames() / sound.rate_hz
    except UnreadableRecording as error:
        raise BadCall(str(error)) from error
    return CallAnalysis(file.path.name, seconds, *ids, [listener.end() for listener in listeners], file.turns)


class _Listener:
    """Follows one channel."""

    def __init__(self, name: str, ears: ToneModels, rate_hz: int) -> None:
        self._name = name
        self._overheard = None if ears.words is None else _Overheard(ears.words)
        tone = JudgmentCache(ears.tone)
        self._worded = ToneAnalyzer(ears.vad, tone, rate_hz, words=self._overheard)
        self._bare = None if ears.words is None else ToneAnalyzer(ears.vad, tone, rate_hz)
        self._gate = SpeechGate(ears.vad, rate_hz)
        self._is_speech: list[Flags] = []
        self._reports: list[ToneReported] = []
        self._by_sound: list[ToneReported] = []
        self._understood: list[CallWords] = []

    def push(self, samples: Pcm) -> None:
        """Take (n,) samples."""
        self._is_speech.append(self._gate.push(samples).is_speech)
        self._reports += _reports(self._worded.push(samples))
        self._by_sound += _reports(self._bare.push(samples) if self._bare is not None else ())
        self._understand()

    def end(self) -> Party:
        """Return what was heard."""
        self._is_speech.append(self._gate.end().is_speech)
        self._reports += _reports(self._worded.end())
        self._by_sound += _reports(self._bare.end() if self._bare is not None else ())
        self._understand()
        return Party(self._name, np.concatenate(self._is_speech), self._reports, self._by_sound, self._understood)

    def _understand(self) -> None:
        """Find out when something was said that has just been understood: its speech is the latest that there is."""
        for samples, said in self._overheard.taken() if self._overheard is not None else ():
            speech: npt.NDArray[np.int64] = np.flatnonzero(np.concatenate(self._is_speech))
            first = speech[max(len(speech) - samples // FRAME_SAMPLES, 0)]
            begin, end = float(first) * FRAME_SECONDS, float(speech[-1] + 1) * FRAME_SECONDS
            self._understood.append(CallWords(begin, end, said.text, said.probabilities))


class _Overheard:
    """Passes speech on to a model of words, and notes what it says."""

    def __init__(self, words: WordsModel) -> None:
        self._words = words
        self._said: list[tuple[int, WordsJudgment]] = []

    def judge(self, speech: Pcm, /) -> WordsJudgment:
        """Judge (n,) speech at 16 kHz, as the model does."""
        said = self._words.judge(speech)
        self._said.append((len(speech), said))
        return said

    def taken(self) -> Iterator[tuple[int, WordsJudgment]]:
        """Yield what was said since the last time, each with its number of samples."""
        said, self._said = self._said, []
        yield from said


def _reports(findings: Iterable[ToneFinding]) -> Iterator[ToneReported]:
    return (finding for finding in findings if isinstance(finding, ToneReported))
