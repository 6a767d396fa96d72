"""How a voice sounds, every 5 s: what was said since the last tick is judged, then averaged over 30 s and the call.

Ticks lie in media time, so a replay gives the same reports as the live call. Only speech is judged. If less than half a
second of it came between two ticks, it waits and is judged with what follows: so no speech is lost, and the model never
judges less than it can hear. A frame belongs to the tick by which it ended.
"""

from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self, TypeAlias

import numpy as np

from carillon.analysis.packing import pack, unpack
from carillon.analysis.settings import Settings
from carillon.analysis.speech import FRAME_SAMPLES, FRAME_SECONDS, GateState, Heard, SpeechGate, VadModel
from carillon.analysis.tone.averages import (
    SAMPLES_PER_MS,
    Probabilities,
    Segment,
    ToneAverage,
    Total,
    average_of,
)
from carillon.audio import MODEL_RATE_HZ, Pcm, Pcm16, from_pcm16

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2

_STATE_VERSION: Final = 1


class ToneModel(Protocol):
    """Judges a few seconds of speech."""

    def probabilities(self, speech: Pcm, /) -> Probabilities:
        """Judge (n,) speech at 16 kHz, n >= 8_000: negative, neutral, positive, summing to 1."""
        ...


@dataclass(frozen=True, slots=True)
class ToneReported:
    """A report: the periodic one, or the final one."""

    current: ToneAverage
    """Of the last 30 s. In the final report, if nobody spoke so late, of the 30 s up to the last speech."""
    overall: ToneAverage
    final: bool


@dataclass(frozen=True, slots=True)
class ToneTooLittleSpeech:
    """The audio ended before there was enough speech to report anything."""

    speech_seconds: float
    """What there was."""


ToneFinding: TypeAlias = ToneReported | ToneTooLittleSpeech


def _nothing() -> Pcm16:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class ToneState:
    """All that a ToneAnalyzer remembers across a restart: under 6 s of speech, and numbers. Replaced, never mutated."""

    gate: GateState = field(default_factory=GateState)
    speech: Pcm16 = field(default_factory=_nothing, repr=False)  # (n,) not yet judged, oldest first
    frames: tuple[int, ...] = ()  # the numbers of its frames
    recent: tuple[Segment, ...] = ()  # judged, within 30 s of the last speech
    total: Total = field(default_factory=Total)
    speech_frames: int = 0
    tick_count: int = 0
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
        tone: judges speech.
        rate_hz: of the samples that will be pushed, 8000 to 48000.
        state: where an earlier analyzer of the same task stopped.
        settings: the cadence, the window and the least speech.

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
        settings: Settings | None = None,
    ) -> None:
        self.state = state or ToneState()
        settings = settings or Settings()
        self._tone = tone
        self._gate = SpeechGate(vad, rate_hz, self.state.gate, settings)
        self._tick_ms = settings.tone_every_seconds * 1000
        self._window_ms = settings.tone_window_seconds * 1000
        self._least_seconds = settings.tone_seconds

    @property
    def is_done(self) -> bool:
        """Tell whether the audio ended: tone is reported as long as there is any."""
        return self.state.is_done

    def interrupt(self, rate_hz: int) -> list[ToneFinding]:
        """Take note that the samples that come next do not adjoin those that came, or have another rate.

        Raises:
            UnsupportedRate: the rate is out of range.
        """
        return [] if self.is_done else self._advanced(self._gate.interrupt(rate_hz))

    def push(self, samples: Pcm) -> list[ToneFinding]:
        """Take (n,) samples in [-1, 1], any n; return the reports whose tick they passed."""
        if self.is_done:
            return []
        return self._advanced(self._gate.push(samples))

    def end(self) -> list[ToneFinding]:
        """Return the reports still due, then the final one, or ToneTooLittleSpeech if there was less than 10 s."""
        if self.is_done:
            return []
        findings = self._advanced(self._gate.end())
        self._judge()
        findings.append(self._final())
        self.state = ToneState(self._gate.state, is_done=True)
        return findings

    def _advanced(self, heard: Heard) -> list[ToneFinding]:
        findings: list[ToneFinding] = []
        numbers = np.arange(heard.first_frame, heard.first_frame + len(heard.frames))
        ticks_before = ((numbers + 1) * FRAME_SAMPLES - 1) // (self._tick_ms * SAMPLES_PER_MS)
        for tick in np.unique(ticks_before):
            while self.state.tick_count < tick:
                findings += self._tick()
            of_tick = (ticks_before == tick) & heard.is_speech
            self._hear(heard.frames[of_tick], numbers[of_tick].tolist())
        self.state = replace(self.state, gate=self._gate.state)
        return findings

    def _hear(self, frames: Pcm16, numbers: list[int]) -> None:
        state = self.state
        self.state = replace(
            state,
            speech=np.concatenate([state.speech, frames.ravel()]),
            frames=(*state.frames, *numbers),
            speech_frames=state.speech_frames + len(numbers),
        )

    def _tick(self) -> list[ToneFinding]:
        """Close the current 5 s: judge their speech and report, if there is something to report."""
        self._judge()
        self.state = replace(self.state, tick_count=self.state.tick_count + 1)
        if not self._is_enough():
            return []
        now_ms = self.state.tick_count * self._tick_ms
        current = average_of(self.state.recent, max(0, now_ms - self._window_ms), now_ms)
        overall = self.state.total.average(0, now_ms)
        return [ToneReported(current, overall, final=False)] if current and overall else []

    def _judge(self) -> None:
        state = self.state
        if len(state.speech) < LEAST_SAMPLES:
            return
        segment = Segment(state.frames, self._tone.probabilities(from_pcm16(state.speech)))
        since = (segment.frames[-1] + 1) * FRAME_SAMPLES - self._window_ms * SAMPLES_PER_MS
        self.state = replace(
            state,
            speech=_nothing(),
            frames=(),
            recent=tuple(item for item in (*state.recent, segment) if item.frames_since(since)),
            total=state.total.plus(len(segment.frames), segment.probabilities),
        )

    def _is_enough(self) -> bool:
        return self.state.speech_frames * FRAME_SECONDS >= self._least_seconds

    def _final(self) -> ToneFinding:
        state, gate = self.state, self._gate.state
        end_ms = (gate.frame_count * FRAME_SAMPLES + len(gate.rest)) // SAMPLES_PER_MS
        overall = state.total.average(0, end_ms)
        if overall is None or not self._is_enough():
            return ToneTooLittleSpeech(state.speech_frames * FRAME_SECONDS)
        current = average_of(state.recent, max(0, end_ms - self._window_ms), end_ms)
        if current is None:
            end_ms = (state.recent[-1].frames[-1] + 1) * FRAME_SAMPLES // SAMPLES_PER_MS
            current = average_of(state.recent, max(0, end_ms - self._window_ms), end_ms)
        assert current is not None, "the last segment lies in the 30 s before its own end"
        return ToneReported(current, overall, final=True)
