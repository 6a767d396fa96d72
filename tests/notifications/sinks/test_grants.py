"""What each sink is allowed to do, by AWS's guide and by our docs, is all that it does."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest

from carillon.notifications import SINKS, Event, NotificationSettings, SendFailed, SinkTarget, open_senders
from carillon.notifications.sinks.aws import SinkClients

pytestmark = pytest.mark.anyio

PATIENT: Final = NotificationSettings(connect_seconds=120.0, send_seconds=120.0)
"""Time is none of the claim: a busy machine may take it."""
DOCS: Final = Path(__file__).parents[3] / "docs/operating.md"
ROLE: Final = {
    "EventBridge": "events:PutEvents",
    "KinesisDataStreamSink": "kinesis:PutRecord",
    "LambdaFunctionSink": "lambda:InvokeFunction",
    "SnsTopicSink": "sns:Publish",
    "SqsQueueSink": "sqs:SendMessage",
}
"""What the resource access role of the Amazon Chime SDK Developer Guide grants to deliver."""
ARNS: Final = {
    "EventBridge": "arn:aws:events:eu-west-1:111122223333:event-bus/calls",
    "KinesisDataStreamSink": "arn:aws:kinesis:eu-west-1:111122223333:stream/calls",
    "LambdaFunctionSink": "arn:aws:lambda:eu-west-1:111122223333:function:calls",
    "SnsTopicSink": "arn:aws:sns:eu-west-1:111122223333:calls",
    "SqsQueueSink": "arn:aws:sqs:eu-west-1:111122223333:calls",
}
ANSWERS: Final = {
    "events:PutEvents": b'{"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}',
    "kinesis:PutRecord": b'{"ShardId": "shardId-0", "SequenceNumber": "1"}',
    "lambda:InvokeFunction": b"",
    "sns:Publish": b"<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>",
    "sqs:SendMessage": b'{"MessageId": "m-1"}',
}
DENIED: Final = {
    "sns": b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
}


class Strict(ThreadingHTTPServer):
    """Speaks to five services' clients, and denies whatever is not granted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.granted: set[str] = set()
        self.asked: list[tuple[str, str, bytes]] = []  # permission, Region it was signed for, body


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Strict

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        _, _, region, service, _ = self.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")
        asked = f"{service}:{self._operation(body)}"
        self.server.asked.append((asked, region, body))
        if asked in self.server.granted:
            self._say(202 if service == "lambda" else 200, ANSWERS[asked])
        else:
            self._say(403, DENIED.get(service, b'{"__type": "AccessDeniedException"}'))

    def _operation(self, body: bytes) -> str:
        if target := self.headers["X-Amz-Target"]:
            return str(target).rpartition(".")[2]
        if self.path.endswith("/invocations"):
            return "InvokeFunction"
        return parse_qs(body.decode())["Action"][0]

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 403:
            self.send_header("x-amzn-ErrorType", "AccessDeniedException")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as inherited
        pass


@pytest.fixture
def strict(bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Strict]:
    with Strict() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(120)


async def _send(kind: str, event: Event) -> None:
    async with open_senders(PATIENT) as senders:
        await senders[kind].send(SinkTarget(kind, ARNS[kind]), event)


def test_the_docs_name_what_the_guides_role_grants() -> None:
    rows = re.findall(r"^\| `?(\w+)`?[^|]*\|[^|]*\| `(\w+:\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert dict(rows) == ROLE
    assert ROLE.keys() == SINKS.keys()


@pytest.mark.parametrize("kind", sorted(SINKS))
async def test_a_sink_does_with_that_one_permission(
    kind: str, strict: Strict, make_event: Callable[..., Event]
) -> None:
    strict.granted = {ROLE[kind]}
    await _send(kind, make_event())
    assert [(asked, region) for asked, region, _ in strict.asked] == [(ROLE[kind], "eu-west-1")]


@pytest.mark.parametrize("kind", sorted(SINKS))
async def test_a_denial_is_told_and_may_be_over_another_time(
    kind: str, strict: Strict, make_event: Callable[..., Event]
) -> None:
    with pytest.raises(SendFailed, match="AccessDenied"):
        await _send(kind, make_event())


async def test_a_queues_url_is_made_of_the_endpoint_and_the_arn(
    strict: Strict, make_event: Callable[..., Event]
) -> None:
    strict.granted = {"sqs:SendMessage"}
    event = make_event()
    await _send("SqsQueueSink", event)
    ((_, _, body),) = strict.asked
    sent: dict[str, Any] = json.loads(body)
    assert sent == {"QueueUrl": f"{strict.url}/111122223333/calls", "MessageBody": event.to_json()}


async def test_aws_itself_is_called_at_the_endpoint_of_the_arns_region(
    bare_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    async with SinkClients(PATIENT) as clients:
        assert await clients.endpoint("sqs", "eu-west-1") == "https://sqs.eu-west-1.amazonaws.com"
        assert await clients.endpoint("sqs", "cn-north-1") == "https://sqs.cn-north-1.amazonaws.com.cn"
