from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from carillon.analysis import ToneAnalyzer, ToneFinding, ToneReported, ToneState, ToneTooLittleSpeech, VadModel
from carillon.analysis.settings import AnalysisSettings
from carillon.audio import Pcm
from carillon.inference import Models, Probabilities

# The fixtures `vad`, `tone`, `words`, `call`, `cut` and `bits` are in tests/analysis/conftest.py.

LOUD, LOW, SOFT = 0.4, 0.2, 0.001  # the first two are speech
SHORT = AnalysisSettings(tone_seconds=3, tone_every_seconds=2, tone_window_seconds=6)
EVERYTHING = replace(SHORT, tone_conversation=True, tone_transcript=True, tone_drift_negative=0.2)
PARTS = ((3, LOW), (1, SOFT), (3, LOUD), (0.2, SOFT), (4, LOW), (0.5, SOFT), (0.3, LOUD), (0.6, SOFT), (1.2, LOUD))


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


def _sound(loudness: float) -> Probabilities:
    return 0.7 * loudness, 0.3, 0.7 - 0.7 * loudness


def test_current_forgets_what_overall_remembers(
    vad: VadModel, tone: Any, call: Callable[..., Pcm], together: Callable[..., Probabilities]
) -> None:
    last = _reports(ToneAnalyzer(vad, tone, 8_000), call((40, LOW), (35, LOUD)))[-1]
    assert last.current.negative == pytest.approx(together((30, _sound(LOUD)))[0], abs=0.05)
    assert last.overall.negative == pytest.approx(together((40, _sound(LOW)), (35, _sound(LOUD)))[0], abs=0.05)


def test_a_report_weighs_by_speech_and_not_by_segment(
    vad: VadModel, tone: Any, call: Callable[..., Pcm], together: Callable[..., Probabilities]
) -> None:
    samples = call((10, LOW), (4, SOFT), (1, LOUD))
    last = _reports(ToneAnalyzer(vad, tone, 8_000), samples)[-1]
    assert last.overall.negative == pytest.approx(together((10, _sound(LOW)), (1, _sound(LOUD)))[0], abs=0.01)
    assert last.overall.speech_seconds == pytest.approx(11, abs=0.3)


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
    words: Any,
    call: Callable[..., Pcm],
    cut: Callable[..., list[Pcm]],
    bits: Callable[..., list[Any]],
) -> None:
    samples, other = (call(*PARTS, rate_hz=rate_hz, seed=seed) for seed in (1, 2))
    other = np.roll(other, rate_hz)

    def told(lengths: tuple[int, ...]) -> list[ToneFinding]:
        analyzer = ToneAnalyzer(vad, tone, rate_hz, settings=EVERYTHING, words=words, has_other=True)
        pairs = zip(cut(samples, lengths), cut(other, lengths), strict=True)
        return [finding for part, beside in pairs for finding in analyzer.push(part, beside)] + analyzer.end()

    whole = told((len(samples),))
    assert bits(told(lengths)) == bits(whole)
    assert [type(finding) for finding in whole].count(ToneReported) == 6


@pytest.mark.parametrize("settings", [SHORT, EVERYTHING])
@pytest.mark.parametrize("seed", range(12))
def test_restarts_are_invisible(
    seed: int,
    settings: AnalysisSettings,
    vad: VadModel,
    tone: Any,
    words: Any,
    call: Callable[..., Pcm],
    bits: Callable[..., list[Any]],
) -> None:
    samples, other = (call(*PARTS, seed=seed) for seed in (1, 2))

    def made(state: ToneState | None = None) -> ToneAnalyzer:
        return ToneAnalyzer(vad, tone, 8_000, state, settings, words, has_other=True)

    whole = made()
    expected = whole.push(samples, other) + whole.end()
    edges = [0, *sorted(np.random.default_rng(seed).integers(0, len(samples), 4).tolist()), len(samples)]
    analyzer, found = made(), []
    for begin, end in pairwise(edges):
        found += analyzer.push(samples[begin:end], other[begin:end])
        analyzer = made(_restarted(analyzer))
    assert bits(found + analyzer.end()) == bits(expected)


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("at", [1, 31_999, 100_000, 180_000])
def test_the_real_models_do_not_notice_splits_or_restarts(
    at: int, listens: bool, models: Models, voice: Pcm, bits: Callable[..., list[Any]]
) -> None:
    def made(state: ToneState | None = None) -> ToneAnalyzer:
        return ToneAnalyzer(models.vad, models.tone, 16_000, state, SHORT, models.words if listens else None)

    whole = _all(made(), [voice])
    before = made()
    found = before.push(voice[: at // 3]) + before.push(voice[at // 3 : at])
    assert bits(found + _all(made(_restarted(before)), [voice[at:]])) == bits(whole)
    assert len(whole) >= 4


@pytest.mark.parametrize(("has_words", "most_bytes"), [(False, 250_000), (True, 450_000)])
def test_the_state_stays_small_through_a_long_call(
    has_words: bool, most_bytes: int, vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    settings = AnalysisSettings(tone_conversation=True, tone_transcript=True)
    analyzer = ToneAnalyzer(vad, tone, 8_000, None, settings, words if has_words else None, has_other=True)
    minute = call(*[(2.7, LOW), (0.3, SOFT)] * 20)
    most = []
    for _ in range(4):
        sizes = []
        for part in np.split(minute, 30):
            analyzer.push(part, part)
            sizes.append(len(analyzer.state.to_bytes()))
        most.append(max(sizes))
    assert max(most) < most_bytes
    assert abs(most[3] - most[1]) < 20_000


def test_neither_state_nor_findings_show_the_voice_or_its_words(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000, settings=AnalysisSettings(tone_transcript=True), words=words)
    told = repr(analyzer.push(call((12, LOW), (2, SOFT), (8, LOW)))) + repr(analyzer.state)
    assert "array" not in told
    assert "word word" not in told


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


def test_a_habit_of_another_model_is_forgotten(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000)
    analyzer.push(call((6, LOW)))
    assert len(analyzer.state.baseline.mean)
    assert _restarted(analyzer).baseline.mean.tobytes() == analyzer.state.baseline.mean.tobytes()
    tone.id = "another"
    assert not len(ToneAnalyzer(vad, tone, 8_000, _restarted(analyzer)).state.baseline.mean)
