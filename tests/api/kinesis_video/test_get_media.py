from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Stream = Callable[..., str]


@pytest.mark.parametrize("hours", [0, 1])
def test_every_start_selector(served: Any, stream: Stream, call: Any, hours: int) -> None:
    name = stream(hours)
    changed = {"x_amzn_fragment_timecode_type": "RELATIVE", "x_amzn_producer_start_timestamp": "1511852108"}
    with served.put_media(name, **changed) as connection:
        connection.head()
        connection.send(call.body(3)).end()
        connection.events()
    documents = served.get_media(name)
    numbers = [document["FRAGMENT_NUMBER"] for document in documents]
    assert [document["CONTINUATION_TOKEN"] for document in documents] == numbers
    assert [document["MILLIS_BEHIND_NOW"] for document in documents][-1] == "0"
    assert abs(float(documents[0]["SERVER_TIMESTAMP"]) - datetime.now(UTC).timestamp()) < 10

    def started(kind: str, **selector: Any) -> list[str]:
        return [document["FRAGMENT_NUMBER"] for document in served.get_media(name, kind, **selector)]

    recorded = datetime.fromtimestamp(1511852108, UTC)
    assert started("NOW") == numbers[2:]
    assert started("EARLIEST") == numbers
    assert started("FRAGMENT_NUMBER", AfterFragmentNumber=numbers[0]) == numbers[1:]
    assert started("CONTINUATION_TOKEN", ContinuationToken=numbers[1]) == numbers[2:]
    assert started("SERVER_TIMESTAMP", StartTimestamp=datetime(2020, 1, 1, tzinfo=UTC)) == numbers
    assert started("PRODUCER_TIMESTAMP", StartTimestamp=recorded + timedelta(seconds=1.5)) == numbers[1:]


def test_a_reader_follows_a_producer_live(patient: Any, call: Any) -> None:
    patient.client("kinesisvideo").create_stream(StreamName="call")
    with _reading(patient, "NOW") as payload, patient.put_media("call") as connection:
        connection.head()
        connection.send(call.header)
        for index in range(3):
            connection.send(call.cluster(index))
            assert connection.event()["EventType"] == "BUFFERING"
            assert connection.event()["EventType"] == "RECEIVED"
            read = b""
            while not read.endswith(b"CONTINUATION_TOKEN" + bytes.fromhex("4487 AF") + read[-47:]):
                read += payload.read(1)
            assert call.cluster(index) in read  # before the next one is sent


def _reading(server: Any, kind: str) -> Any:
    client = server.client("kinesis-video-media")
    return closing(client.get_media(StreamName="call", StartSelector={"StartSelectorType": kind})["Payload"])


def test_a_number_that_is_not_there_is_told_in_the_body(served: Any, stream: Stream) -> None:
    of_aws = "91343852333181432392682062607743920146159169392"
    (document,) = served.get_media(stream(), "FRAGMENT_NUMBER", AfterFragmentNumber=of_aws)
    assert (document["ERROR_ID"], document["FRAGMENT_NUMBER"]) == ("4000", of_aws)


def test_mistakes_have_the_names_that_aws_gives_them(served: Any, stream: Stream) -> None:
    client = served.client("kinesis-video-media")
    name = stream()
    for selector in (
        {"StartSelectorType": "FRAGMENT_NUMBER"},
        {"StartSelectorType": "SERVER_TIMESTAMP"},
        {"StartSelectorType": "CONTINUATION_TOKEN"},
        {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": "12"},
        {"StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": "abc"},
        {"StartSelectorType": "LATEST"},
    ):
        with pytest.raises(client.exceptions.InvalidArgumentException):
            client.get_media(StreamName=name, StartSelector=selector)
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.get_media(StartSelector={"StartSelectorType": "NOW"})
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_media(StreamName="none", StartSelector={"StartSelectorType": "NOW"})


def test_three_connections_read_a_stream_and_one_that_is_closed_makes_room(patient: Any) -> None:
    patient.client("kinesisvideo").create_stream(StreamName="call")
    client = patient.client("kinesis-video-media")

    def read() -> Any:
        return client.get_media(StreamName="call", StartSelector={"StartSelectorType": "NOW"})["Payload"]

    payloads = [read() for _ in range(3)]
    with pytest.raises(client.exceptions.ConnectionLimitExceededException):
        read()
    payloads.pop().close()
    while len(payloads) < 3:
        try:
            payloads.append(read())
        except client.exceptions.ConnectionLimitExceededException:
            continue  # the server has yet to notice
    for payload in payloads:
        payload.close()
