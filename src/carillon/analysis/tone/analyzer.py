"""How somebody sounds and what they say, every 5 s: judged as it is said, then put together over 30 s and the call.

Ticks lie in media time, so a replay gives the same reports as the live call. Only speech is judged, each frame of it
exactly once by its sound and once more by its words, when the utterance that it belongs to is over. If less than half a
second came between two ticks, it waits and is judged with what follows: so no speech is lost, and the model never
judges less than it can hear. A frame belongs to the tick by which it ended.
"""

from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

import numpy as np

from carillon.analysis.packing import pack, unpack
from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.speech import FRAME_SAMPLES, FRAME_SECONDS, GateState, JudgedFrames, SpeechGate, VadModel
from carillon.analysis.tone.averages import SAMPLES_PER_MS, ToneAverage, ToneSegment, ToneSum, average_of
from carillon.analysis.tone.conversation import Conversation, ConversationState
from carillon.analysis.tone.findings import (
    ToneDetails,
    ToneDrifted,
    ToneFinding,
    ToneReported,
    ToneTooLittleSpeech,
    UtteranceWords,
)
from carillon.analysis.tone.utterance import LEAST_SAMPLES, Utterance
from carillon.audio import Pcm, from_pcm16
from carillon.inference import AcousticJudgment, SpeakerBaseline, WordsJudgment

_STATE_VERSION: Final = 3


class ToneModel(Protocol):
    """Judges a few seconds of speech by their sound."""

    id: str

    def judge(self, speech: Pcm, baseline: SpeakerBaseline, /) -> tuple[AcousticJudgment, SpeakerBaseline]:
        """Judge (n,) speech at 16 kHz, n >= 8_000; return also how the speaker usually sounds, with this blended in."""
        ...


class WordsModel(Protocol):
    """Judges an utterance by its words."""

    def judge(self, speech: Pcm, /) -> WordsJudgment:
        """Understand (n,) speech at 16 kHz, 1 to 12 s of it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ToneState:
    """All that a ToneAnalyzer remembers: up to 10 s of speech, and numbers. Replaced, never mutated."""

    gate: GateState = field(default_factory=GateState)
    utterance: Utterance = field(default_factory=Utterance)
    recent: tuple[ToneSegment, ...] = ()  # judged for good, within 30 s of the last speech that was
    total: ToneSum = field(default_factory=ToneSum)
    baseline: SpeakerBaseline = field(default_factory=SpeakerBaseline)
    tone_id: str = ""  # of the model whose baseline it is
    speech_frames: int = 0
    tick_count: int = 0
    is_negative: bool = False  # the overall tone is, and that was reported
    spoken: tuple[UtteranceWords, ...] = ()  # understood since the last report
    conversation: ConversationState | None = None
    is_done: bool = False

    def to_bytes(self) -> bytes:
        """Return the state as bytes, to be sealed and stored: it holds a voice."""
        return pack(self, _STATE_VERSION)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            StateUnreadable: the bytes are damaged, or of another version.
        """
        return unpack(cls, data, _STATE_VERSION)


class ToneAnalyzer:
    """Turns one participant's audio into a ToneReported every 5 s of media time, once there are 10 s of speech.

    Args:
        vad: tells speech from everything else.
        tone: judges how speech sounds.
        rate_hz: of the samples that will be pushed, 8000 to 48000.
        state: where an earlier analyzer of the same task stopped.
        settings: the cadence, the window, the least speech, and which extensions are on.
        words: judges what is said; None judges by sound alone.
        has_other: the other participant's channel can be had too.

    Raises:
        UnsupportedRate: the rate is out of range.

    Source: Amazon Chime SDK Developer Guide, "Understanding the voice tone analysis workflow".
    """

    def __init__(
        self,
        vad: VadModel,
        tone: ToneModel,
        rate_hz: int,
        state: ToneState | None = None,
        settings: AnalysisSettings | None = None,
        words: WordsModel | None = None,
        *,
        has_other: bool = False,
    ) -> None:
        state, settings = state or ToneState(), settings or AnalysisSettings()
        self.state = state if state.tone_id == tone.id else replace(state, baseline=SpeakerBaseline(), tone_id=tone.id)
        self._tone, self._words, self._settings = tone, words, settings
        self._gate = SpeechGate(vad, rate_hz, state.gate, settings)
        self._conversation: Conversation | None = None
        if settings.tone_conversation:
            self._conversation = Conversation(
                vad, rate_hz, state.gate, state.conversation, settings, has_other=has_other
            )
        self.hears_other = has_other and self._conversation is not None
        """Whether `push` is to be given the other channel."""
        self._tick_ms = settings.tone_every_seconds * 1000
        self._window_ms = settings.tone_window_seconds * 1000

    @property
    def is_done(self) -> bool:
        """Return whether the audio ended: tone is reported as long as there is any."""
        return self.state.is_done

    def interrupt(self, rate_hz: int) -> list[ToneFinding]:
        """Mark a gap: the samples that come next do not adjoin those that came, or have another rate.

        Raises:
            UnsupportedRate: the rate is out of range.
        """
        if self.is_done:
            return []
        own = self._gate.interrupt(rate_hz)
        findings = self._advanced(own, self._conversation.interrupt(rate_hz) if self._conversation else None)
        if self.state.utterance.is_long:
            self._close()
        return findings

    def push(self, samples: Pcm, other: Pcm | None = None) -> list[ToneFinding]:
        """Take (n,) samples in [-1, 1], any n; return the reports whose tick they passed.

        Args:
            samples: of the speaker.
            other: (n,) what the other participant's channel held meanwhile; needed if `hears_other`, else ignored.
        """
        if self.is_done:
            return []
        judged = None
        if self.hears_other and self._conversation:
            assert other is not None, "an analyzer that hears both channels is given both"
            judged = self._conversation.push(other)
        return self._advanced(self._gate.push(samples), judged)

    def end(self) -> list[ToneFinding]:
        """Return the reports still due, then the final one, or ToneTooLittleSpeech if there was less than 10 s."""
        if self.is_done:
            return []
        findings = self._advanced(self._gate.end(), self._conversation.end() if self._conversation else None)
        self._close()
        findings += self._final()
        self.state = ToneState(self._gate.state, is_done=True)
        return findings

    def _advanced(self, own: JudgedFrames, other: JudgedFrames | None) -> list[ToneFinding]:
        findings: list[ToneFinding] = []
        numbers = np.arange(own.first_frame, own.first_frame + len(own.frames))
        ticks_before = ((numbers + 1) * FRAME_SAMPLES - 1) // (self._tick_ms * SAMPLES_PER_MS)
        for tick in np.unique(ticks_before):
            while self.state.tick_count < tick:
                findings += self._tick()
            begin, end = np.searchsorted(ticks_before, [tick, tick + 1]).tolist()
            self._add(own.part(begin, end))
            if self._conversation:
                self._conversation.add(own.part(begin, end), other.part(begin, end) if other else None)
        conversation = self._conversation.state if self._conversation else None
        self.state = replace(self.state, gate=self._gate.state, conversation=conversation)
        return findings

    def _add(self, judged: JudgedFrames) -> None:
        for part, is_over in self.state.utterance.parts(judged):
            state = self.state
            speech_frames = state.speech_frames + int(part.is_speech.sum())
            self.state = replace(state, utterance=state.utterance.plus(part), speech_frames=speech_frames)
            if is_over:
                self._close()

    def _tick(self) -> list[ToneFinding]:
        """Close the current 5 s: judge their speech and report, if there is something to report."""
        self._judge()
        self.state = replace(self.state, tick_count=self.state.tick_count + 1)
        if not self._is_enough():
            return []
        now_ms = self.state.tick_count * self._tick_ms
        begin_ms = max(0, now_ms - self._window_ms)
        current, overall = self._average(begin_ms, now_ms), self._overall(now_ms)
        return self._report(current, overall, begin_ms) if current and overall else []

    def _judge(self) -> None:
        """Judge the sound of what was not judged yet, if it is enough for that."""
        utterance = self.state.utterance
        if len(utterance.unjudged) < LEAST_SAMPLES:
            return
        sound, baseline = self._tone.judge(from_pcm16(utterance.unjudged), self.state.baseline)
        utterance = utterance.judged(sound, keeps_speech=self._words is not None)
        self.state = replace(self.state, utterance=utterance, baseline=baseline)

    def _close(self) -> None:
        """End the utterance: judge the rest of it, and its words."""
        self._judge()
        state, utterance = self.state, self.state.utterance
        said = None
        if self._words and utterance.is_long and utterance.is_whole:
            said = self._words.judge(from_pcm16(utterance.speech))
        total, recent = state.total, list(state.recent)
        for segment in utterance.understood(said):
            total = total.plus(segment, len(segment.frames))
            recent.append(segment)
        since = (recent[-1].frames[-1] + 1) * FRAME_SAMPLES - self._window_ms * SAMPLES_PER_MS if recent else 0
        spoken = state.spoken
        if said is not None and said.text and self._settings.tone_transcript:
            spoken = (*spoken, UtteranceWords(*utterance.span_ms, said.text))
        self.state = replace(
            state,
            utterance=Utterance(),
            recent=tuple(segment for segment in recent if segment.frames_since(since)),
            total=total,
            spoken=spoken,
        )

    def _average(self, begin_ms: int, end_ms: int) -> ToneAverage | None:
        return average_of((*self.state.recent, *self.state.utterance.segments), begin_ms, end_ms)

    def _overall(self, end_ms: int) -> ToneAverage | None:
        total = self.state.total
        for segment in self.state.utterance.segments:
            total = total.plus(segment, len(segment.frames))
        return total.average(0, end_ms)

    def _is_enough(self) -> bool:
        return self.state.speech_frames * FRAME_SECONDS >= self._settings.tone_seconds

    def _report(
        self, current: ToneAverage, overall: ToneAverage, begin_ms: int | None, *, final: bool = False
    ) -> list[ToneFinding]:
        """Return a report, and before it that the tone has turned, if it has.

        Args:
            current: of the window.
            overall: of the call.
            begin_ms: where a window begins that ends now; None if it ended earlier.
            final: it is the last one.
        """
        drifted = self._drifted(current, overall)
        report = ToneReported(current, overall, final, self._details(begin_ms))
        self.state = replace(self.state, spoken=())
        return [*drifted, report]

    def _details(self, begin_ms: int | None) -> ToneDetails | None:
        talk = self._conversation
        if talk is None and not self._settings.tone_transcript:
            return None
        return ToneDetails(
            current=talk.since(begin_ms) if talk and begin_ms is not None else None,
            overall=talk.overall() if talk else None,
            spoken=self.state.spoken,
        )

    def _drifted(self, current: ToneAverage, overall: ToneAverage) -> list[ToneFinding]:
        threshold, was = self._settings.tone_drift_negative, self.state.is_negative
        if not threshold:
            return []
        least = threshold - self._settings.tone_drift_hysteresis if was else threshold
        self.state = replace(self.state, is_negative=overall.negative >= least)
        return [ToneDrifted(current, overall)] if self.state.is_negative and not was else []

    def _final(self) -> list[ToneFinding]:
        state, gate = self.state, self._gate.state
        end_ms = (gate.frame_count * FRAME_SAMPLES + len(gate.rest)) // SAMPLES_PER_MS
        overall = self._overall(end_ms)
        if overall is None or not self._is_enough():
            return [ToneTooLittleSpeech(state.speech_frames * FRAME_SECONDS)]
        begin_ms: int | None = max(0, end_ms - self._window_ms)
        current = self._average(max(0, end_ms - self._window_ms), end_ms)
        if current is None:
            begin_ms, end_ms = None, (state.recent[-1].frames[-1] + 1) * FRAME_SAMPLES // SAMPLES_PER_MS
            current = self._average(max(0, end_ms - self._window_ms), end_ms)
        assert current is not None, "the last segment lies in the 30 s before its own end"
        return self._report(current, overall, begin_ms, final=True)
