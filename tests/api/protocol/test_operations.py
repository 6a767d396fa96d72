from typing import Any

import pytest

from carillon.api.protocol import ClientGone, RawCall, Service, caller, operation, route
from carillon.api.protocol.operations import OperationMark, RouteMark, marked


class Handlers:
    @operation("ListStreams")
    async def list_streams(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"by": self}

    @route("POST", "/putMedia", service="kinesis-video-media")
    async def put_media(self, call: RawCall) -> None:
        return None

    async def unmarked(self) -> None:
        return None


class More(Handlers):
    """Inherits its marks."""


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [Handlers, More])
async def test_marked_methods_are_found_bound_to_their_object(kind: type[Handlers]) -> None:
    handlers = kind()
    found = dict(marked(Service("kinesisvideo", [handlers])))
    assert set(found) == {OperationMark("ListStreams"), RouteMark("POST", "/putMedia", "kinesis-video-media")}
    assert await found[OperationMark("ListStreams")]({}) == {"by": handlers}


def test_nobody_calls_outside_a_request() -> None:
    with pytest.raises(LookupError):
        caller()


def raw_call(*messages: dict[str, Any]) -> tuple[RawCall, list[Any]]:
    left, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    return RawCall("id", "key", {}, receive, send), sent


@pytest.mark.anyio
async def test_a_raw_body_is_read_as_it_arrives_until_its_end() -> None:
    call, _ = raw_call(
        {"type": "http.request", "body": b"one", "more_body": True},
        {"type": "http.request", "body": b"", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
        {"type": "http.disconnect"},
    )
    assert [await call.read() for _ in range(4)] == [b"one", b"two", b"", b""]


@pytest.mark.anyio
async def test_a_raw_body_that_is_cut_off_is_not_taken_for_a_whole_one() -> None:
    call, _ = raw_call({"type": "http.request", "body": b"one", "more_body": True}, {"type": "http.disconnect"})
    assert await call.read() == b"one"
    with pytest.raises(ClientGone):
        await call.read()


@pytest.mark.anyio
async def test_a_raw_answer_is_three_calls() -> None:
    call, sent = raw_call()
    await call.answer(200)
    await call.write(b"a")
    await call.finish()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "http.response.body"]
    assert [message.get("more_body") for message in sent] == [None, True, False]
