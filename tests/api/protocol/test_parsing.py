import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from carillon.api.protocol import models
from carillon.api.protocol.parsing import Readers, parse_query
from carillon.api.protocol.validation import BrokenConstraint

AT = datetime(2026, 11, 22, 10, 15, 30, 123456, tzinfo=UTC)


def read(service: str, name: str, document: dict[str, Any]) -> dict[str, Any]:
    return Readers().request(models.load(service).operation(name)).read({}, {}, {}, document)


@pytest.mark.parametrize(
    ("member", "value", "problem"),
    [
        ({"type": "string"}, 1, "must be a string"),
        ({"type": "boolean"}, "true", "must be true or false"),
        ({"type": "boolean"}, 1, "must be true or false"),
        ({"type": "integer"}, 1 << 31, "must fit into 32 bits"),
        ({"type": "integer"}, True, "must be an integer"),
        ({"type": "long"}, -(1 << 63) - 1, "must fit into 64 bits"),
        ({"type": "long"}, 0.5, "must be an integer"),
        ({"type": "float"}, "1", "must be a number"),
        ({"type": "double"}, 10**400, "is too large"),
        ({"type": "blob"}, "%%", "must be a string in base64"),
        ({"type": "timestamp"}, "2026-11-22T10:15:30Z", "must be a number of seconds"),
        ({"type": "timestamp"}, 1e300, "must be a number of seconds that ends before the year 10000"),
        ({"type": "timestamp", "timestampFormat": "iso8601"}, 1, "must be an ISO 8601"),
        ({"type": "timestamp", "timestampFormat": "iso8601"}, "2026-13-22T10:15:30Z", "must be an ISO 8601"),
        ({"type": "timestamp", "timestampFormat": "iso8601"}, "2026-W01-1", "must be an ISO 8601"),
        ({"type": "timestamp", "timestampFormat": "iso8601"}, "0001-01-01T00:00:00+23:00", "must be an ISO 8601"),
        ({"type": "timestamp", "timestampFormat": "rfc822"}, "soon", "must be an HTTP date"),
        ({"type": "list", "member": {"shape": "Text"}}, {}, "must be a list"),
        ({"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}}, [], "must be an object"),
        ({"type": "structure", "members": {}}, "x", "must be an object"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(made_up: Any, member: dict[str, Any], value: Any, problem: str) -> None:
    reader = Readers().request(made_up({"M": {"shape": "T"}}, T=member))
    with pytest.raises(BrokenConstraint, match=f"^M: {problem}"):
        reader.read({}, {}, {}, {"M": value})


@pytest.mark.parametrize(
    ("member", "value", "parsed"),
    [
        ({"type": "integer"}, 3.0, 3),
        ({"type": "float"}, 3, 3.0),
        ({"type": "blob"}, base64.b64encode(b"\xff").decode(), b"\xff"),
        ({"type": "timestamp"}, 1795342530.123456, AT),
        ({"type": "timestamp"}, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"type": "timestamp", "timestampFormat": "iso8601"}, "2026-11-22T11:15:30.123456789+01:00", AT),
        (
            {"type": "timestamp", "timestampFormat": "rfc822"},
            "Sun, 22 Nov 2026 10:15:30 GMT",
            AT.replace(microsecond=0),
        ),
        ({"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}}, {"a": "b", "c": None}, {"a": "b"}),
    ],
)
def test_a_value_of_the_right_type_is_read(made_up: Any, member: dict[str, Any], value: Any, parsed: Any) -> None:
    reader = Readers().request(made_up({"M": {"shape": "T"}}, T=member))
    assert reader.read({}, {}, {}, {"M": value}) == {"M": parsed}


def test_members_outside_the_body_are_read_from_where_the_model_puts_them(made_up: Any) -> None:
    at = {"type": "timestamp"}
    operation = made_up(
        {
            "Names": {"shape": "Names", "location": "querystring", "locationName": "name"},
            "Count": {"shape": "I", "location": "querystring", "locationName": "n"},
            "Rate": {"shape": "F", "location": "querystring", "locationName": "rate"},
            "Loud": {"shape": "B", "location": "querystring", "locationName": "loud"},
            "Since": {"shape": "At", "location": "querystring", "locationName": "since"},
            "When": {"shape": "At", "location": "header", "locationName": "X-When"},
            "Epoch": {"shape": "Epoch", "location": "header", "locationName": "X-Epoch"},
            "Where": {"shape": "Text", "location": "header", "locationName": "X-Where"},
            "Rest": {"shape": "Text", "locationName": "rest"},
        },
        Names={"type": "list", "member": {"shape": "Text"}},
        I={"type": "integer"},
        F={"type": "float"},
        B={"type": "boolean"},
        At=at,
        Epoch={"type": "timestamp", "timestampFormat": "unixTimestamp"},
    )
    query = parse_query(b"name=a%26b&name=c&n=-7&rate=1.5&loud=true&since=2026-11-22T10%3A15%3A30Z")
    headers = {"x-when": "Sun, 22 Nov 2026 10:15:30 GMT", "x-epoch": "0.5", "x-where": "here"}
    request = Readers().request(operation).read({}, query, headers, {"rest": "r", "Rest": "ignored"})
    whole = AT.replace(microsecond=0)
    half = datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    assert request == {
        "Names": ["a&b", "c"],
        "Count": -7,
        "Rate": 1.5,
        "Loud": True,
        "Since": whole,
        "When": whole,
        "Epoch": half,
        "Where": "here",
        "Rest": "r",
    }
    for field in (b"n=1.0", b"n=", b"n=\xd9\xa1", b"rate=x", b"loud=True", b"since=now"):
        with pytest.raises(BrokenConstraint, match="must be"):
            Readers().request(operation).read({}, parse_query(field), {}, {})


def test_the_timestamp_format_of_each_shape_is_its_own() -> None:
    """Chime writes ISO 8601, but the range of a recording to analyze is in epoch seconds."""
    runtime = {
        "MediaEncoding": "pcm",
        "MediaSampleRate": 8000,
        "Streams": [{"StreamArn": "arn:aws:kinesisvideo:us-east-1:1:stream/a/1"}],
    }
    recording = {
        "Streams": runtime["Streams"],
        "FragmentSelector": {
            "FragmentSelectorType": "ProducerTimestamp",
            "TimestampRange": {"StartTimestamp": 1795342530.123456, "EndTimestamp": 1795342530},
        },
    }
    document = {
        "MediaInsightsPipelineConfigurationArn": "arn:a",
        "KinesisVideoStreamRecordingSourceRuntimeConfiguration": recording,
    }
    request = read("chime-sdk-media-pipelines", "CreateMediaInsightsPipeline", document)
    chosen = request["KinesisVideoStreamRecordingSourceRuntimeConfiguration"]["FragmentSelector"]["TimestampRange"]
    assert chosen == {"StartTimestamp": AT, "EndTimestamp": AT.replace(microsecond=0)}


def test_null_in_a_list_is_a_wrong_type() -> None:
    with pytest.raises(BrokenConstraint, match=r"^TagKeys\[1\]: must be a string"):
        read("chime-sdk-voice", "UntagResource", {"ResourceARN": "arn:a", "TagKeys": ["a", None]})


@pytest.mark.parametrize("raw", [b"%", b"a=%f", b"%ff=a", b"a=%C3"])
def test_a_query_with_broken_escapes_is_refused(raw: bytes) -> None:
    with pytest.raises(BrokenConstraint):
        parse_query(raw)


def test_a_plus_sign_in_a_query_is_itself() -> None:
    assert parse_query(b"a=b+c%2B&d&=e&&a=") == {"a": ["b+c+", ""], "d": [""], "": ["e", ""]}
