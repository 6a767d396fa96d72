"""A whole server whose time the tests turn, and calls on it that were heard without anybody speaking."""

import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.auth
import numpy as np
import pytest
from anyio import create_task_group
from anyio.from_thread import BlockingPortal, start_blocking_portal
from botocore.config import Config

from carillon import config
from carillon.app import assembled
from carillon.clock import ManualClock
from carillon.data_folder import opened, prepare
from carillon.profiles import Profiles, Voiceprint
from carillon.server.listener import Listener

KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
FEATURES = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
NOW = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Era:
    """A server in this process, and the clock that it and botocore go by; turned only while nothing is under way."""

    clock: ManualClock
    settings: config.Settings
    url: str
    portal: BlockingPortal

    def client(self, service: str) -> Any:
        key = prepare(self.settings.data_dir).default
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def hear(self, task_id: str, domain_id: str) -> None:
        """Keep a voiceprint for a task, as if it had heard enough."""
        self.portal.call(self._hear, task_id, domain_id)

    async def _hear(self, task_id: str, domain_id: str) -> None:
        embedding = np.zeros(256, np.float32)
        embedding[0] = 1.0
        heard = Voiceprint(task_id, domain_id, embedding, np.zeros(1600, np.int16), "model/1", self.clock.now())
        async with opened(self.settings) as data_folder, data_folder.database.transaction() as connection:
            profiles = Profiles(data_folder.database, data_folder.vault, self.settings.account, self.clock)
            await profiles.keep_voiceprint(connection, heard)


@asynccontextmanager
async def serving(settings: config.Settings, clock: ManualClock) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with assembled(settings, url, clock) as application, create_task_group() as group:
            server = Listener(application.asgi)
            group.start_soon(server.serve, [listener])
            await server.is_listening.wait()
            async with application.work:
                yield url
            server.should_exit = True


@pytest.fixture(scope="module")
def overrides() -> Mapping[str, Mapping[str, Any]]:
    """What a module's server is set to, by room and field; a module may say otherwise."""
    return {}


@pytest.fixture(scope="module")
def era(tmp_path_factory: pytest.TempPathFactory, overrides: Mapping[str, Mapping[str, Any]]) -> Iterator[Era]:
    settings, clock = config.load(tmp_path_factory.mktemp("era"), overrides, environment={}), ManualClock(NOW)
    with pytest.MonkeyPatch.context() as patched, start_blocking_portal("asyncio") as portal:
        patched.setattr(botocore.auth, "get_current_datetime", lambda *_: clock.now().replace(tzinfo=None))
        with portal.wrap_async_context_manager(serving(settings, clock)) as url:
            yield Era(clock, settings, url, portal)


@dataclass(frozen=True, slots=True)
class Call:
    """A call with both tasks on it, heard long enough for a voiceprint."""

    era: Era
    name: str
    domain_id: str
    stream_arn: str
    pipeline_id: str
    search_id: str
    tone_id: str

    @classmethod
    def begin(cls, era: Era, domain: Mapping[str, Any] | None, *, start: bool) -> "Call":
        name = f"call-{uuid.uuid4().hex[:12]}"
        pipelines, voice = era.client("chime-sdk-media-pipelines"), era.client("chime-sdk-voice")
        if domain is None:
            made = voice.create_voice_profile_domain(Name=name, ServerSideEncryptionConfiguration=KEY)
            domain = made["VoiceProfileDomain"]
        stream_arn = era.client("kinesisvideo").create_stream(StreamName=name, DataRetentionInHours=1)["StreamARN"]
        configuration = pipelines.create_media_insights_pipeline_configuration(
            MediaInsightsPipelineConfigurationName=name,
            ResourceAccessRoleArn="arn:aws:iam::111122223333:role/any",
            Elements=[{"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": FEATURES}],
        )["MediaInsightsPipelineConfiguration"]
        stream = {"StreamArn": stream_arn, "StreamChannelDefinition": {"NumberOfChannels": 1}}
        pipeline_id = pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [stream],
            },
        )["MediaInsightsPipeline"]["MediaPipelineId"]
        made = cls(era, name, domain["VoiceProfileDomainId"], stream_arn, pipeline_id, "", "")
        return made.started(domain["VoiceProfileDomainArn"]) if start else made

    def started(self, domain_arn: str) -> "Call":
        pipelines = self.era.client("chime-sdk-media-pipelines")
        source = {"StreamArn": self.stream_arn, "ChannelId": 0}
        search_id = pipelines.start_speaker_search_task(
            Identifier=self.pipeline_id,
            VoiceProfileDomainArn=domain_arn,
            KinesisVideoStreamSourceTaskConfiguration=source,
        )["SpeakerSearchTask"]["SpeakerSearchTaskId"]
        tone_id = pipelines.start_voice_tone_analysis_task(
            Identifier=self.pipeline_id, LanguageCode="en-US", KinesisVideoStreamSourceTaskConfiguration=source
        )["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskId"]
        self.era.hear(search_id, self.domain_id)
        return replace(self, search_id=search_id, tone_id=tone_id)

    def end(self) -> None:
        pipelines = self.era.client("chime-sdk-media-pipelines")
        pipelines.delete_media_pipeline(MediaPipelineId=self.pipeline_id)
        deadline = datetime.now(UTC) + timedelta(seconds=120)
        while self.status() != "Stopped":
            assert datetime.now(UTC) < deadline

    def status(self) -> str:
        get = self.era.client("chime-sdk-media-pipelines").get_media_pipeline
        return str(get(MediaPipelineId=self.pipeline_id)["MediaPipeline"]["MediaInsightsPipeline"]["Status"])


@pytest.fixture
def begin_call(era: Era) -> Callable[..., Call]:
    """Begin a call in a domain, by default one of its own; unless told not to, start both tasks and let them hear."""

    def begin(domain: Mapping[str, Any] | None = None, *, start: bool = True) -> Call:
        return Call.begin(era, domain, start=start)

    return begin
