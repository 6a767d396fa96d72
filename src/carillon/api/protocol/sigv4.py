"""Who signed a request: AWS Signature Version 4 in its header form.

A request is judged in two steps, so that one without proper credentials is refused before a byte of its body is read:
`SignatureVerifier.claim` looks at the head, `Claim.verify_body` or `verify_unread` at the signature.

Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, NoReturn, Protocol
from urllib.parse import quote, unquote_to_bytes

from carillon.api.errors import AwsError
from carillon.api.protocol.asgi import Headers
from carillon.clock import Clock

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
MAX_SKEW: Final = timedelta(minutes=5)

_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_BASIC_TIME: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_UNRESERVED: Final = "-_.~"
_PLAIN_PATH: Final = re.compile(rb"[A-Za-z0-9_.~/%-]*")
_PLAIN_FIELD: Final = re.compile(rb"[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~-]*")
_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} Credential=([^/,]+)/([^/,]+)/([^/,]+)/([^/,]+)/aws4_request, ?"
    "SignedHeaders=([^,=]+), ?Signature=([0-9a-f]{64})"
)


class Keys(Protocol):
    """Where secrets are looked up."""

    def secret_of(self, access_key_id: str) -> str | None:
        """Return the secret of an active key, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """All of a request that is signed, but its body."""

    method: str
    raw_path: bytes
    """As sent, without the query."""
    raw_query: bytes
    headers: Headers = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Authorization:
    """The parts of an Authorization header."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """A head whose credentials are known and fresh; whether the signature is right shows with the body's hash."""

    access_key_id: str
    _authorization: _Authorization = field(repr=False)
    _secret: str = field(repr=False)
    _signed_at: str = field(repr=False)  # 20261122T101530Z
    _head: Head = field(repr=False)
    _values: dict[bytes, list[bytes]] = field(repr=False)

    def verify_body(self, body: bytes) -> None:
        """Check the signature of a request that has arrived as a whole.

        Raises:
            AwsError: InvalidSignatureException; wrong signature, or x-amz-content-sha256 is not this body's.
        """
        actual = hashlib.sha256(body).hexdigest()
        declared = self._declared_hash()
        if declared is not None and declared != actual:  # Nothing secret: the client could compute it.
            _refuse("The x-amz-content-sha256 header is not the SHA-256 of the body; sign the body that you send.")
        self._verify(actual)

    def verify_unread(self) -> None:
        """Check the signature of a request whose body is still to come and stays unsigned: PutMedia.

        Producers either send `x-amz-content-sha256: UNSIGNED-PAYLOAD` (amazon-chime-sdk-call-analytics-producer)
        or sign the hash of nothing (the producer SDK for C).

        Raises:
            AwsError: InvalidSignatureException.
        """
        declared = self._declared_hash()
        if declared not in {None, UNSIGNED_PAYLOAD} and not _SHA256.fullmatch(declared or ""):
            _refuse(f"The x-amz-content-sha256 header must be {UNSIGNED_PAYLOAD} or a SHA-256 in hexadecimal.")
        self._verify(declared or _EMPTY_SHA256)

    def _declared_hash(self) -> str | None:
        values = self._values.get(b"x-amz-content-sha256")
        return values[0].decode("ascii", "replace") if values else None

    def _verify(self, payload_hash: str) -> None:
        canonical = canonical_request(self._head, self._values, self._authorization.signed_headers, payload_hash)
        scope = self._authorization.scope
        to_sign = "\n".join((ALGORITHM, self._signed_at, scope, hashlib.sha256(canonical).hexdigest()))
        key = _signing_key(
            self._secret, self._authorization.date, self._authorization.region, self._authorization.service
        )
        expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, self._authorization.signature):
            _refuse(
                "The signature does not match the request. Check the secret access key, the clock, and that nothing "
                "on the way (a proxy) changes the path or a signed header."
            )


class SignatureVerifier:
    """Tells who signed a request, or refuses it as AWS's gateways do.

    Args:
        keys: looked up for every request, so that a key can be withdrawn.
        region: the Region that clients must sign for: ours.
        clock: signatures live for five minutes of it, before and after.
    """

    def __init__(self, keys: Keys, region: str, clock: Clock) -> None:
        self._keys = keys
        self._region = region
        self._clock = clock

    def claim(self, head: Head, service: str) -> Claim:
        """Judge everything that needs no body: credentials there, well-formed, known, fresh, and meant for us.

        Args:
            head: the request's head.
            service: the signing name that the scope must have.

        Raises:
            AwsError: MissingAuthenticationTokenException, IncompleteSignatureException, UnrecognizedClientException
                or InvalidSignatureException.
        """
        values = _by_name(head.headers)
        authorization = _parse_authorization(values)
        text, signed_at = _signing_time(values)
        self._check_scope(authorization, text[:8], service)
        _check_signed_headers(authorization.signed_headers, values)
        self._check_skew(signed_at)
        secret = self._keys.secret_of(authorization.access_key_id)
        if secret is None:
            raise AwsError("UnrecognizedClientException", "The access key id of this request is not known here.")
        return Claim(authorization.access_key_id, authorization, secret, text, head, values)

    def _check_scope(self, authorization: _Authorization, date: str, service: str) -> None:
        if authorization.region != self._region:
            _refuse(f"The credential should be scoped to the Region {self._region}; configure the client for it.")
        if authorization.service != service:
            _refuse(f"The credential should be scoped to the service {service}.")
        if authorization.date != date:
            _refuse("The date in the credential scope is not the date on which the request says it was signed.")

    def _check_skew(self, signed_at: datetime) -> None:
        now = self._clock.now()
        if abs(now - signed_at) > MAX_SKEW:
            which = "expired" if signed_at < now else "not yet current"
            _refuse(
                f"Signature {which}: signed at {signed_at:%Y%m%dT%H%M%SZ}, and it is {now:%Y%m%dT%H%M%SZ} here. "
                "Set the client's clock."
            )


def canonical_request(
    head: Head, values: dict[bytes, list[bytes]], signed_headers: tuple[str, ...], payload_hash: str
) -> bytes:
    """Return the bytes whose hash is signed.

    Args:
        head: the request's head.
        values: of its headers, by name.
        signed_headers: names in the order in which the client listed them.
        payload_hash: hexadecimal, or UNSIGNED-PAYLOAD.
    """
    lines = [head.method.encode(), _canonical_path(head.raw_path), _canonical_query(head.raw_query)]
    for name in signed_headers:
        raw = name.encode("latin-1")
        lines.append(raw + b":" + b",".join(b" ".join(value.split()) for value in values.get(raw, ())))
    lines += [b"", ";".join(signed_headers).encode("latin-1"), payload_hash.encode()]
    return b"\n".join(lines)


def _refuse(message: str) -> NoReturn:
    raise AwsError("InvalidSignatureException", message)


def _by_name(headers: Headers) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return values


def _parse_authorization(values: dict[bytes, list[bytes]]) -> _Authorization:
    header = values.get(b"authorization", [b""])[0].decode("latin-1")
    if usual := _AUTHORIZATION.fullmatch(header):
        key, date, region, service, signed_headers, signature = usual.groups()
        return _Authorization(key, date, region, service, tuple(signed_headers.split(";")), signature)
    return _parse_unusual_authorization(header)


def _parse_unusual_authorization(header: str) -> _Authorization:
    """Parse what is spaced or ordered otherwise, or say what is wrong with it."""
    algorithm, _, rest = header.partition(" ")
    if not algorithm.startswith("AWS4-"):
        raise AwsError("MissingAuthenticationTokenException", "Sign the request with AWS Signature Version 4.")
    if algorithm != ALGORITHM:
        raise AwsError("IncompleteSignatureException", f"The only algorithm that is understood is {ALGORITHM}.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
    if missing:
        raise AwsError("IncompleteSignatureException", f"The Authorization header lacks {', '.join(missing)}.")
    credential = parts["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":
        raise AwsError("IncompleteSignatureException", "Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request.")
    if not _SHA256.fullmatch(parts["Signature"]):
        _refuse("Signature must be 64 lower-case hexadecimal digits.")
    key, date, region, service, _ = credential
    return _Authorization(key, date, region, service, tuple(parts["SignedHeaders"].split(";")), parts["Signature"])


def _signing_time(values: dict[bytes, list[bytes]]) -> tuple[str, datetime]:
    """Return when a request says it was signed (X-Amz-Date, or else Date), as `20261122T101530Z` and as a time."""
    text = (values.get(b"x-amz-date") or values.get(b"date") or [b""])[0].decode("latin-1")
    try:
        if _BASIC_TIME.fullmatch(text):
            year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
            return text, datetime(year, month, day, int(text[9:11]), int(text[11:13]), int(text[13:15]), tzinfo=UTC)
        if b"x-amz-date" not in values:
            at = parsedate_to_datetime(text)
            at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
            return f"{at:%Y%m%dT%H%M%SZ}", at
    except (ValueError, OverflowError):
        pass
    raise AwsError(
        "IncompleteSignatureException", "X-Amz-Date (or Date) must say when it was signed: 20261122T101530Z."
    )


def _check_signed_headers(signed_headers: tuple[str, ...], values: dict[bytes, list[bytes]]) -> None:
    for name in ("host", "x-amz-date" if b"x-amz-date" in values else "date"):
        if name not in signed_headers:
            _refuse(f"'{name}' must be one of the signed headers.")


def _canonical_path(raw_path: bytes) -> bytes:
    """Return the path as sent, encoded once more, dots and double slashes resolved: every service but S3 does so."""
    path = raw_path or b"/"
    if b"//" in path or b"/." in path:
        path = _resolve(path)
    if _PLAIN_PATH.fullmatch(path):
        return path.replace(b"%", b"%25")
    return quote(path, safe="/" + _UNRESERVED).encode()


def _resolve(path: bytes) -> bytes:
    """Resolve `.`, `..` and empty segments as RFC 3986 does."""
    resolved: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del resolved[-1:]
        elif segment not in {b"", b"."}:
            resolved.append(segment)
    directory = bool(resolved) and path.rsplit(b"/", 1)[1] in {b"", b".", b".."}
    return b"/" + b"/".join(resolved) + (b"/" if directory else b"")


def _canonical_query(raw_query: bytes) -> bytes:
    """Return the fields sorted by encoded name, then value; each decoded and strictly encoded again."""
    if not raw_query or _PLAIN_FIELD.fullmatch(raw_query):
        return raw_query
    fields = sorted(tuple(map(_encode_anew, part.partition(b"=")[::2])) for part in raw_query.split(b"&") if part)
    return "&".join(f"{name}={value}" for name, value in fields).encode()


def _encode_anew(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Return the key of one day, Region and service. Only fresh dates and known secrets get this far."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
