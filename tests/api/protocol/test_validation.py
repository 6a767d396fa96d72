from typing import Any

import pytest

from carillon.api.protocol import models
from carillon.api.protocol.parsing import Readers
from carillon.api.protocol.validation import BrokenConstraint


def read(service: str, name: str, document: dict[str, Any]) -> dict[str, Any]:
    return Readers().request(models.load(service).operation(name)).read({}, {}, {}, document)


API_NAMES = (
    "PUT_MEDIA, GET_MEDIA, LIST_FRAGMENTS, GET_MEDIA_FOR_FRAGMENT_LIST, "
    "GET_HLS_STREAMING_SESSION_URL, GET_DASH_STREAMING_SESSION_URL, GET_CLIP, GET_IMAGES"
)
DOMAIN = {"Name": "n", "ServerSideEncryptionConfiguration": {"KmsKeyArn": "arn:a"}}


@pytest.mark.parametrize(
    ("service", "name", "document", "problem"),
    [
        ("chime-sdk-voice", "CreateVoiceProfileDomain", {}, "Name: is required."),
        (
            *("chime-sdk-voice", "CreateVoiceProfileDomain", {**DOMAIN, "ServerSideEncryptionConfiguration": {}}),
            "ServerSideEncryptionConfiguration.KmsKeyArn: is required.",
        ),
        (
            *("chime-sdk-voice", "CreateVoiceProfileDomain", {**DOMAIN, "Name": "n" * 257}),
            "Name: has 257 characters; at most 256 are allowed.",
        ),
        (
            *("chime-sdk-voice", "CreateVoiceProfileDomain", {**DOMAIN, "Name": "a/b"}),
            "Name: must match the pattern [a-zA-Z0-9 _.-]+ as a whole.",
        ),
        (
            *(
                "chime-sdk-voice",
                "CreateVoiceProfileDomain",
                {**DOMAIN, "Tags": [{"Key": "a", "Value": ""}, {"Key": ""}]},
            ),
            "Tags[1].Value: is required.",
        ),
        (
            *("chime-sdk-voice", "CreateVoiceProfileDomain", {**DOMAIN, "Tags": []}),
            "Tags: has 0 items; at least 1 are required.",
        ),
        (
            *("chime-sdk-voice", "CreateVoiceProfileDomain", {**DOMAIN, "ClientRequestToken": "a"}),
            "ClientRequestToken: must match the pattern ^[-_a-zA-Z0-9]*${2,64}$ as a whole.",
        ),
        ("kinesisvideo", "ListStreams", {"MaxResults": 10001}, "MaxResults: must be at most 10000."),
        ("kinesisvideo", "ListStreams", {"MaxResults": 0}, "MaxResults: must be at least 1."),
        (
            *("kinesisvideo", "GetDataEndpoint", {"APIName": "put_media", "StreamName": "s"}),
            f"APIName: must be one of: {API_NAMES}.",
        ),
        (
            *("kinesisvideo", "TagStream", {"Tags": {str(n): "" for n in range(51)}}),
            "Tags: has 51 entries; at most 50 are allowed.",
        ),
        (
            *("kinesisvideo", "TagStream", {"Tags": {"a": "b", "tag!": "b"}}),
            r"Tags[1]: must match the pattern ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$ as a whole.",
        ),
        (
            *("kinesisvideo", "TagStream", {"Tags": {"a": "b" * 257}}),
            "Tags[0]: has 257 characters; at most 256 are allowed.",
        ),
    ],
)
def test_a_broken_constraint_says_where_and_what_the_limit_is(
    service: str, name: str, document: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BrokenConstraint) as caught:
        read(service, name, document)
    assert str(caught.value) == problem


def test_length_is_counted_in_characters_not_bytes() -> None:
    tags = {"a": "ü" * 256}
    assert read("kinesisvideo", "TagStream", {"Tags": tags})["Tags"] == tags


def test_a_blob_and_a_float_have_limits_too(made_up: Any) -> None:
    operation = made_up(
        {"Data": {"shape": "Data"}, "Share": {"shape": "Share"}},
        Data={"type": "blob", "max": 2},
        Share={"type": "float", "min": 0, "max": 1},
    )
    reader = Readers().request(operation)
    assert reader.read({}, {}, {}, {"Data": "AAA=", "Share": 1}) == {"Data": b"\0\0", "Share": 1.0}
    broken: list[tuple[dict[str, Any], str]] = [
        ({"Data": "AAAA"}, "Data: has 3 bytes"),
        ({"Share": 1.5}, "Share: must be at most 1"),
    ]
    for document, problem in broken:
        with pytest.raises(BrokenConstraint, match=problem):
            reader.read({}, {}, {}, document)


def test_what_is_admitted_besides_the_model_widens_one_enumeration(made_up: Any) -> None:
    color, size = ({"type": "string", "enum": [value]} for value in ("red", "small"))
    operation = made_up({"Color": {"shape": "Color"}, "Size": {"shape": "Size"}}, Color=color, Size=size)
    reader = Readers({"Color": ("blue",)}).request(operation)
    assert reader.read({}, {}, {}, {"Color": "blue", "Size": "small"}) == {"Color": "blue", "Size": "small"}
    for document, problem in [({"Color": "green"}, "one of: red, blue"), ({"Size": "blue"}, "one of: small.")]:
        with pytest.raises(BrokenConstraint, match=problem):
            reader.read({}, {}, {}, document)


def test_a_shape_that_contains_itself_is_refused_at_start(made_up: Any) -> None:
    tree = {"type": "structure", "members": {"Child": {"shape": "Tree"}}}
    with pytest.raises(ValueError, match="Tree contains itself"):
        Readers().request(made_up({"Tree": {"shape": "Tree"}}, Tree=tree))
