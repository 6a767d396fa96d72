"""The extension that measures a conversation: frames counted on both channels, side by side."""

from collections.abc import Callable
from math import log10
from typing import Any

import numpy as np
import pytest

from carillon.analysis import SpeechGate, ToneAnalyzer, ToneReported, VadModel
from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.tone import ConversationMeasures, ToneDetails, ToneState
from carillon.audio import Pcm

# The fixtures `vad`, `tone` and `call` are in tests/analysis/conftest.py.

LOUD, LOW, SOFT = 0.4, 0.2, 0.001  # the first two are speech
ON = AnalysisSettings(tone_conversation=True)


def _reports(analyzer: ToneAnalyzer, samples: Pcm, other: Pcm | None = None) -> list[ToneReported]:
    findings = analyzer.push(samples, other) + analyzer.end()
    return [finding for finding in findings if isinstance(finding, ToneReported)]


def _details(report: ToneReported) -> tuple[ConversationMeasures, ConversationMeasures]:
    assert isinstance(report.details, ToneDetails)
    assert report.details.current is not None
    assert report.details.overall is not None
    return report.details.current, report.details.overall


def test_without_the_extension_there_is_nothing_to_tell(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000, has_other=True)
    assert not analyzer.hears_other
    reports = _reports(analyzer, call((20, LOW)))
    assert [report.details for report in reports] == [None] * len(reports)
    assert analyzer.state.conversation is None


def test_who_speaks_how_much_and_over_whom(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    samples = call((12, LOW), (28, SOFT), (20, LOW))
    other = call((10, SOFT), (12, LOW), (38, SOFT), seed=2)
    analyzer = ToneAnalyzer(vad, tone, 8_000, settings=ON, has_other=True)
    current, overall = _details(_reports(analyzer, samples, other)[-1])
    assert overall.speaker.speech_ratio == pytest.approx(32 / 60, abs=0.01)
    assert overall.other is not None
    assert overall.other.speech_ratio == pytest.approx(12 / 60, abs=0.01)
    assert overall.talk_over_ratio == pytest.approx(2 / 60, abs=0.01)
    assert overall.silence_ratio == pytest.approx(18 / 60, abs=0.01)
    assert current.speaker.speech_ratio == pytest.approx(20 / 30, abs=0.01)
    assert current.other is not None
    assert current.other.speech_ratio == 0
    assert current.other.loudness_dbfs is None
    assert current.other.syllables_per_second is None
    assert current.talk_over_ratio == 0
    assert current.silence_ratio == pytest.approx(10 / 30, abs=0.01)


def test_loudness_is_that_of_speech_alone(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    samples, other = call((20, LOW), (20, SOFT)), call((40, LOUD), seed=2)
    analyzer = ToneAnalyzer(vad, tone, 8_000, settings=ON, has_other=True)
    _, overall = _details(_reports(analyzer, samples, other)[-1])
    uniform = 10 * log10((2 * LOW) ** 2 / 3)  # of noise between -2 * LOW and 2 * LOW
    assert overall.speaker.loudness_dbfs == pytest.approx(uniform, abs=0.3)
    assert overall.other is not None
    assert overall.other.loudness_dbfs == pytest.approx(uniform + 6.02, abs=0.3)


def test_a_stream_of_one_channel_tells_of_its_speaker_alone(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000, settings=ON)
    assert not analyzer.hears_other
    _, overall = _details(_reports(analyzer, call((20, LOW), (20, SOFT)))[-1])
    assert overall.other is None
    assert overall.talk_over_ratio is None
    assert overall.silence_ratio == pytest.approx(0.5, abs=0.01)


def test_a_window_is_exact_to_the_frame(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    parts = [
        (max(0.1, length), (LOW, SOFT)[i % 2]) for i, length in enumerate(np.random.default_rng(3).exponential(2, 50))
    ]
    samples, other = call(*parts, rate_hz=16_000), call(*parts[1:], parts[0], rate_hz=16_000)
    speaks, replies = (SpeechGate(vad, 16_000).push(channel).is_speech for channel in (samples, other))
    ends = (np.arange(len(speaks)) + 1) * 512
    reports = _reports(ToneAnalyzer(vad, tone, 16_000, settings=ON, has_other=True), samples, other)
    assert len(reports) > 10
    for report in reports:
        for average, talk in zip((report.current, report.overall), _details(report), strict=True):
            inside = (ends > average.begin_ms * 16) & (ends <= average.end_ms * 16)
            assert talk.other is not None
            assert talk.speaker.speech_ratio == speaks[inside].mean()
            assert talk.other.speech_ratio == replies[inside].mean()
            assert talk.talk_over_ratio == (speaks & replies)[inside].mean()
            assert talk.silence_ratio == pytest.approx(1 - (speaks | replies)[inside].mean(), abs=1e-12)


def test_a_window_that_ended_long_ago_has_no_measures_left(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    final = _reports(ToneAnalyzer(vad, tone, 8_000, settings=ON), call((12, LOW), (50, SOFT)))[-1]
    assert final.details is not None
    assert final.details.current is None
    assert final.details.overall is not None


def test_the_extension_may_be_switched_on_in_the_middle_of_a_call(
    vad: VadModel, tone: Any, call: Callable[..., Pcm]
) -> None:
    before = ToneAnalyzer(vad, tone, 8_000)
    before.push(call((10.01, LOW)))
    state = ToneState.from_bytes(before.state.to_bytes())
    after = ToneAnalyzer(vad, tone, 8_000, state, ON, has_other=True)
    _, overall = _details(_reports(after, call((10, LOW), (10, SOFT)), call((10, SOFT), (10, LOW)))[-1])
    assert overall.speaker.speech_ratio == pytest.approx(0.5, abs=0.02)
    assert overall.talk_over_ratio == pytest.approx(0, abs=0.02)
    assert overall.silence_ratio == pytest.approx(0, abs=0.02)


def test_an_interruption_keeps_both_channels_in_step(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000, settings=ON, has_other=True)
    analyzer.push(call((10.003, LOW)), call((10.003, SOFT)))
    analyzer.interrupt(16_000)
    samples, other = (call((10, loudness), rate_hz=16_000) for loudness in (SOFT, LOW))
    _, overall = _details(_reports(analyzer, samples, other)[-1])
    assert overall.talk_over_ratio == pytest.approx(0, abs=0.01)
    assert overall.silence_ratio == pytest.approx(0, abs=0.01)
    assert overall.speaker.speech_ratio + overall.other.speech_ratio == pytest.approx(1, abs=0.01)  # type: ignore[union-attr]  # both are there


def test_syllables_are_counted_at_their_own_rate(vad: VadModel, tone: Any) -> None:
    times = np.arange(20 * 16_000) / 16_000
    hum = 0.4 * np.sign(np.sin(2 * np.pi * 140 * times)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * times))
    _, overall = _details(_reports(ToneAnalyzer(vad, tone, 16_000, settings=ON), hum.astype(np.float32))[-1])
    assert overall.speaker.syllables_per_second == pytest.approx(4, abs=0.1)
