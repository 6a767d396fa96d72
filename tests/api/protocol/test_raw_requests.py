"""Requests that no SDK would send, over a socket."""

import json
import re
import socket
from typing import Any

import pytest
import structlog
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TASK_ID = "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11"
GET_TASK = f"/media-insights-pipelines/demo/speaker-search-tasks/{TASK_ID}"


def signed(
    served: Any,
    method: str,
    target: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    sent: bytes | None = None,
) -> bytes:
    """Return a request signed for `body`, in which `sent` travels instead where it is given."""
    signing_name = "kinesisvideo" if "Media" in target or "Streams" in target else "chime"
    request = AWSRequest(method, f"{served.url}{target}", data=body, headers=headers or {})
    key = Credentials(served.key.access_key_id, served.key.secret_access_key)
    SigV4Auth(key, signing_name, "us-east-1").add_auth(request)
    travelling = body if sent is None else sent
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{served.port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
    if "Transfer-Encoding" not in request.headers and "Content-Length" not in request.headers:
        lines.append(f"Content-Length: {len(travelling)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + travelling


def parse(answer: bytes) -> tuple[int, dict[str, str], Any]:
    """Return status, headers by lower-case name, and the JSON body (or None)."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, json.loads(body) if body.startswith(b"{") else None


def refused(served: Any, request: bytes) -> tuple[int, str]:
    status, headers, body = parse(served.talk(request).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert headers["x-amzn-requestid"]
    assert body["Message"]
    return status, headers["x-amzn-errortype"]


def test_liveness_is_answered_to_anybody(served: Any) -> None:
    for method, path in [("GET", "/"), ("GET", "/health"), ("HEAD", "/health")]:
        status, headers, body = parse(served.talk(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()))
        assert (status, headers["content-length"]) == (200, "15")
        assert body == (None if method == "HEAD" else {"status": "ok"})


@pytest.mark.parametrize(
    "path", ["/nothing", "/voice-profiles/", "/voice-profiles/a/b", "//", "/tags?operation=x", "*"]
)
def test_an_unknown_path_is_an_unknown_operation(served: Any, path: str) -> None:
    request = f"POST {path} HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    assert refused(served, request) == (404, "UnknownOperationException")


def test_a_request_without_credentials_is_refused_and_not_read(served: Any) -> None:
    request = b"POST /listStreams HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n"
    assert refused(served, request) == (403, "MissingAuthenticationTokenException")
    request = b"POST /putMedia HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    assert refused(served, request) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff\xfe", b"{}}", b'{"Name":"\xed\xa0\x80"}', b"[" * 4000])
def test_a_body_that_is_no_json_object_is_a_bad_request(served: Any, body: bytes) -> None:
    assert refused(served, signed(served, "POST", "/voice-profile-domains", body)) == (400, "BadRequestException")
    assert refused(served, signed(served, "POST", "/listStreams", body)) == (400, "InvalidArgumentException")


@pytest.mark.parametrize("value", ['"3"', "3.5", "true", "[3]", "{}", "1e99", "9999999999"])
def test_a_wrong_json_type_is_a_bad_request(served: Any, value: str) -> None:
    body = f'{{"MaxResults": {value}}}'.encode()
    status, _, answer = parse(served.talk(signed(served, "POST", "/listStreams", body)))
    assert status == 400
    assert answer["Message"].startswith("MaxResults: must ")


def test_null_is_absent_and_unknown_members_are_ignored(served: Any) -> None:
    body = b'{"MaxResults": null, "NextToken": "ab", "Unheard": {"Of": [1]}}'
    status, _, _ = parse(served.talk(signed(served, "POST", "/listStreams", body)))
    assert status == 200
    assert served.toys.streams.requests[-1] == {"NextToken": "ab"}


@pytest.mark.parametrize("escape", ["%", "%4", "%zz", "%ff", "%c3%28", "%ed%a0%80"])
def test_broken_percent_encoding_is_a_bad_request(served: Any, escape: str) -> None:
    path = GET_TASK.replace("demo", escape)
    status, headers, body = parse(served.talk(signed(served, "GET", path)))
    assert (status, headers["x-amzn-errortype"]) == (400, "BadRequestException")
    assert body["Message"].startswith("identifier: ")
    request = f"GET /voice-profile-domains?next-token={escape} HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert refused(served, request.encode()) == (400, "BadRequestException")


def test_bytes_beyond_ascii_in_the_path_harm_nobody(served: Any) -> None:
    answer = served.talk("GET /voice-profiles/ü HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 404"))


def test_an_oversized_body_is_refused_by_its_length_or_as_it_comes(served: Any) -> None:
    body = b" " * 5000
    too_large = (413, "RequestEntityTooLargeException")
    assert refused(served, signed(served, "POST", "/listStreams", body)) == too_large
    chunked = b"1388\r\n" + body + b"\r\n0\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked"}
    assert refused(served, signed(served, "POST", "/listStreams", body, headers, sent=chunked)) == too_large


def test_a_body_in_chunks_is_read_like_any_other(served: Any) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    sent = b'1\r\n{\r\n10\r\n"MaxResults": 4 \r\n1\r\n}\r\n0\r\n\r\n'
    request = signed(served, "POST", "/listStreams", b'{"MaxResults": 4 }', headers, sent=sent)
    assert parse(served.talk(request))[0] == 200
    assert served.toys.streams.requests[-1] == {"MaxResults": 4}


def test_a_body_that_does_not_come_is_not_waited_for(impatient: Any) -> None:
    request = signed(impatient, "POST", "/listStreams", b"{}", {"Content-Length": "2"}, sent=b"{")
    assert refused(impatient, request) == (408, "RequestTimeoutException")


def test_a_client_that_gives_up_in_its_body_is_let_go(served: Any) -> None:
    request = signed(served, "POST", "/listStreams", b"{}", {"Content-Length": "2"}, sent=b"{")
    with structlog.testing.capture_logs() as logs:
        assert served.talk(request, shut=True) == b""
    assert logs == []


def test_a_body_other_than_the_signed_one_is_refused(served: Any) -> None:
    request = signed(served, "POST", "/listStreams", b'{"MaxResults":1}', sent=b'{"MaxResults":2}')
    assert refused(served, request) == (403, "InvalidSignatureException")


def test_one_connection_carries_many_requests(served: Any) -> None:
    request = signed(served, "GET", GET_TASK).replace(b"Connection: close\r\n", b"")
    with socket.create_connection(("127.0.0.1", served.port), timeout=120) as connection:
        for _ in range(3):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"}}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
        connection.sendall(request * 2)  # Pipelined.
        while answer.count(b"}}") < 3:
            answer += connection.recv(65536)


def test_put_media_is_answered_while_its_body_arrives(served: Any) -> None:
    """Signed as the KVS producer SDK for C does: the hash of nothing, and no header that says so."""
    headers = {"Transfer-Encoding": "chunked", "x-amzn-stream-name": "agent", "User-Agent": "producer"}
    head = signed(served, "POST", "/putMedia", b"", headers)
    with socket.create_connection(("127.0.0.1", served.port), timeout=120) as connection:
        connection.sendall(head)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        for data in (b"one", b"three"):
            connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
            while not answer.endswith(b"ack %d\n\r\n" % len(data)):
                answer += connection.recv(65536)
        connection.sendall(b"0\r\n\r\n")
        while not answer.endswith(b"0\r\n\r\n"):
            answer += connection.recv(65536)
    assert re.search(rb"x-amzn-requestid: [0-9a-f-]{36}\r\nx-amz-requestid:", answer)
    assert served.toys.media.received == [b"one", b"three"]


def test_a_producer_that_waits_for_100_continue_hears_it_and_the_answer_before_it_has_anything_to_send(
    served: Any,
) -> None:
    headers = {"x-amzn-stream-name": "agent", "Expect": "100-continue"}
    head = signed(served, "POST", "/putMedia", b"", headers, sent=b"media").removesuffix(b"media")
    with socket.create_connection(("127.0.0.1", served.port), timeout=120) as connection:
        connection.sendall(head)
        answer = b""
        while answer.count(b"\r\n\r\n") < 2:
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
        connection.sendall(b"media")
        while data := connection.recv(65536):
            answer += data
    assert answer.endswith(b"ack 5\n\r\n0\r\n\r\n")
    unknown = b"POST /putMedia HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    assert served.talk(unknown).startswith(b"HTTP/1.1 403")


def test_put_media_may_declare_its_body_unsigned(served: Any) -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "x-amzn-stream-name": "agent"}
    request = signed(served, "POST", "/putMedia", b"", headers, sent=b"media")
    assert b"ack 5\n" in served.talk(request)
    assert refused(served, signed(served, "POST", "/listStreams", b"{}", headers)) == (403, "InvalidSignatureException")


def test_errors_before_put_media_answers_are_answers(served: Any) -> None:
    request = signed(
        served, "POST", "/putMedia", b"", {"x-amzn-stream-name": "missing", "Transfer-Encoding": "chunked"}
    )
    assert refused(served, request + b"5\r\nmedia\r\n") == (404, "ResourceNotFoundException")
    with structlog.testing.capture_logs() as logs:
        request = signed(served, "POST", "/putMedia", b"", {"x-amzn-stream-name": "silent"})
        assert refused(served, request) == (500, "InternalFailure")
    assert [entry["event"] for entry in logs] == ["api.failed"]
