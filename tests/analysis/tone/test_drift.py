"""The overall tone turns negative: told once each time that it does."""

from collections.abc import Callable
from typing import Any

import pytest

from carillon.analysis import ToneAnalyzer, ToneDrifted, ToneReported, VadModel
from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.tone import ToneFinding, ToneState
from carillon.audio import Pcm

# The fixtures `vad`, `tone` and `call` are in tests/analysis/conftest.py; negative is 0.7 times the loudness.

LOUD, LOW = 0.8, 0.1
SWINGING = ((20, LOW), (40, LOUD), (90, LOW), (250, LOUD))  # negative: 0.07 and 0.48


def _findings(vad: VadModel, tone: Any, samples: Pcm, threshold: float, hysteresis: float) -> list[ToneFinding]:
    settings = AnalysisSettings(tone_drift_negative=threshold, tone_drift_hysteresis=hysteresis)
    analyzer = ToneAnalyzer(vad, tone, 8_000, settings=settings)
    found: list[ToneFinding] = []
    for at in range(0, len(samples), 100_000):
        found += analyzer.push(samples[at : at + 100_000])
        state = ToneState.from_bytes(analyzer.state.to_bytes())
        analyzer = ToneAnalyzer(vad, tone, 8_000, state, settings)
    return found + analyzer.end()


@pytest.mark.parametrize(("hysteresis", "times"), [(0.01, 2), (0.01999, 1)])
def test_a_turn_is_told_once_and_again_only_after_it_was_taken_back(
    hysteresis: float, times: int, vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    found = _findings(vad, tone, call(*SWINGING), 0.02, hysteresis)
    drifts = [finding for finding in found if isinstance(finding, ToneDrifted)]
    assert len(drifts) == times
    assert all(drift.overall.negative >= 0.02 for drift in drifts)


def test_it_comes_right_before_the_report_of_the_same_moment(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    found = _findings(vad, tone, call(*SWINGING[:2]), 0.03, 0.01)
    (at,) = (i for i, finding in enumerate(found) if isinstance(finding, ToneDrifted))
    drift, report = found[at], found[at + 1]
    assert isinstance(drift, ToneDrifted)
    assert isinstance(report, ToneReported)
    assert (drift.current, drift.overall) == (report.current, report.overall)
    earlier = [finding for finding in found[:at] if isinstance(finding, ToneReported)]
    assert earlier[-1].overall.negative < 0.03


def test_the_last_report_stays_the_last_even_if_it_turns_with_it(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    found = _findings(vad, tone, call((11, LOW), (3.9, LOUD)), 0.0005, 0.0001)
    assert [type(finding) for finding in found] == [ToneDrifted, ToneReported]


@pytest.mark.parametrize("threshold", [0, 0.9])
def test_without_a_threshold_or_below_it_nothing_is_told(
    threshold: float, vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    found = _findings(vad, tone, call(*SWINGING[:2]), threshold, 0.1)
    assert {type(finding) for finding in found} == {ToneReported}
