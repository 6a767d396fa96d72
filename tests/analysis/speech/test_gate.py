from collections.abc import Callable

import numpy as np
import pytest

from carillon.analysis import Settings, SpeechGate, VadModel, speech_of
from carillon.analysis.speech import FRAME_SAMPLES, GateState, Heard
from carillon.audio import Pcm
from carillon.inference import Models, VadState


class Script:
    """A detector that says what it was told to, frame by frame."""

    def __init__(self, *probabilities: float) -> None:
        self._probabilities = iter(probabilities)

    def push(self, window: Pcm, state: VadState) -> tuple[float, VadState]:
        return next(self._probabilities), state


def _judge(*probabilities: float) -> list[bool]:
    settings = Settings(speech_start_probability=0.5, speech_keep_probability=0.3, speech_hangover_ms=64)
    gate = SpeechGate(Script(*probabilities), 16_000, settings=settings)
    return gate.push(np.zeros(len(probabilities) * FRAME_SAMPLES, np.float32)).is_speech.tolist()


def _run(gate: SpeechGate, parts: list[Pcm]) -> list[Heard]:
    return [*(gate.push(part) for part in parts), gate.end()]


def _joined(heard: list[Heard]) -> tuple[bytes, bytes]:
    frames = np.concatenate([part.frames for part in heard])
    return frames.tobytes(), np.concatenate([part.is_speech for part in heard]).tobytes()


def test_speech_begins_high_and_goes_on_low() -> None:
    assert _judge(0.4, 0.5, 0.3, 0.4, 0.3) == [False, True, True, True, True]


def test_speech_goes_on_for_two_frames_after_the_last_voice_and_then_ends() -> None:
    assert _judge(0.9, 0.1, 0.1, 0.1, 0.4) == [True, True, True, False, False]


def test_a_voice_in_the_hangover_starts_it_anew() -> None:
    assert _judge(0.9, 0.1, 0.3, 0.1, 0.1, 0.1) == [True, True, True, True, True, False]


def test_frames_are_numbered_through_the_call(vad: VadModel) -> None:
    gate = SpeechGate(vad, 16_000)
    first, second = gate.push(np.zeros(1_300, np.float32)), gate.push(np.zeros(1_300, np.float32))
    assert (first.first_frame, len(first.frames)) == (0, 2)
    assert (second.first_frame, len(second.frames)) == (2, 3)


def test_frames_are_kept_as_int16_and_clipped(vad: VadModel) -> None:
    heard = SpeechGate(vad, 16_000).push(np.array([2.0, -2.0, 0.5] + [0.0] * 509, np.float32))
    assert heard.frames.dtype == np.int16
    assert heard.frames[0, :3].tolist() == [32_767, -32_768, 16_384]


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("lengths", [(1,), (1_000,), (479, 1, 3_001)])
def test_any_split_gives_the_same_bits(
    rate_hz: int, lengths: tuple[int, ...], vad: VadModel, call: Callable[..., Pcm], cut: Callable[..., list[Pcm]]
) -> None:
    samples = call((0.2, 0.001), (0.3, 0.2), (0.2, 0.001), rate_hz=rate_hz)
    whole = _joined(_run(SpeechGate(vad, rate_hz), [samples]))
    assert _joined(_run(SpeechGate(vad, rate_hz), cut(samples, lengths))) == whole


@pytest.mark.parametrize("at", [0, 1, 511, 512, 3_000, 5_599])
def test_a_restart_is_invisible(at: int, vad: VadModel, call: Callable[..., Pcm]) -> None:
    samples = call((0.2, 0.001), (0.3, 0.2), (0.2, 0.001))
    before = SpeechGate(vad, 8_000)
    first = before.push(samples[:at])
    after = SpeechGate(vad, 8_000, before.state)
    assert _joined([first, *_run(after, [samples[at:]])]) == _joined(_run(SpeechGate(vad, 8_000), [samples]))


def test_the_real_detector_on_a_real_voice_with_pauses(
    models: Models, voice: Pcm, cut: Callable[..., list[Pcm]]
) -> None:
    pause = np.zeros(16_000, np.float32)
    samples = np.concatenate([pause, voice[:64_000], pause, voice[64_000:128_000], pause])
    speech = speech_of(samples, 16_000, models.vad)
    assert 0.7 * 8 <= len(speech) / 16_000 <= 8  # she pauses too
    whole = _joined(_run(SpeechGate(models.vad, 16_000), [samples]))
    assert _joined(_run(SpeechGate(models.vad, 16_000), cut(samples, (1, 7_001, 512)))) == whole


def test_a_state_shows_nothing_of_the_voice(vad: VadModel, call: Callable[..., Pcm]) -> None:
    gate = SpeechGate(vad, 8_000)
    gate.push(call((1.0, 0.2)))
    assert "array" not in repr(gate.state)
    assert "array" not in repr(gate.push(call((1.0, 0.2))))
    assert isinstance(gate.state, GateState)
