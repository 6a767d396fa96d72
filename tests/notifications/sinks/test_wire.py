"""What goes over the wire to the byte, and what becomes of answers that a service would never give."""

import base64
import gc
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from anyio import create_task_group, create_tcp_listener, fail_after, move_on_after
from anyio.abc import SocketAttribute

from carillon.notifications import (
    SINKS,
    Event,
    EventRefused,
    NotificationSettings,
    SendFailed,
    SinkTarget,
    open_senders,
)

pytestmark = pytest.mark.anyio

SECRET: Final = "kept-from-logs"
PATIENT: Final = NotificationSettings(connect_seconds=120.0, send_seconds=120.0)
"""Time is none of the claim: a busy machine may take it."""
EVENT: Final = Event(
    "Id-1",
    "SpeakerSearchStatus",
    datetime(2026, 11, 22, 10, 15, 47, tzinfo=UTC),
    {"version": "0", "id": "Id-1", "detail": {"taskId": "task-1", "statusMessage": "Trop peu de parole : ½ s, été."}},
    "task-1",
    "pipeline-1",
)
TARGETS: Final = {
    "SqsQueueSink": SinkTarget("SqsQueueSink", "arn:aws:sqs:us-west-2:123456789012:calls"),
    "SnsTopicSink": SinkTarget("SnsTopicSink", "arn:aws:sns:us-west-2:123456789012:calls"),
    "KinesisDataStreamSink": SinkTarget("KinesisDataStreamSink", "arn:aws:kinesis:us-west-2:123456789012:stream/calls"),
    "LambdaFunctionSink": SinkTarget("LambdaFunctionSink", "arn:aws:lambda:us-west-2:123456789012:function:calls"),
    "EventBridge": SinkTarget("EventBridge", "arn:aws:events:us-west-2:123456789012:event-bus/calls"),
}
ANSWERS: Final = {
    "SqsQueueSink": b'{"QueueUrl": "https://sqs/calls", "MessageId": "m-1"}',  # to both of its operations
    "SnsTopicSink": b"<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>",
    "KinesisDataStreamSink": b'{"ShardId": "shardId-0", "SequenceNumber": "1"}',
    "LambdaFunctionSink": b"",
    "EventBridge": b'{"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}',
}
ANYTHING_IS_TAKEN: Final = "LambdaFunctionSink"  # its answer has no content, so none can be wrong
KINDS: Final = sorted(SINKS)


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


class Stranger(ThreadingHTTPServer):
    """Answers everything the same way and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status, self.error_type, self.body = 200, "", b""
        self.asked: list[Asked] = []

    def answers(self, status: int, body: bytes, error_type: str = "") -> None:
        self.status, self.error_type, self.body = status, error_type, body

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client may hang up."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement of its headers
    server: Stranger

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.path, headers, body, self.client_address))
        answer, error_type = self.server.body, self.server.error_type  # a client that has the head may change them
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        if error_type:
            self.send_header("x-amzn-ErrorType", error_type)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as inherited
        pass


@pytest.fixture
def keys(bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def stranger(keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    with Stranger() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(120)


async def _send(kind: str, settings: NotificationSettings | None = None, times: int = 1) -> None:
    async with open_senders(settings or PATIENT) as senders:
        for _ in range(times):
            await senders[kind].send(TARGETS[kind], EVENT)


async def _failure(kind: str, settings: NotificationSettings | None = None) -> str:
    with pytest.raises(SendFailed) as failed:
        await _send(kind, settings)
    assert SECRET not in str(failed.value)
    return str(failed.value)


def _sqs(asked: Asked) -> bytes:
    sent = json.loads(asked.body)
    assert sent.keys() == {"QueueUrl", "MessageBody"}
    return str(sent["MessageBody"]).encode()


def _sns(asked: Asked) -> bytes:
    sent = parse_qs(asked.body.decode(), strict_parsing=True)
    assert sent.keys() == {"Action", "Version", "TopicArn", "Message"}  # no subject, no attributes
    return sent["Message"][0].encode()


def _kinesis(asked: Asked) -> bytes:
    sent = json.loads(asked.body)
    assert sent.keys() == {"StreamARN", "Data", "PartitionKey"}
    assert sent["PartitionKey"] == "task-1"
    return base64.b64decode(sent["Data"], validate=True)


def _lambda(asked: Asked) -> bytes:
    assert asked.path == (
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-west-2%3A123456789012%3Afunction%3Acalls/invocations"
    )
    assert asked.headers["x-amz-invocation-type"] == "Event"
    return asked.body


@pytest.mark.parametrize(
    ("kind", "body_of"),
    [
        ("SqsQueueSink", _sqs),
        ("SnsTopicSink", _sns),
        ("KinesisDataStreamSink", _kinesis),
        ("LambdaFunctionSink", _lambda),
    ],
)
async def test_the_envelope_arrives_to_the_byte(
    kind: str, body_of: Callable[[Asked], bytes], stranger: Stranger
) -> None:
    stranger.answers(202 if kind == "LambdaFunctionSink" else 200, ANSWERS[kind])
    await _send(kind)
    assert body_of(stranger.asked[-1]) == EVENT.to_json().encode()
    assert "/us-west-2/" in stranger.asked[-1].headers["authorization"]


async def test_a_bus_gets_the_detail_and_makes_its_own_envelope(stranger: Stranger) -> None:
    stranger.answers(200, ANSWERS["EventBridge"])
    await _send("EventBridge", replace(PATIENT, event_source="my.calls"))
    (entry,) = json.loads(stranger.asked[-1].body)["Entries"]
    assert json.loads(entry.pop("Detail")) == EVENT.body["detail"]
    assert entry == {
        "Time": EVENT.at.timestamp(),
        "Source": "my.calls",
        "Resources": [],
        "DetailType": EVENT.detail_type,
        "EventBusName": TARGETS["EventBridge"].arn,
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_names_the_code_and_is_not_repeated_here(
    kind: str, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    named = b"<ErrorResponse><Error><Code>Throttled</Code></Error></ErrorResponse>"
    stranger.answers(429, named if kind == "SnsTopicSink" else b'{"__type": "Throttled"}', "Throttled")
    assert "refused: Throttled" in await _failure(kind)
    assert len(stranger.asked) == 1


NEVER = {  # as the services say it
    "SqsQueueSink": (
        400,
        b'{"__type": "InvalidParameterValue", "message": "Message too long"}',
    ),
    "SnsTopicSink": (
        400,
        b"<ErrorResponse><Error><Code>InvalidParameter</Code><Message>Too long</Message></Error></ErrorResponse>",
    ),
    "KinesisDataStreamSink": (
        400,
        b'{"__type": "ValidationException", "message": "Value at \'data\' failed to satisfy constraint"}',
    ),
    "LambdaFunctionSink": (413, b'{"Type": "User", "message": "Request must be smaller than 1048576 bytes"}'),
    "EventBridge": (
        400,
        b'{"__type": "ValidationException", "message": "Total size is over the limit"}',
    ),
}
MENDABLE = {  # errors of the same names that are about the target
    "SqsQueueSink": (400, b'{"__type": "InvalidParameterValue", "message": "The value of QueueUrl is not valid"}'),
    "SnsTopicSink": (
        400,
        b"<ErrorResponse><Error><Code>InvalidParameter</Code><Message>No TopicArn</Message></Error></ErrorResponse>",
    ),
    "KinesisDataStreamSink": (400, b'{"__type": "ValidationException", "message": "Value at \'streamARN\' failed"}'),
    "EventBridge": (400, b'{"__type": "ValidationException", "message": "Value at \'eventBusName\' failed"}'),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_of_the_event_itself_is_for_ever(kind: str, stranger: Stranger) -> None:
    stranger.answers(*NEVER[kind], "RequestTooLargeException" if kind == "LambdaFunctionSink" else "")
    with pytest.raises(EventRefused, match="will not take it"):
        await _send(kind)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("LambdaFunctionSink", 400, "InvalidParameterValueException"),
        ("LambdaFunctionSink", 400, "InvalidRequestContentException"),
        ("LambdaFunctionSink", 413, "SerializedRequestEntityTooLargeException"),
        ("LambdaFunctionSink", 415, "UnsupportedMediaTypeException"),
        ("SqsQueueSink", 400, "com.amazonaws.sqs#InvalidMessageContents"),
        ("SqsQueueSink", 413, "RequestTooLong"),
        ("KinesisDataStreamSink", 400, "InvalidArgumentException"),
        ("KinesisDataStreamSink", 400, "SerializationException"),
        ("EventBridge", 413, "RequestEntityTooLarge"),
    ],
)
async def test_every_word_for_what_will_never_be_taken_is_understood(
    kind: str, status: int, code: str, stranger: Stranger
) -> None:
    header = code if kind == "LambdaFunctionSink" else ""
    stranger.answers(status, json.dumps({"__type": code, "message": "It is not in order."}).encode(), header)
    with pytest.raises(EventRefused, match="will not take it"):
        await _send(kind)


@pytest.mark.parametrize("code", ["InvalidParameter", "ParameterValueInvalid", "ValidationException"])
async def test_every_word_of_a_topic_for_what_will_never_be_taken_is_understood(code: str, stranger: Stranger) -> None:
    error = f"<ErrorResponse><Error><Code>{code}</Code><Message>Too long</Message></Error></ErrorResponse>"
    stranger.answers(400, error.encode())
    with pytest.raises(EventRefused, match=code):
        await _send("SnsTopicSink")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_status_of_too_large_is_enough(kind: str, stranger: Stranger) -> None:
    stranger.answers(413, b"<html>nginx</html>")
    with pytest.raises(EventRefused, match="will not take it"):
        await _send(kind)


@pytest.mark.parametrize("kind", sorted(MENDABLE))
async def test_a_refusal_that_is_about_the_target_may_be_over_another_time(kind: str, stranger: Stranger) -> None:
    stranger.answers(*MENDABLE[kind])
    assert "refused" in await _failure(kind)


async def test_an_entry_that_a_bus_will_never_take_is_told_from_one_that_it_cannot_take_now(
    stranger: Stranger,
) -> None:
    def entry(code: str) -> bytes:
        return json.dumps({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "no"}]}).encode()

    stranger.answers(200, entry("MalformedDetail"))
    with pytest.raises(EventRefused):
        await _send("EventBridge")
    stranger.answers(200, entry("ThrottlingException"))
    assert "ThrottlingException" in await _failure("EventBridge")


@pytest.mark.parametrize("kind", ["LambdaFunctionSink", "SqsQueueSink"])
async def test_an_error_without_a_name_is_told_by_its_status(kind: str, stranger: Stranger) -> None:
    stranger.answers(500, b"out of order")
    assert "refused: 500" in await _failure(kind)


@pytest.mark.parametrize("answer", [{"FailedEntryCount": 1, "Entries": [{"ErrorCode": "Full"}]}, {"Entries": [{}]}])
async def test_an_entry_that_the_bus_did_not_take_is_a_failed_send(answer: Any, stranger: Stranger) -> None:
    stranger.answers(200, json.dumps(answer).encode())
    assert "put_events was refused" in await _failure("EventBridge")


@pytest.mark.parametrize("kind", sorted(SINKS.keys() - {ANYTHING_IS_TAKEN}))
async def test_a_page_from_something_else_is_no_delivery(kind: str, stranger: Stranger) -> None:
    async with open_senders(PATIENT) as senders:
        for page in (
            b"",
            b"<html><body>Log in</body></html>",
            b"\xff\xfe",
            b"[]",
            b"null",
            b"{}",
            b'{"Entries": [null]}',
        ):
            stranger.answers(200, page)
            with pytest.raises(SendFailed, match=r"not from|refused"):
                await senders[kind].send(TARGETS[kind], EVENT)
    assert len(stranger.asked) == 7


@pytest.mark.parametrize("kind", KINDS)
async def test_an_endpoint_that_never_answers_is_a_failed_send_in_time(
    kind: str, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await create_tcp_listener(local_host="127.0.0.1") as silent:  # the kernel accepts, nobody answers
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.extra(SocketAttribute.local_port)}")
        with fail_after(120):
            assert "timeout" in await _failure(kind, NotificationSettings(send_seconds=0.1))


async def test_answers_that_nobody_reads_hold_no_connections(stranger: Stranger) -> None:
    stranger.answers(200, bytes(200_000))
    with fail_after(120):
        await _send("LambdaFunctionSink", replace(PATIENT, sends=2), times=5)
    gc.collect()  # an unclosed connection would warn


@pytest.mark.parametrize("kind", KINDS)
async def test_many_sends_share_few_connections(kind: str, stranger: Stranger) -> None:
    stranger.answers(200, ANSWERS[kind])
    async with open_senders(replace(PATIENT, sends=3)) as senders:
        for _ in range(10):
            await senders[kind].send(TARGETS[kind], EVENT)
        assert len({asked.connection for asked in stranger.asked}) == 1
        async with create_task_group() as group:
            for _ in range(30):
                group.start_soon(senders[kind].send, TARGETS[kind], EVENT)
    assert len(stranger.asked) >= 40
    assert len({asked.connection for asked in stranger.asked}) <= 3


@pytest.mark.parametrize("kind", ["LambdaFunctionSink", "SqsQueueSink"])
async def test_a_send_that_was_given_up_leaves_the_sender_usable(
    kind: str, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.answers(200, ANSWERS[kind])
    async with open_senders(PATIENT) as senders:
        for seconds in (0.0, 0.001, 0.01, 0.03):
            with move_on_after(seconds):
                await senders[kind].send(TARGETS[kind], EVENT)
        before = len(stranger.asked)
        await senders[kind].send(TARGETS[kind], EVENT)
    assert len(stranger.asked) > before


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_ENDPOINT_URL", "not a url", "not a url"),
        ("AWS_ENDPOINT_URL", "https://127.0.0.1:1", "Could not connect"),
        ("AWS_PROFILE", "nobody", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_CA_BUNDLE", "/nonexistent", "No such file"),
    ],
)
async def test_settings_of_the_environment_that_cannot_work_are_failed_sends(
    name: str, value: str, told: str, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert told in await _failure("SqsQueueSink")


async def test_credentials_that_come_later_are_found(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger.answers(200, ANSWERS["SnsTopicSink"])
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with open_senders(PATIENT) as senders:
        with pytest.raises(SendFailed, match="AWS_ACCESS_KEY_ID"):
            await senders["SnsTopicSink"].send(TARGETS["SnsTopicSink"], EVENT)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        await senders["SnsTopicSink"].send(TARGETS["SnsTopicSink"], EVENT)


async def test_what_a_program_says_instead_of_credentials_is_not_repeated(
    bare_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = sh -c 'echo {SECRET} >&2; exit 1'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert "could not be retrieved" in await _failure("SqsQueueSink")
