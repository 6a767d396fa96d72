import numpy as np
import pytest

from carillon.analysis.speech.telephone import RATE_HZ, through_telephone


def _tone(hz: float, rate_hz: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz)).astype(np.float32)


def _level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples[1000:-1000] ** 2)))


def test_a_voice_passes_and_what_a_telephone_drops_is_dropped() -> None:
    speech_band = _level(through_telephone(_tone(1_000, 16_000), 16_000))
    assert 0.3 < speech_band < 0.4
    for hz in (100, 3_800, 6_000):
        assert _level(through_telephone(_tone(hz, 16_000), 16_000)) < 0.02


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_a_call_of_a_few_samples_or_none_is_carried(count: int) -> None:
    assert np.isfinite(through_telephone(np.full(count, 0.5, np.float32), 16_000)).all()


def test_companding_leaves_the_noise_of_mu_law() -> None:
    clean = _tone(1_000, RATE_HZ)
    noise = _level(through_telephone(clean, RATE_HZ) - clean)
    assert 30 < 20 * np.log10(_level(clean) / noise) < 45
