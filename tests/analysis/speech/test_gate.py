from collections.abc import Callable

import numpy as np
import pytest

from carillon.analysis import AnalysisSettings, SpeechGate, UnsupportedRate, VadModel, speech_of
from carillon.analysis.speech import FRAME_SAMPLES, GateState, JudgedFrames
from carillon.audio import Pcm
from carillon.inference import Models, VadState


class Script:
    """A detector that says what it was told to, frame by frame."""

    def __init__(self, *probabilities: float) -> None:
        self._probabilities = iter(probabilities)

    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        return np.array([next(self._probabilities) for _ in frames], np.float32), state


def _judge(*probabilities: float) -> list[bool]:
    settings = AnalysisSettings(speech_start_probability=0.5, speech_keep_probability=0.3, speech_hangover_ms=64)
    gate = SpeechGate(Script(*probabilities), 16_000, settings=settings)
    return gate.push(np.zeros(len(probabilities) * FRAME_SAMPLES, np.float32)).is_speech.tolist()


def _run(gate: SpeechGate, parts: list[Pcm]) -> list[JudgedFrames]:
    return [*(gate.push(part) for part in parts), gate.end()]


def _joined(heard: list[JudgedFrames]) -> tuple[bytes, bytes]:
    frames = np.concatenate([part.frames for part in heard])
    return frames.tobytes(), np.concatenate([part.is_speech for part in heard]).tobytes()


def test_speech_begins_high_and_goes_on_low() -> None:
    assert _judge(0.4, 0.5, 0.3, 0.4, 0.3) == [False, True, True, True, True]


def test_speech_goes_on_for_two_frames_after_the_last_voice_and_then_ends() -> None:
    assert _judge(0.9, 0.1, 0.1, 0.1, 0.4) == [True, True, True, False, False]


def test_a_voice_in_the_hangover_starts_it_anew() -> None:
    assert _judge(0.9, 0.1, 0.3, 0.1, 0.1, 0.1) == [True, True, True, True, True, False]


def _pressed(seconds: float) -> Pcm:
    times = np.arange(round(seconds * 16_000)) / 16_000
    return (0.1 * (np.sin(2 * np.pi * 697 * times) + np.sin(2 * np.pi * 1_477 * times))).astype(np.float32)


def test_a_key_ends_speech_and_the_detector_hears_neither_it_nor_the_frame_behind_it() -> None:
    settings = AnalysisSettings(speech_start_probability=0.5, speech_keep_probability=0.3, speech_hangover_ms=64)
    gate = SpeechGate(Script(0.9, 0.3, 0.9), 16_000, settings=settings)  # would run out if it were asked for more
    silence = np.zeros(FRAME_SAMPLES, np.float32)
    key = _pressed(2 * FRAME_SAMPLES / 16_000)
    heard = gate.push(np.concatenate([silence, key, silence, silence, silence]))
    assert heard.is_speech.tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_a_restart_beside_a_key_is_invisible(frames: int, vad: VadModel, call: Callable[..., Pcm]) -> None:
    loud = call((FRAME_SAMPLES / 16_000, 0.2), rate_hz=16_000)
    samples = np.concatenate([loud, _pressed(2 * FRAME_SAMPLES / 16_000), loud, loud, loud])
    before = SpeechGate(vad, 16_000)
    first = before.push(samples[: frames * FRAME_SAMPLES])
    after = SpeechGate(vad, 16_000, before.state)
    resumed = _joined([first, *_run(after, [samples[frames * FRAME_SAMPLES :]])])
    assert resumed == _joined(_run(SpeechGate(vad, 16_000), [samples]))


class Counting:
    """The real detector, and how many frames it was asked about."""

    def __init__(self, vad: VadModel) -> None:
        self._vad = vad
        self.asked = 0

    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        self.asked += len(frames)
        return self._vad.push(frames, state)


@pytest.mark.parametrize("peak", [0, 8 / 32_768])
def test_an_idle_line_costs_nothing_after_a_second(peak: float, models: Models) -> None:
    vad = Counting(models.vad)
    gate = SpeechGate(vad, 8_000)
    step = peak * np.sign(np.random.default_rng(1).normal(size=80_000))
    heard = gate.push(step.astype(np.float32))
    assert (len(heard.frames), vad.asked) == (312, 30)
    assert not heard.is_speech.any()


def test_behind_an_idle_line_speech_is_heard_no_later(models: Models, voice: Pcm) -> None:
    idle = np.zeros(10 * 16_000, np.float32)
    samples = np.concatenate([voice[:64_000], idle, voice[64_000:128_000]])
    listening = SpeechGate(models.vad, 16_000)
    listening._idle = lambda frames: [0] * len(frames)  # type: ignore[method-assign]
    onset = (64_000 + len(idle)) // FRAME_SAMPLES
    heard = [gate.push(samples).is_speech for gate in (SpeechGate(models.vad, 16_000), listening)]
    rested, awake = (is_speech[onset : onset + 16] for is_speech in heard)
    assert (rested | ~awake).all()
    assert rested.sum() > awake.sum()  # a memory of 10 s of nothing makes it hear worse for a moment


@pytest.mark.parametrize("at", [0.5, 0.96, 0.992, 1.0, 5.0, 6.0])
def test_a_restart_on_an_idle_line_is_invisible(at: float, vad: VadModel, call: Callable[..., Pcm]) -> None:
    samples = np.concatenate([np.zeros(6 * 8_000, np.float32), call((1.0, 0.2)), np.zeros(8_000, np.float32)])
    before = SpeechGate(vad, 8_000)
    first = before.push(samples[: round(at * 8_000)])
    after = SpeechGate(vad, 8_000, before.state)
    resumed = _joined([first, *_run(after, [samples[round(at * 8_000) :]])])
    assert resumed == _joined(_run(SpeechGate(vad, 8_000), [samples]))


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


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_after_an_interruption_nothing_is_lost_and_nothing_is_remembered(
    rate_hz: int, vad: VadModel, call: Callable[..., Pcm]
) -> None:
    before, after = call((0.5, 0.2), rate_hz=rate_hz), call((0.5, 0.001), rate_hz=rate_hz)
    gate = SpeechGate(vad, rate_hz)
    heard = [gate.push(before), gate.interrupt(rate_hz)]
    assert (gate.state.hangover_frames, gate.state.vad.memory.tobytes()) == (0, VadState().memory.tobytes())
    heard += [gate.push(after), gate.end()]
    assert gate.state.frame_count == 31  # of 1 s, the rest of the first half completed by the second
    assert [part.first_frame for part in heard] == sorted(part.first_frame for part in heard)


def test_an_interruption_may_change_the_rate_and_a_restart_knows(vad: VadModel, call: Callable[..., Pcm]) -> None:
    gate = SpeechGate(vad, 8_000)
    gate.push(call((0.5, 0.2), rate_hz=8_000))
    gate.interrupt(48_000)
    wide = call((0.5, 0.2), rate_hz=48_000)
    resumed = SpeechGate(vad, 8_000, gate.state)
    assert _joined(_run(resumed, [wide])) == _joined(_run(gate, [wide]))
    assert gate.state.frame_count == 31


def test_an_interruption_with_a_rate_out_of_range_is_refused(vad: VadModel) -> None:
    gate = SpeechGate(vad, 8_000)
    with pytest.raises(UnsupportedRate):
        gate.interrupt(7_999)
    assert gate.state.rate_hz == 0
