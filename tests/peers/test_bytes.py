"""The script itself: what it writes is what the SDK writes, and others can read it."""

import io
import json

import av
import ebmlite
import pytest

from carillon.api.kinesis_video.put_media import render
from carillon.streams import AckErrorCode, AckEventType
from carillon.streams import FragmentAck as Told
from producer_c import matroska
from producer_c.acknowledgements import Acknowledgement, Parser, Unreadable
from producer_c.signing import Credentials, signed_headers
from producer_c.wire import head

UID = bytes(range(16))
TRACK = matroska.Track("kvs_audio_track", "A_MS/ACM", matroska.g711(6, 8000, 1), 8000, 1)


def test_the_header_is_that_of_the_sdk_byte_by_byte() -> None:
    application = b"Kinesis Video SDK".hex()
    versioned = b"Kinesis Video SDK 1.1.0".hex()
    expected = (
        "1a45dfa3 a3 4286 81 01 42f7 81 01 42f2 81 04 42f3 81 08 4282 88 6d6174726f736b61 4287 81 02 4285 81 02"
        "18538067 ff"
        f"1549a966 4067 73a4 90 {UID.hex()} 2ad7b1 88 00000000000f4240 7ba9 91 {application}"
        f"4d80 97 {versioned} 5741 97 {versioned}"
        "1654ae6b 10000059 ae 10000054 d7 81 01 73c5 88 0000000000000001 83 81 02"
        f"536e 8f {b'kvs_audio_track'.hex()} 86 88 {b'A_MS/ACM'.hex()}"
        "e1 1000000d b5 88 40bf400000000000 9f 81 01"
        "63a2 92 0600 0100 401f0000 e8030000 0100 0000 0000"
    )
    assert matroska.header([TRACK], UID).hex() == expected.replace(" ", "")


def test_a_fragment_is_that_of_the_sdk_byte_by_byte() -> None:
    frames = [matroska.Frame(1, 5000, b"\xd5" * 3, matroska.KEY_FRAME), matroska.Frame(1, 5020, b"\x55")]
    expected = (
        "1f43b675 ff e7 88 0000000000001388 a7 81 00"
        "a3 0100000000000007 81 0000 80 d5d5d5"
        "a3 0100000000000005 81 0014 00 55"
    )
    assert matroska.cluster(5000, frames).hex() == expected.replace(" ", "")


def test_the_end_of_a_fragment_is_a_tag_with_an_empty_text() -> None:
    name = b"AWS_KINESISVIDEO_END_OF_FRAGMENT".hex()
    expected = (
        "1254c367 0100000000000048 7373 010000000000003e 67c8 0100000000000034"
        f"45a3 0100000000000020 {name} 4487 0100000000000000"
    )
    assert matroska.tags(matroska.END_OF_FRAGMENT, "").hex() == expected.replace(" ", "")


def test_an_audio_specific_config_has_two_bytes() -> None:
    assert (matroska.aac(48000, 2), matroska.aac(8000, 1)) == (bytes.fromhex("1190"), bytes.fromhex("1588"))


def test_others_read_what_the_script_writes() -> None:
    frames = [matroska.Frame(1, n * 20, bytes([0x55 + n]) * 160, matroska.KEY_FRAME) for n in range(50)]
    body = matroska.header([TRACK], UID) + matroska.cluster(0, frames) + matroska.tags("CallId", "c-1")
    with av.open(io.BytesIO(body), "r") as container:
        (stream,) = container.streams.audio
        assert (stream.codec_context.name, stream.rate, stream.channels) == ("pcm_alaw", 8000, 1)
        assert [bytes(packet) for packet in container.demux(stream) if packet.size] == [frame.data for frame in frames]
    (segment,) = ebmlite.loadSchema("matroska.xml").loads(body)
    assert [child.name for child in segment] == ["Info", "Tracks", "Cluster", "Tags"]
    assert [child.name for child in segment[2]][:3] == ["Timecode", "Position", "SimpleBlock"]


def test_every_acknowledgement_of_ours_is_understood() -> None:
    parser = Parser()
    for kind in (AckEventType.BUFFERING, AckEventType.RECEIVED, AckEventType.PERSISTED):
        told = Told(kind, 2**62, "9" * 47)
        assert parser.feed(render(told)) == [Acknowledgement(kind.value, 2**62, "9" * 47)]
    assert parser.feed(render(Told(AckEventType.IDLE))) == [Acknowledgement("IDLE")]
    for refusal in AckErrorCode:
        with_number, without = Told(AckEventType.ERROR, 0, "1", refusal), Told(AckEventType.ERROR, None, None, refusal)
        heard = [parser.feed(render(told))[0] for told in (with_number, without)]
        assert heard == [Acknowledgement("ERROR", 0, "1", refusal), Acknowledgement("ERROR", error_id=refusal)]


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_acknowledgements_are_read_in_any_pieces(cut: int) -> None:
    lines = b'{"EventType":"IDLE"}\n {"FragmentTimecode" : "5", "Why":{"a":[1]},\n"EventType":"RECEIVED", "X":null }'
    parser = Parser()
    heard = [one for at in range(0, len(lines), cut) for one in parser.feed(lines[at : at + cut])]
    assert heard == [Acknowledgement("IDLE"), Acknowledgement("RECEIVED", 5)]


@pytest.mark.parametrize(
    "line",
    [
        {"EventType": "Received"},
        {"AckEventType": "RECEIVED"},
        {"EventType": "RECEIVED", "FragmentTimecode": None},
        {"EventType": "RECEIVED", "FragmentTimecode": "1.5"},
        {"EventType": "ERROR", "ErrorCode": "INVALID_MKV_DATA"},
        '{"EventType":"IDLE","EventType":"IDLE"}',
        {"EventType": "IDLE", "Padding": "x" * 1024},
    ],
)
def test_what_the_sdk_rejects_is_rejected(line: object) -> None:
    with pytest.raises(Unreadable):
        Parser().feed((line if isinstance(line, str) else json.dumps(line)).encode())


def test_a_request_has_the_headers_and_the_order_that_were_seen_on_the_wire() -> None:
    url = "https://s-4010bf70.kinesisvideo.us-west-2.amazonaws.com:8650/putMedia"
    given = [
        ("user-agent", "AWS-SDK-KVS/1.7.9 Clang/10.0.1 Darwin/18.5.0 x86_64"),
        ("x-amzn-stream-name", "test1"),
        ("x-amzn-producer-start-timestamp", "1554245523.434"),
        ("x-amzn-fragment-acknowledgment-required", "1"),
        ("x-amzn-fragment-timecode-type", "RELATIVE"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
    ]
    key = Credentials("AKIDEXAMPLE", "secret", "token")
    signed = signed_headers(url, given, None, key, "us-west-2", "20190402T225203Z")
    lines = head(url, signed, is_streamed=True).decode().split("\r\n")
    assert [line.partition(":")[0] for line in lines[1:-2]] == [
        "Host",
        "Accept",
        "Authorization",
        "connection",
        "content-type",
        "transfer-encoding",
        "user-agent",
        "X-Amz-Date",
        "x-amz-security-token",
        "x-amzn-fragment-acknowledgment-required",
        "x-amzn-fragment-timecode-type",
        "x-amzn-producer-start-timestamp",
        "x-amzn-stream-name",
        "Expect",
    ]
    assert lines[:3] == ["POST /putMedia HTTP/1.1", f"Host: {url[8:55]}", "Accept: */*"]
    assert lines[3].split(", ")[1] == (
        "SignedHeaders=connection;host;transfer-encoding;user-agent;x-amz-date;x-amzn-fragment-acknowledgment-required;"
        "x-amzn-fragment-timecode-type;x-amzn-producer-start-timestamp;x-amzn-stream-name"
    )
