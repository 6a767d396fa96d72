"""The application as an ASGI server sees it, without one."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
import structlog

from carillon.api.protocol import Api, RequestSettings, Service, operation
from carillon.errors import InvalidRequest


@pytest.mark.anyio
async def test_a_server_may_start_and_stop_it() -> None:
    messages, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive() -> dict[str, str]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await Api(services=[], verifier=None)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    await Api(services=[], verifier=None)({"type": "websocket"}, receive, send)
    assert sent[2:] == ["websocket.close"]


SCOPE = {"type": "http", "method": "POST", "raw_path": b"/listStreams", "query_string": b"", "headers": []}


async def answer_of(handler: object, scope: dict[str, Any]) -> list[Any]:
    """Return what is sent in answer to a request without a body."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await Api(services=[Service("kinesisvideo", [handler])], verifier=None)(scope, receive, send)
    return sent


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_is_neither_answered_nor_logged() -> None:
    class Slow:
        @operation("ListStreams")
        async def list_streams(self, request: dict[str, Any]) -> None:
            await anyio.sleep_forever()

    with structlog.testing.capture_logs() as logs:
        async with anyio.create_task_group() as group:
            group.start_soon(answer_of, Slow(), SCOPE)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert logs == []


@pytest.mark.anyio
async def test_what_one_child_of_a_handler_raises_is_understood_in_its_group() -> None:
    class Parent:
        @operation("ListStreams")
        async def list_streams(self, request: dict[str, Any]) -> None:
            raise ExceptionGroup("", [ExceptionGroup("", [InvalidRequest("not so")])])

    start, body = await answer_of(Parent(), SCOPE)
    assert (start["status"], body["body"]) == (400, b'{"Message":"not so"}')


@pytest.mark.anyio
async def test_several_errors_at_once_are_ours_and_all_logged() -> None:
    class Parent:
        @operation("ListStreams")
        async def list_streams(self, request: dict[str, Any]) -> None:
            raise ExceptionGroup("", [InvalidRequest("not so"), KeyError("secret")])

    with structlog.testing.capture_logs() as logs:
        start, _ = await answer_of(Parent(), SCOPE)
    assert start["status"] == 500
    expected = "builtins.ExceptionGroup <- carillon.errors.InvalidRequest <- builtins.KeyError"
    assert logs[0]["error"] == expected
    assert "secret" not in logs[0]["traceback"].replace('KeyError("secret")', "")  # The line of code is ours.


@pytest.mark.anyio
async def test_a_reader_that_takes_nothing_is_not_waited_for() -> None:
    class Endless:
        @operation("GetMedia")
        async def get_media(self, request: dict[str, Any]) -> dict[str, Any]:
            return {"Payload": self.pieces()}

        async def pieces(self) -> AsyncIterator[bytes]:
            while True:
                yield b"x"

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    api = Api(
        services=[Service("kinesis-video-media", [Endless()])],
        verifier=None,
        settings=RequestSettings(write_seconds=0.01),
    )
    body = b'{"StreamName":"s","StartSelector":{"StartSelectorType":"NOW"}}'
    messages = [{"type": "http.request", "body": body}]

    async def receive_once() -> dict[str, Any]:
        return messages.pop() if messages else await receive()

    length = (b"content-length", b"%d" % len(body))
    with anyio.fail_after(120), structlog.testing.capture_logs() as logs:
        await api({**SCOPE, "raw_path": b"/getMedia", "headers": [length]}, receive_once, send)
    assert logs == []
