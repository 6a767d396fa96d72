from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


@pytest.fixture
def client(served: Any) -> Iterator[Any]:
    """A client of an empty account."""
    kvs = served.client("kinesisvideo")
    yield kvs
    for info in kvs.list_streams()["StreamInfoList"]:
        kvs.delete_stream(StreamARN=info["StreamARN"])


def test_a_stream_from_its_creation_to_its_deletion(client: Any) -> None:
    made = client.create_stream(
        StreamName="call",
        DeviceName="phone",
        MediaType="audio/x-wav",
        KmsKeyId="alias/aws/kinesisvideo",
        DataRetentionInHours=2,
        Tags={"AWSServiceName": "ChimeSDK"},
        StreamStorageConfiguration={"DefaultStorageTier": "HOT"},
    )
    info = client.describe_stream(StreamName="call")["StreamInfo"]
    assert info == client.describe_stream(StreamARN=made["StreamARN"])["StreamInfo"]
    assert abs(info.pop("CreationTime") - datetime.now(UTC)) < timedelta(seconds=10)
    assert info.pop("Version").isalnum()
    assert info == {
        "DeviceName": "phone",
        "StreamName": "call",
        "StreamARN": made["StreamARN"],
        "MediaType": "audio/x-wav",
        "KmsKeyId": "alias/aws/kinesisvideo",
        "Status": "ACTIVE",
        "DataRetentionInHours": 2,
    }
    client.delete_stream(StreamARN=made["StreamARN"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_stream(StreamName="call")


def test_changes_need_the_current_version(client: Any) -> None:
    client.create_stream(StreamName="call")
    first = client.describe_stream(StreamName="call")["StreamInfo"]
    client.update_stream(StreamName="call", CurrentVersion=first["Version"], MediaType="audio/pcm")
    stale = {"StreamName": "call", "CurrentVersion": first["Version"]}
    with pytest.raises(client.exceptions.VersionMismatchException):
        client.update_stream(**stale, DeviceName="x")
    with pytest.raises(client.exceptions.VersionMismatchException):
        client.update_data_retention(**stale, Operation="INCREASE_DATA_RETENTION", DataRetentionChangeInHours=1)
    with pytest.raises(client.exceptions.VersionMismatchException):
        client.delete_stream(StreamARN=first["StreamARN"], CurrentVersion=first["Version"])
    second = client.describe_stream(StreamName="call")["StreamInfo"]
    assert (second["MediaType"], second["Version"] == first["Version"]) == ("audio/pcm", False)


def test_retention_is_raised_and_lowered(client: Any) -> None:
    client.create_stream(StreamName="call", DataRetentionInHours=1)

    def change(operation: str, hours: int) -> int:
        version = client.describe_stream(StreamName="call")["StreamInfo"]["Version"]
        client.update_data_retention(
            StreamName="call", CurrentVersion=version, Operation=operation, DataRetentionChangeInHours=hours
        )
        retention: int = client.describe_stream(StreamName="call")["StreamInfo"]["DataRetentionInHours"]
        return retention

    assert change("INCREASE_DATA_RETENTION", 23) == 24
    assert change("DECREASE_DATA_RETENTION", 24) == 0
    with pytest.raises(client.exceptions.InvalidArgumentException):
        change("DECREASE_DATA_RETENTION", 1)


def test_listing_goes_page_by_page(client: Any) -> None:
    for name in ("b", "a", "c", "other"):
        client.create_stream(StreamName=f"call-{name}" if name != "other" else name)
    condition = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "call-"}
    first = client.list_streams(MaxResults=2, StreamNameCondition=condition)
    rest = client.list_streams(MaxResults=2, StreamNameCondition=condition, NextToken=first["NextToken"])
    names = [info["StreamName"] for page in (first, rest) for info in page["StreamInfoList"]]
    assert names == ["call-a", "call-b", "call-c"]
    assert "NextToken" not in rest
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.list_streams(NextToken="====")


def test_tags_are_set_listed_and_removed(client: Any) -> None:
    arn = client.create_stream(StreamName="call", Tags={"a": "1"})["StreamARN"]
    client.tag_stream(StreamARN=arn, Tags={"b": "2", "c": ""})
    client.untag_stream(StreamName="call", TagKeyList=["a"])
    assert client.list_tags_for_stream(StreamName="call")["Tags"] == {"b": "2", "c": ""}
    with pytest.raises(client.exceptions.TagsPerResourceExceededLimitException):
        client.tag_stream(StreamName="call", Tags={f"n{n}": "" for n in range(49)})


def test_the_data_endpoint_is_this_server(client: Any, served: Any) -> None:
    client.create_stream(StreamName="call")
    for api in ("PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS"):
        assert client.get_data_endpoint(StreamName="call", APIName=api)["DataEndpoint"] == served.url
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_data_endpoint(StreamName="none", APIName="PUT_MEDIA")


def test_mistakes_have_the_names_that_aws_gives_them(client: Any) -> None:
    arn = client.create_stream(StreamName="call")["StreamARN"]
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.create_stream(StreamName="call")
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.create_stream(StreamName="other", DataRetentionInHours=87_601)
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.describe_stream()
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.describe_stream(StreamName="call", StreamARN=arn)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.delete_stream(StreamARN=arn.replace("call", "none"))
