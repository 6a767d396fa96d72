"""What a request says of its signature: in the Authorization header, or in the query of a presigned URL.

Nothing here is secret or proven yet; `sigv4.py` judges it.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from carillon.api.errors import AwsError
from carillon.api.protocol.canonical import SIGNATURE_FIELD, RequestHead, Values

ALGORITHM: Final = "AWS4-HMAC-SHA256"
MAX_EXPIRES_SECONDS: Final = 604_800
MAX_SIGNED_HEADERS: Final = 64

_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_BASIC_TIME: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} Credential=([^/,]+)/([^/,]+)/([^/,]+)/([^/,]+)/aws4_request, ?"
    "SignedHeaders=([^,=]+), ?Signature=([0-9a-f]{64})"
)
_QUERY_FIELDS: Final = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", SIGNATURE_FIELD)


@dataclass(frozen=True, slots=True)
class Authorization:
    """Everything that a request says of its signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    stamp: str
    """When it was signed, as it stands in the string to sign: 20261122T101530Z."""
    signed_at: datetime
    lifetime: timedelta | None
    """Of a presigned URL; None in the header form."""
    session_token: str | None = field(repr=False)

    @property
    def scope(self) -> str:
        """Return the credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_authorization(head: RequestHead, values: Values) -> Authorization:
    """Return what a request says of its signature.

    Raises:
        AwsError: MissingAuthenticationTokenException, IncompleteSignatureException or InvalidSignatureException.
    """
    is_presigned = b"X-Amz-" in head.raw_query and (
        b"X-Amz-Signature=" in head.raw_query or b"X-Amz-Algorithm=" in head.raw_query
    )
    if not is_presigned:
        return _read_header(values)
    if b"authorization" in values:
        raise _incomplete("Sign in the Authorization header or in the query, not in both.")
    return _read_query(head.raw_query)


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message)


def _read_header(values: Values) -> Authorization:
    sent = values.get(b"authorization", [b""])
    if len(sent) > 1:
        raise _incomplete("Send one Authorization header.")
    header = sent[0].decode("latin-1")
    usual = _AUTHORIZATION.fullmatch(header)
    key, date, region, service, names, signature = usual.groups() if usual else _read_unusual(header)
    stamp, signed_at = _signing_time(values)
    token = values.get(b"x-amz-security-token")
    return Authorization(
        key,
        date,
        region,
        service,
        _split_names(names),
        signature,
        stamp,
        signed_at,
        None,
        token[0].decode("latin-1") if token else None,
    )


def _read_unusual(header: str) -> tuple[str, str, str, str, str, str]:
    """Parse what is spaced or ordered otherwise, or say what is wrong with it."""
    algorithm, _, rest = header.partition(" ")
    if not algorithm.startswith("AWS4-"):
        raise AwsError("MissingAuthenticationTokenException", "Sign the request with AWS Signature Version 4.")
    _check_algorithm(algorithm)
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
    if missing:
        raise _incomplete(f"The Authorization header lacks {', '.join(missing)}.")
    return (*_split_credential(parts["Credential"]), parts["SignedHeaders"], _checked_signature(parts["Signature"]))


def _read_query(raw_query: bytes) -> Authorization:
    fields: dict[str, str] = {}
    for part in raw_query.split(b"&"):
        if part.startswith(b"X-Amz-"):
            name, value = (unquote_to_bytes(side).decode("latin-1") for side in part.partition(b"=")[::2])
            if name in fields:
                raise _incomplete(f"The query has {name} twice.")
            fields[name] = value
    _check_algorithm(fields.get("X-Amz-Algorithm", ""))
    missing = [name for name in _QUERY_FIELDS if not fields.get(name)]
    if missing:
        raise _incomplete(f"The query lacks {', '.join(missing)}.")
    expires = fields["X-Amz-Expires"]
    if not _SECONDS.fullmatch(expires) or not 1 <= int(expires) <= MAX_EXPIRES_SECONDS:
        raise _incomplete(f"X-Amz-Expires must be 1 to {MAX_EXPIRES_SECONDS} seconds.")
    stamp = fields["X-Amz-Date"]
    signed_at = _basic_time(stamp)
    if signed_at is None:
        raise _incomplete("X-Amz-Date must say when it was signed: 20261122T101530Z.")
    return Authorization(
        *_split_credential(fields["X-Amz-Credential"]),
        _split_names(fields["X-Amz-SignedHeaders"]),
        _checked_signature(fields[SIGNATURE_FIELD]),
        stamp,
        signed_at,
        timedelta(seconds=int(expires)),
        fields.get("X-Amz-Security-Token"),
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise _incomplete(f"The only algorithm that is understood is {ALGORITHM}.")


def _split_credential(credential: str) -> tuple[str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise _incomplete("Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request.")
    key, date, region, service, _ = parts
    return key, date, region, service


def _checked_signature(signature: str) -> str:
    if not _SIGNATURE.fullmatch(signature):
        raise AwsError("InvalidSignatureException", "Signature must be 64 lower-case hexadecimal digits.")
    return signature


def _split_names(names: str) -> tuple[str, ...]:
    if names.count(";") >= MAX_SIGNED_HEADERS:
        raise _incomplete(f"At most {MAX_SIGNED_HEADERS} headers can be signed.")
    return tuple(names.split(";"))


def _signing_time(values: Values) -> tuple[str, datetime]:
    """Return when a request says it was signed (X-Amz-Date, or else Date), as `20261122T101530Z` and as a time."""
    text = (values.get(b"x-amz-date") or values.get(b"date") or [b""])[0].decode("latin-1")
    signed_at = _basic_time(text)
    if signed_at is not None:
        return text, signed_at
    if b"x-amz-date" not in values:
        try:
            at = parsedate_to_datetime(text)
            at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        else:
            return f"{at:%Y%m%dT%H%M%SZ}", at
    raise _incomplete("X-Amz-Date (or Date) must say when it was signed: 20261122T101530Z.")


@lru_cache(maxsize=64)
def _basic_time(text: str) -> datetime | None:
    """Return a time in ISO 8601's basic form, None if it is none. Many requests are signed within one second."""
    if not _BASIC_TIME.fullmatch(text):
        return None
    year, month, day, hour, minute, second = (int(text[at:to]) for at, to in _FIELDS)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


_FIELDS: Final = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15))
