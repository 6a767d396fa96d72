import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import percent_encode, percent_encode_sequence
from hypothesis import assume, given
from hypothesis import strategies as st

from carillon.access import AccessKey, KeyRing
from carillon.api.errors import AwsError
from carillon.api.protocol.sigv4 import RequestHead, SignatureVerifier
from carillon.clock import ManualClock, SystemClock

# AWS's published Signature Version 4 test suite: its key, scope and time, and each case's request and signature.
SUITE_KEY = AccessKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
HOST = (b"host", b"example.amazonaws.com")
DATE = (b"x-amz-date", b"20150830T123600Z")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
UNRESERVED = b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def header(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"my-header1", value) for value in values]


SUITE: dict[str, tuple[RequestHead, bytes, str]] = {
    name: (RequestHead(method, path, query, [HOST, *headers, DATE]), body, signature)
    for name, method, path, query, headers, body, signature in [
        ("get-vanilla", "GET", b"/", b"", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "get-vanilla-query-order-key-case",
            *("GET", b"/", b"Param2=value2&Param1=value1", [], b""),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-empty-query-key",
            *("GET", b"/", b"Param1=value1", [], b""),
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "get-vanilla-query-unreserved",
            *("GET", b"/", UNRESERVED + b"=" + UNRESERVED, [], b""),
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            "get-vanilla-utf8-query",
            *("GET", b"/", "ሴ=bar".encode(), [], b""),
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "get-unreserved",
            *("GET", b"/" + UNRESERVED, b"", [], b""),
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "get-utf8",
            *("GET", "/ሴ".encode(), b"", [], b""),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "get-space",
            *("GET", b"/example space/", b"", [], b""),
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "get-relative",
            *("GET", b"/example/..", b"", [], b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slash-dot-slash",
            *("GET", b"/./", b"", [], b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slash-pointless-dot",
            *("GET", b"/./example", b"", [], b""),
            "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
        ),
        (
            "get-slashes",
            *("GET", b"//example//", b"", [], b""),
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        (
            "get-header-key-duplicate",
            *("GET", b"/", b"", header(b"value2", b"value2", b"value1"), b""),
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "get-header-value-order",
            *("GET", b"/", b"", header(b"value4", b"value1", b"value3", b"value2"), b""),
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
        (
            "get-header-value-trim",
            *("GET", b"/", b"", [*header(b" value1"), (b"my-header2", b' "a   b   c"')], b""),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "post-vanilla",
            *("POST", b"/", b"", [], b""),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-header-key-sort",
            *("POST", b"/", b"", header(b"value1"), b""),
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            "post-header-value-case",
            *("POST", b"/", b"", header(b"VALUE1"), b""),
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),
        (
            "post-x-www-form-urlencoded",
            *("POST", b"/", b"", [FORM], b"Param1=value1"),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "post-x-www-form-urlencoded-parameters",
            *("POST", b"/", b"", [(FORM[0], FORM[1] + b"; charset=utf8")], b"Param1=value1"),
            "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
        ),
    ]
}


def suite_verifier(now: datetime = SUITE_TIME) -> SignatureVerifier:
    return SignatureVerifier(KeyRing([SUITE_KEY]), "us-east-1", ManualClock(now))


def with_authorization(head: RequestHead, signature: str, **changes: str) -> RequestHead:
    parts = {
        "algorithm": "AWS4-HMAC-SHA256",
        "Credential": "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request",
        "SignedHeaders": ";".join(sorted({name.decode() for name, _ in head.headers})),
        "Signature": signature,
        **changes,
    }
    algorithm = parts.pop("algorithm")
    value = f"{algorithm} " + ", ".join(f"{name}={part}" for name, part in parts.items() if part)
    return RequestHead(head.method, head.raw_path, head.raw_query, [*head.headers, (b"authorization", value.encode())])


@pytest.mark.parametrize("case", SUITE)
def test_the_published_test_suite_is_accepted(case: str) -> None:
    head, body, signature = SUITE[case]
    claim = suite_verifier().claim(with_authorization(head, signature), "service")
    claim.verify_body(body)
    assert claim.access_key_id == "AKIDEXAMPLE"
    with pytest.raises(AwsError) as caught:
        claim.verify_body(body + b" ")
    assert caught.value.shape == "InvalidSignatureException"


VANILLA, _, VANILLA_SIGNATURE = SUITE["get-vanilla"]


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({"Credential": "AKIDOTHER/20150830/us-east-1/service/aws4_request"}, "UnrecognizedClientException", "known"),
        ({"Credential": "AKIDEXAMPLE/20150830/us-west-2/service/aws4_request"}, "InvalidSignatureException", "Region"),
        ({"Credential": "AKIDEXAMPLE/20150830/us-east-1/chime/aws4_request"}, "InvalidSignatureException", "service"),
        ({"Credential": "AKIDEXAMPLE/20150831/us-east-1/service/aws4_request"}, "InvalidSignatureException", "date"),
        ({"Credential": "AKIDEXAMPLE/20150830/us-east-1/service/aws3"}, "IncompleteSignatureException", "Credential"),
        ({"Credential": "AKIDEXAMPLE"}, "IncompleteSignatureException", "Credential"),
        ({"Credential": "", "Signature": ""}, "IncompleteSignatureException", "lacks Credential, Signature"),
        ({"SignedHeaders": ""}, "IncompleteSignatureException", "lacks SignedHeaders"),
        ({"SignedHeaders": "x-amz-date"}, "InvalidSignatureException", "'host' must be"),
        ({"SignedHeaders": "host"}, "InvalidSignatureException", "'x-amz-date' must be"),
        ({"Signature": "é" * 64}, "InvalidSignatureException", "hexadecimal"),
        ({"Signature": VANILLA_SIGNATURE[:-1]}, "InvalidSignatureException", "hexadecimal"),
        ({"algorithm": "AWS4-ECDSA-P256-SHA256"}, "IncompleteSignatureException", "AWS4-HMAC-SHA256"),
        ({"algorithm": "Bearer"}, "MissingAuthenticationTokenException", "Sign"),
    ],
)
def test_credentials_that_will_not_do_are_refused_before_the_body(
    changes: dict[str, str], shape: str, message: str
) -> None:
    with pytest.raises(AwsError, match=message) as caught:
        suite_verifier().claim(with_authorization(VANILLA, VANILLA_SIGNATURE, **changes), "service")
    assert caught.value.shape == shape


@pytest.mark.parametrize("date", [b"", b"2015-08-30T12:36:00Z", b"20150830T126000Z", b"yesterday", b"20150830T123600"])
@pytest.mark.parametrize("name", [b"x-amz-date", b"date"])
def test_a_request_must_say_when_it_was_signed(name: bytes, date: bytes) -> None:
    head = RequestHead("GET", b"/", b"", [HOST, (name, date)])
    with pytest.raises(AwsError, match="20261122T101530Z") as caught:
        suite_verifier().claim(with_authorization(head, VANILLA_SIGNATURE), "service")
    assert caught.value.shape == "IncompleteSignatureException"


@pytest.mark.parametrize(("minutes", "problem"), [(5.02, "Signature expired"), (-5.02, "Signature not yet current")])
def test_a_signature_lives_for_five_minutes(minutes: float, problem: str) -> None:
    head = with_authorization(VANILLA, VANILLA_SIGNATURE)
    with pytest.raises(AwsError, match=problem):
        suite_verifier(SUITE_TIME + timedelta(minutes=minutes)).claim(head, "service")
    for within in (timedelta(minutes=5), timedelta(minutes=-5)):
        suite_verifier(SUITE_TIME + within).claim(head, "service").verify_body(b"")


def test_a_date_header_can_stand_for_x_amz_date() -> None:
    for date in (b"Sun, 30 Aug 2015 12:36:00 GMT", b"20150830T123600Z"):
        head = RequestHead("GET", b"/", b"", [HOST, (b"date", date)])
        claim = suite_verifier().claim(with_authorization(head, "0" * 64), "service")
        with pytest.raises(AwsError, match="does not match"):
            claim.verify_body(b"")


def test_a_declared_hash_must_be_the_bodys() -> None:
    for declared in (b"UNSIGNED-PAYLOAD", hashlib.sha256(b"other").hexdigest().encode(), b"\xff", b""):
        head = RequestHead("GET", b"/", b"", [HOST, DATE, (b"x-amz-content-sha256", declared)])
        claim = suite_verifier().claim(with_authorization(head, VANILLA_SIGNATURE), "service")
        with pytest.raises(AwsError, match="is not the SHA-256 of the body"):
            claim.verify_body(b"")


def test_an_unread_body_may_not_be_signed_in_pieces() -> None:
    head = RequestHead("GET", b"/", b"", [HOST, DATE, (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD")])
    claim = suite_verifier().claim(with_authorization(head, VANILLA_SIGNATURE), "service")
    with pytest.raises(AwsError, match="UNSIGNED-PAYLOAD or"):
        claim.verify_unread()


def test_secrets_and_signatures_are_in_no_repr() -> None:
    claim = suite_verifier().claim(with_authorization(VANILLA, VANILLA_SIGNATURE), "service")
    assert SUITE_KEY.secret_access_key not in repr(claim) + repr(SUITE_KEY)
    assert VANILLA_SIGNATURE not in repr(claim)


KEY = AccessKey("CRLNTEST", "secret/+=")


def signed_by_botocore(method: str, url: str, body: bytes, headers: dict[str, str], service: str) -> RequestHead:
    request = AWSRequest(method, url, data=body, headers=headers)
    SigV4Auth(Credentials(KEY.access_key_id, KEY.secret_access_key), service, "eu-west-1").add_auth(request)
    target = url.split("/", 3)[3]
    path, _, query = target.partition("?")
    sent = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    return RequestHead(method, f"/{path}".encode(), query.encode(), [(b"host", b"localhost:1"), *sent])


def verify(head: RequestHead, service: str, body: bytes | None) -> str:
    claim = SignatureVerifier(KeyRing([KEY]), "eu-west-1", SystemClock()).claim(head, service)
    if body is None:
        claim.verify_unread()
    else:
        claim.verify_body(body)
    return claim.access_key_id


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    identifier=TEXT.filter(lambda text: text not in {"", ".", ".."}),
    query=st.lists(st.tuples(TEXT, TEXT), max_size=4),
    body=st.binary(max_size=64),
    value=st.text("ab \t", max_size=8),
)
def test_whatever_botocore_signs_is_accepted_and_nothing_else(
    identifier: str, query: list[tuple[str, str]], body: bytes, value: str
) -> None:
    path = f"https://localhost:1/media-insights-pipelines/{percent_encode(identifier)}/speaker-search-tasks"
    url = f"{path}?{percent_encode_sequence(query)}" if query else path
    head = signed_by_botocore("POST", url, body, {"x-amz-meta": value.strip(), "content-type": "a/b"}, "chime")
    assert verify(head, "chime", body) == KEY.access_key_id
    other = RequestHead(head.method, head.raw_path + b"x", head.raw_query, head.headers)
    with pytest.raises(AwsError, match="does not match"):
        verify(other, "chime", body)
    with pytest.raises(AwsError, match="does not match"):
        verify(head, "chime", body + b"x")


def test_every_header_may_be_signed_even_those_of_one_hop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The KVS producer SDK for C signs connection, transfer-encoding and user-agent."""
    monkeypatch.setattr("botocore.auth.SIGNED_HEADERS_BLACKLIST", [])
    headers = {"connection": "keep-alive", "transfer-encoding": "chunked", "user-agent": "AWS-SDK-KVS/3.0 GCC"}
    head = signed_by_botocore("POST", "https://localhost:1/putMedia", b"", headers, "kinesisvideo")
    assert b"transfer-encoding;user-agent" in dict(head.headers)[b"authorization"]
    assert verify(head, "kinesisvideo", None) == KEY.access_key_id


def test_an_unsigned_payload_is_accepted_where_the_body_stays_unread() -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    head = signed_by_botocore("POST", "https://localhost:1/putMedia", b"", headers, "kinesisvideo")
    assert verify(head, "kinesisvideo", None) == KEY.access_key_id


def test_a_literal_hash_is_accepted_and_checked() -> None:
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(b"{}").hexdigest()}
    head = signed_by_botocore("POST", "https://localhost:1/listStreams", b"{}", headers, "kinesisvideo")
    assert verify(head, "kinesisvideo", b"{}") == KEY.access_key_id
    with pytest.raises(AwsError, match="not the SHA-256"):
        verify(head, "kinesisvideo", b"{ }")


def test_a_key_that_is_withdrawn_no_longer_opens() -> None:
    class Keys:
        key: AccessKey | None = KEY

        def find(self, access_key_id: str) -> AccessKey | None:
            return self.key

    keys: Any = Keys()
    verifier = SignatureVerifier(keys, "eu-west-1", SystemClock())
    head = signed_by_botocore("GET", "https://localhost:1/tags", b"", {}, "chime")
    verifier.claim(head, "chime").verify_body(b"")
    keys.key = None
    with pytest.raises(AwsError) as caught:
        verifier.claim(head, "chime")
    assert caught.value.shape == "UnrecognizedClientException"


PARTS = st.sampled_from([b"AWS4-HMAC-SHA256", b" ", b"Credential=", b"SignedHeaders=", b"Signature=", b"/", b",", b";"])
KNOWN = st.sampled_from(
    [b"CRLNTEST", b"20261122", b"eu-west-1", b"chime", b"aws4_request", b"host;x-amz-date", b"0" * 64]
)
NAMES = st.sampled_from([b"host", b"date", b"x-amz-date", b"authorization", b"x-amz-content-sha256"])


@given(
    headers=st.lists(
        st.tuples(NAMES, st.lists(PARTS | KNOWN | st.binary(max_size=8), max_size=16).map(b"".join)), max_size=6
    ),
    path=st.binary(max_size=16),
    query=st.binary(max_size=16),
)
def test_whatever_anybody_claims_is_refused_in_words(headers: Any, path: bytes, query: bytes) -> None:
    with pytest.raises(AwsError):
        verify(RequestHead("GET", path, query, headers), "chime", b"")


@given(path=st.binary(max_size=24), query=st.binary(max_size=24), value=st.binary(max_size=24))
def test_any_bytes_have_a_canonical_form(path: bytes, query: bytes, value: bytes) -> None:
    assume(b"X-Amz-" not in query)  # signed in the header and in the query is refused before
    head = RequestHead("GET", path, query, [HOST, DATE, (b"my-header1", value)])
    claim = suite_verifier().claim(with_authorization(head, "0" * 64), "service")
    with pytest.raises(AwsError, match="does not match"):
        claim.verify_body(b"")
