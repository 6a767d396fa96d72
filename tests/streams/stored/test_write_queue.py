import math
from types import SimpleNamespace
from typing import Any, cast

from carillon.streams.catalog.stream import Stream
from carillon.streams.stored.segments import BatchLimits
from carillon.streams.stored.write_queue import WriteBatch, WriteFuture, WriteQueue


def stream(stream_id: str) -> Stream:
    return cast("Stream", SimpleNamespace(id=stream_id))


def waiting(size: int = 10) -> WriteFuture:
    return WriteFuture(cast("Any", SimpleNamespace(size=size)))


def taken(batches: list[WriteBatch]) -> dict[str, int]:
    return {batch.stream_id: len(batch.items) for batch in batches}


AT_ONCE = BatchLimits()
FIVE_SECONDS = BatchLimits(seconds=5, size=100, count=4)


def test_where_nothing_gathers_it_is_everybodys_turn_at_once() -> None:
    queue = WriteQueue(AT_ONCE)
    for stream_id in "aba":
        queue.put(stream(stream_id), waiting(), now=0)
    assert taken(queue.take(now=0)) == {"a": 2, "b": 1}
    assert queue.next_due_at == math.inf


def test_a_stream_has_one_batch_out_at_a_time() -> None:
    queue = WriteQueue(AT_ONCE)
    queue.put(stream("a"), waiting(), now=0)
    queue.take(now=0)
    for stream_id in "aab":
        queue.put(stream(stream_id), waiting(), now=0)
    assert queue.is_taken("a")
    assert taken(queue.take(now=0)) == {"b": 1}
    queue.task_done("a")
    assert taken(queue.take(now=0)) == {"a": 2}


def test_a_batch_gathers_until_the_first_has_waited_long_enough() -> None:
    queue = WriteQueue(FIVE_SECONDS)
    queue.put(stream("a"), waiting(), now=10)
    queue.put(stream("b"), waiting(), now=12)
    queue.put(stream("a"), waiting(), now=14)
    assert queue.take(now=14.9) == []
    assert queue.next_due_at == 15
    assert taken(queue.take(now=15)) == {"a": 2}
    assert queue.next_due_at == 17
    assert taken(queue.take(now=20)) == {"b": 1}


def test_a_batch_is_due_sooner_when_it_is_large_or_long_or_in_a_hurry() -> None:
    queue = WriteQueue(FIVE_SECONDS)
    queue.put(stream("large"), waiting(99), now=0)
    queue.put(stream("large"), waiting(1), now=0)
    for _ in range(4):
        queue.put(stream("long"), waiting(1), now=0)
    queue.put(stream("urgent"), waiting(), now=0)
    queue.put(stream("patient"), waiting(), now=0)
    queue.flush("urgent")
    queue.flush("of which nothing waits")
    assert taken(queue.take(now=0)) == {"large": 2, "long": 4, "urgent": 1}
    queue.flush_all()
    assert taken(queue.take(now=0)) == {"patient": 1}


def test_nothing_is_taken_of_a_stream_while_somebody_pauses_it() -> None:
    queue = WriteQueue(AT_ONCE)
    queue.put(stream("a"), waiting(), now=0)
    with queue.pausing("a"):
        with queue.pausing("a"):
            assert queue.take(now=0) == []
        assert queue.take(now=0) == []
    assert taken(queue.take(now=0)) == {"a": 1}


def test_it_is_empty_once_all_is_put_down() -> None:
    queue = WriteQueue(FIVE_SECONDS)
    assert queue.is_empty
    queue.put(stream("a"), waiting(), now=0)
    assert not queue.is_empty
    queue.flush_all()
    assert not queue.is_empty
    queue.take(now=0)
    assert not queue.is_empty
    queue.task_done("a")
    assert queue.is_empty


def test_what_waits_of_a_stream_can_be_given_up_and_what_is_being_written_cannot() -> None:
    queue = WriteQueue(FIVE_SECONDS)
    queue.put(stream("a"), waiting(), now=0)
    queue.flush_all()
    queue.take(now=0)
    queue.put(stream("a"), waiting(), now=0)
    queue.put(stream("a"), waiting(), now=0)
    removed = queue.remove("a")
    assert removed
    assert taken([removed]) == {"a": 2}
    assert queue.remove("a") is None
    assert queue.is_taken("a")
    assert queue.next_due_at == math.inf
