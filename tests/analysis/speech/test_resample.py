from collections.abc import Callable

import numpy as np
import pytest
import soxr

from carillon.analysis.speech import Resampler, ResamplerState, UnsupportedRate
from carillon.audio import Pcm

RATES = [8_000, 11_025, 12_345, 16_000, 22_050, 24_000, 44_100, 48_000]


def _noise(rate_hz: int, seconds: float = 2.3) -> Pcm:
    return np.random.default_rng(3).normal(0, 0.2, round(rate_hz * seconds)).astype(np.float32)


def _whole(samples: Pcm, rate_hz: int) -> Pcm:
    resampler = Resampler(rate_hz)
    return np.concatenate([resampler.push(samples), resampler.end()])


@pytest.mark.parametrize("rate_hz", RATES)
def test_it_is_what_soxr_makes_of_the_whole(rate_hz: int) -> None:
    samples = _noise(rate_hz)
    expected = soxr.resample(samples, rate_hz, 16_000)
    found = _whole(samples, rate_hz)
    assert abs(len(found) - len(expected)) <= 1
    inner = slice(160, len(expected) - 160)  # where the call begins and ends, soxr fades at some rates
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-6)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("lengths", [(1_000,), (1, 479, 3), (7_001, 1)])
def test_any_split_gives_the_same_bits(rate_hz: int, lengths: tuple[int, ...], cut: Callable[..., list[Pcm]]) -> None:
    samples = _noise(rate_hz, 0.7)
    resampler = Resampler(rate_hz)
    parts = [resampler.push(part) for part in cut(samples, lengths)]
    np.testing.assert_array_equal(np.concatenate([*parts, resampler.end()]), _whole(samples, rate_hz))


def test_sample_by_sample_gives_the_same_bits() -> None:
    samples = _noise(8_000, 0.5)
    resampler = Resampler(8_000)
    parts = [resampler.push(samples[i : i + 1]) for i in range(len(samples))]
    np.testing.assert_array_equal(np.concatenate([*parts, resampler.end()]), _whole(samples, 8_000))


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("at", [0, 1, 127, 128, 4_097])
def test_a_restart_is_invisible(rate_hz: int, at: int) -> None:
    samples = _noise(rate_hz, 0.9)
    before = Resampler(rate_hz)
    first = before.push(samples[:at])
    after = Resampler(rate_hz, ResamplerState(before.state.pending.copy()))
    parts = [first, after.push(samples[at:]), after.end()]
    np.testing.assert_array_equal(np.concatenate(parts), _whole(samples, rate_hz))


def test_16_khz_passes_through_at_once() -> None:
    samples = _noise(16_000)
    resampler = Resampler(16_000)
    assert resampler.push(samples) is samples
    assert len(resampler.end()) == 0


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_little_is_remembered_and_little_held_back(rate_hz: int) -> None:
    resampler = Resampler(rate_hz)
    out = resampler.push(_noise(rate_hz))
    assert len(resampler.state.pending) <= 0.12 * rate_hz
    assert 2.3 - len(out) / 16_000 <= 0.08


def test_an_empty_call_has_no_end() -> None:
    resampler = Resampler(8_000)
    assert len(resampler.push(np.zeros(0, np.float32))) == 0
    assert len(resampler.end()) == 0


@pytest.mark.parametrize("rate_hz", [0, 7_999, 48_001])
def test_other_rates_are_refused(rate_hz: int) -> None:
    with pytest.raises(UnsupportedRate, match="8000 to 48000"):
        Resampler(rate_hz)
