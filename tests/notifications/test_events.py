"""Every notification, member by member and in the published order."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.arns import AwsAccount
from carillon.notifications import (
    ElementStatus,
    Event,
    EventContext,
    PipelineEventType,
    ProfileMatch,
    SpeakerSearchStatus,
    SpokenWords,
    ToneExtension,
    ToneWindow,
    VoiceMeasures,
    VoiceToneStatus,
    WindowMeasures,
    pipeline_event,
    speaker_search_event,
    voice_tone_event,
)

PIPELINE = "7c1d7e52-0f0b-4a8e-8a55-3f2b9c6d1e90"
PIPELINE_ARN = f"arn:aws:chime:us-east-1:111122223333:media-pipeline/{PIPELINE}"
STREAM_ARN = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/customer/1732270000001"
AT = datetime(2026, 11, 22, 10, 15, 47, 512_345, tzinfo=UTC)
UUID_1 = UUID("6f7d3b1e-8a52-4a0b-9a7a-2f6f0f7d5c01")


def context(task_id: str, role: str | None = "CUSTOMER", **more: str) -> EventContext:
    return EventContext(AwsAccount(), PIPELINE, PIPELINE_ARN, task_id, STREAM_ARN, 1, role, **more)


def same(event: Event, expected: str) -> None:
    """Equal to the published JSON, the order of members included."""
    assert json.dumps(json.loads(event.to_json())) == json.dumps(json.loads(expected))


ENVELOPE = """
{
  "version": "0",
  "id": "Id-6f7d3b1e-8a52-4a0b-9a7a-2f6f0f7d5c01",
  "detail-type": "%s",
  "service-type": "VoiceAnalytics",
  "source": "aws.chime",
  "account": "111122223333",
  "time": "2026-11-22T10:15:47.512Z",
  "region": "us-east-1",
  "resources": [],
  "detail": {
    "taskId": "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11",
    %s,
    "mediaInsightsPipelineId": "7c1d7e52-0f0b-4a8e-8a55-3f2b9c6d1e90",
    "sourceArn": "arn:aws:chime:us-east-1:111122223333:media-pipeline/7c1d7e52-0f0b-4a8e-8a55-3f2b9c6d1e90",
    "streamArn": "arn:aws:kinesisvideo:us-east-1:111122223333:stream/customer/1732270000001",
    "channelId": 1,
    "participantRole": "CUSTOMER"
  }
}
"""
SEARCH = context("3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11")


def test_a_match() -> None:
    matches = [
        ProfileMatch("vp-2a7c1b1e-3c1f-4d62-8f4e-7b1d2a9e6c10", 0.941203314159),
        ProfileMatch("vp-9e0f5d44-6b8a-4f0e-a2a3-51c07e2f8d21", 0.78210047),
    ]
    event = speaker_search_event(SEARCH, SpeakerSearchStatus.IDENTIFIED, AT, matches=matches, event_id=UUID_1)
    middle = """
    "detailStatus": "IdentificationSuccessful",
    "speakerSearchDetails": {
      "results": [
        {"voiceProfileId": "vp-2a7c1b1e-3c1f-4d62-8f4e-7b1d2a9e6c10", "confidenceScore": 0.94120331},
        {"voiceProfileId": "vp-9e0f5d44-6b8a-4f0e-a2a3-51c07e2f8d21", "confidenceScore": 0.78210047}
      ]
    }"""
    same(event, ENVELOPE % ("SpeakerSearchStatus", middle))
    assert event.status == "IdentificationSuccessful"
    assert (event.id, event.task_id, event.pipeline_id) == (f"Id-{UUID_1}", SEARCH.task_id, PIPELINE)


@pytest.mark.parametrize(
    ("status", "spelled"),
    [
        (SpeakerSearchStatus.NO_MATCHES, "IdentificationNoMatchesFound"),
        (SpeakerSearchStatus.VOICEPRINT_READY, "VoiceprintGenerationSuccess"),
    ],
)
def test_an_outcome_without_details(status: SpeakerSearchStatus, spelled: str) -> None:
    event = speaker_search_event(SEARCH, status, AT, event_id=UUID_1)
    same(event, ENVELOPE % ("SpeakerSearchStatus", f'"detailStatus": "{spelled}"'))


@pytest.mark.parametrize(
    ("status", "spelled"),
    [
        (SpeakerSearchStatus.IDENTIFICATION_FAILED, "IdentificationFailure"),
        (SpeakerSearchStatus.VOICEPRINT_FAILED, "VoiceprintGenerationFailure"),
    ],
)
def test_a_failed_search_says_why(status: SpeakerSearchStatus, spelled: str) -> None:
    event = speaker_search_event(SEARCH, status, AT, message="Too little speech.", event_id=UUID_1)
    middle = f'"detailStatus": "{spelled}", "statusMessage": "Too little speech."'
    same(event, ENVELOPE % ("SpeakerSearchStatus", middle))


def test_the_spelling_of_a_ready_voiceprint_can_be_set() -> None:
    spelled = context("t", voiceprint_ready="VoiceprintGenerationSuccessful")
    event = speaker_search_event(spelled, SpeakerSearchStatus.VOICEPRINT_READY, AT)
    assert event.status == "VoiceprintGenerationSuccessful"


def test_a_role_that_was_not_declared_is_absent() -> None:
    event = speaker_search_event(context("t", role=None), SpeakerSearchStatus.NO_MATCHES, AT)
    assert "participantRole" not in event.body["detail"]


def test_every_event_has_an_id_of_its_own() -> None:
    ids = {speaker_search_event(SEARCH, SpeakerSearchStatus.NO_MATCHES, AT).id for _ in range(3)}
    assert len(ids) == 3
    assert all(UUID(event_id.removeprefix("Id-")).version == 4 for event_id in ids)


def window(begin_ms: int, neutral: float, positive: float, negative: float) -> ToneWindow:
    started_at = datetime(2026, 11, 22, 10, 15, 30, 640_000, tzinfo=UTC)
    return ToneWindow(
        begin_ms=begin_ms,
        end_ms=60_000,
        started_at=started_at + timedelta(milliseconds=begin_ms),
        ended_at=started_at + timedelta(milliseconds=60_000),
        label="neutral",
        neutral=neutral,
        positive=positive,
        negative=negative,
    )


@pytest.mark.parametrize(
    ("status", "spelled"),
    [
        (VoiceToneStatus.REPORTED, "VoiceToneAnalysisSuccessful"),
        (VoiceToneStatus.COMPLETED, "VoiceToneAnalysisCompleted"),
    ],
)
def test_a_report_of_the_tone(status: VoiceToneStatus, spelled: str) -> None:
    event = voice_tone_event(
        SEARCH,
        status,
        AT,
        current=window(30_000, 0.81, 0.12, 0.07),
        overall=window(0, 0.7400000001, 0.2, 0.06),
        start_fragment="91343852333181432392682062607743920146159169392",
        event_id=UUID_1,
    )
    middle = f"""
    "detailStatus": "{spelled}",
    "voiceToneAnalysisDetails": {{
      "currentAverageVoiceTone": {{
        "startTime": "2026-11-22T10:16:00.640Z",
        "endTime": "2026-11-22T10:16:30.640Z",
        "beginOffsetMillis": 30000,
        "endOffsetMillis": 60000,
        "voiceToneLabel": "neutral",
        "voiceToneScore": {{"neutral": 0.81, "positive": 0.12, "negative": 0.07}}
      }},
      "overallAverageVoiceTone": {{
        "startTime": "2026-11-22T10:15:30.640Z",
        "endTime": "2026-11-22T10:16:30.640Z",
        "beginOffsetMillis": 0,
        "endOffsetMillis": 60000,
        "voiceToneLabel": "neutral",
        "voiceToneScore": {{"neutral": 0.74, "positive": 0.2, "negative": 0.06}}
      }}
    }},
    "startFragmentNumber": "91343852333181432392682062607743920146159169392\""""
    same(event, ENVELOPE % ("VoiceToneAnalysisStatus", middle))


def test_a_strict_consumer_can_read_a_report() -> None:
    """AWS's Live Call Analytics sample parses times with a mandatory fraction and drops three characters of the id."""
    whole_second = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
    even = ToneWindow(0, 30_000, whole_second, whole_second + timedelta(seconds=30), "positive", 0.0, 0.0, 1.0)
    event = voice_tone_event(SEARCH, VoiceToneStatus.REPORTED, AT, current=even, overall=even)
    body: Any = json.loads(event.to_json())
    current = body["detail"]["voiceToneAnalysisDetails"]["currentAverageVoiceTone"]
    for name in ("startTime", "endTime"):
        datetime.strptime(current[name], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert current["voiceToneScore"]["positive"] * 2 == 2.0
    UUID(body["id"][3:])
    assert "startFragmentNumber" not in body["detail"]


def test_without_extensions_a_report_is_to_the_byte_what_it_always_was() -> None:
    overall = ToneWindow(0, 30_000, AT, AT + timedelta(seconds=30), "neutral", 0.07, 0.81, 0.12)
    event = voice_tone_event(
        SEARCH, VoiceToneStatus.REPORTED, AT, current=overall, overall=overall, start_fragment="1", event_id=UUID_1
    )
    average = (
        '{"startTime":"2026-11-22T10:15:47.512Z","endTime":"2026-11-22T10:16:17.512Z","beginOffsetMillis":0,'
        '"endOffsetMillis":30000,"voiceToneLabel":"neutral",'
        '"voiceToneScore":{"neutral":0.81,"positive":0.12,"negative":0.07}}'
    )
    assert event.to_json() == (
        f'{{"version":"0","id":"Id-{UUID_1}","detail-type":"VoiceToneAnalysisStatus","service-type":"VoiceAnalytics",'
        '"source":"aws.chime","account":"111122223333","time":"2026-11-22T10:15:47.512Z","region":"us-east-1",'
        f'"resources":[],"detail":{{"taskId":"{SEARCH.task_id}","detailStatus":"VoiceToneAnalysisSuccessful",'
        f'"voiceToneAnalysisDetails":{{"currentAverageVoiceTone":{average},"overallAverageVoiceTone":{average}}},'
        f'"startFragmentNumber":"1","mediaInsightsPipelineId":"{PIPELINE}","sourceArn":"{PIPELINE_ARN}",'
        f'"streamArn":"{STREAM_ARN}","channelId":1,"participantRole":"CUSTOMER"}}}}'
    )


@given(st.tuples(*[st.floats(0.0, 1.0)] * 3).filter(lambda parts: sum(parts) > 1e-6))
def test_the_scores_of_a_report_sum_to_1_as_they_are_printed(parts: tuple[float, float, float]) -> None:
    negative, neutral, positive = (part / sum(parts) for part in parts)
    tone = ToneWindow(0, 30_000, AT, AT + timedelta(seconds=30), "neutral", negative, neutral, positive)
    event = voice_tone_event(SEARCH, VoiceToneStatus.REPORTED, AT, current=tone, overall=tone)
    body: Any = json.loads(event.to_json(), parse_float=Decimal)
    scores = body["detail"]["voiceToneAnalysisDetails"]["currentAverageVoiceTone"]["voiceToneScore"]
    assert sum(scores.values()) == 1
    for name, probability in (("negative", negative), ("neutral", neutral), ("positive", positive)):
        assert float(scores[name]) == pytest.approx(probability, abs=2e-8)
        assert 0 <= scores[name] <= 1


def documented() -> list[Any]:
    """The examples of the page on voice tone."""
    page = (Path(__file__).parents[2] / "docs/voice-tone.md").read_text()
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]


MEASURED = ToneExtension(
    current=WindowMeasures(
        arousal=0.61234,
        valence=-0.3,
        speech_seconds=14.976,
        speaker=VoiceMeasures(0.5, -23.4567, 4.2, 171.0),
        other=VoiceMeasures(0.0),
        talk_over_ratio=0.0126,
        silence_ratio=0.25,
    ),
    overall=WindowMeasures(speaker=VoiceMeasures(0.4), silence_ratio=0.6),
    spoken=[SpokenWords(12_352, 15_840, "Thank you.")],
)


def test_what_extensions_tell_stands_in_an_object_of_its_own() -> None:
    calm = window(0, 0.81, 0.12, 0.07)
    plain, more = (
        voice_tone_event(
            SEARCH, VoiceToneStatus.REPORTED, AT, current=calm, overall=calm, extension=extension, event_id=UUID_1
        ).body
        for extension in (None, MEASURED)
    )
    told = more["detail"]["voiceToneAnalysisDetails"]
    assert json.dumps(told.pop("carillon")) == json.dumps(documented()[0])
    assert more == plain
    assert "Thank" not in repr(MEASURED)


def test_a_drift_is_told_with_both_averages() -> None:
    event = voice_tone_event(
        SEARCH,
        VoiceToneStatus.DRIFTED,
        AT,
        current=window(30_000, 0.1, 0.1, 0.8),
        overall=window(0, 0.3, 0.1, 0.6),
        start_fragment="1",
        message="The overall tone of the call turned negative.",
    )
    detail = event.body["detail"]
    assert event.detail_type == "VoiceToneAnalysisStatus"
    assert documented()[1].items() <= detail.items()
    assert detail["voiceToneAnalysisDetails"].keys() == {"currentAverageVoiceTone", "overallAverageVoiceTone"}
    assert detail["startFragmentNumber"] == "1"
    assert not event.is_failure


def test_a_failed_analysis_says_why() -> None:
    event = voice_tone_event(SEARCH, VoiceToneStatus.FAILED, AT, message="Too little speech.", event_id=UUID_1)
    middle = '"detailStatus": "VoiceToneAnalysisFailure", "statusMessage": "Too little speech."'
    same(event, ENVELOPE % ("VoiceToneAnalysisStatus", middle))


def test_a_report_without_windows_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="needs"):
        voice_tone_event(SEARCH, VoiceToneStatus.COMPLETED, AT, current=window(0, 1, 0, 0))


def state_change(event_type: PipelineEventType, **more: Any) -> Event:
    at = datetime(2026, 11, 22, 10, 15, 31, 250_000, tzinfo=UTC)
    return pipeline_event(
        AwsAccount(),
        pipeline_id=PIPELINE,
        pipeline_arn=PIPELINE_ARN,
        event_type=event_type,
        at=at,
        event_id=UUID_1,
        **more,
    )


CHANGE = """
{
  "version": "0",
  "id": "6f7d3b1e-8a52-4a0b-9a7a-2f6f0f7d5c01",
  "detail-type": "Media Insights State Change",
  "source": "aws.chime",
  "account": "111122223333",
  "time": "2026-11-22T10:15:31Z",
  "region": "us-east-1",
  "resources": [],
  "detail": {
    "version": "0",
    "mediaInsightsPipelineArn":
      "arn:aws:chime:us-east-1:111122223333:media-pipeline/7c1d7e52-0f0b-4a8e-8a55-3f2b9c6d1e90",
    "eventType": "chime:%s"
    %s
  }
}
"""


def test_a_pipeline_in_progress_tells_its_metadata() -> None:
    event = state_change(PipelineEventType.IN_PROGRESS, metadata={"callId": "b7c7b6a0"})
    same(event, CHANGE % ("MediaInsightsInProgress", ', "callId": "b7c7b6a0"'))
    assert event.status == "chime:MediaInsightsInProgress"
    assert event.task_id is None


def test_a_pipeline_of_several_elements_tells_of_each() -> None:
    updated_at = datetime(2026, 11, 22, 10, 20, 0, 123_000, tzinfo=UTC)
    elements = [
        ElementStatus("VoiceAnalyticsProcessor", "Paused", updated_at),
        ElementStatus("S3RecordingSink", "NotSupported", updated_at, "Recording is not supported."),
    ]
    event = state_change(PipelineEventType.PAUSED, elements=elements)
    told = """, "mediaInsightsPipelineElementStatuses": [
      {"type": "VoiceAnalyticsProcessor", "status": "Paused", "updatedOn": 1795342800123},
      {"type": "S3RecordingSink", "status": "NotSupported", "updatedOn": 1795342800123,
       "statusDetail": "Recording is not supported."}
    ]"""
    same(event, CHANGE % ("MediaInsightsPaused", told))


def test_a_permanent_failure_says_why() -> None:
    reason = "Incompatible media format on the Kinesis video stream."
    event = state_change(PipelineEventType.PERMANENT_FAILURE, failure_reason=reason)
    same(event, CHANGE % ("MediaInsightsPermanentFailure", f', "failureReason": "{reason}"'))


@pytest.mark.parametrize("name", ["eventType", "version", "failureReason", "mediaInsightsPipelineArn"])
def test_metadata_never_stands_in_for_a_fixed_member(name: str) -> None:
    plain = state_change(PipelineEventType.STOPPED)
    assert state_change(PipelineEventType.STOPPED, metadata={name: "mine"}).body == plain.body


def test_an_event_shows_no_scores(make_event: Callable[..., Event]) -> None:
    assert "detailStatus" not in repr(make_event())


def test_what_is_a_failure_is_known_as_one() -> None:
    calm = ToneWindow(0, 30_000, AT, AT + timedelta(seconds=30), "neutral", 0.0, 1.0, 0.0)
    told = [
        *[speaker_search_event(SEARCH, status, AT) for status in SpeakerSearchStatus],
        *[voice_tone_event(SEARCH, status, AT, current=calm, overall=calm) for status in VoiceToneStatus],
        *[state_change(change) for change in PipelineEventType],
    ]
    assert {event.status for event in told if event.is_failure} == {
        "IdentificationFailure",
        "VoiceprintGenerationFailure",
        "VoiceToneAnalysisFailure",
        "chime:MediaInsightsTemporaryFailure",
        "chime:MediaInsightsPermanentFailure",
    }
