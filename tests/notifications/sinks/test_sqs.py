"""A queue's URL is asked for once, and again when the queue is no longer there."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from carillon.notifications import Event, SendFailed, Settings, SinkTarget, open_senders

pytestmark = pytest.mark.anyio

TARGET = SinkTarget("SqsQueueSink", "arn:aws:sqs:eu-west-1:111122223333:calls")


class Queues(ThreadingHTTPServer):
    """Speaks two operations of SQS and writes down what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.refuses = False
        self.asked: list[tuple[str, dict[str, str], str]] = []  # operation, parameters, Region it was signed for


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Queues

    def do_POST(self) -> None:
        parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        region = self.headers["Authorization"].split("/")[2]
        self.server.asked.append((operation, parameters, region))
        refused = self.server.refuses and operation == "SendMessage"
        answer = {"GetQueueUrl": {"QueueUrl": f"{self.server.url}/queue"}, "SendMessage": {"MessageId": "m-1"}}[
            operation
        ]
        if refused:
            answer = {"__type": "QueueDoesNotExist"}
        body = json.dumps(answer).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as inherited
        pass


@pytest.fixture
def queues(bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    with Queues() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


async def test_the_url_is_asked_for_once_and_again_after_a_refusal(
    queues: Queues, make_event: Callable[..., Event]
) -> None:
    async with open_senders(Settings()) as senders:
        sender = senders["SqsQueueSink"]
        await sender.send(TARGET, make_event(1))
        await sender.send(TARGET, make_event(2))
        assert [operation for operation, _, _ in queues.asked] == ["GetQueueUrl", "SendMessage", "SendMessage"]
        queues.refuses = True
        with pytest.raises(SendFailed, match="QueueDoesNotExist"):
            await sender.send(TARGET, make_event(3))
        queues.refuses = False
        await sender.send(TARGET, make_event(4))
    assert [operation for operation, _, _ in queues.asked[3:]] == ["SendMessage", "GetQueueUrl", "SendMessage"]


async def test_owner_and_region_are_those_of_the_arn(queues: Queues, make_event: Callable[..., Event]) -> None:
    event = make_event()
    async with open_senders(Settings()) as senders:
        await senders["SqsQueueSink"].send(TARGET, event)
    (_, asked, first_region), (_, sent, second_region) = queues.asked
    assert asked == {"QueueName": "calls", "QueueOwnerAWSAccountId": "111122223333"}
    assert sent == {"QueueUrl": f"{queues.url}/queue", "MessageBody": event.to_json()}
    assert first_region == second_region == "eu-west-1"
