"""An event is posted with the transaction that decided it, or not at all, and can be read back until it is old."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from carillon.clock import ManualClock
from carillon.notifications import Event, NotificationSettings, Outbox, SinkTarget
from carillon.storage import Database

pytestmark = pytest.mark.anyio

MakeEvent = Callable[..., Event]
QUEUE = SinkTarget("SqsQueueSink", "arn:aws:sqs:us-east-1:111122223333:calls")
TOPIC = SinkTarget("SnsTopicSink", "arn:aws:sns:us-east-1:111122223333:calls")


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, clock)


async def post(outbox: Outbox, database: Database, *events: Event, targets: tuple[SinkTarget, ...] = ()) -> None:
    async with database.transaction() as connection:
        for event in events:
            await outbox.post(connection, event, targets)


async def test_what_was_posted_is_read_back_as_it_was_and_in_order(
    outbox: Outbox, database: Database, make_event: MakeEvent
) -> None:
    posted = [make_event(number) for number in range(5)]
    await post(outbox, database, *posted)
    found = await outbox.events()
    assert [event for _, event in found] == posted
    assert [list(event.body["detail"]) for _, event in found] == [list(event.body["detail"]) for event in posted]
    assert [event.to_json() for _, event in found] == [event.to_json() for event in posted]


async def test_readers_follow_from_where_they_are(outbox: Outbox, database: Database, make_event: MakeEvent) -> None:
    posted = [make_event(number) for number in range(5)]
    await post(outbox, database, *posted[:3])
    first = await outbox.events(limit=2)
    rest = await outbox.events(after=first[-1][0])
    assert await outbox.events(after=rest[-1][0]) == []
    await post(outbox, database, *posted[3:])
    later = await outbox.events(after=rest[-1][0])
    assert [event for _, event in first + rest + later] == posted


async def test_a_transaction_that_fails_posts_nothing(
    outbox: Outbox, database: Database, make_event: MakeEvent
) -> None:
    async def post_and_crash() -> None:
        async with database.transaction() as connection:
            await outbox.post(connection, make_event(), [QUEUE])
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        await post_and_crash()
    assert await outbox.events() == []
    assert await outbox.deliveries.pending_targets() == []


async def test_each_target_gets_one_delivery(outbox: Outbox, database: Database, make_event: MakeEvent) -> None:
    event = make_event()
    await post(outbox, database, event, targets=(QUEUE, TOPIC, QUEUE))
    assert set(await outbox.deliveries.pending_targets()) == {QUEUE, TOPIC}
    (delivery,) = await outbox.deliveries.due(QUEUE, 10)
    assert delivery.event == event
    assert delivery.attempts == 0


async def test_old_events_are_deleted_and_what_they_still_owed_is_given_up(
    outbox: Outbox, database: Database, make_event: MakeEvent, clock: ManualClock
) -> None:
    await post(outbox, database, make_event(1), targets=(QUEUE,))
    clock.advance(timedelta(days=3))
    await post(outbox, database, make_event(2), targets=(TOPIC,))
    assert await outbox.sweep() == 0
    clock.advance(timedelta(days=4))
    assert await outbox.sweep() == 1
    assert len(await outbox.events()) == 1
    assert await outbox.deliveries.pending_targets() == [TOPIC]


async def test_a_delivery_may_be_given_up_before_its_event_is_deleted(
    database: Database, make_event: MakeEvent, clock: ManualClock
) -> None:
    outbox = Outbox(database, clock, NotificationSettings(drop_after_days=1))
    await post(outbox, database, make_event(), targets=(QUEUE,))
    clock.advance(timedelta(days=1))
    assert await outbox.sweep() == 0
    assert await outbox.deliveries.pending_targets() == []
    assert len(await outbox.events()) == 1


async def test_a_sweep_of_many_goes_on_to_the_end(
    outbox: Outbox, database: Database, make_event: MakeEvent, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.notifications.outbox._SWEPT_AT_ONCE", 3)
    await post(outbox, database, *[make_event(number) for number in range(10)])
    clock.advance(timedelta(days=7))
    assert await outbox.sweep() == 10
    assert await outbox.events() == []
