"""A call that comes by WebSocket is answered like any other."""

import json
from pathlib import Path
from typing import Any

import pytest
from anyio import fail_after, sleep
from websockets.asyncio.client import connect

from carillon import config
from carillon.clock import SystemClock
from carillon.data_folder import opened
from carillon.notifications import Outbox

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
SECONDS = 50
EXPECTED = ("IdentificationNoMatchesFound", "VoiceprintGenerationSuccess", "VoiceToneAnalysisSuccessful")


def _start_tasks(server: Any, stream_arn: str) -> None:
    """Search for the caller's voice, and judge its tone."""
    pipelines = server.client("chime-sdk-media-pipelines")
    domain = server.client("chime-sdk-voice").create_voice_profile_domain(
        Name="ingest", ServerSideEncryptionConfiguration=KEY
    )
    features = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
    configuration = pipelines.create_media_insights_pipeline_configuration(
        MediaInsightsPipelineConfigurationName="ingest",
        ResourceAccessRoleArn="arn:aws:iam::111122223333:role/x",
        Elements=[{"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": features}],
    )["MediaInsightsPipelineConfiguration"]
    roles = [{"ChannelId": 0, "ParticipantRole": "CUSTOMER"}, {"ChannelId": 1, "ParticipantRole": "AGENT"}]
    channels = {"NumberOfChannels": 2, "ChannelDefinitions": roles}
    pipeline_id = pipelines.create_media_insights_pipeline(
        MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
        KinesisVideoStreamSourceRuntimeConfiguration={
            "MediaEncoding": "pcm",
            "MediaSampleRate": 8000,
            "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": channels}],
        },
    )["MediaInsightsPipeline"]["MediaPipelineId"]
    source = {"StreamArn": stream_arn, "ChannelId": 0}
    pipelines.start_speaker_search_task(
        Identifier=pipeline_id,
        VoiceProfileDomainArn=domain["VoiceProfileDomain"]["VoiceProfileDomainArn"],
        KinesisVideoStreamSourceTaskConfiguration=source,
    )
    pipelines.start_voice_tone_analysis_task(
        Identifier=pipeline_id, LanguageCode="en-US", KinesisVideoStreamSourceTaskConfiguration=source
    )


async def _told(server: Any) -> dict[str, Any]:
    """What the outbox holds of tasks: details by status."""
    async with opened(config.load(server.data_dir, environment={})) as data_folder:
        found = await Outbox(data_folder.database, SystemClock()).events(0, 1000)
    details = [event.body["detail"] for _, event in found if "taskId" in event.body["detail"]]
    return {detail["detailStatus"]: detail for detail in details}


async def test_a_twilio_call_is_searched_for_its_speaker_and_judged_by_its_tone(
    start_server: Any, carillon: Any, tmp_path: Path, twilio: Any, speech: Any
) -> None:
    server = start_server(tmp_path)
    made = carillon(
        "ingest-url", "--stream", "ingested", "--format", "twilio", "--expires", "1h", "--endpoint", server.url,
        "--data-dir", str(server.data_dir),
    )  # fmt: skip
    stream_arn = server.client("kinesisvideo").create_stream(StreamName="ingested")["StreamARN"]
    _start_tasks(server, stream_arn)
    async with connect(made.stdout.strip(), proxy=None) as client:
        for message in twilio().call(*(track[: SECONDS * 8000] for track in speech)):
            await client.send(message)
        with fail_after(120):
            while not {*EXPECTED} <= (told := await _told(server)).keys():
                await sleep(0.2)
    tone = told["VoiceToneAnalysisSuccessful"]["voiceToneAnalysisDetails"]["overallAverageVoiceTone"]
    assert sum(tone["voiceToneScore"].values()) == pytest.approx(1, abs=0.01)
    assert told["VoiceToneAnalysisSuccessful"]["streamArn"] == stream_arn
    server.stop()
    log = (tmp_path / "server.log").read_text()
    assert "ingest.ended" in log
    assert made.stdout.strip().rpartition("/")[2] not in log
    trail = carillon("audit", "--json", "--action", "PutMedia", "--data-dir", str(tmp_path)).stdout
    (row,) = [json.loads(line) for line in trail.splitlines()]
    assert (row["status"], row["access_key_id"]) == (101, server.environment["AWS_ACCESS_KEY_ID"])
    assert "stream/ingested/" in row["resource"]
