import math
from types import SimpleNamespace
from typing import Any, cast

from carillon.streams.lanes import Batch, Lanes, Waiting
from carillon.streams.live import LiveStream, Receipt
from carillon.streams.segments import Gather


def live(stream_id: str) -> LiveStream:
    return cast("LiveStream", SimpleNamespace(stream=SimpleNamespace(id=stream_id)))


def waiting(size: int = 10) -> Waiting:
    return Waiting(cast("Any", SimpleNamespace(size=size)), Receipt())


def taken(batches: list[Batch]) -> dict[str, int]:
    return {batch.stream_id: len(batch.items) for batch in batches}


AT_ONCE = Gather()
FIVE_SECONDS = Gather(seconds=5, size=100, count=4)


def test_where_nothing_gathers_it_is_everybodys_turn_at_once() -> None:
    lanes = Lanes(AT_ONCE)
    for stream_id in "aba":
        lanes.put(live(stream_id), waiting(), now=0)
    assert taken(lanes.take(now=0)) == {"a": 2, "b": 1}
    assert lanes.next_due_at == math.inf


def test_a_stream_has_one_batch_out_at_a_time() -> None:
    lanes = Lanes(AT_ONCE)
    lanes.put(live("a"), waiting(), now=0)
    lanes.take(now=0)
    for stream_id in "aab":
        lanes.put(live(stream_id), waiting(), now=0)
    assert lanes.is_taken("a")
    assert taken(lanes.take(now=0)) == {"b": 1}
    lanes.put_down("a")
    assert taken(lanes.take(now=0)) == {"a": 2}


def test_a_batch_gathers_until_the_first_has_waited_long_enough() -> None:
    lanes = Lanes(FIVE_SECONDS)
    lanes.put(live("a"), waiting(), now=10)
    lanes.put(live("b"), waiting(), now=12)
    lanes.put(live("a"), waiting(), now=14)
    assert lanes.take(now=14.9) == []
    assert lanes.next_due_at == 15
    assert taken(lanes.take(now=15)) == {"a": 2}
    assert lanes.next_due_at == 17
    assert taken(lanes.take(now=20)) == {"b": 1}


def test_a_batch_is_due_sooner_when_it_is_large_or_long_or_in_a_hurry() -> None:
    lanes = Lanes(FIVE_SECONDS)
    lanes.put(live("large"), waiting(99), now=0)
    lanes.put(live("large"), waiting(1), now=0)
    for _ in range(4):
        lanes.put(live("long"), waiting(1), now=0)
    lanes.put(live("urgent"), waiting(), now=0)
    lanes.put(live("patient"), waiting(), now=0)
    lanes.hurry("urgent")
    lanes.hurry("of which nothing waits")
    assert taken(lanes.take(now=0)) == {"large": 2, "long": 4, "urgent": 1}
    lanes.hurry_all()
    assert taken(lanes.take(now=0)) == {"patient": 1}


def test_nothing_is_taken_of_a_stream_while_somebody_pauses_it() -> None:
    lanes = Lanes(AT_ONCE)
    lanes.put(live("a"), waiting(), now=0)
    with lanes.pausing("a"):
        with lanes.pausing("a"):
            assert lanes.take(now=0) == []
        assert lanes.take(now=0) == []
    assert taken(lanes.take(now=0)) == {"a": 1}


def test_it_is_empty_once_all_is_put_down() -> None:
    lanes = Lanes(FIVE_SECONDS)
    assert lanes.is_empty
    lanes.put(live("a"), waiting(), now=0)
    assert not lanes.is_empty
    lanes.hurry_all()
    assert not lanes.is_empty
    lanes.take(now=0)
    assert not lanes.is_empty
    lanes.put_down("a")
    assert lanes.is_empty
