from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest

from carillon.analysis import (
    AnalysisSettings,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerFinding,
    SpeakerModel,
    SpeakerState,
    TooLittleSpeech,
    VadModel,
    VoiceprintReady,
    embed_speech,
)
from carillon.analysis.speech import GateState
from carillon.audio import Band, Embedding, Pcm
from carillon.inference import Models

# The fixtures `vad`, `speaker`, `call`, `cut` and `bits` are in tests/analysis/conftest.py.

LOUD, SOFT = 0.2, 0.001
SHORT = AnalysisSettings(identification_seconds=3, voiceprint_seconds=7)


def _all(analyzer: SpeakerAnalyzer, parts: list[Pcm]) -> list[SpeakerFinding]:
    return [finding for part in parts for finding in analyzer.push(part)] + analyzer.end()


def _restarted(analyzer: SpeakerAnalyzer) -> SpeakerState:
    return SpeakerState.from_bytes(analyzer.state.to_bytes())


def test_10_s_of_speech_identify_and_20_s_make_a_voiceprint_however_long_the_silence(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    talk = [(4, LOUD), (3, SOFT)] * 6
    identified, remembered = _all(SpeakerAnalyzer(vad, speaker, 8_000), [call(*talk)])
    assert isinstance(identified, IdentificationReady)
    assert identified.speech_seconds == 10
    assert isinstance(remembered, VoiceprintReady)
    assert remembered.speech_seconds == 20
    assert remembered.speech.shape == (320_000,)
    assert remembered.speech.dtype == np.int16
    assert np.abs(remembered.speech).mean() > 1_000  # speech, not silence


def test_the_findings_come_with_the_sample_that_completes_them(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 16_000)
    samples = call((30, LOUD), rate_hz=16_000)
    found = []
    for second in range(30):
        found += [second + 1 for _ in analyzer.push(samples[second * 16_000 : (second + 1) * 16_000])]
    assert found == [11, 20]  # 10 s are 312.5 frames: the half is only complete in the next second
    assert analyzer.is_done


def test_the_voiceprint_is_what_its_speech_embeds_to(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    identified, remembered = SpeakerAnalyzer(vad, speaker, 8_000).push(call((22, LOUD)))
    assert isinstance(identified, IdentificationReady)
    assert isinstance(remembered, VoiceprintReady)
    np.testing.assert_array_equal(embed_speech(speaker, remembered.speech), remembered.embedding)
    np.testing.assert_array_equal(embed_speech(speaker, remembered.speech[:160_000]), identified.embedding)
    assert np.linalg.norm(remembered.embedding) == pytest.approx(1)


def test_no_second_of_speech_is_embedded_twice(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    SpeakerAnalyzer(vad, speaker, 8_000).push(call((22, LOUD)))
    assert speaker.heard == [80_000] * 4


def test_afterwards_nothing_is_heard_and_nothing_remembered(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000)
    assert len(analyzer.push(call((22, LOUD)))) == 2
    before = analyzer.state
    assert analyzer.push(call((30, LOUD))) == []
    assert analyzer.end() == []
    assert analyzer.state is before
    assert len(before.to_bytes()) < 8_000


@pytest.mark.parametrize(
    ("seconds", "stages"),
    [(0, ["identification", "voiceprint"]), (9, ["identification", "voiceprint"]), (15, ["voiceprint"])],
)
def test_a_call_that_ends_early_says_what_was_missed(
    seconds: float, stages: list[str], vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000)
    analyzer.push(call((seconds, LOUD), (5, SOFT)))
    missed = [finding for finding in analyzer.end() if isinstance(finding, TooLittleSpeech)]
    assert [finding.stage for finding in missed] == stages
    assert all(seconds <= finding.speech_seconds <= seconds + 0.2 for finding in missed)
    assert analyzer.is_done
    assert analyzer.end() == []


def test_what_the_resampler_still_held_counts_at_the_end(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    analyzer = SpeakerAnalyzer(
        vad, speaker, 8_000, settings=AnalysisSettings(identification_seconds=2, voiceprint_seconds=9)
    )
    assert analyzer.push(call((2.03, LOUD))) == []
    identified, missed = analyzer.end()
    assert isinstance(identified, IdentificationReady)
    assert missed == TooLittleSpeech("voiceprint", 63 * 512 / 16_000)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 48_000])
@pytest.mark.parametrize("lengths", [(100_000,), (1_000,), (1, 479, 7_001)])
def test_any_split_gives_the_same_bits(
    rate_hz: int,
    lengths: tuple[int, ...],
    vad: VadModel,
    speaker: Any,
    call: Callable[..., Pcm],
    cut: Callable[..., list[Pcm]],
    bits: Callable[..., list[Any]],
) -> None:
    samples = call((2, LOUD), (1, SOFT), (3, LOUD), (1, SOFT), (4, LOUD), rate_hz=rate_hz)
    whole = _all(SpeakerAnalyzer(vad, speaker, rate_hz, settings=SHORT), [samples])
    split = _all(SpeakerAnalyzer(vad, speaker, rate_hz, settings=SHORT), cut(samples, lengths))
    assert bits(split) == bits(whole)
    assert [type(finding) for finding in whole] == [IdentificationReady, VoiceprintReady]


@pytest.mark.parametrize("seed", range(12))
def test_restarts_are_invisible(
    seed: int, vad: VadModel, speaker: Any, call: Callable[..., Pcm], bits: Callable[..., list[Any]]
) -> None:
    samples = call((2, LOUD), (1, SOFT), (3, LOUD), (1, SOFT), (4, LOUD))
    expected = _all(SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT), [samples])
    edges = [0, *sorted(np.random.default_rng(seed).integers(0, len(samples), 4).tolist()), len(samples)]
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    found: list[SpeakerFinding] = []
    for begin, end in pairwise(edges):
        found += analyzer.push(samples[begin:end])
        analyzer = SpeakerAnalyzer(vad, speaker, 8_000, _restarted(analyzer), SHORT)
    assert bits(found + analyzer.end()) == bits(expected)


@pytest.mark.parametrize("at", [1, 50_000, 80_001, 120_000])
def test_the_real_models_do_not_notice_splits_or_restarts(
    at: int, models: Models, voice: Pcm, bits: Callable[..., list[Any]]
) -> None:
    whole = _all(SpeakerAnalyzer(models.vad, models.speaker, 16_000, settings=SHORT), [voice])
    before = SpeakerAnalyzer(models.vad, models.speaker, 16_000, settings=SHORT)
    found = before.push(voice[: at // 3]) + before.push(voice[at // 3 : at])
    after = SpeakerAnalyzer(models.vad, models.speaker, 16_000, _restarted(before), SHORT)
    assert bits(found + _all(after, [voice[at:]])) == bits(whole)


class _Mirrored:
    """Another model: every embedding backwards."""

    id = "mirrored"

    def __init__(self, speaker: Any) -> None:
        self._speaker = speaker

    def embed(self, speech: Pcm, band: Band) -> Embedding:
        mirrored: Embedding = self._speaker.embed(speech, band)[::-1]
        return mirrored


def test_speech_that_another_model_embedded_is_embedded_anew(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm], bits: Callable[..., list[Any]]
) -> None:
    """Somebody changed the model while a call was on: no voice may be made of two models' pieces."""
    samples = call((8, LOUD), (1, SOFT), (4, LOUD))
    expected = _all(SpeakerAnalyzer(vad, cast("SpeakerModel", _Mirrored(speaker)), 8_000), [samples])
    before = SpeakerAnalyzer(vad, speaker, 8_000)
    assert before.push(samples[:60_000]) == []
    assert len(before.state.pieces) == 1
    after = SpeakerAnalyzer(vad, cast("SpeakerModel", _Mirrored(speaker)), 8_000, _restarted(before))
    found = _all(after, [samples[60_000:]])
    assert [type(finding) for finding in found] == [IdentificationReady, TooLittleSpeech]
    assert bits(found) == bits(expected)


def test_the_state_stays_small_through_an_hour_of_silence(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000)
    analyzer.push(call((19, LOUD)))
    size = len(analyzer.state.to_bytes())
    assert size < 700_000
    minute = call((60, SOFT))
    for _ in range(3):
        analyzer.push(minute)
    assert len(analyzer.state.to_bytes()) < size + 10_000


def test_neither_state_nor_findings_show_the_voice(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000)
    found = analyzer.push(call((12, LOUD)))
    assert "array" not in repr(found)
    assert "array" not in repr(analyzer.state)
    assert SpeakerState(GateState()).is_done is False


def test_speech_from_before_an_interruption_counts_whatever_rate_comes_after(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    findings = analyzer.push(call((2.5, LOUD))) + analyzer.interrupt(48_000)
    assert findings == []
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, _restarted(analyzer), SHORT)
    kinds = [type(finding) for finding in analyzer.push(call((5, LOUD), rate_hz=48_000))]
    assert kinds == [IdentificationReady, VoiceprintReady]
    assert analyzer.interrupt(8_000) == []
