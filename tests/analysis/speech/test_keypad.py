import numpy as np
import pytest

from carillon.analysis.speech import FRAME_SAMPLES, Resampler
from carillon.analysis.speech.keypad import are_key_tones
from carillon.audio import Pcm, Pcm16, to_pcm16

KEYS = [(low, high) for low in (697, 770, 852, 941) for high in (1_209, 1_336, 1_477, 1_633)]


def _tones(*frequencies: float, levels: tuple[float, ...] = (0.1, 0.1), rate_hz: int = 16_000) -> Pcm:
    times = np.arange(rate_hz // 2) / rate_hz
    pairs = zip(frequencies, levels, strict=False)
    return sum((level * np.sin(2 * np.pi * hz * times) for hz, level in pairs), 0 * times).astype(np.float32)


def _frames(samples: Pcm) -> Pcm16:
    return to_pcm16(samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]).reshape(-1, FRAME_SAMPLES)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_known(key: tuple[int, int]) -> None:
    assert are_key_tones(_frames(_tones(*key))).all()


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_known_by_telephone(key: tuple[int, int]) -> None:
    samples = Resampler(8_000).push(_tones(*key, rate_hz=8_000))
    assert are_key_tones(_frames(samples))[1:].all()


@pytest.mark.parametrize("levels", [(0.1, 0.05), (0.05, 0.1), (0.001, 0.001), (0.4, 0.4)])
def test_a_key_may_be_loud_or_soft_and_its_tones_unequal(levels: tuple[float, float]) -> None:
    assert are_key_tones(_frames(_tones(697, 1_477, levels=levels))).all()


def test_a_key_is_known_over_noise_16_db_below() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1 * 10 ** (-16 / 20), 8_000).astype(np.float32)
    assert are_key_tones(_frames(_tones(770, 1_336) + noise)).mean() > 0.9


@pytest.mark.parametrize("frequencies", [(440, 480), (350, 440), (480, 620), (1_000,), (697,), (1_477,), (220, 697)])
def test_other_tones_are_no_keys(frequencies: tuple[float, ...]) -> None:
    assert not are_key_tones(_frames(_tones(*frequencies))).any()


def test_silence_noise_and_a_voice_are_no_keys(voice: Pcm) -> None:
    assert not are_key_tones(np.zeros((3, FRAME_SAMPLES), np.int16)).any()
    assert not are_key_tones(_frames(np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32))).any()
    assert not are_key_tones(_frames(voice)).any()


def test_no_frames_are_no_keys() -> None:
    assert are_key_tones(np.zeros((0, FRAME_SAMPLES), np.int16)).shape == (0,)


def test_each_frame_is_judged_alone() -> None:
    frames = np.concatenate([_frames(_tones(697, 1_209)), _frames(_tones(440, 480))])
    alone = [bool(are_key_tones(frame[None])[0]) for frame in frames]
    assert are_key_tones(frames).tolist() == alone
