from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from carillon.access.errors import RateExceeded
from carillon.access.throttle import Throttle, ThrottleSettings, family_of
from carillon.clock import ManualClock


def _allowed(throttle: Throttle, caller: str, operation: str, attempts: int) -> int:
    """How many of so many requests at one moment are answered."""
    count = 0
    for _ in range(attempts):
        with suppress(RateExceeded):
            throttle.check(caller, operation)
            count += 1
    return count


def test_nothing_is_throttled_by_default(clock: ManualClock) -> None:
    assert _allowed(Throttle(ThrottleSettings(), clock), "key", "GetSpeakerSearchTask", 10_000) == 10_000


def test_a_rate_is_kept_for_each_caller_and_family(clock: ManualClock) -> None:
    throttle = Throttle(ThrottleSettings(speaker_searches=5), clock)
    assert _allowed(throttle, "a", "StartSpeakerSearchTask", 20) == 5
    assert _allowed(throttle, "a", "GetSpeakerSearchTask", 20) == 0
    assert _allowed(throttle, "b", "GetSpeakerSearchTask", 20) == 5
    assert _allowed(throttle, "a", "GetVoiceToneAnalysisTask", 20) == 20
    clock.advance(timedelta(seconds=0.4))
    assert _allowed(throttle, "a", "StopSpeakerSearchTask", 20) == 2
    clock.advance(timedelta(hours=1))
    assert _allowed(throttle, "a", "StopSpeakerSearchTask", 20) == 5


def test_too_many_requests_are_told_so(clock: ManualClock) -> None:
    throttle = Throttle(ThrottleSettings(profiles=1), clock)
    throttle.check("a", "GetVoiceProfile")
    with pytest.raises(RateExceeded, match="GetVoiceProfile belongs to profiles"):
        throttle.check("a", "GetVoiceProfile")


def test_a_rate_under_one_a_second_still_allows_one(clock: ManualClock) -> None:
    throttle = Throttle(ThrottleSettings(domains=0.1), clock)
    assert _allowed(throttle, "a", "CreateVoiceProfileDomain", 3) == 1
    clock.advance(timedelta(seconds=9))
    assert _allowed(throttle, "a", "CreateVoiceProfileDomain", 3) == 0
    clock.advance(timedelta(seconds=1))
    assert _allowed(throttle, "a", "CreateVoiceProfileDomain", 3) == 1


@pytest.mark.parametrize(
    ("operation", "family"),
    [
        ("ListMediaInsightsPipelineConfigurations", "configurations"),
        ("UpdateMediaInsightsPipelineStatus", "pipelines"),
        ("DeleteMediaPipeline", "pipelines"),
        ("ListVoiceProfileDomains", "domains"),
        ("ListVoiceProfiles", "profiles"),
        ("StartVoiceToneAnalysisTask", "voice_tones"),
        ("TagResource", None),
        ("CreateStream", None),
    ],
)
def test_an_operation_belongs_to_the_family_in_its_name(operation: str, family: str | None) -> None:
    assert family_of(operation) == family


def test_an_operator_can_limit_a_family(start_server: Any, tmp_path: Path) -> None:
    voice = start_server(tmp_path, CARILLON_RATES_DOMAINS="2").client("chime-sdk-voice")
    codes = []
    for _ in range(20):
        try:
            voice.list_voice_profile_domains()
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert codes
    assert set(codes) == {"ThrottledClientException"}
