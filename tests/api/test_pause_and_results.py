"""Pause and Resume, and polling for results with a stock SDK, on a real call."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}


def _until(what: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Poll until something is there."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.05)
    return found


class Call:
    """A pipeline for a call by name, on the shared server."""

    def __init__(self, server: Any, name: str) -> None:
        self.pipelines, self.voice = server.client("chime-sdk-media-pipelines"), server.client("chime-sdk-voice")
        self.domain_arn = self.voice.create_voice_profile_domain(Name=name, ServerSideEncryptionConfiguration=KEY)[
            "VoiceProfileDomain"
        ]["VoiceProfileDomainArn"]
        features = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
        configuration = self.pipelines.create_media_insights_pipeline_configuration(
            MediaInsightsPipelineConfigurationName=name,
            ResourceAccessRoleArn="arn:aws:iam::111122223333:role/any",
            Elements=[{"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": features}],
        )["MediaInsightsPipelineConfiguration"]
        stream_arn = server.client("kinesisvideo").create_stream(StreamName=name, DataRetentionInHours=1)["StreamARN"]
        self.source = {"StreamArn": stream_arn, "ChannelId": 0}
        self.id = self.pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": {"NumberOfChannels": 2}}],
            },
        )["MediaInsightsPipeline"]["MediaPipelineId"]

    def search(self) -> str:
        started = self.pipelines.start_speaker_search_task(
            Identifier=self.id,
            VoiceProfileDomainArn=self.domain_arn,
            KinesisVideoStreamSourceTaskConfiguration=self.source,
        )
        return started["SpeakerSearchTask"]["SpeakerSearchTaskId"]

    def status_of(self, task_id: str) -> str:
        found = self.pipelines.get_speaker_search_task(Identifier=self.id, SpeakerSearchTaskId=task_id)
        return found["SpeakerSearchTask"]["SpeakerSearchTaskStatus"]

    def results_of(self, task_id: str) -> dict[str, Any]:
        return self.voice.get_speaker_search_task(VoiceConnectorId=self.id, SpeakerSearchTaskId=task_id)[
            "SpeakerSearchTask"
        ]

    @property
    def status(self) -> str:
        found = self.pipelines.get_media_pipeline(MediaPipelineId=self.id)
        return found["MediaPipeline"]["MediaInsightsPipeline"]["Status"]

    def change(self, status: str) -> None:
        self.pipelines.update_media_insights_pipeline_status(Identifier=self.id, UpdateStatus=status)


def test_results_can_be_polled_with_a_stock_sdk(server: Any, carillon: Any, recordings: Path) -> None:
    call = Call(server, "polled")
    task_id = call.search()
    assert call.results_of(task_id)["SpeakerSearchTaskStatus"] == "IN_QUEUE"
    assert "SpeakerSearchDetails" not in call.results_of(task_id)
    carillon(
        "push", str(recordings / "call_1.flac"), "--stream", "polled", "--speed", "0",
        "--data-dir", str(server.data_dir), "--endpoint", server.url,
    )  # fmt: skip
    _until(lambda: call.results_of(task_id)["SpeakerSearchTaskStatus"] == "SUCCEEDED")
    assert call.results_of(task_id)["SpeakerSearchDetails"] == {
        "Results": [],
        "VoiceprintGenerationStatus": "VoiceprintGenerationSuccess",
    }
    profile = call.voice.create_voice_profile(SpeakerSearchTaskId=task_id)["VoiceProfile"]
    again = call.search()
    carillon(
        "push", str(recordings / "call_2.flac"), "--stream", "polled", "--speed", "0",
        "--data-dir", str(server.data_dir), "--endpoint", server.url,
    )  # fmt: skip
    _until(lambda: call.results_of(again)["SpeakerSearchTaskStatus"] == "SUCCEEDED")
    (match,) = call.results_of(again)["SpeakerSearchDetails"]["Results"]
    assert match["VoiceProfileId"] == profile["VoiceProfileId"]
    assert 0.7 <= match["ConfidenceScore"] <= 1.0
    with pytest.raises(call.voice.exceptions.NotFoundException):
        call.voice.get_speaker_search_task(VoiceConnectorId=call.id, SpeakerSearchTaskId="never-there")
    with pytest.raises(call.voice.exceptions.NotFoundException):
        call.voice.get_voice_tone_analysis_task(
            VoiceConnectorId=call.id, VoiceToneAnalysisTaskId=task_id, IsCaller=True
        )


def test_a_pause_stops_every_task_and_a_resume_starts_none(server: Any) -> None:
    call = Call(server, "paused")
    task_id = call.search()
    _until(lambda: call.status_of(task_id) == "Initializing")
    call.change("Pause")
    assert call.status == "Paused"
    _until(lambda: call.status_of(task_id) == "Stopped")
    with pytest.raises(call.pipelines.exceptions.ConflictException):
        call.search()
    with pytest.raises(call.pipelines.exceptions.ConflictException):
        call.change("Pause")
    call.change("Resume")
    assert call.status == "InProgress"
    assert call.status_of(task_id) == "Stopped"
    with pytest.raises(call.pipelines.exceptions.ConflictException):
        call.change("Resume")
    again = call.search()
    _until(lambda: call.status_of(again) == "Initializing")
    call.pipelines.delete_media_pipeline(MediaPipelineId=call.id)
    _until(lambda: call.status == "Stopped")


def test_a_pipeline_that_never_started_can_be_paused_and_resumed(server: Any) -> None:
    call = Call(server, "never-started")
    call.change("Pause")
    assert call.status == "Paused"
    call.change("Resume")
    assert call.status == "NotStarted"
    with pytest.raises(call.pipelines.exceptions.NotFoundException):
        call.pipelines.update_media_insights_pipeline_status(Identifier="nowhere", UpdateStatus="Pause")
