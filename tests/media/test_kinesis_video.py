"""What each answer of an endpoint means, against one that answers whatever a test wants and against our own."""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from anyio import create_task_group, fail_after, to_thread

from carillon.clock import ManualClock
from carillon.errors import CarillonError, Transient
from carillon.media import KinesisVideoClient, MediaSettings, NotAuthorized, RemoteStreamNotFound, RequestRefused
from carillon.media import StreamUnavailable as Unavailable

pytestmark = pytest.mark.anyio

ARN = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"
NOW = {"StartSelectorType": "NOW"}

ClientOf = Callable[..., KinesisVideoClient]


async def read(client: KinesisVideoClient, selector: dict[str, Any] = NOW, into: bytearray | None = None) -> bytes:
    """Everything that one connection gives."""
    got = bytearray() if into is None else into
    async with client.get_media(ARN, selector) as body:
        async for data in body:
            got += data
    return bytes(got)


async def test_a_body_comes_as_it_was_sent(endpoint: Any, client: KinesisVideoClient, media: Any) -> None:
    async def answer(request: Any) -> None:
        await request.answer(media.fragments(1, 3), content_type="video/webm")

    endpoint.handlers["/getMedia"] = answer
    assert await read(client) == media.fragments(1, 3)
    assert await read(client) == media.fragments(1, 3)
    (asked,) = endpoint.asked("/getDataEndpoint")
    assert asked.json == {"StreamARN": ARN, "APIName": "GET_MEDIA"}
    first, _ = endpoint.asked("/getMedia")
    assert first.json == {"StreamARN": ARN, "StartSelector": NOW}
    assert "AWS4-HMAC-SHA256" in first.headers["authorization"]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ResourceNotFoundException", 404, RemoteStreamNotFound),
        ("NotAuthorizedException", 401, NotAuthorized),
        ("AccessDeniedException", 400, NotAuthorized),
        ("AccessDenied", 400, NotAuthorized),
        ("ExpiredTokenException", 400, NotAuthorized),
        ("ExpiredToken", 400, NotAuthorized),
        ("InvalidClientTokenId", 400, NotAuthorized),
        ("SignatureDoesNotMatch", 400, NotAuthorized),
        ("InvalidSignatureException", 400, NotAuthorized),
        ("UnrecognizedClientException", 400, NotAuthorized),
        ("", 401, NotAuthorized),
        ("SomethingNew", 403, NotAuthorized),
        ("InvalidArgumentException", 400, RequestRefused),
        ("ValidationException", 400, RequestRefused),
        ("UnknownOperationException", 404, RequestRefused),
        ("", 400, RequestRefused),
        ("ClientLimitExceededException", 400, Unavailable),
        ("ConnectionLimitExceededException", 400, Unavailable),
        ("Throttling", 400, Unavailable),
        ("ThrottledException", 400, Unavailable),
        ("ThrottlingException", 400, Unavailable),
        ("TooManyRequestsException", 400, Unavailable),
        ("", 429, Unavailable),
        ("RequestTimeoutException", 408, Unavailable),
        ("InvalidEndpointException", 400, Unavailable),
        ("InternalFailure", 500, Unavailable),
        ("", 503, Unavailable),
    ],
)
@pytest.mark.parametrize("path", ["/getDataEndpoint", "/getMedia"])
async def test_who_can_act_on_a_refusal(
    endpoint: Any, client: KinesisVideoClient, path: str, code: str, status: int, error: type[CarillonError]
) -> None:
    async def refuse(request: Any) -> None:
        await request.refuse(code, status)

    endpoint.handlers[path] = refuse
    with pytest.raises(error) as raised:
        await read(client)
    assert (code or str(status)) in str(raised.value) or error is RemoteStreamNotFound
    assert isinstance(raised.value, Transient) == (error is Unavailable)


@pytest.mark.parametrize(
    ("code", "is_asked_again"),
    [("InvalidEndpointException", True), ("InternalFailure", True), ("ClientLimitExceededException", False)],
)
async def test_an_endpoint_that_does_not_serve_the_stream_is_forgotten(
    endpoint: Any, client: KinesisVideoClient, media: Any, code: str, is_asked_again: bool
) -> None:
    async def moved(request: Any) -> None:
        await request.refuse(code, 500 if code == "InternalFailure" else 400)

    async def answer(request: Any) -> None:
        await request.answer(media.fragment(1))

    endpoint.handlers["/getMedia"] = moved
    with pytest.raises(Unavailable):
        await read(client)
    endpoint.handlers["/getMedia"] = answer
    assert await read(client) == media.fragment(1)
    assert len(endpoint.asked("/getDataEndpoint")) == 1 + is_asked_again


async def test_an_endpoint_is_remembered_for_a_while(
    endpoint: Any, client_of: ClientOf, clock: ManualClock, swift: MediaSettings
) -> None:
    async with client_of(endpoint.url, replace(swift, endpoint_minutes=45), clock=clock) as client:
        for _ in range(3):
            assert await client.data_endpoint(ARN, "GET_MEDIA") == endpoint.url
        await client.data_endpoint("call", "PUT_MEDIA")
        assert len(endpoint.asked("/getDataEndpoint")) == 2
        clock.advance(timedelta(minutes=45))
        await client.data_endpoint(ARN, "GET_MEDIA")
    assert [request.json.get("StreamName") for request in endpoint.asked("/getDataEndpoint")] == [None, "call", None]


async def test_a_data_endpoint_of_the_operator_is_not_asked_for(endpoint: Any, client_of: ClientOf, media: Any) -> None:
    async def answer(request: Any) -> None:
        await request.answer(media.fragment(1))

    endpoint.handlers["/tunnel/getMedia"] = answer
    async with client_of("http://127.0.0.1:9", data_endpoint_url=f"{endpoint.url}/tunnel/") as client:
        assert await client.data_endpoint("call", "PUT_MEDIA") == f"{endpoint.url}/tunnel"
        assert await read(client) == media.fragment(1)


async def test_a_body_that_breaks_off_says_so(endpoint: Any, client: KinesisVideoClient, media: Any, cut: Any) -> None:
    async def break_off(request: Any) -> None:
        await request.start()
        await request.write(media.fragment(1))
        await request.write(media.fragment(2)[:100])
        raise cut

    endpoint.handlers["/getMedia"] = break_off
    got = bytearray()
    with pytest.raises(Unavailable):
        await read(client, into=got)
    assert got == media.fragment(1) + media.fragment(2)[:100]


@pytest.mark.parametrize("path", ["/getDataEndpoint", "/describeStream", "/getMedia"])
async def test_a_peer_that_never_answers_is_given_up(
    endpoint: Any, client_of: ClientOf, swift: MediaSettings, path: str
) -> None:
    async def hang(request: Any) -> None:
        await request.hang()

    endpoint.handlers[path] = hang
    async with client_of(endpoint.url, replace(swift, answer_seconds=0.3)) as client:
        with fail_after(120), pytest.raises(Unavailable, match="nothing came in time"):
            await (client.has_stream(ARN) if path == "/describeStream" else read(client))


async def test_a_body_that_falls_silent_is_given_up(
    endpoint: Any, client_of: ClientOf, media: Any, swift: MediaSettings
) -> None:
    async def stall(request: Any) -> None:
        await request.start()
        await request.write(media.fragment(1)[:50])
        await request.hang()

    endpoint.handlers["/getMedia"] = stall
    async with client_of(endpoint.url, replace(swift, read_seconds=0.1)) as client:
        with fail_after(120), pytest.raises(Unavailable):
            await read(client)


async def test_a_peer_that_is_not_there_is_given_up(client_of: ClientOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with client_of(url) as client:
        with pytest.raises(Unavailable):
            await read(client)
        with pytest.raises(Unavailable):
            await client.has_stream(ARN)


@pytest.mark.parametrize("answer", [b"<html>sign in</html>", b"{}", b"[]", b"\xff", b"", b"null"])
async def test_a_stranger_that_answers_200_is_not_believed(
    endpoint: Any, client: KinesisVideoClient, answer: bytes
) -> None:
    async def greet(request: Any) -> None:
        await request.answer(answer)

    endpoint.handlers.update({"/getDataEndpoint": greet, "/describeStream": greet})
    with pytest.raises(Unavailable, match="not Kinesis Video Streams"):
        await client.data_endpoint(ARN, "GET_MEDIA")
    with pytest.raises(Unavailable, match="not Kinesis Video Streams"):
        await client.has_stream(ARN)


async def test_an_endpoint_that_is_no_url_is_refused(endpoint: Any, client: KinesisVideoClient) -> None:
    async def name_nonsense(request: Any) -> None:
        await request.answer(json.dumps({"DataEndpoint": "not a url"}).encode())

    endpoint.handlers["/getDataEndpoint"] = name_nonsense
    with pytest.raises(RequestRefused, match="not a url"):
        await read(client)


async def test_a_request_that_botocore_itself_refuses_is_not_repeated(
    endpoint: Any, client: KinesisVideoClient
) -> None:
    with pytest.raises(RequestRefused, match="AfterFragmentNumber"):
        await read(client, {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": 7})


async def test_without_credentials_nothing_is_sent(endpoint: Any, client_of: ClientOf) -> None:
    async with client_of(endpoint.url, access_key_id=None, secret_access_key=None) as client:
        for _ in range(2):
            with pytest.raises(NotAuthorized, match="no credentials"):
                await read(client)
        with pytest.raises(NotAuthorized, match="no credentials"):
            await client.has_stream(ARN)
        with pytest.raises(NotAuthorized, match="no credentials"):
            await client.sign("POST", f"{endpoint.url}/putMedia", {})
    assert endpoint.requests == []


async def test_credentials_that_come_later_are_found(
    endpoint: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(endpoint.url, access_key_id=None, secret_access_key=None) as client:
        with pytest.raises(NotAuthorized):
            await client.data_endpoint(ARN, "GET_MEDIA")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LATER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
        assert await client.data_endpoint(ARN, "GET_MEDIA") == endpoint.url
    (request,) = endpoint.requests
    assert "Credential=LATER/" in request.headers["authorization"]


async def test_a_profile_that_does_not_exist_is_named(
    endpoint: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    async with client_of(endpoint.url, access_key_id=None, secret_access_key=None) as client:
        with pytest.raises(NotAuthorized, match="ProfileNotFound"):
            await client.data_endpoint(ARN, "GET_MEDIA")


async def test_half_a_key_is_none() -> None:
    with pytest.raises(ValueError, match="both or neither"):
        KinesisVideoClient(endpoint_url=None, region="us-east-1", access_key_id="CRLN")


async def test_no_text_shows_the_secret(endpoint: Any, client: KinesisVideoClient) -> None:
    async def refuse(request: Any) -> None:  # as AWS does, which repeats what should have been signed
        said = json.dumps({"message": f"canonical string: {request.headers['authorization']}"}).encode()
        await request.answer(said, 403, x_amzn_errortype="InvalidSignatureException")

    endpoint.handlers["/getDataEndpoint"] = refuse
    with pytest.raises(NotAuthorized) as raised:
        await read(client)
    assert "secret" not in repr(client)
    assert "secret" not in repr(raised.value)
    assert "Signature=" not in str(raised.value)


async def test_many_first_calls_at_once_share_one_client(endpoint: Any, client: KinesisVideoClient, media: Any) -> None:
    async def answer(request: Any) -> None:
        await request.answer(media.fragment(1))

    endpoint.handlers["/getMedia"] = answer
    async with create_task_group() as group:
        for _ in range(8):
            group.start_soon(read, client)
    assert len(client._clients) == 2  # control and media
    assert len(endpoint.asked("/getMedia")) == 8


async def test_a_client_may_be_entered_again(endpoint: Any, client_of: ClientOf) -> None:
    client = client_of(endpoint.url)
    for _ in range(2):
        async with client:
            await client.data_endpoint("call", "PUT_MEDIA")
            client.forget_endpoint("call", "PUT_MEDIA")
    assert len(endpoint.asked("/getDataEndpoint")) == 2


async def test_our_own_server_is_understood(carillon_url: str, client_of: ClientOf) -> None:
    async with client_of(carillon_url) as client:
        assert not await client.has_stream(ARN)
        with pytest.raises(RemoteStreamNotFound):
            await client.data_endpoint(ARN, "GET_MEDIA")
        with pytest.raises(RequestRefused, match="InvalidArgumentException"):
            await client.data_endpoint("no such name/", "PUT_MEDIA")
    async with client_of(carillon_url, secret_access_key="wrong") as client:
        with pytest.raises(NotAuthorized):
            await client.has_stream(ARN)


async def test_an_endpoint_on_https_is_read_by_whoever_trusts_it(
    tls_endpoint: Any, client_of: ClientOf, media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, bundle = tls_endpoint

    async def answer(request: Any) -> None:
        await request.answer(media.fragments(1, 3))

    endpoint.handlers["/getMedia"] = answer
    async with client_of(endpoint.url) as stranger:
        with pytest.raises(Unavailable, match="SSLError"):
            await read(stranger)
    async with client_of(endpoint.url, ca_bundle=bundle) as client:
        assert await read(client) == media.fragments(1, 3)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    async with client_of("http://127.0.0.1:9", data_endpoint_url=endpoint.url) as client:
        assert await read(client) == media.fragments(1, 3)


async def test_moto_is_understood(moto_url: str, client_of: ClientOf) -> None:
    video = boto3.client(
        "kinesisvideo",
        region_name="us-east-1",
        endpoint_url=moto_url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    made = await to_thread.run_sync(lambda: video.create_stream(StreamName="call"))
    async with client_of(moto_url) as client:
        assert await client.has_stream(made["StreamARN"])
        assert not await client.has_stream(ARN)
        assert (await client.data_endpoint("call", "PUT_MEDIA")).startswith("https://")
        with pytest.raises(RemoteStreamNotFound):
            await client.data_endpoint("nothing", "GET_MEDIA")
    video.close()
