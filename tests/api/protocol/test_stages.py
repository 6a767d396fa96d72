"""The stages of a request, and what is known of one at each."""

import dataclasses
from itertools import pairwise
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from carillon.access import AccessKey, KeyRing
from carillon.api.errors import AwsError, Family
from carillon.api.protocol import Service, SignatureVerifier, operation
from carillon.api.protocol.endpoints import Endpoint, Operation, add_service
from carillon.api.protocol.routing import Router
from carillon.api.protocol.stages import (
    Answered,
    Authenticated,
    Claimed,
    Parsed,
    Received,
    Routed,
    Selected,
    answer,
    authenticate,
    claim,
    format_of,
    parse,
    read_head,
    record,
    route,
    select,
)
from carillon.api.protocol.validation import BrokenConstraint
from carillon.clock import SystemClock

KEY = AccessKey("CRLNSTAGES", "secret")
STAGES = [Received, Routed, Claimed, Authenticated, Selected, Parsed, Answered]
BODY = b'{"MaxResults":3}'


class Streams:
    @operation("ListStreams")
    async def list_streams(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"StreamInfoList": []}


def routes() -> Router[Endpoint]:
    router: Router[Endpoint] = Router()
    add_service(router, Service("kinesisvideo", [Streams()]))
    return router


ROUTES = routes()
VERIFIER = SignatureVerifier(KeyRing([KEY]), "us-east-1", SystemClock())


def received(path: str = "/listStreams", signed_body: bytes = BODY) -> Received:
    request = AWSRequest("POST", f"http://here:80{path}", data=signed_body, headers={"Host": "here:80"})
    SigV4Auth(Credentials(KEY.access_key_id, KEY.secret_access_key), "kinesisvideo", "us-east-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    scope = {"method": "POST", "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("::1", 1)}
    return read_head(scope)


def claimed() -> Claimed:
    return claim(route(received(), ROUTES), VERIFIER)


async def answered() -> Answered:
    parsed = parse(select(authenticate(claimed(), BODY)))
    assert isinstance(parsed.endpoint, Operation)
    return await answer(parsed, parsed.endpoint)


@pytest.mark.anyio
async def test_each_stage_is_all_of_the_one_before() -> None:
    first = received()
    stages: list[Received] = [first, routed := route(first, ROUTES), asked := claim(routed, VERIFIER)]
    stages += [proven := authenticate(asked, BODY), chosen := select(proven), parse(chosen), await answered()]
    assert [type(stage) for stage in stages] == STAGES
    for stage in stages:
        assert vars(stage).keys() == {field.name for field in dataclasses.fields(stage)}
    for earlier, later in pairwise(stages[:-1]):
        assert all(vars(later)[name] is value for name, value in vars(earlier).items())


@pytest.mark.anyio
async def test_no_stage_can_be_changed() -> None:
    stage = await answered()
    for field in dataclasses.fields(stage):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(stage, field.name, None)


@pytest.mark.anyio
async def test_a_record_says_what_was_known_at_the_last_stage() -> None:
    stages = [received(), route(received(), ROUTES), claimed(), authenticate(claimed(), BODY), await answered()]
    records = [record(stage, 400, "Some") for stage in stages]
    assert [one.operation for one in records] == ["", *["ListStreams"] * 4]
    assert [one.family for one in records] == ["chime", *["kinesisvideo"] * 4]
    assert [one.caller for one in records] == ["", "", *[KEY.access_key_id] * 3]
    assert [one.is_proven for one in records] == [False, False, False, True, True]
    assert [one.request for one in records] == [*[None] * 4, {"MaxResults": 3}]
    assert [one.answer for one in records] == [*[None] * 4, {"StreamInfoList": []}]
    assert {(one.source, one.status, one.error) for one in records} == {("::1", 400, "Some")}


def test_a_record_names_a_caller_who_proved_nothing_where_no_signatures_are_judged() -> None:
    stage = authenticate(claim(route(received(), ROUTES), None), BODY)
    assert (stage.caller, record(stage, 200, None).caller, stage.is_proven) == ("anonymous", "", False)


def test_what_fails_is_refused_in_the_format_of_the_last_stage() -> None:
    with pytest.raises(AwsError, match="Nothing is served"):
        route(received("/nothing"), ROUTES)
    assert format_of(received("/nothing")).family is Family.CHIME
    with pytest.raises(AwsError, match="does not match"):
        authenticate(claimed(), b"{}")
    with pytest.raises(BrokenConstraint, match="JSON"):
        select(authenticate(claim(route(received(signed_body=b"{"), ROUTES), VERIFIER), b"{"))
    assert format_of(claimed()).family is Family.KINESIS_VIDEO


def test_no_stage_shows_what_a_client_sent() -> None:
    shown = repr(parse(select(authenticate(claimed(), BODY))))
    assert "MaxResults" not in shown
    assert "AWS4" not in shown
