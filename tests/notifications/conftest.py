"""Peers on the other side of the wire: moto, and a receiver that speaks Lambda's Invoke."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from carillon.arns import AwsAccount
from carillon.notifications import Event, EventContext, SpeakerSearchStatus, speaker_search_event

ACCOUNT = "123456789012"  # moto's


class Functions(ThreadingHTTPServer):
    """Answers asynchronous Invoke for functions that exist, and keeps what they were given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Invoke)
        self.names: set[str] = set()
        self.invoked: list[tuple[str, str, bytes]] = []  # function, invocation type, payload

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Invoke(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Functions

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        found = re.fullmatch(r"/2015-03-31/functions/(.+)/invocations", self.path)
        name = unquote(found.group(1)) if found else ""
        if name in self.server.names:
            self.server.invoked.append((name, self.headers["X-Amz-Invocation-Type"], payload))
            self._answer(202, b"")
        else:
            self._answer(404, json.dumps({"Message": "Function not found"}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 404:
            self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as inherited
        pass


@pytest.fixture
def functions() -> Iterator[Functions]:
    """A receiver of Lambda invocations."""
    with Functions() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(120)


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no profile, no endpoint: whatever the machine that runs the tests has."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws(bare_environment: None, moto_url: str, functions: Functions, monkeypatch: pytest.MonkeyPatch) -> str:
    """The standard variables of an operator who points carillon at a stand-in for AWS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", functions.url)
    return moto_url


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Make an event of some task, a few milliseconds after the one before."""

    def make(number: int = 0, task_id: str = "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11") -> Event:
        context = EventContext(
            account=AwsAccount(id=ACCOUNT),
            pipeline_id="7c1d7e52-0f0b-4a8e-8a55-3f2b9c6d1e90",
            pipeline_arn=f"arn:aws:chime:us-east-1:{ACCOUNT}:media-pipeline/7c1d7e52-0f0b-4a8e-8a55-3f2b9c6d1e90",
            task_id=task_id,
            stream_arn=f"arn:aws:kinesisvideo:us-east-1:{ACCOUNT}:stream/customer/1732270000001",
            channel_id=1,
            role="CUSTOMER",
        )
        at = datetime(2026, 11, 22, 10, 15, 47, 1_000 * number, tzinfo=UTC)
        return speaker_search_event(context, SpeakerSearchStatus.NO_MATCHES, at)

    return make
