"""The wall clock is set back or forth in the middle of a call: the answers are those of a call whose clock went on."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import pytest
import soundfile
from anyio import create_task_group
from anyio.from_thread import start_blocking_portal
from botocore.config import Config

from carillon import config
from carillon.app import assembled
from carillon.clock import SystemClock
from carillon.data_folder import prepare
from carillon.server.listener import Listener

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


class SettableClock(SystemClock):
    """The machine's clock, whose wall time can be set."""

    def __init__(self) -> None:
        self.set_by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.set_by


@dataclass
class ServerHere:
    """A server in this process, as `begin_call` wants one."""

    data_dir: Path
    clock: SettableClock = field(default_factory=SettableClock)
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        key = prepare(self.data_dir).default
        return {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        settings = config.load(self.data_dir, {"tasks": {"silence_seconds": 3.0}}, environment={})
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with assembled(settings, self.url, self.clock) as application, create_task_group() as group:
                server = Listener(application.asgi)
                group.start_soon(server.serve, [listening])
                await server.is_listening.wait()
                async with application.work:
                    yield
                server.should_exit = True


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """30 s of the first call: somebody is looked for after 13 s, and the tone is told from 15 s on."""
    samples, rate_hz = soundfile.read(recordings / "call_1.flac", dtype="int16")
    path = tmp_path_factory.mktemp("part") / "part.flac"
    soundfile.write(path, samples[: 30 * rate_hz], rate_hz)
    return path


async def told_when_set(folder: Path, begin_call: Any, told: Any, part: Path, early: timedelta, late: timedelta) -> Any:
    """What a call is told whose clock is set before its first fragment, and once more after the twelfth."""
    server = ServerHere(folder)

    async def set_clock() -> None:
        server.clock.set_by += late

    with pytest.MonkeyPatch.context() as patched, start_blocking_portal("asyncio") as portal:
        patched.setattr(botocore.auth, "get_current_datetime", lambda *_: server.clock.now().replace(tzinfo=None))
        with portal.wrap_async_context_manager(server.serving()):
            call = begin_call(server)
            server.clock.set_by += early
            await call.push(part, 0, at=12, then=set_clock)
            return told(await call.finish())


@pytest.fixture(scope="module")
async def undisturbed(
    begin_call: Any, told: Any, part: Path, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> Any:
    still = timedelta()
    answers = await told_when_set(tmp_path_factory.mktemp("undisturbed"), begin_call, told, part, still, still)
    assert [answer[0] for answer in answers[:2]] == ["IdentificationNoMatchesFound", "VoiceprintGenerationFailure"]
    assert len(answers) >= 6
    return answers


@pytest.mark.parametrize(
    ("early", "late"),
    [
        (timedelta(minutes=-4), timedelta()),
        (timedelta(hours=5), timedelta(hours=-9)),
        (timedelta(hours=-9), timedelta(hours=20)),
    ],
    ids=["back before the first fragment", "forth, then back", "back, then forth"],
)
async def test_a_clock_that_is_set_changes_no_answer(
    begin_call: Any, told: Any, part: Path, tmp_path: Path, undisturbed: Any, early: timedelta, late: timedelta
) -> None:
    assert await told_when_set(tmp_path, begin_call, told, part, early, late) == undisturbed
