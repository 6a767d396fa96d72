"""An operator may admit languages that AWS does not; the model rules all others."""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def overrides() -> Mapping[str, Mapping[str, Any]]:
    return {"tasks": {"tone_languages": "de-DE, pl-PL"}}


def _start(era: Any, call: Any, language: str) -> Any:
    return era.client("chime-sdk-media-pipelines").start_voice_tone_analysis_task(
        Identifier=call.pipeline_id,
        LanguageCode=language,
        KinesisVideoStreamSourceTaskConfiguration={"StreamArn": call.stream_arn, "ChannelId": 0},
    )["VoiceToneAnalysisTask"]


@pytest.mark.parametrize("language", ["en-US", "de-DE", "pl-PL"])
def test_an_admitted_language_starts_a_task(language: str, era: Any, begin_call: Any) -> None:
    assert _start(era, begin_call(start=False), language)["VoiceToneAnalysisTaskStatus"] == "NotStarted"


def test_any_other_is_refused_and_told_which_there_are(era: Any, begin_call: Any) -> None:
    with pytest.raises(ClientError, match="LanguageCode: must be one of: en-US, de-DE, pl-PL") as caught:
        _start(era, begin_call(start=False), "fr-FR")
    assert caught.value.response["Error"]["Code"] == "BadRequestException"
