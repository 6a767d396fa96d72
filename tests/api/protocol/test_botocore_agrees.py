"""botocore is the other side: it writes our requests and reads our answers, for every operation of the models."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote

import botocore.parsers
import botocore.serialize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carillon.api.protocol import models
from carillon.api.protocol.parsing import Readers, parse_document, parse_query
from carillon.api.protocol.patterns import _AMENDED, _translate
from carillon.api.protocol.routing import Router
from carillon.api.protocol.serialization import Writers
from carillon.api.protocol.validation import BrokenConstraint

SERVICES = (
    "chime-sdk-media-pipelines",
    "chime-sdk-voice",
    "kinesisvideo",
    "kinesis-video-media",
    "kinesis-video-archived-media",
)
OPERATIONS = [(service, name) for service in SERVICES for name in models.load(service).operation_names]
ANSWERING = [(service, name) for service, name in OPERATIONS if models.load(service).operation(name).output_shape]


def strings(shape: Any) -> st.SearchStrategy[str]:
    least, most = shape.metadata.get("min", 0), min(shape.metadata.get("max", 40), 80)
    if shape.enum:
        return st.sampled_from(shape.enum)
    pattern = shape.metadata.get("pattern", "")
    if r"\p{" in pattern:  # hypothesis would try every character there is.
        return st.text("aZ0_ä東\u00a0Ⅷ+=/", min_size=least, max_size=most)
    if pattern:
        translated = re.compile(_translate(_AMENDED.get(pattern, pattern)))
        texts = st.from_regex(translated, fullmatch=True).filter(lambda text: "\x00" not in text)
        return texts.filter(lambda text: least <= len(text) <= shape.metadata.get("max", 1 << 20))
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=max(least, 1), max_size=most)


def values(shape: Any, *, streaming: bool = False) -> st.SearchStrategy[Any]:
    limits = shape.metadata
    kind = shape.type_name
    if kind == "structure":
        required = {name: values(member) for name, member in shape.members.items() if name in shape.required_members}
        optional = {name: values(member) for name, member in shape.members.items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if kind == "list":
        least = limits.get("min", 0)
        return st.lists(values(shape.member), min_size=least, max_size=max(least, min(limits.get("max", 2), 2)))
    if kind == "map":
        return st.dictionaries(values(shape.key), values(shape.value), min_size=limits.get("min", 0), max_size=2)
    if kind == "string":
        return strings(shape)
    if kind in {"integer", "long"}:
        bits = 31 if kind == "integer" else 63
        return st.integers(limits.get("min", -(1 << bits)), limits.get("max", (1 << bits) - 1))
    if kind == "timestamp":
        spans = st.integers(0, 4_000_000_000_000).map(lambda millis: timedelta(milliseconds=millis))
        return spans.map(lambda span: datetime(1970, 1, 1, tzinfo=UTC) + span)
    if kind == "boolean":
        return st.booleans()
    if kind == "blob":
        return st.binary(max_size=16)
    assert kind in {"float", "double"}
    return st.floats(limits.get("min"), limits.get("max"), allow_nan=False, allow_infinity=False)


@cache
def router_of(service: str) -> Router[str]:
    router: Router[str] = Router()
    for name in models.load(service).operation_names:
        http = models.load(service).operation(name).http
        router.add(http["method"], http["requestUri"], name)
    return router


@cache
def readers_of(service: str) -> Readers:
    return Readers()


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(operation=st.sampled_from(OPERATIONS), data=st.data())
def test_whatever_botocore_sends_is_routed_and_read_as_it_was_meant(operation: tuple[str, str], data: Any) -> None:
    service, name = operation
    model = models.load(service).operation(name)
    request = data.draw(values(model.input_shape)) if model.input_shape else {}
    serializer = botocore.serialize.create_serializer("rest-json", include_validation=False)
    sent = serializer.serialize_to_request(request, model)
    path, _, fixed = sent["url_path"].partition("?")
    fields = [*fixed.encode().split(b"&"), *query_fields(sent["query_string"])]
    query = parse_query(b"&".join(field for field in fields if field))
    if any(request.get(member) == "" for member in uri_members(model)):
        return  # An empty label is another path.
    match = router_of(service).find(sent["method"], path.encode(), query)
    assert match is not None
    assert match.endpoints == (name,)
    got = readers_of(service).request(model).read(match.decoded_labels(), query, {}, parse_document(sent["body"]))
    assert got == {key: value for key, value in request.items() if value is not None}


def query_fields(query: Any) -> Iterator[bytes]:
    for name, value in (query or {}).items():
        for one in value if isinstance(value, list) else [value]:
            yield f"{quote(name, safe='')}={quote(str(one), safe='')}".encode()


def uri_members(model: Any) -> list[str]:
    members = model.input_shape.members.items() if model.input_shape else ()
    return [name for name, member in members if member.serialization.get("location") == "uri"]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    operation=st.sampled_from(ANSWERING),
    data=st.data(),
)
def test_botocore_reads_whatever_we_answer(operation: tuple[str, str], data: Any) -> None:
    service, name = operation
    model = models.load(service).operation(name)
    shape = model.output_shape
    members = data.draw(values(shape))
    if "ContentType" in members:
        members["ContentType"] = "video/webm"
    response = Writers().response(model)(members)
    if shape.serialization.get("payload"):
        assert response.body == members.get("Payload", b"")
        return
    parser = botocore.parsers.create_parser("rest-json")
    headers = {key.decode(): value.decode() for key, value in response.headers}
    parsed = parser.parse({"status_code": response.status, "headers": headers, "body": response.body}, shape)
    del parsed["ResponseMetadata"]
    assert parsed == members


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def near(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return JSON that looks like a shape from afar: its members' names, with anything in them."""
    if depth < 4 and shape.type_name == "structure":
        members = {name: JSON | near(member, depth + 1) for name, member in shape.members.items()}
        return st.fixed_dictionaries({}, optional=members)
    if depth < 4 and shape.type_name == "list":
        return st.lists(JSON | near(shape.member, depth + 1), max_size=2)
    return JSON


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(operation=st.sampled_from(OPERATIONS), data=st.data())
def test_whatever_anybody_sends_is_read_or_refused(operation: tuple[str, str], data: Any) -> None:
    service, name = operation
    model = models.load(service).operation(name)
    if model.input_shape is None:
        return
    labels = {
        member.serialization["name"]: data.draw(st.text(max_size=8))
        for member in model.input_shape.members.values()
        if member.serialization.get("location") == "uri"
    }
    document = data.draw(near(model.input_shape))
    with suppress(BrokenConstraint):
        readers_of(service).request(model).read(labels, {}, {}, document)
