import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carillon.analysis import (
    AnalysisSettings,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerChanged,
    SpeakerFinding,
    SpeakerState,
    TooLittleSpeech,
    VadModel,
    VoiceprintReady,
)
from carillon.analysis.speaker.continuity import Continuity
from carillon.audio import Embedding, Pcm

LOUD = 0.2
SHORT = AnalysisSettings(identification_seconds=3, voiceprint_seconds=7, speaker_change_confidence=0.9)
VOICE, OTHER = np.eye(2, 4, dtype=np.float32)


class _Line:
    """Evidence of one size, for the same voice or against it."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def log_likelihood_ratio(self, score: float, _seconds: float, _channel: str) -> float:
        return self._ratio if score > 0.5 else -self._ratio


def _after(continuity: Continuity, *pieces: Embedding, ratio: float = 5.0) -> Continuity:
    for piece in pieces:
        continuity = continuity.after(piece, "tel", _Line(ratio))
    return continuity


def _begun() -> Continuity:
    return Continuity(VOICE * np.float32(2), "tel")


def test_two_strange_pieces_are_a_change_and_one_among_the_callers_is_not() -> None:
    assert _after(_begun(), VOICE, OTHER).change < 0.9
    assert _after(_begun(), VOICE, OTHER, VOICE).change < 0.1
    assert _after(_begun(), VOICE, OTHER, OTHER).change > 0.98


def test_a_piece_counts_only_so_much() -> None:
    assert _after(_begun(), OTHER, ratio=100).odds == pytest.approx(0.004 / 0.996 * math.exp(8))


def test_hours_of_one_voice_leave_nothing_but_the_chance_that_somebody_takes_over() -> None:
    assert _after(_begun(), *[VOICE] * 1_000).change == pytest.approx(0.004 * math.exp(-5), rel=0.02)


def test_what_is_the_callers_joins_the_voice_and_what_is_doubtful_does_not() -> None:
    akin = np.array([0.8, 0.6, 0, 0], np.float32)
    joined, doubtful = _after(_begun(), akin).voice, _after(_begun(), OTHER).voice
    assert joined is not None
    np.testing.assert_allclose(joined, [2.16, 0.12, 0, 0], rtol=1e-5)
    np.testing.assert_array_equal(doubtful, [2, 0, 0, 0])


def test_by_telephone_a_wideband_voice_is_known_by_its_twin_and_without_one_nothing_is_said() -> None:
    begun = replace(_begun(), band="wb")
    assert begun.after(OTHER, "tel", _Line(5)) is begun
    with_twin = replace(begun, narrowband=OTHER)
    assert with_twin.after(OTHER, "tel", _Line(5)).change < with_twin.after(VOICE, "tel", _Line(5)).change
    np.testing.assert_array_equal(with_twin.after(OTHER, "tel", _Line(5)).voice, begun.voice)


class _BandSpeaker:
    """Embeds how loud each of 16 bands is; counts how much it was asked to embed."""

    id = "bands"

    def __init__(self) -> None:
        self.heard: list[int] = []

    def embed(self, speech: Pcm, _band: str) -> Embedding:
        self.heard.append(len(speech))
        power = np.abs(np.fft.rfft(speech))[: len(speech) // 32 * 16].reshape(16, -1).mean(axis=1)
        unit: Embedding = (power / np.linalg.norm(power)).astype(np.float32)
        return unit

    embed_once = embed

    def log_likelihood_ratio(self, score: float, _seconds: float, _channel: str) -> float:
        return 100 * (score - 0.95)


@pytest.fixture
def speaker() -> _BandSpeaker:
    return _BandSpeaker()


@pytest.fixture(scope="module")
def two_people(call: Callable[..., Pcm]) -> Pcm:
    """30 s of hissing, then 40 s of humming, then 40 s of hissing."""
    noise = call((110, LOUD))
    hum = np.convolve(noise, np.ones(9, np.float32) / 3, "same").astype(np.float32)
    seconds = np.arange(len(noise)) / 8_000
    return np.where((seconds > 30) & (seconds < 70), hum, noise).astype(np.float32)


def _kinds(findings: list[SpeakerFinding]) -> list[type]:
    return [type(finding) for finding in findings]


def test_a_change_is_told_and_so_is_the_next_one(vad: VadModel, speaker: Any, two_people: Pcm) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    found = analyzer.push(two_people)
    assert _kinds(found) == [IdentificationReady, VoiceprintReady, SpeakerChanged, SpeakerChanged]
    first, second = (finding for finding in found if isinstance(finding, SpeakerChanged))
    assert 0.9 <= first.confidence <= 1
    assert 30 < first.speech_seconds < 45
    assert first.speech_seconds + second.speech_seconds < 85
    assert not analyzer.is_done
    assert analyzer.end() == []
    assert analyzer.is_done


def test_if_it_is_not_asked_for_the_voiceprint_is_the_end(vad: VadModel, speaker: Any, two_people: Pcm) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=replace(SHORT, speaker_change_confidence=0))
    assert _kinds(analyzer.push(two_people)) == [IdentificationReady, VoiceprintReady]
    assert analyzer.is_done


def test_switched_off_in_mid_call_no_change_is_looked_for_any_more(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    before = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    before.push(call((20, LOUD)))
    off = replace(SHORT, speaker_change_confidence=0)
    after = SpeakerAnalyzer(vad, speaker, 8_000, SpeakerState.from_bytes(before.state.to_bytes()), off)
    assert after.is_done
    assert after.push(call((20, LOUD))) + after.end() == []


def test_watching_costs_3_s_of_each_6(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    analyzer.push(call((8, LOUD)))
    speaker.heard.clear()
    analyzer.push(call((60, LOUD)))
    assert speaker.heard == [48_000] * 10
    assert len(analyzer.state.to_bytes()) < 250_000


@pytest.mark.parametrize("length", [1_001, 8_000, 300_000])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_changes_are_the_same_bits_however_a_call_is_cut_and_wherever_it_is_resumed(
    length: int,
    is_restarted: bool,
    vad: VadModel,
    speaker: Any,
    two_people: Pcm,
    cut: Callable[..., list[Pcm]],
    bits: Callable[..., list[Any]],
) -> None:
    whole = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    expected = whole.push(two_people) + whole.end()
    analyzer, found = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT), []
    for part in cut(two_people, [length]):
        found += analyzer.push(part)
        if is_restarted:
            state = SpeakerState.from_bytes(analyzer.state.to_bytes())
            analyzer = SpeakerAnalyzer(vad, speaker, 8_000, state, SHORT)
    assert bits(found + analyzer.end()) == bits(expected)


def test_a_caller_who_could_not_be_identified_is_not_watched(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    analyzer.push(call((9, 4.0)).clip(-1, 1))
    assert analyzer.is_done


def test_a_call_that_ends_before_the_voiceprint_says_so(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=SHORT)
    analyzer.push(call((5, LOUD)))
    assert [type(finding) for finding in analyzer.end()] == [TooLittleSpeech]
