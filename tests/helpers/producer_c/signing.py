"""Signature Version 4 as the SDK does it: by its own reading of which headers and which payload are signed."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

NEVER_SIGNED = frozenset({"x-amz-security-token", "content-type", "content-length", "Authorization"})

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Credentials:
    """An access key, perhaps a temporary one."""

    key_id: str
    secret: str
    token: str = ""


def signed_headers(
    url: str, headers: Sequence[tuple[str, str]], body: bytes | None, key: Credentials, region: str, stamp: str
) -> Headers:
    """Return all headers in the order in which the SDK keeps them: by name, without regard to case.

    Args:
        url: with a path and no query.
        headers: the caller's.
        body: None for a streamed one, which is signed as if it were empty.
        key: to sign with.
        region: to sign for.
        stamp: the time, as in X-Amz-Date.
    """
    made = [*headers, ("host", host_of(url)), ("X-Amz-Date", stamp), ("content-type", "application/json")]
    if body is not None:
        made.append(("content-length", str(len(body))))
    made.sort(key=lambda header: header[0].lower())
    made.append(("Authorization", _authorization(urlsplit(url).path, made, body or b"", key, region, stamp)))
    if key.token:
        made.append(("x-amz-security-token", key.token))
    return sorted(made, key=lambda header: header[0].lower())


def host_of(url: str) -> str:
    """Return the host without its port: that is what the SDK sends, whatever the port."""
    return urlsplit(url).netloc.partition(":")[0]


def _authorization(path: str, headers: Headers, body: bytes, key: Credentials, region: str, stamp: str) -> str:
    signed = [(name.lower(), value.strip()) for name, value in headers if name not in NEVER_SIGNED]
    names = ";".join(name for name, _ in signed)
    lines = ["POST", path, "", *(f"{name}:{value}" for name, value in signed), "", names]
    canonical = "\n".join([*lines, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/kinesisvideo/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={key.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
