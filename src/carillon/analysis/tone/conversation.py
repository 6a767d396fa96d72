"""Who speaks how much, how loud and how fast, and who talks over whom: an extension, for both channels of a stream.

The other participant's channel is gated as the speaker's own is, frame beside frame, so all of it is counted in frames:
of the last 30 s each one by itself, since a window may begin at any of them; of the whole call in sums. All sums are of
whole numbers, so they do not depend on how the samples arrived.
"""

from dataclasses import dataclass, field, replace
from math import log10
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.speech import FRAME_SAMPLES, FRAME_SECONDS, GateState, JudgedFrames, SpeechGate, VadModel
from carillon.analysis.tone.averages import SAMPLES_PER_MS
from carillon.analysis.tone.findings import ConversationMeasures, VoiceDetails
from carillon.analysis.tone.syllables import SyllableNuclei
from carillon.audio import Pcm

_FULL_SCALE: Final = 32_768
_COLUMNS: Final = 3  # of each voice: is it speech, its power if so, the syllables that end in it
_Rows = npt.NDArray[np.float32]


def _no_rows() -> _Rows:
    return np.zeros((0, 2 * _COLUMNS), np.float32)


@dataclass(frozen=True, slots=True)
class VoiceSums:
    """One voice over some frames."""

    frames: int = 0
    """Of speech."""
    power: int = 0
    """Of their samples' squares, at 16 bits."""
    syllables: int = 0

    def plus(self, more: "VoiceSums") -> "VoiceSums":
        """Add up."""
        return VoiceSums(self.frames + more.frames, self.power + more.power, self.syllables + more.syllables)

    def of(self, frames: int) -> VoiceDetails:
        """Return the measures over so many frames."""
        seconds = self.frames * FRAME_SECONDS
        mean = self.power / (self.frames * FRAME_SAMPLES * _FULL_SCALE**2) if self.frames else 0.0
        return VoiceDetails(
            speech_ratio=self.frames / frames,
            loudness_dbfs=10 * log10(mean) if mean else None,
            syllables_per_second=self.syllables / seconds if self.frames else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ConversationState:
    """All that a Conversation remembers: numbers, and under 0.1 s of the other voice. Replaced, never mutated."""

    gate: GateState | None = None
    """Of the other channel, if there is one."""
    rows: _Rows = field(default_factory=_no_rows, repr=False)
    """(k, 6) the last frames, oldest first: three columns of the speaker's own voice, then of the other."""
    end_frame: int = 0
    """Number of the frame after the last of them."""
    frames: int = 0
    """Of the whole call, as long as anybody counted."""
    both: int = 0
    """Frames in which both speak."""
    own: VoiceSums = field(default_factory=VoiceSums)
    other: VoiceSums = field(default_factory=VoiceSums)
    own_nuclei: SyllableNuclei = field(default_factory=SyllableNuclei)
    other_nuclei: SyllableNuclei = field(default_factory=SyllableNuclei)


class Conversation:
    """Counts frames of the speaker's own channel, and of the other one if it comes along.

    Args:
        vad: tells speech from everything else on the other channel.
        rate_hz: of both channels' samples.
        own: where the gate of the speaker's own channel stands: both judge the same frames from now on.
        state: where an earlier one stopped.
        settings: those of the gate, and the window.
        has_other: the other channel's samples will be pushed too.
    """

    def __init__(
        self,
        vad: VadModel,
        rate_hz: int,
        own: GateState,
        state: ConversationState | None,
        settings: AnalysisSettings,
        *,
        has_other: bool,
    ) -> None:
        self._state = state or ConversationState()
        self._gate = SpeechGate(vad, rate_hz, self._state.gate or _silenced(own), settings) if has_other else None
        self._window_samples = settings.tone_window_seconds * 1000 * SAMPLES_PER_MS

    @property
    def state(self) -> ConversationState:
        """Return all that must be remembered across a restart."""
        return replace(self._state, gate=self._gate.state if self._gate else None)

    def push(self, other: Pcm) -> JudgedFrames | None:
        """Take (n,) samples of the other channel, as many as of the speaker's own; return the frames they completed."""
        return self._gate.push(other) if self._gate else None

    def interrupt(self, rate_hz: int) -> JudgedFrames | None:
        """Mark a gap, as `SpeechGate.interrupt` does."""
        return self._gate.interrupt(rate_hz) if self._gate else None

    def end(self) -> JudgedFrames | None:
        """Return the frames that the other channel's resampler still held."""
        return self._gate.end() if self._gate else None

    def add(self, own: JudgedFrames, other: JudgedFrames | None) -> None:
        """Count frames of both channels; those of the other are the same ones."""
        state = self._state
        own_rows, own_sums, own_nuclei = _counted(own, state.own_nuclei)
        other_rows, other_sums, other_nuclei = np.zeros_like(own_rows), VoiceSums(), state.other_nuclei
        if other is not None:
            other_rows, other_sums, other_nuclei = _counted(other, other_nuclei)
        rows = np.concatenate([state.rows, np.concatenate([own_rows, other_rows], axis=1)])
        self._state = ConversationState(
            rows=rows[max(0, len(rows) - self._window_samples // FRAME_SAMPLES - 1) :],
            end_frame=own.first_frame + len(own_rows),
            frames=state.frames + len(own_rows),
            both=state.both + int((own_rows[:, 0] * other_rows[:, 0]).sum()),
            own=state.own.plus(own_sums),
            other=state.other.plus(other_sums),
            own_nuclei=own_nuclei,
            other_nuclei=other_nuclei,
        )

    def overall(self) -> ConversationMeasures | None:
        """Return the measures of the whole call; None before its first frame."""
        state = self._state
        return self._talk(state.frames, state.both, state.own, state.other)

    def since(self, begin_ms: int) -> ConversationMeasures | None:
        """Return the measures since a media time at most a window ago; None if there was no frame."""
        first = begin_ms * SAMPLES_PER_MS // FRAME_SAMPLES  # the first one that ends after it
        rows = self._state.rows
        rows = rows[max(0, len(rows) - max(0, self._state.end_frame - first)) :].astype(np.float64)
        sums = rows.sum(axis=0)
        own, other = (
            VoiceSums(int(part[0]), int(part[1]), int(part[2])) for part in (sums[:_COLUMNS], sums[_COLUMNS:])
        )
        return self._talk(len(rows), int((rows[:, 0] * rows[:, _COLUMNS]).sum()), own, other)

    def _talk(self, frames: int, both: int, own: VoiceSums, other: VoiceSums) -> ConversationMeasures | None:
        if not frames:
            return None
        has_other = self._gate is not None
        return ConversationMeasures(
            speaker=own.of(frames),
            other=other.of(frames) if has_other else None,
            talk_over_ratio=both / frames if has_other else None,
            silence_ratio=(frames - own.frames - other.frames + both) / frames,
        )


def _counted(judged: JudgedFrames, nuclei: SyllableNuclei) -> tuple[_Rows, VoiceSums, SyllableNuclei]:
    """Return (k, 3) rows of one voice, their sums, and what counting syllables remembers."""
    syllables, nuclei = nuclei.count(judged)
    powers = (judged.frames.astype(np.int64) ** 2).sum(axis=1) * judged.is_speech
    sums = VoiceSums(int(judged.is_speech.sum()), int(powers.sum()), int(syllables.sum()))
    return np.stack([judged.is_speech, powers, syllables], axis=1).astype(np.float32), sums, nuclei


def _silenced(own: GateState) -> GateState:
    """Return a gate that stands where another one does, and had silence until then."""
    pending, rest = own.resampler.pending, own.rest
    return GateState(
        replace(own.resampler, pending=np.zeros_like(pending)),
        rest=np.zeros_like(rest),
        frame_count=own.frame_count,
        rate_hz=own.rate_hz,
    )
