"""A server is killed in the middle of a call and started again: the answers are those of an unbroken call."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from anyio import fail_after, sleep

from carillon import config
from carillon.app import opened
from carillon.clock import ManualClock, SystemClock
from carillon.media import Acknowledgement, AcknowledgementType, KinesisVideoClient, as_live, put_media, read_recording
from carillon.notifications import Outbox

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

SILENCE = {"CARILLON_TASKS_SILENCE_SECONDS": "6"}
STARTED_AT = datetime(2026, 11, 22, 10, 15, 30, 640_000, tzinfo=UTC)
KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}


class Call:
    """A call on a server that may be replaced under it."""

    def __init__(self, server: Any) -> None:
        self.server = server
        pipelines, video = server.client("chime-sdk-media-pipelines"), server.client("kinesisvideo")
        domain = server.client("chime-sdk-voice").create_voice_profile_domain(
            Name="x", ServerSideEncryptionConfiguration=KEY
        )
        features = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
        configuration = pipelines.create_media_insights_pipeline_configuration(
            MediaInsightsPipelineConfigurationName="crash",
            ResourceAccessRoleArn="arn:aws:iam::111122223333:role/x",
            Elements=[{"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": features}],
        )["MediaInsightsPipelineConfiguration"]
        stream_arn = video.create_stream(StreamName="call", DataRetentionInHours=1)["StreamARN"]
        channels = {"NumberOfChannels": 2, "ChannelDefinitions": [{"ChannelId": 0}, {"ChannelId": 1}]}
        self.pipeline_id = pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": channels}],
            },
        )["MediaInsightsPipeline"]["MediaPipelineId"]
        source = {"StreamArn": stream_arn, "ChannelId": 0}
        pipelines.start_speaker_search_task(
            Identifier=self.pipeline_id,
            VoiceProfileDomainArn=domain["VoiceProfileDomain"]["VoiceProfileDomainArn"],
            KinesisVideoStreamSourceTaskConfiguration=source,
        )
        pipelines.start_voice_tone_analysis_task(
            Identifier=self.pipeline_id, LanguageCode="en-US", KinesisVideoStreamSourceTaskConfiguration=source
        )

    async def push(self, file: Path, from_seconds: float) -> None:
        """Send a part of the call as fast as it goes; return when all of it is durable."""
        environment = self.server.environment
        client = KinesisVideoClient(
            endpoint_url=self.server.url,
            region=environment["AWS_REGION"],
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        said: list[Acknowledgement] = []
        clock = ManualClock(STARTED_AT + timedelta(seconds=from_seconds))
        recording = read_recording(file)
        async with client:
            await put_media(client, "call", as_live(recording, 0, clock=clock), said.append)
        persisted = [item for item in said if item.type is AcknowledgementType.PERSISTED]
        assert len(persisted) == np.ceil(recording.seconds)

    async def events(self) -> list[dict[str, Any]]:
        """What the outbox holds, of tasks only."""
        async with opened(config.load(self.server.data_dir, environment={})) as ground:
            found = await Outbox(ground.database, SystemClock()).events(0, 1000)
        return [event.body["detail"] for _, event in found if "taskId" in event.body["detail"]]

    async def finish(self) -> list[dict[str, Any]]:
        """Let the stream fall silent, which ends the call; return every event."""
        with fail_after(60):
            while _statuses(await self.events())[-1:] != ["VoiceToneAnalysisCompleted"]:
                await sleep(0.2)
        return await self.events()


def _statuses(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["detailStatus"] for event in events]


def _told(events: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a listener learns, without ids that differ from run to run; by kind of task, each in order."""
    learned = [
        (event["detailStatus"], event.get("speakerSearchDetails"), event.get("voiceToneAnalysisDetails"))
        for event in events
    ]
    return sorted(learned, key=lambda item: item[0].startswith("VoiceTone"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Any:
    """Cuts the first call in two at a second."""
    samples, rate_hz = soundfile.read(recordings / "call_1.flac", dtype="int16")

    def cut(seconds: int) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("parts")
        soundfile.write(folder / "a.flac", samples[: seconds * rate_hz], rate_hz)
        soundfile.write(folder / "b.flac", samples[seconds * rate_hz : 50 * rate_hz], rate_hz)
        return folder / "a.flac", folder / "b.flac"

    return cut


@pytest.fixture(scope="module")
async def unbroken(start_server: Any, parts: Any, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> Any:
    """What a call that nobody disturbs is told."""
    call = Call(start_server(tmp_path_factory.mktemp("unbroken"), **SILENCE))
    first, second = parts(25)
    await call.push(first, 0)
    await call.push(second, 25)
    told = _told(await call.finish())
    assert [item[0] for item in told[:2]] == ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]
    assert len(told) >= 9
    return told


@pytest.mark.parametrize("seconds", [7, 25, 40])
async def test_a_kill_in_mid_call_changes_no_answer(
    start_server: Any, parts: Any, tmp_path: Path, unbroken: Any, seconds: int
) -> None:
    call = Call(start_server(tmp_path, **SILENCE))
    first, second = parts(seconds)
    await call.push(first, 0)
    call.server.kill()
    before = len(await call.events())
    call.server = start_server(tmp_path, **SILENCE)
    await call.push(second, seconds)
    told = _told(await call.finish())
    assert before < len(told)
    assert told == unbroken
