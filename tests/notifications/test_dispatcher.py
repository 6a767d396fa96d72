"""At least once, under one id, and nobody waits for a sink that is dead."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import boto3
import pytest
from anyio import create_task_group, create_tcp_listener, fail_after, move_on_after, sleep_forever, to_thread
from anyio.abc import SocketAttribute
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from carillon.clock import ManualClock, SystemClock
from carillon.notifications import (
    Dispatcher,
    Event,
    EventRefused,
    NotificationSettings,
    Outbox,
    Sender,
    SendFailed,
    SinkTarget,
)
from carillon.notifications.deliveries import Deliveries, DeliveryOutcome
from carillon.notifications.sending import pause
from carillon.storage import Database, DatabaseBusy

pytestmark = pytest.mark.anyio

MakeEvent = Callable[..., Event]
QUICK = NotificationSettings(first_retry_seconds=0.01, longest_retry_seconds=0.05, send_seconds=0.5, poll_seconds=0.05)
A = SinkTarget("A", "arn:a")
B = SinkTarget("B", "arn:b")


class Recorder:
    """A sink that writes down what it takes, and does first whatever the test wants."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.attempts: list[str] = []
        self.now = 0
        self.most = 0
        self._arrived = anyio.Event()

    async def before(self, event: Event) -> None:
        """Fail or wait, if the test wants."""

    async def send(self, target: SinkTarget, event: Event) -> None:
        self.attempts.append(event.id)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.before(event)
        finally:
            self.now -= 1
        self.ids.append(event.id)
        self._arrived.set()
        self._arrived = anyio.Event()

    async def until(self, count: int) -> None:
        with fail_after(120):
            while len(self.ids) < count:
                await self._arrived.wait()


class Refusing(Recorder):
    """Refuses some events, or all while it is down."""

    def __init__(self, *refused: str, down: bool = False) -> None:
        super().__init__()
        self.refused = refused
        self.down = down

    async def before(self, event: Event) -> None:
        if self.down or event.id in self.refused:
            raise SendFailed("down")


class Hanging(Recorder):
    """Never answers about some events, or about all."""

    def __init__(self, *silent: str, down: bool = False) -> None:
        super().__init__()
        self.silent = silent
        self.down = down
        self.hangs = anyio.Event()

    async def before(self, event: Event) -> None:
        if self.down or event.id in self.silent:
            self.hangs.set()
            await sleep_forever()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(
        database, SystemClock(), NotificationSettings(longest_retry_seconds=600)
    )  # the longest of all that are set here


@asynccontextmanager
async def dispatching(
    outbox: Outbox,
    senders: Mapping[str, Sender] | None,
    settings: NotificationSettings = QUICK,
    clock: Any = None,
    jitter: Callable[[], float] = lambda: 0.5,
) -> AsyncIterator[None]:
    async with create_task_group() as group:
        await group.start(Dispatcher(outbox, clock or SystemClock(), settings, senders, jitter).run)
        yield
        group.cancel_scope.cancel()


@pytest.fixture
def post(outbox: Outbox, database: Database) -> Callable[..., Any]:
    async def posting(*events: Event, to: tuple[SinkTarget, ...] = (A,), wake: bool = True) -> list[str]:
        async with database.transaction() as connection:
            for event in events:
                await outbox.post(connection, event, to)
        if wake:
            outbox.wake()
        return [event.id for event in events]

    return posting


async def eventually(holds: Callable[[], Any], seconds: float = 120) -> None:
    """Return once a condition holds."""
    with fail_after(seconds):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await anyio.sleep(0.005)


async def settled(outbox: Outbox, target: SinkTarget | None = None) -> None:
    """Return once nothing is on its way any more, or nothing to one target."""

    async def is_settled() -> bool:
        pending = await outbox.deliveries.pending_targets()
        return target not in pending if target else not pending

    await eventually(is_settled)


async def test_events_reach_every_target_in_the_order_of_time(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    a, b = Recorder(), Recorder()
    async with dispatching(outbox, {"A": a, "B": b}):
        ids = await post(*[make_event(number) for number in range(50)], to=(A, B))
        await a.until(50)
        await b.until(50)
        await settled(outbox)
    assert a.ids == b.ids == ids
    assert a.attempts == ids


async def test_an_event_leaves_at_once(outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent) -> None:
    a = Recorder()
    async with dispatching(outbox, {"A": a}, NotificationSettings(poll_seconds=600)):
        for number in range(5):
            await post(make_event(number))
            with fail_after(120):  # the poll would come later
                await a.until(number + 1)


async def test_an_event_posted_by_another_process_leaves_soon(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    a = Recorder()
    async with dispatching(outbox, {"A": a}):
        await post(make_event(1), wake=False)
        await a.until(1)
        await post(make_event(2), wake=False)
        await a.until(2)


async def test_a_dead_target_holds_up_nobody_and_gets_everything_when_it_is_back(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    dead, alive = Refusing(down=True), Recorder()
    async with dispatching(outbox, {"A": dead, "B": alive}):
        ids = await post(*[make_event(number) for number in range(30)], to=(A, B))
        await alive.until(30)
        await eventually(lambda: len(dead.attempts) >= 5)
        assert dead.ids == []
        assert dead.most == 1  # on trial: one attempt at a time, however much waits
        dead.down = False
        await dead.until(30)
        await settled(outbox)
    assert sorted(dead.ids) == sorted(ids)
    assert dead.ids[1:] == [event_id for event_id in ids if event_id != dead.ids[0]]  # only the trial may overtake
    assert alive.ids == ids


async def test_a_target_that_never_answers_holds_up_nobody(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    silent, alive = Hanging(down=True), Recorder()
    async with dispatching(outbox, {"A": silent, "B": alive}, replace(QUICK, send_seconds=600)):
        await post(*[make_event(number) for number in range(20)], to=(A, B))
        await alive.until(20)  # while the other still waits for its first answers
        await silent.hangs.wait()
    assert len(silent.attempts) <= QUICK.sends_per_target


async def test_a_target_that_does_not_answer_in_time_is_asked_again(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    silent = Hanging(down=True)
    async with dispatching(outbox, {"A": silent}, replace(QUICK, send_seconds=0.05)):
        await post(make_event())
        await eventually(lambda: len(silent.attempts) >= 2)


async def test_an_event_that_is_refused_steps_aside(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    events = [make_event(number, f"task-{number}") for number in range(10)]
    picky = Refusing(events[0].id, events[4].id)
    async with dispatching(outbox, {"A": picky}):
        await post(*events)
        await picky.until(8)
        picky.refused = ()
        await picky.until(10)
        await settled(outbox)
    assert sorted(picky.ids) == sorted(event.id for event in events)


async def test_a_crash_between_delivery_and_note_delivers_again_under_the_same_id(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = Recorder()
    real = Deliveries.record
    noting = anyio.Event()

    async def crash(self: Deliveries, outcomes: list[DeliveryOutcome]) -> None:
        noting.set()
        raise DatabaseBusy

    monkeypatch.setattr(Deliveries, "record", crash)
    async with dispatching(outbox, {"A": a}):
        (posted,) = await post(make_event())
        with fail_after(120):
            await noting.wait()
    monkeypatch.setattr(Deliveries, "record", real)
    async with dispatching(outbox, {"A": a}):
        await a.until(2)
        await settled(outbox)
    assert a.ids == [posted, posted]


async def test_a_delivery_cut_in_the_middle_is_made_again_and_those_before_it_are_not(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    events = [make_event(number) for number in range(4)]
    cut = Hanging(events[2].id)
    async with dispatching(outbox, {"A": cut}, NotificationSettings(send_seconds=60)):
        await post(*events)
        with fail_after(120):
            await cut.hangs.wait()
    assert cut.ids == [events[0].id, events[1].id]
    after = Recorder()
    async with dispatching(outbox, {"A": after}):
        await after.until(2)
        await settled(outbox)
    assert after.ids == [events[2].id, events[3].id]


async def test_a_restart_tries_at_once_whatever_was_waiting(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    patient = NotificationSettings(first_retry_seconds=600, longest_retry_seconds=600)
    dead = Refusing(down=True)

    async def all_wait() -> bool:
        return len(dead.attempts) == 2 and not await outbox.deliveries.due(A, 10)

    async with dispatching(outbox, {"A": dead}, patient):
        await post(make_event(1), make_event(2))
        await eventually(all_wait)
    alive = Recorder()
    async with dispatching(outbox, {"A": alive}, patient):
        await alive.until(2)


@pytest.mark.parametrize("by", [timedelta(minutes=-4), timedelta(hours=-3), timedelta(hours=3)])
async def test_a_clock_that_is_set_delays_no_delivery(
    database: Database, clock: ManualClock, make_event: MakeEvent, by: timedelta
) -> None:
    settings = NotificationSettings(first_retry_seconds=0.01, longest_retry_seconds=60, poll_seconds=0.05)
    outbox, sink = Outbox(database, clock, settings), Refusing(down=True)
    async with dispatching(outbox, {"A": sink}, settings, clock):
        async with database.transaction() as connection:
            await outbox.post(connection, make_event(1), (A,))
        outbox.wake()
        await eventually(lambda: len(sink.attempts) == 1)
        async with database.transaction() as connection:
            await outbox.post(connection, make_event(2), (A,))
        clock.set(by)
        sink.down = False
        outbox.wake()
        await sink.until(2)


async def test_tasks_go_side_by_side_and_each_keeps_its_order(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    class Slow(Recorder):
        async def before(self, event: Event) -> None:
            await anyio.sleep(0.002)

    slow = Slow()
    events = [make_event(number, f"task-{number % 8}") for number in range(64)]
    async with dispatching(outbox, {"A": slow}):
        await post(*events)
        await slow.until(64)
    assert 1 < slow.most <= QUICK.sends_per_target
    for task in range(8):
        of_task = [event.id for event in events if event.task_id == f"task-{task}"]
        assert [event_id for event_id in slow.ids if event_id in of_task] == of_task


async def test_what_has_failed_for_a_week_is_set_aside_with_its_last_reason(
    database: Database, make_event: MakeEvent, clock: ManualClock
) -> None:
    outbox = Outbox(database, clock, NotificationSettings(retention_days=30))
    dead = Refusing(down=True)
    async with database.transaction() as connection:
        await outbox.post(connection, make_event(), [A])
    async with dispatching(outbox, {"A": dead}, clock=clock):

        async def has_failed() -> bool:
            return (await outbox.deliveries.of_events([1]))[1][0].attempts == 1

        await eventually(has_failed)
        clock.advance(timedelta(days=7))
        await outbox.sweep()
        await settled(outbox)
    (report,) = (await outbox.deliveries.of_events([1]))[1]
    assert (report.state, report.reason) == ("set_aside", "down")


class Choosy(Recorder):
    """Will never take some events."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = refused

    async def before(self, event: Event) -> None:
        if event.id in self.refused:
            raise EventRefused("send will not take it: TooLarge.")


async def test_an_event_that_is_never_taken_is_set_aside_at_once_and_keeps_nobody(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    patient = NotificationSettings(first_retry_seconds=600, longest_retry_seconds=600)
    events = [make_event(number) for number in range(10)]  # of one task: in order
    choosy = Choosy(events[0].id, events[4].id, events[9].id)
    async with dispatching(outbox, {"A": choosy}, patient):
        ids = await post(*events)
        await choosy.until(7)
        await settled(outbox)
    assert choosy.attempts == ids  # each tried once
    assert choosy.ids == [event_id for event_id in ids if event_id not in choosy.refused]
    reports = await outbox.deliveries.of_events(range(1, 11))
    assert [reports[sequence][0].state for sequence in (1, 2, 5, 10)] == [
        "set_aside",
        "delivered",
        "set_aside",
        "set_aside",
    ]
    (report,) = reports[5]
    assert (report.target, report.attempts, report.reason) == (A, 1, "send will not take it: TooLarge.")


async def test_one_event_that_fails_for_ever_keeps_no_newer_one_waiting(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    patient = NotificationSettings(first_retry_seconds=600, longest_retry_seconds=600)
    poison, *good = [make_event(number) for number in range(6)]
    picky = Refusing(poison.id)
    async with dispatching(outbox, {"A": picky}, patient):
        await post(poison)
        await eventually(lambda: len(picky.attempts) == 1)
        for number, event in enumerate(good):
            await post(event)
            await picky.until(number + 1)
    assert picky.ids == [event.id for event in good]
    assert picky.attempts.count(poison.id) <= 2  # tried once more when the target answered


async def test_something_new_ends_the_pause_of_a_silent_target(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    patient = NotificationSettings(first_retry_seconds=0.01, longest_retry_seconds=600)
    dead = Refusing(down=True)
    async with dispatching(outbox, {"A": dead}, patient, jitter=lambda: 1e6):  # pauses of an hour and more
        await post(*[make_event(number) for number in range(2)])
        await eventually(lambda: len(dead.attempts) == 2)
        dead.down = False
        await post(make_event(3))
        await dead.until(3)


async def test_a_target_that_does_not_answer_is_a_warning_once_and_again_when_it_answers(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    dead = Refusing(down=True)
    with capture_logs() as logs:
        async with dispatching(outbox, {"A": dead}):
            await post(*[make_event(number) for number in range(5)])
            await eventually(lambda: len(dead.attempts) >= 8)
            dead.down = False
            await dead.until(5)
            await settled(outbox)
    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warnings == ["sink.fails", "sink.answers_again"]
    assert next(line for line in logs if line["event"] == "sink.fails")["reason"] == "down"


async def test_an_event_that_fails_by_itself_warns_no_second_time(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    poison, *good = [make_event(number) for number in range(6)]
    picky = Refusing(poison.id)

    def is_tried_again(tried: int) -> bool:
        return picky.attempts.count(poison.id) > tried

    with capture_logs() as logs:
        async with dispatching(outbox, {"A": picky}):
            await post(poison)
            await eventually(lambda: len(picky.attempts) == 1)
            for number, event in enumerate(good):
                await post(event)
                await picky.until(number + 1)
                tried = picky.attempts.count(poison.id)
                await eventually(partial(is_tried_again, tried))
    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warnings == ["sink.fails", "sink.answers_again"]


async def test_the_age_of_the_oldest_is_what_it_is_when_it_is_asked_for(
    database: Database, make_event: MakeEvent, clock: ManualClock
) -> None:
    outbox = Outbox(database, clock)
    hanging = Hanging(down=True)

    def age() -> float | None:
        return REGISTRY.get_sample_value("carillon_outbox_oldest_seconds")

    async with dispatching(outbox, {"A": hanging}, NotificationSettings(send_seconds=60), clock):
        assert await to_thread.run_sync(age) == 0
        async with database.transaction() as connection:
            await outbox.post(connection, make_event(), [A])
        outbox.wake()
        clock.advance(timedelta(seconds=5))
        assert await to_thread.run_sync(age) == 5
        clock.advance(timedelta(seconds=7))
        assert await to_thread.run_sync(age) == 12


async def test_what_a_sink_breaks_on_is_tried_again_like_any_failure(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    class Broken(Recorder):
        async def before(self, event: Event) -> None:
            if len(self.attempts) < 3:
                raise KeyError("a mistake of ours")

    broken, alive = Broken(), Recorder()
    async with dispatching(outbox, {"A": broken, "B": alive}):
        await post(make_event(), to=(A, B))
        await alive.until(1)
        await broken.until(1)
    assert len(broken.attempts) == 3


async def test_a_kind_that_nobody_knows_stops_nothing(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    alive = Recorder()
    async with dispatching(outbox, {"B": alive}):
        await post(make_event(), to=(A, B))
        await alive.until(1)
    assert await outbox.deliveries.pending_targets() == [A]


async def test_a_busy_database_delays_and_loses_nothing(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"due": 0, "record": 0, "newest": 0, "next_due_in": 0}

    def stumbling(name: str) -> None:
        real = getattr(Deliveries, name)

        async def stumble(self: Deliveries, *arguments: Any, **named: Any) -> Any:
            calls[name] += 1
            if calls[name] % 2:
                raise DatabaseBusy
            return await real(self, *arguments, **named)

        monkeypatch.setattr(Deliveries, name, stumble)

    for name in calls:
        stumbling(name)
    a = Recorder()
    async with dispatching(outbox, {"A": a}):
        ids = await post(make_event(1), make_event(2))
        await a.until(2)
        await eventually(lambda: all(count > 1 for count in calls.values()))
        await settled(outbox)
    assert a.ids == ids


async def test_queues_end_with_their_work_and_open_again(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    a = Recorder()
    dispatcher = Dispatcher(outbox, SystemClock(), QUICK, {"A": a})
    async with create_task_group() as group:
        await group.start(dispatcher.run)
        for number in range(3):
            await post(make_event(number))
            await a.until(number + 1)
            await eventually(lambda: not dispatcher._queues)
        group.cancel_scope.cancel()


async def test_deliveries_are_counted(outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent) -> None:
    def counted(result: str) -> float:
        return REGISTRY.get_sample_value("carillon_deliveries_total", {"sink": "A", "result": result}) or 0.0

    delivered, failed = counted("delivered"), counted("failed")
    refusing = Refusing(down=True)
    async with dispatching(outbox, {"A": refusing}):
        await post(make_event())
        await eventually(lambda: bool(refusing.attempts))
        refusing.down = False
        await refusing.until(1)
    assert counted("delivered") - delivered == 1
    assert counted("failed") - failed == len(refusing.attempts) - 1 >= 1


@pytest.mark.parametrize(
    ("failures", "shortest", "longest"),
    [(1, 0.25, 0.5), (2, 0.5, 1), (5, 4, 8), (8, 30, 60), (1_000_000, 30, 60)],
)
def test_pauses_double_up_to_a_limit(failures: int, shortest: float, longest: float) -> None:
    assert pause(NotificationSettings(), failures, lambda: 0.0) == timedelta(seconds=shortest)
    assert pause(NotificationSettings(), failures, lambda: 1.0) == timedelta(seconds=longest)


async def test_a_closed_port_beside_a_living_queue_over_the_real_wire(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await create_tcp_listener(local_host="127.0.0.1") as closed:
        port = closed.extra(SocketAttribute.local_port)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{port}")
    sqs = boto3.session.Session().client("sqs", region_name="us-east-1")
    try:
        url = sqs.create_queue(QueueName="beside-a-closed-port")["QueueUrl"]
        alive = SinkTarget("SqsQueueSink", "arn:aws:sqs:us-east-1:123456789012:beside-a-closed-port")
        dead = SinkTarget("SnsTopicSink", "arn:aws:sns:us-east-1:123456789012:any")
        async with dispatching(outbox, None, NotificationSettings(first_retry_seconds=0.02, poll_seconds=600)):
            ids = await post(make_event(1), make_event(2), to=(dead, alive))
            await settled(outbox, alive)
            third = make_event(3)
            await post(third, to=(dead, alive))
            await settled(outbox, alive)
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert [json.loads(message["Body"])["id"] for message in messages] == [*ids, third.id]
        assert await outbox.deliveries.pending_targets() == [dead]
    finally:
        sqs.close()


async def test_stopping_is_quick_even_while_everything_hangs(
    outbox: Outbox, post: Callable[..., Any], make_event: MakeEvent
) -> None:
    silent = Hanging(down=True)
    with move_on_after(120) as scope:
        async with dispatching(outbox, {"A": silent}, NotificationSettings(send_seconds=600)):
            await post(make_event())
            await silent.hangs.wait()
    assert not scope.cancelled_caught
