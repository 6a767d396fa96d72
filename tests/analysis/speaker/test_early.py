from collections.abc import Callable
from typing import Any

import pytest

from carillon.analysis import (
    AnalysisSettings,
    EarlyIdentificationReady,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerFinding,
    SpeakerState,
    VadModel,
    embed_speech,
)
from carillon.audio import Pcm, to_pcm16

LOUD, SOFT = 0.2, 0.001
EARLY = AnalysisSettings(early_confidence=0.97)


def _looks(findings: list[SpeakerFinding]) -> list[float]:
    return [finding.speech_seconds for finding in findings if isinstance(finding, EarlyIdentificationReady)]


def test_before_the_identification_there_are_five_looks_if_they_are_asked_for(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    samples = call((3.5, LOUD), (4, SOFT), (8, LOUD))
    found = SpeakerAnalyzer(vad, speaker, 8_000, settings=EARLY).push(samples)
    assert _looks(found) == [2, 3, 4, 5, 7]
    assert isinstance(found[-1], IdentificationReady)
    assert _looks(SpeakerAnalyzer(vad, speaker, 8_000).push(samples)) == []


def test_a_look_sees_what_its_speech_embeds_to(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    samples = call((7.5, LOUD), rate_hz=16_000)
    *_, last = SpeakerAnalyzer(vad, speaker, 16_000, settings=EARLY).push(samples)
    assert isinstance(last, EarlyIdentificationReady)
    assert last.embedding.tobytes() == embed_speech(speaker, to_pcm16(samples[: 7 * 16_000])).tobytes()


def test_once_somebody_was_found_nobody_looks_any_more_also_over_a_restart(
    vad: VadModel, speaker: Any, call: Callable[..., Pcm]
) -> None:
    samples = call((12, LOUD))
    analyzer = SpeakerAnalyzer(vad, speaker, 8_000, settings=EARLY)
    assert _looks(analyzer.push(samples[:28_000])) == [2, 3]
    analyzer.stop_looking()
    after = SpeakerAnalyzer(vad, speaker, 8_000, SpeakerState.from_bytes(analyzer.state.to_bytes()), EARLY)
    (identified,) = after.push(samples[28_000:])
    assert isinstance(identified, IdentificationReady)


@pytest.mark.parametrize("length", [1_001, 8_000, 50_000])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_looks_are_the_same_bits_however_a_call_is_cut_and_wherever_it_is_resumed(
    length: int,
    is_restarted: bool,
    vad: VadModel,
    speaker: Any,
    call: Callable[..., Pcm],
    cut: Callable[..., list[Pcm]],
    bits: Callable[..., list[Any]],
) -> None:
    samples = call((3, LOUD), (1, SOFT), (9, LOUD))
    whole = SpeakerAnalyzer(vad, speaker, 8_000, settings=EARLY)
    expected = whole.push(samples) + whole.end()
    analyzer, found = SpeakerAnalyzer(vad, speaker, 8_000, settings=EARLY), []
    for part in cut(samples, [length]):
        found += analyzer.push(part)
        if is_restarted:
            state = SpeakerState.from_bytes(analyzer.state.to_bytes())
            analyzer = SpeakerAnalyzer(vad, speaker, 8_000, state, EARLY)
    assert bits(found + analyzer.end()) == bits(expected)


def test_a_look_at_clipped_speech_finds_nobody(vad: VadModel, speaker: Any, call: Callable[..., Pcm]) -> None:
    assert _looks(SpeakerAnalyzer(vad, speaker, 8_000, settings=EARLY).push(call((6, 4.0)).clip(-1, 1))) == []
