import numpy as np

from carillon.audio import Pcm
from carillon.inference import VAD_WINDOW_SAMPLES, Models, VadState


def _probabilities(models: Models, samples: Pcm, state: VadState) -> tuple[list[float], VadState]:
    found = []
    for window in samples[: len(samples) // VAD_WINDOW_SAMPLES * VAD_WINDOW_SAMPLES].reshape(-1, VAD_WINDOW_SAMPLES):
        probability, state = models.vad.push(window, state)
        found.append(probability)
    return found, state


def test_speech_is_speech_and_silence_and_noise_are_not(models: Models, anna: Pcm) -> None:
    silence = np.zeros(16_000, np.float32)
    noise = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    assert np.median(_probabilities(models, anna, VadState())[0]) > 0.9
    assert max(_probabilities(models, silence, VadState())[0]) < 0.2
    assert max(_probabilities(models, noise, VadState())[0]) < 0.5


def test_what_was_heard_before_matters(models: Models, anna: Pcm) -> None:
    _, warm = _probabilities(models, anna[:16_384], VadState())
    again, _ = _probabilities(models, anna[16_384:32_768], warm)
    cold, _ = _probabilities(models, anna[16_384:32_768], VadState())
    assert again != cold
    whole, _ = _probabilities(models, anna[:32_768], VadState())
    assert whole[32:] == again


def test_a_state_is_replaced_and_never_changed(models: Models, anna: Pcm) -> None:
    state = VadState()
    models.vad.push(anna[:512], state)
    assert not state.memory.any()
    assert not state.context.any()
    assert "0." not in repr(state)
