"""What a room of the AWS edge writes: handlers marked with the operation they answer.

    class SpeakerSearchTasks:
        @operation("GetSpeakerSearchTask")
        async def get_speaker_search_task(self, request: GetRequest) -> GetResponse: ...

    Service("chime-sdk-media-pipelines", [SpeakerSearchTasks(tasks)])

A handler takes the parsed and validated request, an ordinary dict with AWS member names (timestamps are aware
datetimes, blobs are bytes, absent members are missing keys), and returns the output members or None. What it raises
becomes an AWS error by the table in `carillon.api.errors`; `AwsError` says the shape outright. The rare thing that the
models do not describe (PutMedia) takes the request as it arrives: see `route` and `RawCall`.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from anyio import sleep_forever

from carillon.api.protocol.asgi import ClientGone, Headers, Receive, Send

Handler = Callable[[dict[str, Any]], Awaitable[Mapping[str, object] | None]]
RawHandler = Callable[["RawCall"], Awaitable[None]]

_OperationMethod = TypeVar("_OperationMethod", bound=Callable[..., Awaitable[Mapping[str, object] | None]])
_RawMethod = TypeVar("_RawMethod", bound=Callable[..., Awaitable[None]])
_MARK: Final = "_carillon_mark"


@dataclass(frozen=True, slots=True)
class OperationMark:
    """A method answers this operation of the service that its object is given to."""

    name: str


@dataclass(frozen=True, slots=True)
class RouteMark:
    """A method takes every request with this method and literal path, as it arrives."""

    method: str
    path: str
    service: str
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS API and the objects that answer it.

    Args:
        name: as botocore spells it: `chime-sdk-media-pipelines`, `kinesisvideo`, ... Its model says the rest
            (routes, shapes, signing name, error style).
        handlers: objects with methods marked by `operation` or `route`.
        admitted: what strings may be besides what the model enumerates, by the name of the shape: extensions.
    """

    name: str
    handlers: Sequence[object]
    admitted: Mapping[str, Sequence[str]] = field(default_factory=dict)


async def never() -> str:
    """Wait for a key that does not end."""
    await sleep_forever()
    raise AssertionError


@dataclass(slots=True, eq=False)
class RawCall:
    """A request whose headers are verified and whose body has not been read: full duplex, the handler's to answer.

    The request id is added to the response by whoever made this call. A handler may raise as any other does until it
    has answered; after that an error closes the connection, which is how a client learns that the body was cut off.
    """

    request_id: str
    caller: str
    """The access key id that signed the request."""
    headers: Mapping[str, str]
    """By lower-case name."""
    receive: Receive = field(repr=False)
    send: Send = field(repr=False)
    key_ended: Callable[[], Awaitable[str]] = field(default=never, repr=False)
    """Waits until the access key may be used no more; returns why."""
    _is_read: bool = field(default=False, init=False, repr=False)

    async def read(self) -> bytes:
        """Return the next piece of the body as soon as there is one, empty at its end.

        It may be canceled without losing anything, and called again.

        Raises:
            ClientGone: the connection closed before the end of the body.
        """
        while not self._is_read:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._is_read = not message.get("more_body", False)
            if data := message.get("body", b""):
                return bytes(data)
        return b""

    async def answer(self, status: int = 200, headers: Headers = ((b"content-type", b"application/json"),)) -> None:
        """Send the status line and the headers. Once, before the first `write`; the body may still be arriving."""
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        """Send some of the response body now; waits while the client is slow."""
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        """End the response."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def operation(name: str) -> Callable[[_OperationMethod], _OperationMethod]:
    """Mark `async (self, request) -> response | None` as the answer to a modeled operation."""

    def mark(method: _OperationMethod) -> _OperationMethod:
        setattr(method, _MARK, OperationMark(name))
        return method

    return mark


def route(
    method: str, path: str, service: str, name: str = "", parameters: Mapping[str, str] | None = None
) -> Callable[[_RawMethod], _RawMethod]:
    """Mark `async (self, call: RawCall) -> None` as the answer to something that no model describes.

    Args:
        method: the HTTP method.
        path: the literal path, starting with a slash.
        service: whose signing name and error style apply; one of the services that the Api is given.
        name: of the operation, as policies and the audit trail spell it; empty means that of the path.
        parameters: lower-case names of headers that name a resource, with the member names they stand for.
    """

    def mark(handler: _RawMethod) -> _RawMethod:
        setattr(handler, _MARK, RouteMark(method, path, service, name, parameters or {}))
        return handler

    return mark


def marked(service: Service) -> Iterator[tuple[OperationMark | RouteMark, Callable[..., Awaitable[Any]]]]:
    """Yield every marked method of a service's handlers, bound."""
    for handler in service.handlers:
        for name, function in inspect.getmembers_static(type(handler), inspect.isfunction):
            mark = getattr(function, _MARK, None)
            if mark is not None:
                yield mark, getattr(handler, name)


_caller: ContextVar[str] = ContextVar("carillon_api_caller")
_reached_at: ContextVar[str | None] = ContextVar("carillon_api_reached_at")


def caller() -> str:
    """Return the access key id that signed the request being answered.

    Raises:
        LookupError: called outside a request.
    """
    return _caller.get()


def reached_at() -> str | None:
    """Return the address by which the client of the request being answered came, None if it did not say (`Host`)."""
    return _reached_at.get(None)


def set_caller(access_key_id: str, reached_at: str | None = None) -> None:
    """Set who signed the request of the present context, and how it came. Only the Api calls this, once per request."""
    _caller.set(access_key_id)
    _reached_at.set(reached_at)
