from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from carillon.analysis import ToneAnalyzer, ToneFinding, ToneReported, ToneState, ToneTooLittleSpeech, VadModel
from carillon.analysis.settings import Settings
from carillon.audio import Pcm
from carillon.inference import Models

# The fixtures `vad`, `tone`, `call`, `cut` and `bits` are in tests/analysis/conftest.py.

LOUD, LOW, SOFT = 0.4, 0.2, 0.001  # the first two are speech
SHORT = Settings(tone_seconds=3, tone_every_seconds=2, tone_window_seconds=6)


def _all(analyzer: ToneAnalyzer, parts: list[Pcm]) -> list[ToneFinding]:
    return [finding for part in parts for finding in analyzer.push(part)] + analyzer.end()


def _reports(analyzer: ToneAnalyzer, samples: Pcm) -> list[ToneReported]:
    return [finding for finding in _all(analyzer, [samples]) if isinstance(finding, ToneReported)]


def _restarted(analyzer: ToneAnalyzer) -> ToneState:
    return ToneState.from_bytes(analyzer.state.to_bytes())


def test_a_report_comes_every_5_s_once_there_are_10_s_of_speech_and_one_at_the_end(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    reports = _reports(ToneAnalyzer(vad, tone, 8_000), call((4, SOFT), (38, LOW)))
    assert [report.overall.end_ms for report in reports] == [15_000, 20_000, 25_000, 30_000, 35_000, 40_000, 42_000]
    assert [report.final for report in reports] == [False] * 6 + [True]
    assert all(report.overall.begin_ms == 0 for report in reports)
    assert [report.current.begin_ms for report in reports] == [0, 0, 0, 0, 5_000, 10_000, 12_000]
    assert all(report.current.end_ms == report.overall.end_ms for report in reports)


def test_a_report_comes_within_a_frame_of_its_tick(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 16_000)
    samples = call((20, LOW), rate_hz=16_000)
    assert analyzer.push(samples[: 15 * 16_000]) == []
    assert len(analyzer.push(samples[15 * 16_000 : 15 * 16_000 + 512])) == 1


def test_probabilities_sum_to_1_and_the_label_is_the_most_probable(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    for report in _reports(ToneAnalyzer(vad, tone, 8_000), call((20, LOW), (3, SOFT), (40, LOUD))):
        for average in (report.current, report.overall):
            assert average.negative + average.neutral + average.positive == pytest.approx(1, abs=1e-12)
            assert getattr(average, average.label) == max(average.negative, average.neutral, average.positive)


def test_current_forgets_what_overall_remembers(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    last = _reports(ToneAnalyzer(vad, tone, 8_000), call((40, LOW), (35, LOUD)))[-1]
    assert last.current.negative == pytest.approx(0.7 * 0.4, abs=0.02)
    assert last.overall.negative == pytest.approx(0.7 * (0.2 * 40 + 0.4 * 35) / 75, abs=0.02)


def test_averages_weigh_by_speech_and_not_by_segment(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    samples = call((10, LOW), (4, SOFT), (1, LOUD))
    last = _reports(ToneAnalyzer(vad, tone, 8_000), samples)[-1]
    assert last.overall.negative == pytest.approx(0.7 * (0.2 * 10 + 0.4 * 1) / 11, abs=0.02)


def test_a_tick_without_speech_in_its_30_s_is_skipped(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    reports = _reports(ToneAnalyzer(vad, tone, 8_000), call((12, LOW), (50, SOFT), (7, LOW)))
    assert [report.overall.end_ms for report in reports] == [*range(15_000, 45_000, 5_000), 65_000, 69_000]


def test_a_call_that_ends_in_long_silence_tells_the_last_30_s_that_had_speech(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    final = _reports(ToneAnalyzer(vad, tone, 8_000), call((12, LOW), (50, SOFT)))[-1]
    assert final.final
    assert final.overall.end_ms == 62_000
    assert final.current.end_ms == pytest.approx(12_000, abs=150)
    assert final.current.negative == pytest.approx(final.overall.negative)


def test_less_than_10_s_of_speech_is_too_little(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    (finding,) = _all(ToneAnalyzer(vad, tone, 8_000), [call((9, LOW), (30, SOFT))])
    assert isinstance(finding, ToneTooLittleSpeech)
    assert finding.speech_seconds == pytest.approx(9.1, abs=0.1)


def test_an_empty_call_is_too_little(vad: VadModel, tone: Any) -> None:
    assert ToneAnalyzer(vad, tone, 8_000).end() == [ToneTooLittleSpeech(0.0)]


def test_a_word_too_short_to_judge_waits_for_the_next(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    words = [(0.25, LOW), (4.75, SOFT)] * 4
    _all(ToneAnalyzer(vad, tone, 8_000), [call((10, LOW), (5, SOFT), *words, (1, LOW))])
    assert all(heard >= 8_000 for heard in tone.heard)
    total = sum(tone.heard) / 16_000
    assert total == pytest.approx(10 + 4 * 0.25 + 1, abs=0.8)  # nothing was dropped; the hangover adds a little


def test_no_more_than_a_few_seconds_are_judged_at_once(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    _all(ToneAnalyzer(vad, tone, 8_000), [call((40, LOW))])
    assert max(tone.heard) <= 5.5 * 16_000


def test_afterwards_nothing_is_heard(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000)
    assert _all(analyzer, [call((12, LOW))])
    assert analyzer.is_done
    assert analyzer.push(call((30, LOW))) == []
    assert analyzer.end() == []


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 48_000])
@pytest.mark.parametrize("lengths", [(100_000,), (1_000,), (1, 479, 7_001)])
def test_any_split_gives_the_same_bits(
    rate_hz: int,
    lengths: tuple[int, ...],
    vad: VadModel,
    tone: Any,
    call: Callable[..., Pcm],
    cut: Callable[..., list[Pcm]],
    bits: Callable[..., list[Any]],
) -> None:
    samples = call((3, LOW), (1, SOFT), (3, LOUD), (0.2, SOFT), (4, LOW), rate_hz=rate_hz)
    whole = _all(ToneAnalyzer(vad, tone, rate_hz, settings=SHORT), [samples])
    split = _all(ToneAnalyzer(vad, tone, rate_hz, settings=SHORT), cut(samples, lengths))
    assert bits(split) == bits(whole)
    assert len(whole) == 5


@pytest.mark.parametrize("seed", range(12))
def test_restarts_are_invisible(
    seed: int, vad: VadModel, tone: Any, call: Callable[..., Pcm], bits: Callable[..., list[Any]]
) -> None:
    samples = call((3, LOW), (1, SOFT), (3, LOUD), (0.2, SOFT), (4, LOW))
    expected = _all(ToneAnalyzer(vad, tone, 8_000, settings=SHORT), [samples])
    edges = [0, *sorted(np.random.default_rng(seed).integers(0, len(samples), 4).tolist()), len(samples)]
    analyzer, found = ToneAnalyzer(vad, tone, 8_000, settings=SHORT), []
    for begin, end in pairwise(edges):
        found += analyzer.push(samples[begin:end])
        analyzer = ToneAnalyzer(vad, tone, 8_000, _restarted(analyzer), SHORT)
    assert bits(found + analyzer.end()) == bits(expected)


@pytest.mark.parametrize("at", [1, 31_999, 100_000, 180_000])
def test_the_real_models_do_not_notice_splits_or_restarts(
    at: int, models: Models, voice: Pcm, bits: Callable[..., list[Any]]
) -> None:
    whole = _all(ToneAnalyzer(models.vad, models.tone, 16_000, settings=SHORT), [voice])
    before = ToneAnalyzer(models.vad, models.tone, 16_000, settings=SHORT)
    found = before.push(voice[: at // 3]) + before.push(voice[at // 3 : at])
    after = ToneAnalyzer(models.vad, models.tone, 16_000, _restarted(before), SHORT)
    assert bits(found + _all(after, [voice[at:]])) == bits(whole)
    assert len(whole) >= 4


def test_the_state_stays_small_through_a_long_call(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000)
    minute = call(*[(2.7, LOW), (0.3, SOFT)] * 20)
    sizes = []
    for _ in range(4):
        analyzer.push(minute)
        sizes.append(len(analyzer.state.to_bytes()))
    assert max(sizes) < 200_000
    assert abs(sizes[3] - sizes[1]) < 2_000


def test_neither_state_nor_findings_show_the_voice(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000)
    assert "array" not in repr(analyzer.push(call((12, LOW))))
    assert "array" not in repr(analyzer.state)


def test_speech_from_before_an_interruption_counts_and_no_tick_is_missed(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000)
    findings = analyzer.push(call((9.99, LOW))) + analyzer.interrupt(16_000)
    analyzer = ToneAnalyzer(vad, tone, 8_000, _restarted(analyzer))
    findings += analyzer.push(call((10, LOW), rate_hz=16_000)) + analyzer.interrupt(8_000) + analyzer.end()
    reports = [finding for finding in findings if isinstance(finding, ToneReported)]
    assert [report.overall.end_ms for report in reports] == [15_000, 19_990]
    assert analyzer.interrupt(8_000) == []
