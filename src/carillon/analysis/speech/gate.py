"""Which part of a call is speech. Every "N seconds" of the product is counted here.

How it works. The call is cut into frames of 32 ms, and each is judged once. Speech begins at one probability and goes
on down to a lower one, and for a moment after that (hysteresis and hangover), so that the short closures in words do
not tear it:

    silence --probability >= start--> speech --probability < keep--> hangover --used up--> silence
                                      hangover --probability >= keep--> speech        any --a key--> silence

The tones of a keypad are never speech, and end it: the detector hears neither them nor the click behind them (one
frame), and then listens afresh. Nor is it asked about a line that has been idle for a second, and remembers what it
knew when it was asked last.

The invariant. `state` is all that is remembered, and it is a function of the samples so far: not of how they were
split, of the clock, or of other calls. A frame, once judged, is never judged again, so "10 s of speech" are the same
frames to whoever counts them. Frames are kept as 16-bit integers, which is all that a telephone holds: what is
remembered stays small and exact.

What was decided against. A threshold of energy: hold music and traffic have it. To look ahead, and begin speech some
frames earlier: what was said would change after it was told. Elapsed time instead of speech: AWS counts speech, and an
embedding of pauses is nobody's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import groupby
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.speech.keypad import are_key_tones
from carillon.analysis.speech.resample import Resampler, ResamplerState
from carillon.audio import MODEL_RATE_HZ, Pcm, Pcm16, from_pcm16, to_pcm16
from carillon.inference import VAD_WINDOW_SAMPLES, VadState

FRAME_SAMPLES: Final = VAD_WINDOW_SAMPLES
FRAME_SECONDS: Final = FRAME_SAMPLES / MODEL_RATE_HZ


_IDLE_PEAK: Final = 32
"""60 dB below full scale: digital silence, and the smallest step of mu-law and A-law (8) behind a resampler."""
_IDLE_FRAMES: Final = 31
"""A second of it. With a longer memory of nothing the detector hears the next onset worse."""


class VadModel(Protocol):
    """Judges one frame after the other. How many come together changes no bit of any judgment."""

    def push(self, frames: npt.NDArray[np.float32], state: VadState, /) -> tuple[npt.NDArray[np.float32], VadState]:
        """Judge (k, 512) samples at 16 kHz; return the (k,) probabilities of speech and what to remember."""
        ...


class _Asked(Enum):
    """Whether the detector is asked about a frame."""

    YES = 1
    KEY = 2  # a key is pressed, or was in the frame before
    IDLE = 3


def _nothing() -> Pcm16:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrames:
    """A run of judged frames."""

    first_frame: int
    """Number of the first one, counted from the start of the task: media time in units of 32 ms."""
    frames: Pcm16 = field(repr=False)
    """(k, 512) int16 at 16 kHz."""
    is_speech: npt.NDArray[np.bool_] = field(repr=False)
    """(k,) the judgment of each frame."""

    @property
    def speech(self) -> Pcm16:
        """Return (n,) speech, silence dropped."""
        return self.frames[self.is_speech].ravel()

    def part(self, begin: int, end: int) -> "JudgedFrames":
        """Return some of its frames: from the one at `begin` to the one before `end`."""
        return JudgedFrames(self.first_frame + begin, self.frames[begin:end], self.is_speech[begin:end])


@dataclass(frozen=True, slots=True, eq=False)
class GateState:
    """All that a SpeechGate remembers across a restart. Replaced, never mutated."""

    resampler: ResamplerState = field(default_factory=ResamplerState)
    vad: VadState = field(default_factory=VadState)
    rest: Pcm16 = field(default_factory=_nothing, repr=False)  # (< 512,) waiting to fill a frame
    frame_count: int = 0
    hangover_frames: int = 0  # how many more frames are speech without sounding like it; 0 outside speech
    rate_hz: int = 0  # of the samples that come now; 0 if it is still the one that the gate was made for
    ended_in_tone: bool = False  # a key was pressed in the last frame
    idle_frames: int = 0  # for how long the line has been idle, counted up to a second


class SpeechGate:
    """Judges a call frame by frame.

    Args:
        vad: judges one frame.
        rate_hz: of the samples that will be pushed, 8000 to 48000.
        state: where an earlier gate stopped.
        settings: the probabilities at which speech begins and ends.

    Raises:
        UnsupportedRate: the rate is out of range.
    """

    def __init__(
        self, vad: VadModel, rate_hz: int, state: GateState | None = None, settings: AnalysisSettings | None = None
    ) -> None:
        state, settings = state or GateState(), settings or AnalysisSettings()
        self._vad = vad
        self._resampler = Resampler(state.rate_hz or rate_hz, state.resampler)
        self._start, self._keep = settings.speech_start_probability, settings.speech_keep_probability
        self._hangover_frames = round(settings.speech_hangover_ms / 1000 / FRAME_SECONDS)
        self.state = state

    def push(self, samples: Pcm) -> JudgedFrames:
        """Take (n,) samples in [-1, 1], any n; return the frames that were completed, perhaps none."""
        return self._judged(self._resampler.push(samples))

    def interrupt(self, rate_hz: int) -> JudgedFrames:
        """Mark a gap: judge what was held back, and begin afresh.

        Args:
            rate_hz: of the samples that come next.

        Raises:
            UnsupportedRate: it is out of range.
        """
        afresh = Resampler(rate_hz)
        judged = self._judged(self._resampler.end())
        self._resampler = afresh
        self.state = GateState(afresh.state, rest=self.state.rest, frame_count=self.state.frame_count, rate_hz=rate_hz)
        return judged

    def end(self) -> JudgedFrames:
        """Return the frames that the resampler still held. What does not fill a frame (under 32 ms) is dropped."""
        return self._judged(self._resampler.end())

    def _judged(self, samples: Pcm) -> JudgedFrames:
        pending = np.concatenate([self.state.rest, to_pcm16(samples)])
        count = len(pending) // FRAME_SAMPLES
        frames = pending[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        is_tone = np.concatenate([[self.state.ended_in_tone], are_key_tones(frames)])
        idle = self._idle(frames)
        asked = [_asked(*facts) for facts in zip(is_tone[:-1], is_tone[1:], idle, strict=True)]
        probabilities, vad = self._probabilities(from_pcm16(frames), asked)
        is_speech, left = self._is_speech(probabilities, asked)
        first_frame = self.state.frame_count
        self.state = replace(
            self.state,
            resampler=self._resampler.state,
            vad=vad,
            rest=pending[count * FRAME_SAMPLES :],
            frame_count=first_frame + count,
            hangover_frames=left,
            ended_in_tone=bool(is_tone[-1]),
            idle_frames=idle[-1] if idle else self.state.idle_frames,
        )
        return JudgedFrames(first_frame, frames, is_speech)

    def _idle(self, frames: Pcm16) -> list[int]:
        """Return, of each frame, for how many frames the line has been idle, itself included; at most a second."""
        found, idle = [], self.state.idle_frames
        for peak in np.abs(frames.astype(np.int32)).max(axis=1, initial=0).tolist():
            idle = min(idle + 1, _IDLE_FRAMES) if peak <= _IDLE_PEAK else 0
            found.append(idle)
        return found

    def _probabilities(
        self, frames: npt.NDArray[np.float32], asked: Sequence[_Asked]
    ) -> tuple[npt.NDArray[np.float32], VadState]:
        """Return the (k,) probabilities, 0 where nobody was asked, and what the detector remembers then."""
        found, vad, end = np.zeros(len(frames), np.float32), self.state.vad, 0
        for kind, alike in groupby(asked):
            first, end = end, end + len(list(alike))
            if kind is _Asked.YES:
                found[first:end], vad = self._vad.push(frames[first:end], vad)
            else:
                vad = VadState() if kind is _Asked.KEY else vad.past(frames[end - 1])
        return found, vad

    def _is_speech(
        self, probabilities: npt.NDArray[np.float32], asked: Sequence[_Asked]
    ) -> tuple[npt.NDArray[np.bool_], int]:
        """Return the (k,) judgments, and how many more frames are speech without sounding like it."""
        found, left = [], self.state.hangover_frames
        for probability, kind in zip(probabilities.tolist(), asked, strict=True):
            if kind is _Asked.KEY:
                left = 0
            is_voice = probability >= (self._keep if left else self._start) and kind is _Asked.YES
            found.append(is_voice or left > 0)
            left = self._hangover_frames if is_voice else max(left - 1, 0)
        return np.array(found, np.bool_), left


def _asked(was_key: bool, is_key: bool, idle_frames: int) -> _Asked:
    if was_key or is_key:
        return _Asked.KEY
    return _Asked.IDLE if idle_frames >= _IDLE_FRAMES else _Asked.YES


def speech_of(samples: Pcm, rate_hz: int, vad: VadModel, settings: AnalysisSettings | None = None) -> Pcm16:
    """Return only the speech of (n,) samples, as int16 at 16 kHz: what an analyzer would gather from this recording."""
    gate = SpeechGate(vad, rate_hz, settings=settings)
    judged: Sequence[JudgedFrames] = (gate.push(samples), gate.end())
    return np.concatenate([part.speech for part in judged])
