from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from carillon.audio import Pcm
from carillon.inference import VAD_WINDOW_SAMPLES, Models, VadState
from carillon.inference.vad import MOST_AT_ONCE

DATA = Path(__file__).parents[1] / "data"


def _windows(samples: Pcm) -> npt.NDArray[np.float32]:
    return samples[: len(samples) // VAD_WINDOW_SAMPLES * VAD_WINDOW_SAMPLES].reshape(-1, VAD_WINDOW_SAMPLES)


def _judged(models: Models, samples: Pcm, at_once: int) -> tuple[bytes, bytes, bytes]:
    windows, state, found = _windows(samples), VadState(), b""
    for first in range(0, len(windows), at_once):
        probabilities, state = models.vad.push(windows[first : first + at_once], state)
        found += probabilities.tobytes()
    return found, state.memory.tobytes(), state.context.tobytes()


def test_speech_is_speech_and_silence_and_noise_are_not(models: Models, anna: Pcm) -> None:
    silence = np.zeros(16_384, np.float32)
    noise = np.random.default_rng(0).normal(0, 0.05, 16_384).astype(np.float32)
    assert np.median(models.vad.push(_windows(anna), VadState())[0]) > 0.9
    assert models.vad.push(_windows(silence), VadState())[0].max() < 0.2
    assert models.vad.push(_windows(noise), VadState())[0].max() < 0.5


def test_what_was_heard_before_matters(models: Models, anna: Pcm) -> None:
    windows = _windows(anna)
    _, warm = models.vad.push(windows[:32], VadState())
    again, _ = models.vad.push(windows[32:64], warm)
    cold, _ = models.vad.push(windows[32:64], VadState())
    assert again.tolist() != cold.tolist()


@pytest.mark.parametrize("at_once", range(1, MOST_AT_ONCE + 1))
def test_how_many_windows_come_together_changes_no_bit(at_once: int, models: Models, anna: Pcm) -> None:
    assert _judged(models, anna, at_once) == _judged(models, anna, len(anna))


def test_the_original_says_the_same_of_each_window(models: Models, anna: Pcm) -> None:
    original = np.loadtxt(DATA / "3331-159605-0002.silero.txt").ravel()
    np.testing.assert_allclose(models.vad.push(_windows(anna), VadState())[0][: len(original)], original, atol=1e-5)


def test_no_windows_are_no_news(models: Models) -> None:
    state = VadState()
    probabilities, after = models.vad.push(np.zeros((0, VAD_WINDOW_SAMPLES), np.float32), state)
    assert (len(probabilities), after) == (0, state)


def test_a_state_is_replaced_and_never_changed(models: Models, anna: Pcm) -> None:
    state = VadState()
    models.vad.push(_windows(anna[:512]), state)
    assert not state.memory.any()
    assert not state.context.any()
    assert "0." not in repr(state)
