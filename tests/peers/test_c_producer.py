"""The producer SDK for C against a real server: what users run on their telephone systems."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from producer_c import matroska
from producer_c.producer import KVSSINK_USER_AGENT, Producer, StreamInfo
from producer_c.signing import Credentials
from producer_c.wire import CURL_WAIT_SECONDS, Upload

Fragments = Callable[..., list[matroska.Frame]]
EPOCH_MS = 1_767_225_600_000
END = matroska.tags(matroska.END_OF_FRAGMENT, "")


def kinds(upload: Upload) -> list[tuple[str, int | None]]:
    return [(heard.kind, heard.timecode) for heard in upload.heard]


def opening(producer: Producer) -> bytes:
    """What each document of a GetMedia body begins with: as sent, but for the width of the unknown size."""
    return producer.header.replace(bytes.fromhex("18538067FF"), bytes.fromhex("1853806701FFFFFFFFFFFFFF"))


def reconnected(producer: Producer) -> Upload:
    """Connect as the SDK does after a loss, as soon as the server has noticed it too."""
    while True:
        producer.find_endpoint()
        upload = producer.put_media()
        upload.send(producer.replay())
        if upload.status == 200:
            return upload
        upload.reset()


def test_a_stream_is_created_filled_and_closed_in_the_order_of_the_sdk(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law(tags=[("device", "pbx-1"), ("site", "Köln")]))
    producer.create()
    expected = [("/describeStream", 404), ("/createStream", 200), ("/tagStream", 200), ("/getDataEndpoint", 200)]
    assert (producer.calls, producer.endpoint) == (expected, peers.url)
    client = peers.boto3("kinesisvideo")
    stream = client.describe_stream(StreamName=name)["StreamInfo"]
    assert (stream["MediaType"], stream["DataRetentionInHours"], stream["StreamARN"]) == ("audio/alaw", 2, producer.arn)
    assert stream["DeviceName"] == producer.device_name
    assert client.list_tags_for_stream(StreamName=name)["Tags"] == {"device": "pbx-1", "site": "Köln"}
    packaged = [producer.fragment(call(index, EPOCH_MS)) for index in range(3)]
    with producer.put_media() as upload:
        assert upload.interim is not None
        assert upload.interim[0] == 100
        upload.send(producer.header + packaged[0][:300])
        first = upload.hear("BUFFERING", EPOCH_MS)
        upload.send(packaged[0][300:] + packaged[1])
        upload.hear("PERSISTED", EPOCH_MS)
        upload.send(packaged[2])
        upload.hear("PERSISTED", EPOCH_MS + 2000)
        upload.send(END)  # the SDK waits for the last fragment to be stored before it ends the body
        upload.hear("PERSISTED", EPOCH_MS + 4000)
        upload.end()
        heard = upload.hear_all()
        assert upload.is_closed_by_server()
    assert (
        json.loads(upload.pieces[0])["FragmentNumber"] == first.number
    )  # a sample reads the first piece as one object
    for timecode in (EPOCH_MS, EPOCH_MS + 2000, EPOCH_MS + 4000):
        of_it = [one for one in heard if one.timecode == timecode]
        assert [one.kind for one in of_it] == ["BUFFERING", "RECEIVED", "PERSISTED"]
        assert len({one.number for one in of_it}) == 1
    assert len(heard) == 9
    read = peers.read(name)
    assert [document.cluster for document in read] == packaged
    assert all(document.data.startswith(opening(producer)) for document in read)
    assert [document.producer_timestamp for document in read] == ["1767225600.000", "1767225602.000", "1767225604.000"]
    assert [document.number for document in read] == sorted(one.number for one in heard if one.kind == "PERSISTED")


def test_a_stream_that_exists_is_used_as_it_is(peers: Any, a_law: Any, name: str) -> None:
    peers.producer(a_law()).create()
    again = peers.producer(a_law())
    again.create()
    assert again.calls == [("/describeStream", 200), ("/getDataEndpoint", 200)]


def test_temporary_credentials_work_with_a_token_that_is_not_signed(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law(), key=peers.temporary)
    producer.create()
    with producer.put_media() as upload:
        upload.send(producer.header + producer.fragment(call(0)) + END).hear("PERSISTED", 0)
    for wrong in (Credentials(peers.temporary.key_id, peers.temporary.secret), replace(peers.temporary, token="x")):
        producer.key = wrong
        with producer.put_media() as upload:
            assert upload.status == 403
            assert "token" in upload.refusal()
    producer.key = replace(peers.temporary, secret="wrong")
    with producer.put_media() as upload:
        assert upload.status == 403


def test_relative_timecodes_count_from_when_the_connection_was_made(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law(is_absolute=False))
    producer.create()
    before = int(time.time() * 1000) / 1000
    with producer.put_media() as upload:
        upload.send(producer.header + producer.fragment(call(0)) + producer.fragment(call(1)) + END)
        upload.hear("PERSISTED", 2000)
    first, second = (float(document.producer_timestamp) for document in peers.read(name))
    assert before - 0.9 <= first <= time.time() + 0.9  # the SDK does not pad the milliseconds: .05 becomes .5
    assert second - first == pytest.approx(2)


def test_a_lost_connection_is_followed_by_all_that_was_not_stored(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law())
    producer.create()
    packaged = [producer.fragment(call(index, EPOCH_MS)) for index in range(6)]
    with producer.put_media() as upload:
        upload.send(producer.header + b"".join(packaged[:4]) + packaged[4][:1000])
        upload.hear("PERSISTED", EPOCH_MS + 2000)
        upload.hear("RECEIVED", EPOCH_MS + 4000)  # and is stored, but the SDK never hears of it
        producer.trim(upload)
        upload.reset()
    assert EPOCH_MS + 4000 in producer.unpersisted
    with reconnected(producer) as upload:
        upload.send(END)
        upload.hear("PERSISTED", EPOCH_MS + 10_000)
        upload.end()
        assert [one.timecode for one in upload.hear_all() if one.kind == "RECEIVED"] == list(producer.unpersisted)
    read = peers.read(name)
    times = [document.producer_timestamp for document in read]
    assert sorted(set(times)) == [f"{EPOCH_MS // 1000 + 2 * index}.000" for index in range(6)]
    assert len(times) > 6, "some fragment came twice"
    assert {document.cluster for document in read} == set(packaged)
    assert [document.number for document in read] == sorted({document.number for document in read})


def test_without_retention_what_was_received_is_sent_again_too(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law(retention_hours=0))
    producer.create()
    packaged = [producer.fragment(call(index, EPOCH_MS)) for index in range(3)]
    with producer.put_media() as upload:
        upload.send(producer.header + b"".join(packaged)).hear("RECEIVED", EPOCH_MS + 2000)
        upload.reset()
    with reconnected(producer) as upload:
        upload.send(END).hear("RECEIVED", EPOCH_MS + 4000)
        upload.end().hear_all()
    assert [document.cluster for document in peers.read(name)] == [*packaged[:2], *packaged]


def test_a_second_connection_is_refused_before_its_body(peers: Any, a_law: Any, call: Fragments, name: str) -> None:
    producer = peers.producer(a_law())
    producer.create()
    with producer.put_media() as first:
        first.send(producer.header + producer.fragment(call(0))).hear("BUFFERING", 0)
        with producer.put_media() as second:
            assert second.interim is None or second.interim[0] != 100, "nobody wants its body"
            assert second.status == 400
            assert second.answer()[1]["x-amzn-errortype"] == "ConnectionLimitExceededException"
        first.send(END).hear("PERSISTED", 0)
        first.end().hear_all()


def test_credentials_are_rotated_without_a_gap(peers: Any, a_law: Any, call: Fragments, name: str) -> None:
    """Every 40 minutes the SDK connects anew, some seconds before it is done with the old connection."""
    producer = peers.producer(a_law())
    producer.create()
    packaged = [producer.fragment(call(index, EPOCH_MS)) for index in range(2)]
    with producer.put_media() as old:
        old.send(producer.header + packaged[0]).hear("BUFFERING", EPOCH_MS)
        with producer.put_media(CURL_WAIT_SECONDS) as new:  # which nobody answers yet
            old.send(END)
            new.send(producer.header + packaged[1])  # at once: all of the old one's data is out
            old.hear("PERSISTED", EPOCH_MS)
            old.end().hear_all()
            assert new.status == 200
            new.send(END).hear("PERSISTED", EPOCH_MS + 2000)
            new.end().hear_all()
    assert [document.cluster for document in peers.read(name)] == packaged


def test_a_producer_that_pauses_closes_its_fragment_and_goes_on_later(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law())
    producer.create()
    with producer.put_media() as upload:
        for index in range(3):
            upload.send((b"" if index else producer.header) + producer.fragment(call(index)) + END)
            upload.hear("PERSISTED", 2000 * index)
        upload.end()
        assert kinds(upload) == [(kind, n * 2000) for n in range(3) for kind in ("BUFFERING", "RECEIVED", "PERSISTED")]
    assert len(peers.read(name)) == 3


def test_metadata_stands_before_the_cluster_and_reaches_consumers(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    persistent = [("CallId", "c-1"), ("TransactionId", "t" * 256), *((f"n{n}", "") for n in range(6))]
    events = [("AWS_KINESISVIDEO_IMAGE_GENERATION", ""), ("AWS_KINESISVIDEO_NOTIFICATION", "")]
    producer = peers.producer(a_law(metadata=persistent))
    producer.create()
    with producer.put_media() as upload:
        upload.send(producer.header + producer.fragment(call(0)) + producer.fragment(call(1), once=events) + END)
        upload.hear("PERSISTED", 2000)
        upload.end().hear_all()
    for document in peers.read(name):
        assert {name: text for name, text in document.tags.items() if not name.startswith("AWS")} == dict(persistent)


@pytest.mark.parametrize("tag", ["AWS_KINESISVIDEO_FRAGMENT_NUMBER", "AWS_KINESISVIDEO_ERROR_ID", "AWSome"])
def test_metadata_that_would_pass_for_ours_is_refused(
    peers: Any, a_law: Any, call: Fragments, name: str, tag: str
) -> None:
    producer = peers.producer(a_law())
    producer.create()
    with producer.put_media() as upload:
        upload.send(producer.header + producer.fragment(call(0)) + matroska.tags(tag, "1"))
        assert upload.hear("ERROR").error_id == 4012
        assert upload.hear_all()[-1].kind == "ERROR"
        assert upload.is_closed_by_server()


def test_what_is_not_matroska_is_told_so_that_the_sdk_understands(
    peers: Any, a_law: Any, call: Fragments, name: str
) -> None:
    producer = peers.producer(a_law())
    producer.create()
    with producer.put_media() as upload:
        upload.send(producer.header + producer.fragment(call(0)) + END + b"\xff" * 64)
        assert upload.hear("ERROR").error_id == 4006
        assert [heard.kind for heard in upload.hear_all()] == ["BUFFERING", "RECEIVED", "PERSISTED", "ERROR"]
        assert upload.is_closed_by_server()


def test_kvssink_sends_stereo_with_a_name_of_its_own(peers: Any, call: Fragments, name: str) -> None:
    private = matroska.g711(7, 8000, 2)
    track = matroska.Track("audio", "A_MS/ACM", private, 8000, 2)
    producer = peers.producer(StreamInfo(name, "audio/mulaw", [track]), user_agent=KVSSINK_USER_AGENT)
    producer.create()
    packaged = [producer.fragment(call(index, EPOCH_MS, all_key=True)) for index in range(2)]
    with producer.put_media() as upload:
        upload.send(producer.header + b"".join(packaged) + END).hear("PERSISTED", EPOCH_MS + 2000)
        upload.end().hear_all()
    assert [document.cluster for document in peers.read(name)] == packaged
