"""What a line carries besides voices is not counted as speech, by the detector that ships."""

from collections.abc import Callable

import numpy as np
import pytest

from carillon.analysis import SpeechGate
from carillon.analysis.speech import FRAME_SECONDS
from carillon.analysis.speech.telephone import through_telephone
from carillon.audio import Pcm
from carillon.inference import Models

RATE_HZ = 8_000
MOST = 0.05
KEYS = [(low, high) for low in (697, 770, 852, 941) for high in (1_209, 1_336, 1_477)]


def _tones(frequencies: tuple[float, ...], on: float, off: float, seconds: float) -> Pcm:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = sum((0.1 * np.sin(2 * np.pi * hz * times) for hz in frequencies), 0 * times)
    return (tones * (times % (on + off) < on)).astype(np.float32)


def _digits(on: float, off: float) -> Pcm:
    return np.concatenate([_tones(key, on, off, on + off) for key in KEYS])


SOUNDS: dict[str, Pcm] = {
    "ringback": _tones((440, 480), 2, 4, 12),
    "dial tone": _tones((350, 440), 10, 0, 10),
    "busy": _tones((480, 620), 0.5, 0.5, 6),
    "digits": _digits(0.1, 0.1),
    "slow digits": _digits(0.25, 0.25),
    "digits far apart": _digits(0.1, 0.5),
    "hiss": np.random.default_rng(5).normal(0, 0.03, 6 * RATE_HZ).astype(np.float32),
}


def _judged(samples: Pcm, models: Models) -> np.ndarray:
    gate = SpeechGate(models.vad, RATE_HZ)
    return np.concatenate([gate.push(samples).is_speech, gate.end().is_speech])


@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("name", SOUNDS)
def test_it_is_no_speech(name: str, level: float, models: Models) -> None:
    sound = through_telephone(SOUNDS[name] * np.float32(level), RATE_HZ)
    assert _judged(sound, models).mean() < MOST


@pytest.mark.parametrize("name", SOUNDS)
def test_a_voice_that_breaks_off_goes_on_in_it_for_half_a_second_at_most(name: str, models: Models, voice: Pcm) -> None:
    before = through_telephone(voice[: 5 * 16_000], 16_000)  # in the middle of a word
    samples = np.concatenate([before, through_telephone(SOUNDS[name], RATE_HZ)])
    sound = _judged(samples, models)[round(len(before) / RATE_HZ / FRAME_SECONDS) :]
    assert not sound[round(0.5 / FRAME_SECONDS) :].any()


def test_a_voice_goes_on_counting_after_digits(models: Models, voice: Pcm) -> None:
    spoken = through_telephone(voice[: 5 * 16_000], 16_000)
    digits = through_telephone(SOUNDS["digits"], RATE_HZ)
    alone = int(_judged(spoken, models).sum())
    together = int(_judged(np.concatenate([spoken, digits, spoken]), models).sum())
    assert 1.9 * alone <= together <= 2.1 * alone


@pytest.mark.parametrize("lengths", [(1_000,), (479, 1, 3_001)])
def test_any_split_of_digits_and_speech_gives_the_same_bits(
    lengths: tuple[int, ...], models: Models, voice: Pcm, cut: Callable[..., list[Pcm]]
) -> None:
    spoken = through_telephone(voice[: 2 * 16_000], 16_000)
    samples = np.concatenate([spoken, through_telephone(SOUNDS["digits"], RATE_HZ), spoken])
    gate = SpeechGate(models.vad, RATE_HZ)
    parts = [gate.push(part).is_speech for part in cut(samples, lengths)]
    assert np.concatenate([*parts, gate.end().is_speech]).tobytes() == _judged(samples, models).tobytes()
