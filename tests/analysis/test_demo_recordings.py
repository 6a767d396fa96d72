"""The shipped calls through the shipped models: what the demonstration promises, without its server."""

from importlib.resources import as_file, files

import pytest
import soundfile

from carillon.analysis import (
    AnalysisSettings,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerChanged,
    ToneAnalyzer,
    ToneReported,
    VoiceprintReady,
    speech_of,
)
from carillon.audio import Pcm
from carillon.inference import Models, posteriors

CUSTOMER, AGENT = 0, 1


def _channel(name: str, channel: int) -> Pcm:
    with as_file(files("carillon.demo") / "recordings" / f"{name}.flac") as path:
        samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == 8_000
    return samples[:, channel].copy()


@pytest.fixture(scope="module")
def searches(models: Models) -> dict[str, tuple[IdentificationReady, VoiceprintReady]]:
    """What the customer of each call is searched and remembered by."""
    found = {}
    for name in ("call_1", "call_2", "call_3"):
        identified, remembered = SpeakerAnalyzer(models.vad, models.speaker, 8_000).push(_channel(name, CUSTOMER))
        assert isinstance(identified, IdentificationReady)
        assert isinstance(remembered, VoiceprintReady)
        found[name] = identified, remembered
    return found


@pytest.mark.parametrize(("name", "is_same_person"), [("call_2", True), ("call_3", False)])
def test_the_customer_of_call_1_is_known_again_and_another_is_not(
    name: str,
    is_same_person: bool,
    models: Models,
    searches: dict[str, tuple[IdentificationReady, VoiceprintReady]],
) -> None:
    _, enrolled = searches["call_1"]
    searched, _ = searches[name]
    ratio = models.speaker.log_likelihood_ratio(float(enrolled.embedding @ searched.embedding), 10, "tel")
    assert (posteriors([ratio], 1)[0] >= 0.7) is is_same_person


def test_the_tone_of_call_1_is_told_every_5_s_and_at_its_end(models: Models) -> None:
    samples = _channel("call_1", CUSTOMER)
    analyzer = ToneAnalyzer(models.vad, models.tone, 8_000)
    reports = [finding for finding in analyzer.push(samples) + analyzer.end() if isinstance(finding, ToneReported)]
    assert len(reports) >= 10
    assert reports[-1].final
    assert reports[-1].overall.end_ms == len(samples) // 8


def test_nobody_talks_over_the_other() -> None:
    for name in ("call_1", "call_2", "call_3"):
        assert not ((_channel(name, CUSTOMER) != 0) & (_channel(name, AGENT) != 0)).any()


def test_the_customer_of_call_1_talks_enough_for_more_than_one_window_of_tone(models: Models) -> None:
    assert len(speech_of(_channel("call_1", CUSTOMER), 8_000, models.vad)) >= 32 * 16_000


def test_a_handset_that_is_passed_on_is_noticed_and_a_call_of_one_person_is_not(models: Models) -> None:
    settings = AnalysisSettings(speaker_change_confidence=0.9)
    analyzer = SpeakerAnalyzer(models.vad, models.speaker, 8_000, settings=settings)
    alone = analyzer.push(_channel("call_1", CUSTOMER))
    assert [type(finding) for finding in alone] == [IdentificationReady, VoiceprintReady]
    (changed,) = analyzer.push(_channel("call_3", CUSTOMER))
    assert isinstance(changed, SpeakerChanged)
