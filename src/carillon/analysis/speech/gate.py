"""Which part of a call is speech. Every "N seconds" of the product is counted here.

The call is cut into frames of 32 ms, and each is judged once. Speech begins at one probability and goes on down to a
lower one, and for a moment after that (hysteresis and hangover), so that the short closures in words do not tear it.
The tones of a keypad are never speech, and end it: the detector hears neither them nor the click behind them (one
frame), and then listens afresh.
Frames are kept as 16-bit integers, which is all that a telephone holds: what is remembered stays small and exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from carillon.analysis.settings import Settings
from carillon.analysis.speech.keypad import are_key_tones
from carillon.analysis.speech.resample import Resampler, ResamplerState
from carillon.audio import MODEL_RATE_HZ, Pcm, Pcm16, from_pcm16, to_pcm16
from carillon.inference import VAD_WINDOW_SAMPLES, VadState

FRAME_SAMPLES: Final = VAD_WINDOW_SAMPLES
FRAME_SECONDS: Final = FRAME_SAMPLES / MODEL_RATE_HZ


class VadModel(Protocol):
    """Judges one frame after the other."""

    def push(self, window: Pcm, state: VadState, /) -> tuple[float, VadState]:
        """Judge (512,) samples at 16 kHz; return the probability of speech and what to remember."""
        ...


def _nothing() -> Pcm16:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
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

    def part(self, begin: int, end: int) -> "Heard":
        """Return some of its frames: from the one at `begin` to the one before `end`."""
        return Heard(self.first_frame + begin, self.frames[begin:end], self.is_speech[begin:end])


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
        self, vad: VadModel, rate_hz: int, state: GateState | None = None, settings: Settings | None = None
    ) -> None:
        state, settings = state or GateState(), settings or Settings()
        self._vad = vad
        self._resampler = Resampler(state.rate_hz or rate_hz, state.resampler)
        self._start, self._keep = settings.speech_start_probability, settings.speech_keep_probability
        self._hangover_frames = round(settings.speech_hangover_ms / 1000 / FRAME_SECONDS)
        self.state = state

    def push(self, samples: Pcm) -> Heard:
        """Take (n,) samples in [-1, 1], any n; return the frames that were completed, perhaps none."""
        return self._judged(self._resampler.push(samples))

    def interrupt(self, rate_hz: int) -> Heard:
        """Take note that what comes next does not adjoin what came: judge what was held back, and listen afresh.

        Args:
            rate_hz: of the samples that come next.

        Raises:
            UnsupportedRate: it is out of range.
        """
        afresh = Resampler(rate_hz)
        heard = self._judged(self._resampler.end())
        self._resampler = afresh
        self.state = GateState(afresh.state, rest=self.state.rest, frame_count=self.state.frame_count, rate_hz=rate_hz)
        return heard

    def end(self) -> Heard:
        """Return the frames that the resampler still held. What does not fill a frame (under 32 ms) is dropped."""
        return self._judged(self._resampler.end())

    def _judged(self, samples: Pcm) -> Heard:
        pending = np.concatenate([self.state.rest, to_pcm16(samples)])
        count = len(pending) // FRAME_SAMPLES
        frames = pending[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        first_frame, vad, left = self.state.frame_count, self.state.vad, self.state.hangover_frames
        is_tone = np.concatenate([[self.state.ended_in_tone], are_key_tones(frames)])
        is_deaf, is_speech = (is_tone[:-1] | is_tone[1:]).tolist(), [False] * count
        for i, frame in enumerate(from_pcm16(frames)):
            if is_deaf[i]:
                vad, left = VadState(), 0
                continue
            probability, vad = self._vad.push(frame, vad)
            is_voice = probability >= (self._keep if left else self._start)
            is_speech[i] = is_voice or left > 0
            left = self._hangover_frames if is_voice else max(left - 1, 0)
        self.state = replace(
            self.state,
            resampler=self._resampler.state,
            vad=vad,
            rest=pending[count * FRAME_SAMPLES :],
            frame_count=first_frame + count,
            hangover_frames=left,
            ended_in_tone=bool(is_tone[-1]),
        )
        return Heard(first_frame, frames, np.array(is_speech, np.bool_))


def speech_of(samples: Pcm, rate_hz: int, vad: VadModel, settings: Settings | None = None) -> Pcm16:
    """Return only the speech of (n,) samples, as int16 at 16 kHz: what an analyzer would gather from this recording."""
    gate = SpeechGate(vad, rate_hz, settings=settings)
    heard: Sequence[Heard] = (gate.push(samples), gate.end())
    return np.concatenate([part.speech for part in heard])
