from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from carillon.analysis import AnalysisSettings
from carillon.analysis.speaker import SpeakerAnalyzer, SpeakerState, UnfitSpeech
from carillon.analysis.speaker.quality import NoiseState, SpeechQuality, quality_of
from carillon.analysis.speech import FRAME_SAMPLES, JudgedFrames
from carillon.audio import Embedding, Pcm16

RNG = np.random.default_rng(7)


def noise(seconds: float, level: float) -> Pcm16:
    """(n,) noise whose RMS is `level` of full scale."""
    return np.clip(RNG.normal(0, level * 32768, int(seconds * 16000)), -32768, 32767).astype(np.int16)


def pause(seconds: float, level: float) -> JudgedFrames:
    samples = noise(seconds, level)
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return JudgedFrames(0, frames, np.zeros(len(frames), np.bool_))


def unit(*values: float) -> Embedding:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("wanted", [0.0, 5.0, 10.0, 20.0, 40.0])
def test_the_ratio_of_speech_to_noise_is_measured_within_two_decibels(wanted: float) -> None:
    quiet = 0.002
    loud = quiet * np.sqrt(1 + 10 ** (wanted / 10))  # speech comes with the noise in it
    quality = quality_of(noise(10, loud), (), NoiseState().after(pause(2, quiet)))
    assert quality.signal_to_noise_db == pytest.approx(wanted, abs=2)


def test_without_half_a_second_of_pause_the_noise_is_unknown_and_no_fault() -> None:
    quality = quality_of(noise(10, 0.1), (), NoiseState().after(pause(0.4, 0.1)))
    assert quality.signal_to_noise_db is None
    assert quality.fault(AnalysisSettings()) is None


def test_rings_between_the_words_are_not_taken_for_noise() -> None:
    state = NoiseState()
    for _ in range(3):
        state = state.after(pause(1, 0.3)).after(pause(2, 0.0005))
    ratio = quality_of(noise(10, 0.05), (), state).signal_to_noise_db
    assert ratio is not None
    assert ratio > 30


def test_digital_silence_is_no_noise() -> None:
    ratio = quality_of(noise(10, 0.05), (), NoiseState().after(pause(2, 0.0))).signal_to_noise_db
    assert ratio is not None
    assert ratio > 60


def test_the_state_of_the_noise_does_not_depend_on_how_the_frames_came() -> None:
    heard = pause(3, 0.01)
    whole, parts = NoiseState().after(heard), NoiseState()
    for frame in heard.frames:
        parts = parts.after(JudgedFrames(0, frame[None], np.zeros(1, np.bool_)))
    np.testing.assert_array_equal(whole.levels, parts.levels)


def test_samples_at_full_scale_are_counted() -> None:
    speech = noise(1, 0.1)
    speech[:1600] = 32767
    speech[1600:3200] = -32768
    assert quality_of(speech, (), NoiseState()).clipped_share == pytest.approx(0.2, abs=0.001)


@pytest.mark.parametrize(
    ("quality", "fault"),
    [
        (SpeechQuality(0.0, 20.0, 0.8), None),
        (SpeechQuality(0.0, None, None), None),
        (SpeechQuality(0.03, 20.0, 0.8), "clipped"),
        (SpeechQuality(0.0, 2.9, 0.8), "noisy"),
        (SpeechQuality(0.0, 20.0, 0.2), "two voices"),
    ],
)
def test_each_limit_has_its_fault_and_says_what_was_heard(quality: SpeechQuality, fault: str | None) -> None:
    found = quality.fault(AnalysisSettings())
    assert (found and found[0]) == fault
    assert found is None or found[1].endswith(".")


def test_two_voices_are_the_two_pieces_that_are_least_alike() -> None:
    pieces = (unit(1, 0, 0.1), unit(1, 0.1, 0), unit(0, 1, 0))
    agreement = quality_of(noise(1, 0.1), pieces, NoiseState()).agreement
    assert agreement == pytest.approx(float(pieces[0] @ pieces[2]))


def test_unfit_speech_fails_both_stages_and_ends_the_task(vad: Any, speaker: Any, call: Callable[..., Any]) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=AnalysisSettings(most_clipped_share=0.0))
    samples = call((30, 0.5)) * 100  # far over full scale
    found = analyzer.push(samples)
    assert [(type(finding), getattr(finding, "stage", "")) for finding in found] == [
        (UnfitSpeech, "identification"),
        (UnfitSpeech, "voiceprint"),
    ]
    assert analyzer.is_done


def test_the_noise_survives_a_restart(vad: Any, speaker: Any, call: Callable[..., Any]) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000)
    analyzer.push(call((3, 0.0), (2, 0.5)))
    again = SpeakerState.from_bytes(analyzer.state.to_bytes())
    np.testing.assert_array_equal(again.noise.levels, analyzer.state.noise.levels)
    assert again.noise.levels.sum() > 0
