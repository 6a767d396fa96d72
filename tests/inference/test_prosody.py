import numpy as np
import pytest
import soxr

from carillon.audio import Pcm
from carillon.inference.prosody import NUMBERS, prosody

PITCH = 0  # its mean is the first of the numbers


def _voice(hz: float, seconds: float = 1.0) -> Pcm:
    """A buzz, as vocal cords make it: a pulse in every period, and little noise."""
    samples = np.random.default_rng(1).normal(0, 1e-3, int(16_000 * seconds))
    samples[(np.arange(0, seconds, 1 / hz) * 16_000).astype(int)] += 0.5
    return samples.astype(np.float32)


def test_it_is_as_many_numbers_as_it_says_and_the_same_to_the_bit(anna: Pcm) -> None:
    numbers = prosody(anna)
    assert numbers.shape == (NUMBERS,)
    assert numbers.dtype == np.float32
    assert numbers.tobytes() == prosody(anna.copy()).tobytes()


@pytest.mark.parametrize("hz", [80, 110, 200, 400])
def test_pitch_is_in_semitones_over_100_hz(hz: float) -> None:
    assert prosody(_voice(hz))[PITCH] == pytest.approx(12 * np.log2(hz / 100), abs=0.5)


def test_pitch_is_heard_by_telephone_which_does_not_carry_it() -> None:
    spectrum = np.fft.rfft(_voice(120))
    hz = np.fft.rfftfreq(16_000, 1 / 16_000)
    spectrum[(hz < 300) | (hz > 3_400)] = 0
    carried = np.fft.irfft(spectrum).astype(np.float32)
    assert prosody(carried)[PITCH] == pytest.approx(12 * np.log2(1.2), abs=0.5)


def test_loudness_as_such_is_not_among_them(anna: Pcm) -> None:
    np.testing.assert_allclose(prosody(anna), prosody(anna * np.float32(0.3)), rtol=1e-2, atol=2e-2)


def test_a_faster_voice_is_higher(anna: Pcm) -> None:
    faster = soxr.resample(anna, 16_000, 13_000)
    assert prosody(faster)[PITCH] == pytest.approx(prosody(anna)[PITCH] + 12 * np.log2(16 / 13), abs=0.7)


@pytest.mark.parametrize("samples", [8_000, 8_001, 8_319, 80_000])
@pytest.mark.parametrize("level", [0.0, 1e-9, 1.0])
def test_whatever_is_heard_the_numbers_are_numbers(samples: int, level: float) -> None:
    noise = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    assert np.isfinite(prosody(noise * np.float32(level))).all()
    assert np.isfinite(prosody(np.full(samples, level, np.float32))).all()
