"""A request, from its head to its answer, as a row of frozen stages.

    Received       the head, under a request id             `read_head`
    Routed         + the endpoints that may be meant        `route`
    Claimed        + the key that it says signed it         `claim`
    Authenticated  + the body, now known to be that key's   `authenticate`
    Selected       + the one endpoint, the JSON             `select`
    Parsed         + the operation's typed input            `parse`
    Answered       + what the operation returned            `answer`

Each is all of the one before, and what one function added to it; none is changed afterwards. So no function can be
called too early, since what it needs is in the type of the stage that it takes; and whatever goes wrong is judged by
the last stage reached, which says in what format to refuse (`format_of`) and what can be written down (`record`).

There are as many as there are ways to fail. Before Routed nobody knows which API's errors the client reads. Claimed
costs no hash and reads no body, so that a stranger is refused for next to nothing; yet the trail should name the key
that was claimed. Only the body tells apart the two APIs that model `/tags` alike, and only from Selected on is it known
which errors the operation declares. Parsed comes before the policy is asked, which needs the names in the input.

Decided against: one object that is filled in, of which every reader has to know what is set by then; stages that hold
the one before (`selected.authenticated.claimed.routed.match`); middleware, of which nobody sees the order.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from carillon.access import AccessLogRecord
from carillon.api.errors import AwsError
from carillon.api.protocol.asgi import Headers, Scope, fold
from carillon.api.protocol.endpoints import Endpoint, NotImplementedOperation, Operation, RawRoute, choose
from carillon.api.protocol.faults import NOWHERE, ErrorFormat
from carillon.api.protocol.parsing import Query, parse_document, parse_query
from carillon.api.protocol.routing import RouteMatch, Router
from carillon.api.protocol.sigv4 import RequestHead, SignatureClaim, SignatureVerifier

_Stage = TypeVar("_Stage", bound="Received")

ANONYMOUS: Final = "anonymous"
"""The caller where no signatures are judged."""

_HOST: Final = re.compile(r"[A-Za-z0-9._\-]{1,255}(:\d{1,5})?|\[[0-9A-Fa-f:.%]{2,60}\](:\d{1,5})?", re.ASCII)
_NAMES_NO_PORT: Final = "AWS-SDK-KVS"
_PORT: Final = re.compile(r":\d{1,5}\Z")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Received:
    """The head of a request has come."""

    request_id: str
    """Ours, of the answer's headers and of the log; a random UUID."""
    head: RequestHead
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name."""
    source: str
    """The address that the connection comes from, empty if the server does not say."""
    reached_at: str | None
    """The URL by which the client came to us, None if it does not say."""


@dataclass(frozen=True)
class Routed(Received):
    """Something is served at its method and path."""

    match: RouteMatch[Endpoint]
    query: Query = field(repr=False)
    endpoint: Endpoint
    """The first that may be meant. Where there are several, they share a signing name."""


@dataclass(frozen=True)
class Claimed(Routed):
    """It names a key that is known and good, and a fresh time; the signature itself has not been looked at."""

    claim: SignatureClaim | None
    """None where no signatures are judged."""

    @property
    def caller(self) -> str:
        """Return the access key id."""
        return self.claim.access_key_id if self.claim else ANONYMOUS


@dataclass(frozen=True)
class Authenticated(Claimed):
    """The signature is that key's."""

    body: bytes | None = field(repr=False)
    """None for a raw route, whose body is still to come and is not signed."""

    @property
    def is_proven(self) -> bool:
        """Return whether there was a signature to judge."""
        return self.claim is not None


@dataclass(frozen=True)
class Selected(Authenticated):
    """The endpoint is the one that is meant."""

    document: dict[str, Any] = field(repr=False)
    """What the body says."""


@dataclass(frozen=True)
class Parsed(Selected):
    """It is as the operation's model says."""

    endpoint: Operation | RawRoute
    request: dict[str, Any] = field(repr=False)
    """The operation's input; of a raw route only what names a resource."""


@dataclass(frozen=True)
class Answered(Parsed):
    """The operation has been carried out."""

    answer: Mapping[str, Any] | None = field(repr=False)
    """Its output members."""


def read_head(scope: Scope) -> Received:
    """Return what the head of a request says.

    Raises:
        RuntimeError: the server does not hand down the raw path.
    """
    raw_headers: Headers = scope["headers"]
    head = RequestHead(scope["method"], _raw_path(scope), scope["query_string"], raw_headers)
    headers = fold(raw_headers)
    return Received(_new_id(), head, headers, (scope.get("client") or ("",))[0], _reached_at(scope, headers))


def route(stage: Received, router: Router[Endpoint]) -> Routed:
    """Find what is served at a request's method and path.

    Raises:
        AwsError: UnknownOperationException.
        BrokenConstraint: the query is no query.
    """
    query = parse_query(stage.head.raw_query)
    match = router.find(stage.head.method, stage.head.raw_path, query)
    if match is None:
        raise AwsError("UnknownOperationException", "Nothing is served at this method and path.")
    return _next(Routed, stage, match=match, query=query, endpoint=match.endpoints[0])


def claim(stage: Routed, verifier: SignatureVerifier | None) -> Claimed:
    """Judge everything about the signature that needs no body.

    Raises:
        AwsError: as `SignatureVerifier.claim` says.
    """
    family = stage.endpoint.error_format.family
    claimed = None if verifier is None else verifier.claim(stage.head, family.value)
    return _next(Claimed, stage, claim=claimed)


def authenticate(stage: Claimed, body: bytes | None) -> Authenticated:
    """Check the signature over a request and its whole body, or over its head alone if the body is still to come.

    Raises:
        AwsError: InvalidSignatureException.
    """
    if stage.claim is not None and body is None:
        stage.claim.verify_unread()
    elif stage.claim is not None and body is not None:
        stage.claim.verify_body(body)
    return _next(Authenticated, stage, body=body)


def select(stage: Authenticated) -> Selected:
    """Choose the one endpoint that is meant.

    Raises:
        BrokenConstraint: the body is no JSON object.
    """
    document = parse_document(stage.body or b"")
    return _next(Selected, stage, endpoint=choose(stage.match, stage.query, document), document=document)


def parse(stage: Selected) -> Parsed:
    """Read and check the input of the operation.

    Raises:
        AwsError: nobody answers this operation here.
        BrokenConstraint: the request is not as the model says.
    """
    endpoint, headers = stage.endpoint, stage.headers
    if isinstance(endpoint, NotImplementedOperation):
        raise endpoint.refusal()
    if isinstance(endpoint, RawRoute):
        request = {member: headers[name] for name, member in endpoint.parameters.items() if name in headers}
    else:
        request = endpoint.reader.read(stage.match.decoded_labels(), stage.query, headers, stage.document)
    return _next(Parsed, stage, request=request)


async def answer(stage: Parsed, operation: Operation) -> Answered:
    """Carry out the operation.

    Raises:
        Exception: whatever the operation raises.
    """
    return _next(Answered, stage, answer=await operation.handler(stage.request))


def format_of(stage: Received) -> ErrorFormat:
    """Return in which format a request is refused, as far as it has come."""
    return stage.endpoint.error_format if isinstance(stage, Routed) else NOWHERE


def operation_of(stage: Received) -> str:
    """Return the name of what a request asks for, empty while that is not known."""
    return stage.endpoint.name if isinstance(stage, Routed) else ""


def record(stage: Received, status: int, error: str | None) -> AccessLogRecord:
    """Return what can be written down of a request that is answered now.

    Args:
        stage: the last one that it reached.
        status: of the response.
        error: the shape of the error that it is answered with, None for none.
    """
    return AccessLogRecord(
        request_id=stage.request_id,
        caller=stage.claim.access_key_id if isinstance(stage, Claimed) and stage.claim else "",
        is_proven=isinstance(stage, Authenticated) and stage.is_proven,
        family=format_of(stage).family.value,
        operation=operation_of(stage),
        source=stage.source,
        status=status,
        error=error,
        request=stage.request if isinstance(stage, Parsed) else None,
        answer=stage.answer if isinstance(stage, Answered) else None,
    )


def _next(kind: type[_Stage], stage: Received, **added: Any) -> _Stage:  # noqa: ANN401 - fields of the stage
    """Return a stage that is all of the one before and what is added to it.

    As its constructor would make it, but that sets each field by a call of its own, seventy in a request.
    """
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", vars(stage) | added)
    return made


def _new_id() -> str:
    """Return a random UUID (version 4), as `uuid4` does and in a third of its time."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _raw_path(scope: Scope) -> bytes:
    raw_path: bytes | None = scope.get("raw_path")
    if raw_path is None:
        raise RuntimeError("This server does not hand down raw_path, without which ARNs cannot be routed; use uvicorn.")
    return raw_path


def _reached_at(scope: Scope, headers: Mapping[str, str]) -> str | None:
    """Return the URL by which a client came to us, as far as it says."""
    host, scheme = headers.get("host", ""), scope.get("scheme", "http")
    if not _HOST.fullmatch(host):
        return None
    port = (scope.get("server") or (None, None))[1]
    # AWS: the producer SDK for C, and what is built on it, names no port in Host, whichever it comes by.
    is_silent = _NAMES_NO_PORT in headers.get("user-agent", "") and not _PORT.search(host)
    if is_silent and port not in (None, _PORTS.get(scheme)):
        host = f"{host}:{port}"
    return f"{scheme}://{host}"
