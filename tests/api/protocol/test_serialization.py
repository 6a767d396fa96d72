from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from carillon.api.protocol import models
from carillon.api.protocol.serialization import Response, Writers

AT = datetime(2026, 11, 22, 10, 15, 30, 123456, tzinfo=UTC)


def write(members: Mapping[str, Any] | None, operation: Any) -> Response:
    return Writers().response(operation)(members)


def test_status_and_headers_come_from_members_that_the_model_places_there(made_up: Any) -> None:
    operation = made_up(
        {
            "Status": {"shape": "I", "location": "statusCode"},
            "When": {"shape": "At", "location": "header", "locationName": "X-When"},
            "Loud": {"shape": "B", "location": "header", "locationName": "X-Loud"},
            "Left": {"shape": "I", "location": "header", "locationName": "X-Left"},
            "At": {"shape": "At"},
            "Data": {"shape": "Data"},
        },
        I={"type": "integer"},
        B={"type": "boolean"},
        At={"type": "timestamp"},
        Data={"type": "blob"},
    )
    members = {"Status": 202, "When": AT, "Loud": True, "Left": None, "At": AT, "Data": b"\xff"}
    response = write(members, operation)
    assert response.status == 202
    assert dict(response.headers)[b"x-when"] == b"Sun, 22 Nov 2026 10:15:30 GMT"
    assert dict(response.headers)[b"x-loud"] == b"true"
    assert b"x-left" not in dict(response.headers)
    assert response.body == b'{"At":1795342530.123,"Data":"/w=="}'
    assert write(None, operation).status == 200


def test_what_no_client_could_understand_is_a_mistake_of_ours() -> None:
    stop = models.load("chime-sdk-media-pipelines").operation("StopSpeakerSearchTask")
    with pytest.raises(TypeError, match="204"):
        write({"A": 1}, stop)
    get = models.load("kinesisvideo").operation("DescribeStream")
    with pytest.raises(TypeError, match="naive"):
        write({"StreamInfo": {"CreationTime": AT.replace(tzinfo=None)}}, get)
    with pytest.raises(TypeError, match="'Streaminfo'"):
        write({"Streaminfo": {}}, get)
    media = models.load("kinesis-video-media").operation("GetMedia")
    with pytest.raises(TypeError, match="Other"):
        write({"Other": 1}, media)
    assert write({"Payload": b"x"}, media).headers == [(b"content-type", b"application/octet-stream")]
