"""What stands against a request when resources depend on each other, by boto3 on a whole server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

PIPELINES, VOICE = "chime-sdk-media-pipelines", "chime-sdk-voice"
NOBODY = "8fca2a0e-3c1f-4d62-8f4e-7b1d2a9e6c10"


def refused(error: str, act: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        act(**request)
    assert caught.value.response["Error"]["Code"] == error
    return str(caught.value.response["Error"]["Message"])


def until(holds: Callable[[], bool]) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=120)
    while not holds():
        assert datetime.now(UTC) < deadline


def test_neither_kind_of_task_starts_on_a_pipeline_that_is_unknown(era: Any, begin_call: Any) -> None:
    call, client = begin_call(), era.client(PIPELINES)
    source = {"StreamArn": f"arn:aws:kinesisvideo:us-east-1:111122223333:stream/x/{1_732_270_000_000}", "ChannelId": 0}
    named = {"Identifier": NOBODY, "KinesisVideoStreamSourceTaskConfiguration": source}
    arn = f"arn:aws:chime:us-east-1:111122223333:voice-profile-domain/{call.domain_id}"
    refused("NotFoundException", client.start_speaker_search_task, VoiceProfileDomainArn=arn, **named)
    refused("NotFoundException", client.start_voice_tone_analysis_task, LanguageCode="en-US", **named)


def test_a_task_on_a_stream_that_is_gone_fails_and_so_does_its_pipeline(era: Any, begin_call: Any) -> None:
    call, client = begin_call(start=False), era.client(PIPELINES)
    era.client("kinesisvideo").delete_stream(StreamARN=call.stream_arn)
    started = client.start_voice_tone_analysis_task(
        Identifier=call.pipeline_id,
        LanguageCode="en-US",
        KinesisVideoStreamSourceTaskConfiguration={"StreamArn": call.stream_arn, "ChannelId": 0},
    )["VoiceToneAnalysisTask"]
    named = {"Identifier": call.pipeline_id, "VoiceToneAnalysisTaskId": started["VoiceToneAnalysisTaskId"]}
    get = client.get_voice_tone_analysis_task
    until(lambda: get(**named)["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskStatus"] == "Failed")
    until(lambda: call.status() == "Failed")
    refused("ConflictException", client.stop_voice_tone_analysis_task, **named)
    for wanted in ("Pause", "Resume"):
        update = {"Identifier": call.pipeline_id, "UpdateStatus": wanted}
        refused("ConflictException", client.update_media_insights_pipeline_status, **update)


def test_while_a_search_looks_into_a_domain_a_profile_may_go_and_the_domain_may_not(era: Any, begin_call: Any) -> None:
    voice, call = era.client(VOICE), begin_call()
    profile = voice.create_voice_profile(SpeakerSearchTaskId=call.search_id)["VoiceProfile"]
    refused("ConflictException", voice.delete_voice_profile_domain, VoiceProfileDomainId=call.domain_id)
    voice.delete_voice_profile(VoiceProfileId=profile["VoiceProfileId"])
    call.end()
    voice.delete_voice_profile_domain(VoiceProfileDomainId=call.domain_id)


def test_a_profile_takes_no_voice_of_another_domain(era: Any, begin_call: Any) -> None:
    voice, calls = era.client(VOICE), [begin_call(), begin_call()]
    profile = voice.create_voice_profile(SpeakerSearchTaskId=calls[0].search_id)["VoiceProfile"]
    said = refused(
        "BadRequestException",
        voice.update_voice_profile,
        VoiceProfileId=profile["VoiceProfileId"],
        SpeakerSearchTaskId=calls[1].search_id,
    )
    assert "different domains" in said
    assert voice.get_voice_profile(VoiceProfileId=profile["VoiceProfileId"])["VoiceProfile"] == profile


def test_a_paused_pipeline_is_deleted_like_any_other_and_keeps_its_configuration_until_then(
    era: Any, begin_call: Any
) -> None:
    client, call = era.client(PIPELINES), begin_call()
    client.update_media_insights_pipeline_status(Identifier=call.pipeline_id, UpdateStatus="Pause")
    delete = client.delete_media_insights_pipeline_configuration
    refused("ConflictException", delete, Identifier=call.name)
    call.end()
    delete(Identifier=call.name)
