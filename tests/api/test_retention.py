"""How long things are kept, by boto3 on a whole server whose time, and whose clients' time, the tests turn."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def refused(error: str, status: int, act: Callable[..., Any], **request: Any) -> str:
    """The message of a refusal, after a look at what SDKs raise it as."""
    with pytest.raises(ClientError) as caught:
        act(**request)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (error, status)
    assert type(caught.value).__name__ == error
    return str(response["Error"]["Message"])


def test_a_voiceprint_is_gone_a_day_after_the_call_and_forgotten_after_a_week(era: Any, begin_call: Any) -> None:
    voice = era.client("chime-sdk-voice")
    first = begin_call()
    domain = voice.get_voice_profile_domain(VoiceProfileDomainId=first.domain_id)["VoiceProfileDomain"]
    second = begin_call(domain)
    first.end()
    second.end()
    era.clock.advance(DAY - MINUTE)
    profile_id = voice.create_voice_profile(SpeakerSearchTaskId=first.search_id)["VoiceProfile"]["VoiceProfileId"]
    era.clock.advance(MINUTE)
    update = {"VoiceProfileId": profile_id, "SpeakerSearchTaskId": second.search_id}
    said = refused("GoneException", 410, voice.create_voice_profile, SpeakerSearchTaskId=second.search_id)
    assert "newer call" in said
    refused("GoneException", 410, voice.update_voice_profile, **update)
    # What was enrolled in time stays, and asking again is no news.
    again = voice.create_voice_profile(SpeakerSearchTaskId=first.search_id)["VoiceProfile"]
    assert again["VoiceProfileId"] == profile_id
    era.clock.advance(6 * DAY)
    refused("GoneException", 410, voice.create_voice_profile, SpeakerSearchTaskId=second.search_id)


def test_a_call_whose_domain_was_deleted_meanwhile_enrolls_nobody(era: Any, begin_call: Any) -> None:
    voice = era.client("chime-sdk-voice")
    call = begin_call()
    call.end()
    voice.delete_voice_profile_domain(VoiceProfileDomainId=call.domain_id)
    refused("NotFoundException", 404, voice.create_voice_profile, SpeakerSearchTaskId=call.search_id)


def test_tasks_and_their_pipeline_can_be_read_for_seven_days(era: Any, begin_call: Any) -> None:
    pipelines, voice = era.client("chime-sdk-media-pipelines"), era.client("chime-sdk-voice")
    call = begin_call()
    call.end()
    search = {"Identifier": call.pipeline_id, "SpeakerSearchTaskId": call.search_id}
    tone = {"Identifier": call.pipeline_id, "VoiceToneAnalysisTaskId": call.tone_id}
    results = {"VoiceConnectorId": call.pipeline_id, "SpeakerSearchTaskId": call.search_id}
    era.clock.advance(7 * DAY - MINUTE)
    assert pipelines.get_speaker_search_task(**search)["SpeakerSearchTask"]["SpeakerSearchTaskStatus"] == "Stopped"
    found = pipelines.get_voice_tone_analysis_task(**tone)["VoiceToneAnalysisTask"]
    assert found["VoiceToneAnalysisTaskStatus"] == "Stopped"
    assert voice.get_speaker_search_task(**results)["SpeakerSearchTask"]["SpeakerSearchTaskStatus"] == "SUCCEEDED"
    assert call.status() == "Stopped"
    era.clock.advance(MINUTE)
    refused("NotFoundException", 404, pipelines.get_speaker_search_task, **search)
    refused("NotFoundException", 404, pipelines.get_voice_tone_analysis_task, **tone)
    refused("NotFoundException", 404, voice.get_speaker_search_task, **results)
    refused("NotFoundException", 404, pipelines.get_media_pipeline, MediaPipelineId=call.pipeline_id)


def test_an_ended_pipeline_is_listed_for_an_hour(era: Any, begin_call: Any) -> None:
    pipelines = era.client("chime-sdk-media-pipelines")
    call = begin_call()
    call.end()

    def is_listed() -> bool:
        listed = pipelines.list_media_pipelines()["MediaPipelines"]
        return any(pipeline["MediaPipelineId"] == call.pipeline_id for pipeline in listed)

    era.clock.advance(timedelta(hours=1) - MINUTE)
    assert is_listed()
    era.clock.advance(MINUTE)
    assert not is_listed()


def test_a_profile_expires_after_three_years_and_can_be_revived(era: Any, begin_call: Any) -> None:
    voice = era.client("chime-sdk-voice")
    call = begin_call()
    call.end()
    made = voice.create_voice_profile(SpeakerSearchTaskId=call.search_id)["VoiceProfile"]
    assert made["ExpirationTimestamp"] == made["UpdatedTimestamp"].replace(year=made["UpdatedTimestamp"].year + 3)
    era.clock.advance(made["ExpirationTimestamp"] - era.clock.now() + DAY)
    # AWS: the embedding goes, the profile stays and can still be updated.
    which = {"VoiceProfileId": made["VoiceProfileId"]}
    assert voice.get_voice_profile(**which)["VoiceProfile"] == made
    assert voice.list_voice_profiles(VoiceProfileDomainId=call.domain_id)["VoiceProfiles"] == [made]
    domain = voice.get_voice_profile_domain(VoiceProfileDomainId=call.domain_id)["VoiceProfileDomain"]
    newer = begin_call(domain)
    newer.end()
    revived = voice.update_voice_profile(**which, SpeakerSearchTaskId=newer.search_id)["VoiceProfile"]
    assert revived["CreatedTimestamp"] == made["CreatedTimestamp"]
    assert revived["ExpirationTimestamp"].year == era.clock.now().year + 3


def test_a_token_is_good_for_a_day(era: Any) -> None:
    voice = era.client("chime-sdk-voice")
    request = {"Name": "once", "ServerSideEncryptionConfiguration": KEY, "ClientRequestToken": uuid.uuid4().hex}
    made = voice.create_voice_profile_domain(**request)["VoiceProfileDomain"]
    era.clock.advance(DAY - MINUTE)
    assert voice.create_voice_profile_domain(**request)["VoiceProfileDomain"] == made
    refused("ConflictException", 409, voice.create_voice_profile_domain, **{**request, "Name": "other"})
    era.clock.advance(MINUTE)
    again = voice.create_voice_profile_domain(**{**request, "Name": "other"})["VoiceProfileDomain"]
    assert again["VoiceProfileDomainId"] != made["VoiceProfileDomainId"]
