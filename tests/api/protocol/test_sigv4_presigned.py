"""Presigned URLs and session tokens: botocore signs, we judge."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from carillon.access import AccessKey, KeyRing
from carillon.api.errors import AwsError
from carillon.api.protocol.sigv4 import RequestHead, SignatureVerifier
from carillon.clock import ManualClock

KEY = AccessKey("CRLNTEST", "secret/+=")
TEMPORARY = AccessKey("CRLNTEMP", "other", session_token="a/token+=", expires_at=datetime.now(UTC) + timedelta(hours=1))
EXPIRED = AccessKey("CRLNLATE", "late", session_token="t", expires_at=datetime.now(UTC) - timedelta(hours=1))
HOST = (b"host", b"localhost:1")
URL = "http://localhost:1/voice-profile-domains"


def verifier(after: timedelta = timedelta()) -> SignatureVerifier:
    return SignatureVerifier(KeyRing([KEY, TEMPORARY, EXPIRED]), "us-east-1", ManualClock(datetime.now(UTC) + after))


class Presigner(SigV4QueryAuth):  # type: ignore[misc]  # botocore has no types
    """botocore's, which by itself makes query fields of a body."""

    body = b""

    def payload(self, request: Any) -> str:
        return hashlib.sha256(self.body).hexdigest()


def presigned(key: AccessKey = KEY, token: str | None = None, seconds: int = 60, body: bytes = b"") -> RequestHead:
    request = AWSRequest("GET", f"{URL}?max-results=5&next-token=a%2Fb")
    credentials = Credentials(key.access_key_id, key.secret_access_key, token)
    signer = Presigner(credentials, "chime", "us-east-1", seconds)
    signer.body = body
    signer.add_auth(request)
    return RequestHead("GET", b"/voice-profile-domains", request.url.partition("?")[2].encode(), [HOST])


def signed(key: AccessKey, token: str | None) -> RequestHead:
    request = AWSRequest("GET", URL)
    SigV4Auth(Credentials(key.access_key_id, key.secret_access_key, token), "chime", "us-east-1").add_auth(request)
    sent = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    return RequestHead("GET", b"/voice-profile-domains", b"", [HOST, *sent])


def refusal(head: RequestHead, after: timedelta = timedelta(), body: bytes = b"") -> AwsError:
    with pytest.raises(AwsError) as caught:
        verifier(after).claim(head, "chime").verify_body(body)
    return caught.value


def test_a_presigned_url_is_accepted_and_nothing_else_in_it() -> None:
    head = presigned()
    claim = verifier().claim(head, "chime")
    claim.verify_body(b"")
    assert claim.access_key_id == KEY.access_key_id
    for raw_query in (head.raw_query.replace(b"max-results=5", b"max-results=6"), head.raw_query + b"&x=1"):
        assert refusal(RequestHead("GET", head.raw_path, raw_query, [HOST])).shape == "InvalidSignatureException"
    assert refusal(RequestHead("POST", head.raw_path, head.raw_query, [HOST])).shape == "InvalidSignatureException"
    assert refusal(RequestHead("GET", head.raw_path, head.raw_query, [(b"host", b"other")])).shape


def test_the_body_of_a_presigned_request_is_signed_too() -> None:
    """AWS: only S3 leaves it out."""
    head = presigned(body=b"{}")
    verifier().claim(head, "chime").verify_body(b"{}")
    assert refusal(head, body=b"{ }").shape == "InvalidSignatureException"


def test_a_presigned_url_lives_as_long_as_it_says() -> None:
    day = presigned(seconds=604_800)
    verifier(timedelta(days=6, hours=23)).claim(day, "chime").verify_body(b"")
    assert "Presign the URL anew" in refusal(day, timedelta(days=7, seconds=5)).message
    assert "expired" in refusal(presigned(seconds=60), timedelta(seconds=65)).message
    assert "not yet current" in refusal(day, timedelta(minutes=-6)).message


def test_within_its_life_a_signature_may_be_used_again() -> None:
    """AWS keeps no list of signatures that it has seen; a ClientRequestToken is what makes a repetition harmless."""
    judge, head = verifier(), presigned()
    for _ in range(2):
        judge.claim(head, "chime").verify_body(b"")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"X-Amz-Expires=60", b"X-Amz-Expires=0", "1 to 604800"),
        (b"X-Amz-Expires=60", b"X-Amz-Expires=604801", "1 to 604800"),
        (b"X-Amz-Expires=60", b"X-Amz-Expires=-1", "1 to 604800"),
        (b"X-Amz-Expires=60", b"X-Amz-Expires=60&X-Amz-Expires=604800", "twice"),
        (b"X-Amz-Expires=60", b"Expires=60", "lacks X-Amz-Expires"),
        (b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256", "only algorithm"),
        (b"X-Amz-Algorithm=", b"Algorithm=", "only algorithm"),
        (b"aws4_request", b"aws3_request", "Credential must be"),
        (b"X-Amz-Date=2", b"X-Amz-Date=x", "20261122T101530Z"),
    ],
)
def test_a_query_that_is_not_whole_is_refused_in_words(old: bytes, new: bytes, message: str) -> None:
    head = presigned()
    refused = refusal(RequestHead("GET", head.raw_path, head.raw_query.replace(old, new), [HOST]))
    assert refused.shape == "IncompleteSignatureException"
    assert message in refused.message


def test_the_host_must_be_signed_and_the_scope_ours() -> None:
    head = presigned()
    for old, new in ((b"SignedHeaders=host", b"SignedHeaders=date"), (b"us-east-1", b"us-west-2"), (b"chime", b"sqs")):
        refused = refusal(RequestHead("GET", head.raw_path, head.raw_query.replace(old, new), [HOST]))
        assert refused.shape == "InvalidSignatureException"


def test_one_way_of_signing_at_a_time() -> None:
    head = presigned()
    both = RequestHead("GET", head.raw_path, head.raw_query, [*signed(KEY, None).headers])
    assert refusal(both).shape == "IncompleteSignatureException"
    header = signed(KEY, None)
    authorization = dict(header.headers)[b"authorization"]
    twice = RequestHead("GET", header.raw_path, b"", [*header.headers, (b"authorization", authorization)])
    assert refusal(twice).shape == "IncompleteSignatureException"


def test_more_signed_headers_than_anybody_sends_are_refused_before_they_are_looked_at() -> None:
    head = presigned()
    many = head.raw_query.replace(b"SignedHeaders=host", b"SignedHeaders=host" + b"%3Bx" * 64)
    assert "At most 64" in refusal(RequestHead("GET", head.raw_path, many, [HOST])).message


@pytest.mark.parametrize("make", [presigned, signed])
def test_a_temporary_key_needs_its_token(make: Any) -> None:
    verifier().claim(make(TEMPORARY, TEMPORARY.session_token), "chime").verify_body(b"")
    for token in (None, "another"):
        assert refusal(make(TEMPORARY, token)).shape == "UnrecognizedClientException"
    assert refusal(make(EXPIRED, "t")).shape == "ExpiredTokenException"


@pytest.mark.parametrize("make", [presigned, signed])
def test_a_token_with_a_permanent_key_is_refused(make: Any) -> None:
    """AWS: `The security token included in the request is invalid.`"""
    assert refusal(make(KEY, "token")).shape == "UnrecognizedClientException"


def test_no_token_is_in_a_repr() -> None:
    claim = verifier().claim(presigned(TEMPORARY, TEMPORARY.session_token), "chime")
    assert "a/token" not in repr(claim) + repr(TEMPORARY)
    assert "a%2Ftoken" not in repr(claim)
