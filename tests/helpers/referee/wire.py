"""Requests as bytes: written as the model binds them, signed by botocore's signer, sent over one connection."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from referee import shapes

TIMEOUT_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request before it is signed."""

    method: str
    target: str
    """Path and query, percent-encoded."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    signing_name: str = "chime"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    error: str
    """The error shape that an SDK would raise, empty for a success."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def document(self) -> Any:
        """The JSON body."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What the error says."""
        return str(self.document.get("Message", "")) if self.error else ""


def write(service: str, name: str, values: shapes.Input) -> Request:
    """Write a request as the model binds its members, whatever their values: also what a serializer would not."""
    operation = shapes.operation(service, name)
    members = operation.input_shape.members if operation.input_shape is not None else {}
    path: str = operation.http["requestUri"]
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    document: dict[str, object] = {}
    for member, value in values.items():
        binding = members[member].serialization if member in members else {}
        wire_name = binding.get("name", member)
        match binding.get("location"):
            case "uri":
                path = path.replace(f"{{{wire_name}}}", quote(str(value), safe=""))
            case "querystring":
                query += [(wire_name, _text(item)) for item in (value if isinstance(value, list) else [value])]
            case "header":
                headers[wire_name] = str(value)
            case _:
                document[wire_name] = value
    if query:
        path += ("&" if "?" in path else "?") + urlencode(query, quote_via=quote)
    body = json.dumps(document).encode() if document or _has_body(members, operation.http["method"]) else b""
    if body:
        headers["Content-Type"] = "application/json"
    return Request(operation.http["method"], path, body, headers, operation.service_model.signing_name)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_body(members: Mapping[str, Any], method: str) -> bool:
    in_body = any("location" not in member.serialization for member in members.values())
    return in_body and method in {"POST", "PUT"}


class Wire:
    """One connection to one server. Not for several threads at once."""

    def __init__(self, url: str, credentials: Credentials, region: str) -> None:
        self.url = url
        self._credentials = credentials
        self._region = region
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)

    @classmethod
    @contextmanager
    def to(cls, url: str, environment: Mapping[str, str]) -> Iterator["Wire"]:
        """Connect with the credentials of an environment; disconnect at the end."""
        credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        made = cls(url, credentials, environment["AWS_REGION"])
        yield made
        made._connection.close()

    def call(self, service: str, name: str, values: shapes.Input) -> Answer:
        """Send a modeled request."""
        return self.send(write(service, name, values))

    def signed(self, request: Request) -> dict[str, str]:
        """Return the headers of a request with a signature among them."""
        unsigned = AWSRequest(request.method, self.url + request.target, dict(request.headers), request.body)
        SigV4Auth(self._credentials, request.signing_name, self._region).add_auth(unsigned)
        return dict(unsigned.headers.items())

    def send(self, request: Request, *, sign: bool = True) -> Answer:
        """Sign and send; a connection that the server closed after its last answer is opened anew.

        Raises:
            TimeoutError: the server did not answer in time.
        """
        headers = self.signed(request) if sign else dict(request.headers)
        try:
            return self._exchange(request, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()
            return self._exchange(request, headers)

    def _exchange(self, request: Request, headers: Mapping[str, str]) -> Answer:
        try:
            self._connection.request(request.method, request.target, request.body, dict(headers))
            response = self._connection.getresponse()
            if endless := response.getheader("content-type", "").startswith("video/"):
                self._connection.close()  # GetMedia ends when the stream falls silent; its first bytes are enough.
            body = b"" if endless else response.read()
        except BaseException:
            self._connection.close()
            raise
        received = {name.lower(): value for name, value in response.getheaders()}
        error = received.get("x-amzn-errortype", "").partition(":")[0]
        return Answer(response.status, error, received, body)
