"""Who signed a request: AWS Signature Version 4, in its header form and as a presigned URL.

A request is judged in two steps, so that one without proper credentials is refused before a byte of its body is read:
`SignatureVerifier.claim` looks at the head, `SignatureClaim.verify_body` or `verify_unread` at the signature.

As with AWS, a request may be repeated while its signature is fresh: nothing remembers signatures, and what must not
happen twice carries a ClientRequestToken.

Why our own: libraries sign, botocore above all, but none that is maintained verifies, and to sign anew and compare
would build a request of botocore's for each of ours. The tests have botocore sign everything that is verified here.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NoReturn

from carillon.access.credentials import AccessKey, AccessKeys
from carillon.api.errors import AwsError
from carillon.api.protocol.authorization import ALGORITHM, Authorization, read_authorization
from carillon.api.protocol.canonical import RequestHead, Values, by_name, canonical_request
from carillon.clock import Clock

__all__ = [
    "RequestHead",
    "SignatureClaim",
    "SignatureVerifier",
]

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
MAX_SKEW: Final = timedelta(minutes=5)

_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TOKEN_INVALID: Final = "The security token included in the request is invalid"  # noqa: S105 - AWS's words


@dataclass(frozen=True, slots=True)
class SignatureClaim:
    """A head whose credentials are known and fresh; whether the signature is right shows with the body's hash."""

    access_key_id: str
    _authorization: Authorization = field(repr=False)
    _secret: str = field(repr=False)
    _head: RequestHead = field(repr=False)
    _values: Values = field(repr=False)

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
        said = self._authorization
        canonical = canonical_request(self._head, self._values, said.signed_headers, payload_hash)
        to_sign = "\n".join((ALGORITHM, said.stamp, said.scope, hashlib.sha256(canonical).hexdigest()))
        key = _signing_key(self._secret, said.date, said.region, said.service)
        expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, said.signature):
            _refuse(
                "The signature does not match the request. Check the secret access key, the clock, and that nothing "
                "on the way (a proxy) changes the path or a signed header."
            )


class SignatureVerifier:
    """Tells who signed a request, or refuses it as AWS's gateways do.

    Args:
        keys: looked up for every request, so that a key can be withdrawn.
        region: the Region that clients must sign for: ours.
        clock: a signature lives for five minutes of it, before and after; a presigned one as long as it says.
    """

    def __init__(self, keys: AccessKeys, region: str, clock: Clock) -> None:
        self._keys = keys
        self._region = region
        self._clock = clock

    def claim(self, head: RequestHead, service: str) -> SignatureClaim:
        """Judge everything that needs no body: credentials there, well-formed, known, fresh, and meant for us.

        Nothing is hashed here, so that a stranger's request costs next to nothing.

        Args:
            head: the request's head.
            service: the signing name that the scope must have.

        Raises:
            AwsError: MissingAuthenticationTokenException, IncompleteSignatureException, UnrecognizedClientException,
                ExpiredTokenException or InvalidSignatureException.
        """
        values = by_name(head.headers)
        said = read_authorization(head, values)
        now = self._clock.now()
        self._check_scope(said, service)
        _check_signed_headers(said, values)
        _check_time(said, now)
        key = self._keys.find(said.access_key_id)
        if key is None:
            raise AwsError("UnrecognizedClientException", "The access key id of this request is not known here.")
        _check_token(key, said, now)
        return SignatureClaim(said.access_key_id, said, key.secret_access_key, head, values)

    def _check_scope(self, said: Authorization, service: str) -> None:
        if said.region != self._region:
            _refuse(f"The credential should be scoped to the Region {self._region}; configure the client for it.")
        if said.service != service:
            _refuse(f"The credential should be scoped to the service {service}.")
        if said.date != said.stamp[:8]:
            _refuse("The date in the credential scope is not the date on which the request says it was signed.")


def _check_signed_headers(said: Authorization, values: Values) -> None:
    needed = ["host"]
    if said.lifetime is None:
        needed.append("x-amz-date" if b"x-amz-date" in values else "date")
    for name in needed:
        if name not in said.signed_headers:
            _refuse(f"'{name}' must be one of the signed headers.")


def _check_time(said: Authorization, now: datetime) -> None:
    age = now - said.signed_at
    if -MAX_SKEW <= age <= (said.lifetime or MAX_SKEW):
        return
    which = "not yet current" if age < timedelta() else "expired"
    _refuse(
        f"Signature {which}: signed at {said.stamp}, and it is {now:%Y%m%dT%H%M%SZ} here. "
        + ("Set the client's clock." if said.lifetime is None else "Presign the URL anew.")
    )


def _check_token(key: AccessKey, said: Authorization, now: datetime) -> None:
    """Check the session token. It need not be signed: the producer SDK for C leaves it out, and it opens nothing."""
    if key.session_token is None:
        if said.session_token is not None:
            raise AwsError("UnrecognizedClientException", f"{_TOKEN_INVALID}: this key has none, so send none.")
    elif not hmac.compare_digest(key.session_token.encode(), (said.session_token or "").encode()):
        raise AwsError("UnrecognizedClientException", f"{_TOKEN_INVALID} or missing.")
    if key.expires_at is not None and key.expires_at <= now:
        raise AwsError("ExpiredTokenException", "The credentials of this request have expired; get new ones.")


def _refuse(message: str) -> NoReturn:
    raise AwsError("InvalidSignatureException", message)


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Return the key of one day, Region and service. Only fresh dates and known secrets get this far."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
