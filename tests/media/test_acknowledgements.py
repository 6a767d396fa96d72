import pytest

from carillon.media import Acknowledgement, AcknowledgementType, PutMediaRefused
from carillon.media.acknowledgements import AcknowledgementParser

NUMBER = "91343852333181432392682062607743920146159169392"
ANSWER = (
    b'{"EventType":"BUFFERING","FragmentTimecode":0,"FragmentNumber":"%(n)s"}\n'
    b'{"EventType":"IDLE"}\r\n\r\n'
    b'{"EventType":"RECEIVED","FragmentTimecode":"2000","FragmentNumber":%(n)s,"New":null}'
    b' {"EventType":"ERROR","FragmentTimecode":4000,"FragmentNumber":"%(n)s","ErrorId":"4004","ErrorCode":"LATE"}'
) % {b"n": NUMBER.encode()}


@pytest.mark.parametrize("size", [1, 2, 7, 70, 1_000])
def test_any_split_gives_the_same_acknowledgements(size: int) -> None:
    parser = AcknowledgementParser("call")
    found = [read for at in range(0, len(ANSWER), size) for read in parser.feed(ANSWER[at : at + size])]
    parser.end()
    assert found == [
        Acknowledgement(AcknowledgementType.BUFFERING, 0, NUMBER),
        Acknowledgement(AcknowledgementType.IDLE),
        Acknowledgement(AcknowledgementType.RECEIVED, 2_000, NUMBER),
        Acknowledgement(AcknowledgementType.ERROR, 4_000, NUMBER, 4_004, "LATE"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"}",
        b"<html>}",
        b"{}",
        b"[]}",
        b"null}",
        b'{"EventType":"RECIEVED"}',
        b'{"EventType":"IDLE","ErrorCode":"\xff"}',
        b'{"EventType":"IDLE","ErrorId":"many"}',
        b'{"EventType":"IDLE","ErrorCode":"%s"}' % bytes(9_000),
        b'{"a":' * 3_000 + b"}",
        bytes(9_000),
    ],
)
def test_what_is_no_acknowledgement_is_refused_after_those_before_it(line: bytes) -> None:
    found = AcknowledgementParser("call").feed(b'{"EventType":"IDLE"}\n' + line)
    assert next(found).type is AcknowledgementType.IDLE
    with pytest.raises(PutMediaRefused, match="call"):
        next(found)


def test_an_answer_that_ends_in_the_middle_is_refused() -> None:
    parser = AcknowledgementParser("call")
    assert list(parser.feed(b'{"EventType":"ID')) == []
    with pytest.raises(PutMediaRefused):
        parser.end()
