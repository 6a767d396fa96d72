"""A consumer hears a fragment while its producer sends it, and never takes one for complete that broke off."""

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from carillon.media import FragmentParser

BLOCKS = 10


def blocks(cluster: bytes) -> list[bytes]:
    """Cut a Cluster into its blocks, the first with what stands before it."""
    length = 1600 + 7
    cuts = [0, *(len(cluster) - length * n for n in range(BLOCKS - 1, -1, -1))]
    return [cluster[begin:end] for begin, end in itertools.pairwise(cuts)]


@contextmanager
def reading(server: Any) -> Iterator[Any]:
    client = server.client("kinesis-video-media")
    answer = client.get_media(StreamName="call", StartSelector={"StartSelectorType": "NOW"})
    with closing(answer["Payload"]) as payload:
        yield payload


@pytest.mark.parametrize("known_size", [True, False])
def test_every_block_is_read_before_the_next_is_sent(patient: Any, call: Any, known_size: bool) -> None:
    patient.client("kinesisvideo").create_stream(StreamName="call")
    read = b""
    with reading(patient) as payload, patient.put_media("call") as connection:
        connection.head()
        connection.send(call.header)
        for index in range(2):
            for block in blocks(call.cluster(index, known_size)):
                connection.send(block)
                while not read.endswith(block):
                    read += payload.read(1)
        connection.end()
        while read.count(b"CONTINUATION_TOKEN") < 2 or not read[-47:].isdigit():
            read += payload.read(1)
        events = connection.events()
    fragments: list[Any] = list(FragmentParser().feed(read))
    received = [event["FragmentNumber"] for event in events if event["EventType"] == "RECEIVED"]
    assert [fragment.number for fragment in fragments] == received
    assert [len(fragment.blocks) for fragment in fragments] == [BLOCKS, BLOCKS]


def test_a_producer_that_vanishes_ends_the_body_without_a_complete_fragment(patient: Any, call: Any) -> None:
    patient.client("kinesisvideo").create_stream(StreamName="call")
    with reading(patient) as payload:
        with patient.put_media("call") as connection:
            connection.head()
            connection.send(call.body(1))
            sent = blocks(call.cluster(1))[:6]
            connection.send(b"".join(sent))
            read = b""
            while not read.endswith(sent[-1]):
                read += payload.read(1)
        read += payload.read()  # to its end
    assert read.endswith(sent[-1])
    assert len(list(FragmentParser().feed(read))) == 1
