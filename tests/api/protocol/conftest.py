"""A real uvicorn on loopback with toy handlers for real modeled operations, and real boto3 clients of it."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.model
import pytest
import uvicorn
from botocore.config import Config

from carillon.access import AccessKey, KeyRing
from carillon.api.errors import AwsError
from carillon.api.mounts import Mount, MountedApplications
from carillon.api.protocol import (
    Api,
    Liveness,
    RawCall,
    RequestSettings,
    Service,
    SignatureVerifier,
    asks_for_liveness,
    caller,
    operation,
    route,
)
from carillon.clock import SystemClock
from carillon.errors import AlreadyExists, CarillonError, LimitExceeded, NotFound, StateConflict, Transient

KEY = AccessKey("CRLNTESTTESTTESTTEST", "a secret that only tests know")
AT = datetime(2026, 11, 22, 10, 15, 30, 123456, tzinfo=UTC)
TASK_ID = "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11"

ERRORS: Mapping[str, Exception] = {
    "missing": NotFound("no such pipeline"),
    "stopped": StateConflict("the pipeline is stopped"),
    "taken": AlreadyExists("the name is taken"),
    "quota": LimitExceeded("25 tasks are active"),
    "busy": Transient("the database is busy"),
    "bug": ValueError("secret content of a request"),
    "broken": CarillonError("a sealed value cannot be opened"),
    "aws": AwsError("ForbiddenException", "not for you"),
}


class ToyTasks:
    """Answers with what it was asked; some identifiers raise."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.callers: list[str] = []

    @operation("GetSpeakerSearchTask")
    async def get_speaker_search_task(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        self.callers.append(caller())
        if request["Identifier"] in ERRORS:
            raise ERRORS[request["Identifier"]]
        task = {"SpeakerSearchTaskId": request["SpeakerSearchTaskId"], "CreatedTimestamp": AT}
        return {"SpeakerSearchTask": {**task, "UpdatedTimestamp": None}}

    @operation("StartSpeakerSearchTask")
    async def start_speaker_search_task(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if request["Identifier"] in ERRORS:
            raise ERRORS[request["Identifier"]]
        return {"SpeakerSearchTask": {"SpeakerSearchTaskId": TASK_ID, "SpeakerSearchTaskStatus": "NotStarted"}}

    @operation("StopSpeakerSearchTask")
    async def stop_speaker_search_task(self, request: dict[str, Any]) -> None:
        self.requests.append(request)

    @operation("CreateMediaInsightsPipeline")
    async def create_media_insights_pipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        raise StateConflict("the token was used with other parameters")

    @operation("UpdateMediaInsightsPipelineStatus")
    async def update_media_insights_pipeline_status(self, request: dict[str, Any]) -> None:
        self.requests.append(request)

    @operation("ListMediaPipelines")
    async def list_media_pipelines(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {"MediaPipelines": [], "Mistake": 1}

    @operation("ListTagsForResource")
    async def list_tags_for_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": [{"Key": "api", "Value": "media-pipelines"}]}

    @operation("TagResource")
    async def tag_resource(self, request: dict[str, Any]) -> None:
        self.requests.append(request)


class ToyDomains:
    """Answers for the voice API."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    @operation("CreateVoiceProfileDomain")
    async def create_voice_profile_domain(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {
            "VoiceProfileDomain": {"VoiceProfileDomainId": "vpd-1", "Name": request["Name"], "CreatedTimestamp": AT}
        }

    @operation("ListVoiceProfileDomains")
    async def list_voice_profile_domains(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {"VoiceProfileDomains": []}

    @operation("ListTagsForResource")
    async def list_tags_for_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": [{"Key": "api", "Value": "voice"}]}

    @operation("TagResource")
    async def tag_resource(self, request: dict[str, Any]) -> None:
        self.requests.append(request)


class ToyStreams:
    """Answers for kinesisvideo."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    @operation("ListStreams")
    async def list_streams(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {"StreamInfoList": [{"StreamName": "agent", "CreationTime": AT, "DataRetentionInHours": 2}]}

    @operation("CreateStream")
    async def create_stream(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        raise AlreadyExists("the stream exists")

    @operation("DeleteStream")
    async def delete_stream(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        raise ZeroDivisionError


class ToyMedia:
    """Streams three pieces; `StreamName` says how that ends."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.received: list[bytes] = []

    @operation("GetMedia")
    async def get_media(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"ContentType": "video_webm", "Payload": self._pieces(request["StreamName"])}

    async def _pieces(self, how: str) -> AsyncIterator[bytes]:
        try:
            for piece in (b"one", b"", b"two", b"three"):
                yield piece
            if how == "fails":
                raise ValueError("in the middle")
            while how == "endless":
                yield b"x" * 4096
        finally:
            self.ended.set()

    @route("POST", "/putMedia", service="kinesis-video-media")
    async def put_media(self, call: RawCall) -> None:
        name = call.headers.get("x-amzn-stream-name", "")
        if name == "missing":
            raise NotFound("no such stream")
        if name == "silent":
            return
        await call.answer()
        while data := await call.read():
            self.received.append(data)
            await call.write(b"ack %d\n" % len(data))
        await call.finish()


@dataclass(frozen=True)
class Toys:
    """The handlers behind a server, to look at what reached them."""

    tasks: ToyTasks
    domains: ToyDomains
    streams: ToyStreams
    media: ToyMedia

    def services(self) -> list[Service]:
        return [
            Service("chime-sdk-media-pipelines", [self.tasks]),
            Service("chime-sdk-voice", [self.domains]),
            Service("kinesisvideo", [self.streams]),
            Service("kinesis-video-media", [self.media]),
            Service("kinesis-video-archived-media", []),
        ]


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    port: int
    toys: Toys
    key: AccessKey = KEY

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, key: AccessKey = KEY, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, inject_host_prefix=False),
        )

    def talk(self, request: bytes, *, shut: bool = False) -> bytes:
        """Send bytes as they are, return everything that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as connection:
            connection.sendall(request)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while data := connection.recv(65536):
                answer += data
            return answer


@contextmanager
def serving(api: Any) -> Iterator[int]:
    """Run an ASGI application under uvicorn in a thread; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)  # Listens now, so that nobody must wait for it.
    config = uvicorn.Config(api, ws="none", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def serving_toys(settings: RequestSettings) -> Iterator[Served]:
    toys = Toys(ToyTasks(), ToyDomains(), ToyStreams(), ToyMedia())
    verifier = SignatureVerifier(KeyRing([KEY]), "us-east-1", SystemClock())
    api = Api(services=toys.services(), verifier=verifier, settings=settings)
    with serving(MountedApplications(api, [Mount(asks_for_liveness, Liveness(settings))])) as port:
        yield Served(port, toys)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One server for the tests of a module, which verifies signatures."""
    with serving_toys(RequestSettings(max_body_bytes=4096, linger_seconds=0.2)) as served:
        yield served


@pytest.fixture
def impatient() -> Iterator[Served]:
    """A server that waits for hardly anything."""
    with serving_toys(RequestSettings(read_seconds=0.1, linger_seconds=0.1)) as served:
        yield served


def _made_up(members: Mapping[str, Any], **shapes: Any) -> Any:
    every = {"Members": {"type": "structure", "members": members}, "Text": {"type": "string"}, **shapes}
    both = {"input": {"shape": "Members"}, "output": {"shape": "Members"}}
    operations = {"Do": {"name": "Do", "http": {"method": "POST", "requestUri": "/"}, **both}}
    model = {"metadata": {"protocol": "rest-json"}, "operations": operations, "shapes": every}
    return botocore.model.ServiceModel(model, "made-up").operation_model("Do")


@pytest.fixture
def made_up() -> Callable[..., Any]:
    """Makes an operation of no real service, with the same members in and out, for what none of the models has."""
    return _made_up
