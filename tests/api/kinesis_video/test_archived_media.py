"""ListFragments and GetMediaForFragmentList, as boto3 sees them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Stream = Callable[..., str]
ARCHIVED = "kinesis-video-archived-media"
RECORDED = datetime.fromtimestamp(1511852108, UTC)
EVER = {"StartTimestamp": datetime(1970, 1, 1, tzinfo=UTC), "EndTimestamp": datetime(2100, 1, 1, tzinfo=UTC)}


@pytest.fixture
def recorded(served: Any, stream: Stream, call: Any) -> str:
    """A stream that has stored five seconds of a call."""
    name = stream(1)
    headers = {"x_amzn_fragment_timecode_type": "RELATIVE", "x_amzn_producer_start_timestamp": "1511852108"}
    with served.put_media(name, **headers) as connection:
        connection.head()
        connection.send(call.body(5)).end()
        assert sum(event["EventType"] == "PERSISTED" for event in connection.events()) == 5
    return name


def selector(kind: str = "SERVER_TIMESTAMP", **times: Any) -> dict[str, Any]:
    return {"FragmentSelectorType": kind, "TimestampRange": {**EVER, **times}}


def listed(served: Any, name: str, **more: Any) -> dict[str, Any]:
    client = served.client(ARCHIVED)
    answer: dict[str, Any] = client.list_fragments(StreamName=name, **more)
    return answer


def test_a_list_has_each_fragment_as_aws_tells_of_it(served: Any, recorded: str) -> None:
    answer = listed(served, recorded, FragmentSelector=selector())
    assert "NextToken" not in answer
    now = datetime.now(UTC)
    for index, fragment in enumerate(answer["Fragments"]):
        assert fragment.keys() == {
            "FragmentNumber",
            "FragmentSizeInBytes",
            "ProducerTimestamp",
            "ServerTimestamp",
            "FragmentLengthInMilliseconds",
        }
        assert fragment["ProducerTimestamp"] == RECORDED + timedelta(seconds=index)
        assert abs(fragment["ServerTimestamp"] - now) < timedelta(seconds=20)
        assert fragment["FragmentLengthInMilliseconds"] == 1000
        assert 16_000 < fragment["FragmentSizeInBytes"] < 17_000
    assert [fragment["FragmentNumber"] for fragment in answer["Fragments"]] == [
        document["FRAGMENT_NUMBER"] for document in served.get_media(recorded)
    ]


def test_a_selector_by_the_producers_time_includes_both_ends(served: Any, recorded: str) -> None:
    times = {"StartTimestamp": RECORDED + timedelta(seconds=1), "EndTimestamp": RECORDED + timedelta(seconds=3)}
    found = listed(served, recorded, FragmentSelector=selector("PRODUCER_TIMESTAMP", **times))["Fragments"]
    assert [fragment["ProducerTimestamp"] - RECORDED for fragment in found] == [
        timedelta(seconds=second) for second in (1, 2, 3)
    ]


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("kind", ["SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"])
def test_a_paginator_of_boto3_gets_every_fragment_once(served: Any, recorded: str, kind: str, size: int) -> None:
    whole = listed(served, recorded, FragmentSelector=selector(kind))["Fragments"]
    paginator = served.client(ARCHIVED).get_paginator("list_fragments")
    pages = paginator.paginate(
        StreamName=recorded, FragmentSelector=selector(kind), PaginationConfig={"PageSize": size}
    )
    assert [fragment for page in pages for fragment in page["Fragments"]] == whole


def test_a_token_needs_no_selector_and_goes_with_its_own_only(served: Any, recorded: str, stream: Stream) -> None:
    client = served.client(ARCHIVED)
    times = {"EndTimestamp": RECORDED + timedelta(seconds=2)}
    wanted = selector("PRODUCER_TIMESTAMP", **times)
    first = listed(served, recorded, FragmentSelector=wanted, MaxResults=2)
    second = listed(served, recorded, NextToken=first["NextToken"])
    assert [len(page["Fragments"]) for page in (first, second)] == [2, 1]
    assert "NextToken" not in second
    for wrong in (
        {"StreamName": recorded, "FragmentSelector": selector()},
        {"StreamName": stream(1)},
        {"StreamName": recorded, "NextToken": "abcd"},
        {"StreamName": recorded, "NextToken": first["NextToken"][:-2] + "00"},
    ):
        with pytest.raises(client.exceptions.InvalidArgumentException):
            client.list_fragments(**{"NextToken": first["NextToken"], **wrong})


def test_a_stream_without_retention_has_no_fragments_to_list(served: Any, stream: Stream, call: Any) -> None:
    name = stream(0)
    with served.put_media(name) as connection:
        connection.head()
        connection.send(call.body(2)).end()
        connection.events()
    assert listed(served, name, FragmentSelector=selector())["Fragments"] == []


def test_fragments_are_got_by_number_in_the_order_asked_for(
    served: Any, recorded: str, call: Any, connect: Any
) -> None:
    client = served.client(ARCHIVED)
    numbers = [one["FragmentNumber"] for one in listed(served, recorded, FragmentSelector=selector())["Fragments"]]
    wanted = [numbers[3], numbers[0]]
    answer = client.get_media_for_fragment_list(StreamName=recorded, Fragments=wanted)
    assert answer["ContentType"] == "video/webm"
    body = answer["Payload"].read()
    assert body.index(call.cluster(3)) < body.index(call.cluster(0))
    assert body.count(b"AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP") == 2
    assert body.count(b"AWS_KINESISVIDEO_PRODUCER_SIDE_TIMESTAMP") == 2
    assert b"CONTINUATION_TOKEN" not in body


def test_a_fragment_that_is_not_there_is_told_in_the_body(served: Any, recorded: str) -> None:
    of_aws = "91343852333181432392682062607743920146159169392"
    client = served.client(ARCHIVED)
    body = client.get_media_for_fragment_list(StreamName=recorded, Fragments=[of_aws])["Payload"].read()
    names = [b"AWS_KINESISVIDEO_ERROR_CODE", b"FRAGMENT_NOT_FOUND", b"AWS_KINESISVIDEO_ERROR_ID", b"3000"]
    places = [body.index(what) for what in (*names, b"AWS_KINESISVIDEO_FRAGMENT_NUMBER", of_aws.encode())]
    assert places == sorted(places), "as the real one was seen to write it, in this order"


def test_mistakes_have_the_names_that_aws_gives_them(served: Any, recorded: str) -> None:
    client = served.client(ARCHIVED)
    invalid, missing = client.exceptions.InvalidArgumentException, client.exceptions.ResourceNotFoundException
    backwards = selector(StartTimestamp=datetime(2020, 1, 2, tzinfo=UTC), EndTimestamp=datetime(2020, 1, 1, tzinfo=UTC))
    for refused in (
        {"StreamName": recorded},
        {"FragmentSelector": selector()},
        {"StreamName": recorded, "StreamARN": "arn:aws:kinesisvideo:us-east-1:111122223333:stream/a/1"},
        {"StreamName": recorded, "FragmentSelector": backwards},
        {"StreamName": recorded, "FragmentSelector": selector(), "MaxResults": 1_001},
        {"StreamName": recorded, "FragmentSelector": selector("NOW")},
    ):
        with pytest.raises(invalid):
            client.list_fragments(**refused)
    with pytest.raises(missing):
        client.list_fragments(StreamName="none", FragmentSelector=selector())
    with pytest.raises(missing):
        client.get_media_for_fragment_list(StreamName="none", Fragments=["1"])
    with pytest.raises(invalid):
        client.get_media_for_fragment_list(StreamName=recorded, Fragments=["1"])


def test_a_sixth_connection_is_turned_away_until_one_is_closed(served: Any, stream: Stream, call: Any) -> None:
    name = stream(1)
    with served.put_media(name) as connection:
        connection.head()
        connection.send(call.body(3)).end()
        connection.events()
    number = listed(served, name, FragmentSelector=selector())["Fragments"][0]["FragmentNumber"]
    client = served.client(ARCHIVED)
    long = [number] * 1_000  # 16 MB: more than the connection takes in while nobody reads

    def get() -> Any:
        return client.get_media_for_fragment_list(StreamName=name, Fragments=long)["Payload"]

    payloads = [get() for _ in range(5)]
    with pytest.raises(client.exceptions.ClientLimitExceededException):
        get()
    payloads.pop().close()
    while len(payloads) < 5:
        try:
            payloads.append(get())
        except client.exceptions.ClientLimitExceededException:
            continue  # the server has yet to notice
    for payload in payloads:
        payload.close()


def test_the_endpoint_of_every_operation_is_told_and_what_is_not_covered_says_what_is(
    served: Any, recorded: str
) -> None:
    video, client = served.client("kinesisvideo"), served.client(ARCHIVED)
    for name in ("LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST", "GET_CLIP", "GET_HLS_STREAMING_SESSION_URL"):
        assert video.get_data_endpoint(StreamName=recorded, APIName=name)["DataEndpoint"] == served.url
    for call in (client.get_hls_streaming_session_url, client.get_dash_streaming_session_url):
        with pytest.raises(client.exceptions.InvalidArgumentException, match=r"it covers: GetMediaFor.*ListFragments"):
            call(StreamName=recorded)
