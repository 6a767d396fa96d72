import json
from collections.abc import Callable
from typing import Any

import pytest

Stream = Callable[..., str]


def kinds(events: list[dict[str, Any]]) -> str:
    return "".join(event["EventType"][0] for event in events)


def test_acknowledgements_are_sent_while_the_body_arrives(served: Any, stream: Stream, call: Any) -> None:
    name = stream(hours=1)
    with served.put_media(name) as connection:
        status, headers = connection.head()  # before the first byte of the body
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert headers["x-amzn-requestid"] == headers["x-amz-requestid"]
        connection.send(call.header).send(call.cluster(0)[:100])
        raw = connection.chunk()  # the first one alone: some producers parse the whole chunk as one object
        first = json.loads(raw)
        assert raw.endswith(b"}\n")
        assert first == {"EventType": "BUFFERING", "FragmentTimecode": 0, "FragmentNumber": first["FragmentNumber"]}
        assert len(first["FragmentNumber"]) == 47
        connection.send(call.cluster(0)[100:])
        received, persisted = connection.event(), connection.event()  # without the next fragment having begun
        assert received == {**first, "EventType": "RECEIVED"}
        assert persisted == {**first, "EventType": "PERSISTED"}
        connection.send(call.cluster(1)).end()
        assert kinds(connection.events()) == "BRP"
        assert connection.is_closed_by_server()
    assert [d["cluster"] for d in served.get_media(name)] == [call.cluster(n).hex() for n in range(2)]


@pytest.mark.parametrize("known_size", [True, False])
def test_without_retention_nothing_is_said_to_be_persisted(
    served: Any, stream: Stream, call: Any, known_size: bool
) -> None:
    with served.put_media(stream()) as connection:
        connection.send(call.body(3, known_size)).end()
        assert connection.head()[0] == 200
        assert kinds(connection.events()) == "BRBRBR"


def test_the_c_sdk_signs_every_header_and_counts_from_its_own_start(served: Any, stream: Stream, call: Any) -> None:
    name = stream()
    changed = {"x_amzn_fragment_timecode_type": "RELATIVE", "x_amzn_producer_start_timestamp": "1511852108.5"}
    with served.put_media(name, sign_as="c", **changed, x_amzn_fragment_acknowledgment_required="1") as connection:
        connection.send(call.body(2)).end()
        assert connection.head()[0] == 200
        assert kinds(connection.events()) == "BRBR"
    assert [d["PRODUCER_TIMESTAMP"] for d in served.get_media(name)] == ["1511852108.500", "1511852109.500"]


def test_a_body_of_known_length_is_taken_too(served: Any, stream: Stream, call: Any) -> None:
    body = call.body(2)
    changed = {"transfer_encoding": None, "content_length": str(len(body))}
    with served.put_media(stream(), **changed) as connection:
        connection.send(body)
        assert connection.head()[0] == 200
        assert kinds(connection.events()) == "BRBR"


def test_a_client_that_expects_100_continue_gets_it_before_the_answer(served: Any, stream: Stream, call: Any) -> None:
    with served.put_media(stream(), expect="100-continue") as connection:
        assert connection.head()[0] == 100
        connection.send(call.body(1)).end()
        assert connection.head()[0] == 200
        assert kinds(connection.events()) == "BR"


def test_a_producer_that_wants_no_acknowledgements_hears_of_errors_only(served: Any, stream: Stream, call: Any) -> None:
    with served.put_media(stream(), x_amzn_fragment_acknowledgment_required="0") as connection:
        connection.head()
        connection.send(call.body(2)).send(call.cluster(0)).end()
        (error,) = connection.events()
    assert (error["ErrorId"], error["ErrorCode"]) == (4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS")


def test_an_error_ends_the_answer_and_is_read_by_a_client_that_still_sends(
    served: Any, stream: Stream, call: Any
) -> None:
    name = stream()
    with served.put_media(name) as connection:
        connection.head()
        connection.send(call.body(1)).send(b"\xff" * 20)
        for _ in range(5):
            connection.send(bytes(10_000))
        events = connection.events()
        assert kinds(events) == "BRE"
        assert events[-1] == {"EventType": "ERROR", "ErrorId": 4006, "ErrorCode": "INVALID_MKV_DATA"}
        assert connection.is_closed_by_server()
    assert len(served.get_media(name)) == 1


def test_a_body_that_ends_inside_a_fragment_is_an_error(served: Any, stream: Stream, call: Any) -> None:
    with served.put_media(stream()) as connection:
        connection.head()
        connection.send(call.body(2)[:-10]).end()
        events = connection.events()
    assert kinds(events) == "BRBE"
    assert (events[-1]["ErrorId"], events[-1]["FragmentTimecode"]) == (4000, 1000)
    assert events[-1]["FragmentNumber"] == events[-2]["FragmentNumber"]


def test_a_silent_producer_is_told_and_then_disconnected(impatient: Any, call: Any) -> None:
    impatient.client("kinesisvideo").create_stream(StreamName="call")
    with impatient.put_media("call") as connection:
        connection.send(call.body(2)[:-10]).head()
        events = connection.events()
        assert kinds(events) == "BRBIIE"
        assert events[3] == {"EventType": "IDLE"}
        assert connection.is_closed_by_server()
    with impatient.put_media("call") as connection:
        connection.send(call.body(1)).head()
        assert kinds(connection.events()) == "BRII"


def test_a_connection_that_breaks_off_leaves_whole_fragments_only(served: Any, stream: Stream, call: Any) -> None:
    name = stream(hours=1)
    with served.put_media(name) as connection:
        connection.head()
        connection.send(call.body(2) + call.cluster(2)[:50])
        assert kinds([connection.event() for _ in range(3)]) == "BRB"
    with _as_soon_as_the_first_is_gone(served, name) as connection:
        connection.send(call.header + call.cluster(2)).end()
        assert kinds(connection.events()) == "BRP"
    assert [d["cluster"] for d in served.get_media(name)] == [call.cluster(n).hex() for n in range(3)]


def _as_soon_as_the_first_is_gone(served: Any, name: str) -> Any:
    while True:
        connection = served.put_media(name)
        if connection.head()[0] == 200:
            return connection
        with connection:
            pass


def test_one_connection_writes_to_a_stream(served: Any, stream: Stream, call: Any) -> None:
    name = stream()
    with served.put_media(name) as first:
        assert first.head()[0] == 200
        with served.put_media(name) as second:
            status, headers = second.head()
            assert (status, headers["x-amzn-errortype"]) == (400, "ConnectionLimitExceededException")
        first.send(call.body(1)).end()
        assert kinds(first.events()) == "BR"


def test_a_stream_that_is_deleted_ends_its_connection(served: Any, stream: Stream, call: Any) -> None:
    name = stream()
    client = served.client("kinesisvideo")
    with served.put_media(name) as connection:
        connection.head()
        connection.send(call.body(1))
        assert kinds([connection.event(), connection.event()]) == "BR"
        client.delete_stream(StreamARN=client.describe_stream(StreamName=name)["StreamInfo"]["StreamARN"])
        connection.send(call.cluster(1))
        assert connection.events()[-1]["ErrorId"] == 4008


ARN = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/none/1767225600000"


@pytest.mark.parametrize(
    ("changed", "status", "shape"),
    [
        ({"x_amzn_stream_name": None}, 400, "InvalidArgumentException"),
        ({"x_amzn_stream_arn": ARN}, 400, "InvalidArgumentException"),
        ({"x_amzn_stream_name": "none"}, 404, "ResourceNotFoundException"),
        ({"x_amzn_stream_name": None, "x_amzn_stream_arn": ARN}, 404, "ResourceNotFoundException"),
        ({"x_amzn_fragment_timecode_type": None}, 400, "InvalidArgumentException"),
        ({"x_amzn_fragment_timecode_type": "absolute"}, 400, "InvalidArgumentException"),
        ({"x_amzn_fragment_timecode_type": "RELATIVE"}, 400, "InvalidArgumentException"),
        *(
            (
                {"x_amzn_fragment_timecode_type": "RELATIVE", "x_amzn_producer_start_timestamp": text},
                400,
                "InvalidArgumentException",
            )
            for text in ("", "now", "-1", "NaN", "1e9", "99999999999999")
        ),
    ],
)
def test_what_the_headers_get_wrong_is_answered_before_the_body(
    served: Any, stream: Stream, changed: dict[str, str | None], status: int, shape: str
) -> None:
    with served.put_media(stream(), **changed) as connection:
        answered, headers = connection.head()
    assert (answered, headers["x-amzn-errortype"]) == (status, shape)
