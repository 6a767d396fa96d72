"""One reading, many listeners: nobody misses a fragment, hears one twice, or holds the others up for ever."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio import Event, create_task_group, fail_after, wait_all_tasks_blocked
from anyio.abc import TaskGroup

from carillon.clock import ManualClock, StallDetector
from carillon.media import After, Newest, Oldest, Position, RemoteStreamNotFound
from carillon.tasks.reading import StreamReading
from carillon.tasks.subscription import LastFragment, StreamSubscription

pytestmark = pytest.mark.anyio

ARN = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"


class Ear:
    """A task's end of a reading."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.done = Event()
        self.go_on = Event()
        self.go_on.set()
        self.listener: StreamSubscription | None = None

    async def listen(self, reading: StreamReading, position: Position, had: LastFragment | None = None) -> None:
        async with reading.subscribed(position, had) as self.listener:
            listener = self.listener
            async for fragment in listener.fragments:
                self.heard.append(fragment.number)
                await self.go_on.wait()
        self.done.set()


@asynccontextmanager
async def running(reading: StreamReading) -> AsyncIterator[TaskGroup]:
    """Run a reading beside the body, and whoever the body adds to it; all of it ends with the body."""
    with fail_after(120):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            yield group
            group.cancel_scope.cancel()


@pytest.fixture
def reading(tape: Any, clock: ManualClock) -> StreamReading:
    return StreamReading(ARN, tape.open, clock, StallDetector(clock), queued_fragments=2)


async def test_two_tasks_share_one_connection(tape: Any, reading: StreamReading, clock: ManualClock) -> None:
    first, second = Ear(), Ear()
    async with running(reading) as group:
        group.start_soon(first.listen, reading, Newest())
        group.start_soon(second.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(3)
        await wait_all_tasks_blocked()
    assert first.heard == second.heard == ["1", "2", "3"]
    assert tape.opened == [Newest()]


async def test_a_task_that_joins_late_starts_with_the_newest_fragment(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    first, late = Ear(), Ear()
    async with running(reading) as group:
        group.start_soon(first.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(2)
        await wait_all_tasks_blocked()
        group.start_soon(late.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(1)
        await wait_all_tasks_blocked()
    assert first.heard == ["1", "2", "3"]
    assert late.heard == ["2", "3"]


@pytest.mark.parametrize("back", [After("1"), After("1", ManualClock().now() + timedelta(seconds=2))])
async def test_the_reading_goes_back_for_a_task_that_resumes(
    tape: Any, reading: StreamReading, clock: ManualClock, back: Position
) -> None:
    live, resumed = Ear(), Ear()
    tape.record(10)
    async with running(reading) as group:
        group.start_soon(live.listen, reading, Newest())
        await wait_all_tasks_blocked()
        group.start_soon(resumed.listen, reading, back)
        await wait_all_tasks_blocked()
        tape.record(1)
        await wait_all_tasks_blocked()
    assert resumed.heard == [str(number) for number in range(2, 12)]
    # The worker of a live task skips, by number, what comes again; nothing that is older than its start reaches it.
    assert live.heard[0] == "10"
    assert live.heard[-1] == "11"
    assert min(int(number) for number in live.heard) >= 5


async def test_the_slowest_task_holds_the_reading_back_instead_of_piling_up(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    slow = Ear()
    slow.go_on = Event()
    async with running(reading) as group:
        group.start_soon(slow.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(50)
        await wait_all_tasks_blocked()
        assert slow.heard == ["1"]
        clock.advance(timedelta(seconds=60))
        assert reading.quiet_seconds == 0  # fragments wait: the stream is not silent, the task is slow
        slow.go_on.set()
        await wait_all_tasks_blocked()
        assert slow.heard == [str(number) for number in range(1, 51)]
        clock.advance(timedelta(seconds=7))
        assert reading.quiet_seconds == 7


async def test_closing_lets_tasks_finish_what_was_received(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    ear = Ear()
    ear.go_on = Event()
    async with running(reading) as group:
        group.start_soon(ear.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(3)
        await wait_all_tasks_blocked()
        assert ear.listener is not None
        ear.listener.close()
        ear.go_on.set()
        await ear.done.wait()
    assert ear.heard == ["1", "2", "3"]


async def test_a_stream_that_cannot_be_read_ends_its_tasks_and_says_why(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    ear = Ear()
    async with running(reading) as group:
        group.start_soon(ear.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.fail(RemoteStreamNotFound(ARN))
        await ear.done.wait()
    assert ear.listener is not None
    assert isinstance(ear.listener.failure, RemoteStreamNotFound)
    assert reading.is_read  # a stream that cannot be read counts as silent
    clock.advance(timedelta(seconds=7))
    assert reading.quiet_seconds == 7


async def test_a_task_that_joins_begins_where_it_was_asked_for_and_costs_no_connection(
    tape: Any, reading: StreamReading
) -> None:
    first, joined = Ear(), Ear()
    async with running(reading) as group:
        group.start_soon(first.listen, reading, Oldest())
        await wait_all_tasks_blocked()
        tape.record(3)
        await wait_all_tasks_blocked()
        group.start_soon(joined.listen, reading, After(await tape.newest_position(ARN)))
        await wait_all_tasks_blocked()
        tape.record(2)
        await wait_all_tasks_blocked()
    assert first.heard == ["1", "2", "3", "4", "5"]
    assert joined.heard == ["4", "5"]
    assert len(tape.opened) == 1


async def test_a_task_that_joins_a_reading_that_lags_makes_nobody_miss_anything(
    tape: Any, reading: StreamReading
) -> None:
    slow, joined = Ear(), Ear()
    slow.go_on = Event()
    async with running(reading) as group:
        group.start_soon(slow.listen, reading, Oldest())
        await wait_all_tasks_blocked()
        tape.record(20)
        await wait_all_tasks_blocked()
        group.start_soon(joined.listen, reading, After("18"))
        await wait_all_tasks_blocked()
        slow.go_on.set()
        await wait_all_tasks_blocked()
    assert slow.heard == [str(number) for number in range(1, 21)]
    assert joined.heard == ["19", "20"]


@pytest.mark.parametrize("newest", [After("9"), Newest()])
async def test_nobody_is_given_what_was_said_before_the_task_was_asked_for(
    tape: Any, reading: StreamReading, newest: Position
) -> None:
    now, back = Ear(), Ear()
    tape.record(10)
    with fail_after(120):
        async with create_task_group() as group:  # both join before anything is read
            group.start_soon(now.listen, reading, newest)
            group.start_soon(back.listen, reading, After("2"))
            await wait_all_tasks_blocked()
            group.start_soon(reading.run)
            await wait_all_tasks_blocked()
            tape.record(1)
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert back.heard == [str(number) for number in range(3, 12)]
    oldest = 10 if newest == After("9") else 5  # of which the endpoint says that they are 5 s behind its newest
    assert now.heard == [str(number) for number in range(oldest, 12)]


async def test_a_number_that_lies_later_than_others_need_does_not_make_them_miss_anything(
    tape: Any, reading: StreamReading
) -> None:
    resumed, numbered = Ear(), Ear()
    tape.record(10)
    with fail_after(120):
        async with create_task_group() as group:
            group.start_soon(numbered.listen, reading, After("7"))
            group.start_soon(resumed.listen, reading, After("2"))
            await wait_all_tasks_blocked()
            group.start_soon(reading.run)
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert resumed.heard == [str(number) for number in range(3, 11)]
    assert numbered.heard == ["8", "9", "10"]


async def test_a_process_that_was_frozen_calls_nothing_silent_before_it_has_listened_again(
    tape: Any, reading: StreamReading, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen event loop sees its own time jump, as here: it cannot be frozen from within."""
    frozen = 0.0
    loop_time = anyio.current_time
    monkeypatch.setattr("carillon.clock.anyio.current_time", lambda: loop_time() + frozen)
    with fail_after(120):
        async with create_task_group() as group:
            group.start_soon(reading._stalls.run)
            group.start_soon(reading.run)
            group.start_soon(Ear().listen, reading, Newest())
            await wait_all_tasks_blocked()
            tape.record(1)
            await wait_all_tasks_blocked()
            clock.advance(timedelta(seconds=14))
            assert reading.quiet_seconds == 14
            frozen = 20.0
            clock.advance(timedelta(seconds=20))
            assert reading.quiet_seconds == 0
            clock.advance(timedelta(seconds=3))
            assert reading.quiet_seconds == 3
            group.cancel_scope.cancel()


async def test_a_stream_whose_endpoint_cannot_be_reached_is_not_silent(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    async with running(reading) as group:
        group.start_soon(Ear().listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.is_unreachable = True
        clock.advance(timedelta(seconds=100))
        assert reading.quiet_seconds == 0
        tape.is_unreachable = False
        clock.advance(timedelta(seconds=4))
        assert reading.quiet_seconds == 4


async def test_a_number_to_come_is_waited_for(tape: Any, reading: StreamReading, clock: ManualClock) -> None:
    live, numbered = Ear(), Ear()
    async with running(reading) as group:
        group.start_soon(live.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(3)
        await wait_all_tasks_blocked()
        group.start_soon(numbered.listen, reading, After("5"))
        await wait_all_tasks_blocked()
        tape.record(4)
        await wait_all_tasks_blocked()
    assert live.heard == ["1", "2", "3", "4", "5", "6", "7"]
    assert numbered.heard == ["6", "7"]


async def test_who_joins_while_a_fragment_is_delivered_is_given_it_too(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    slow, joined = Ear(), Ear()
    slow.go_on = Event()
    async with running(reading) as group:
        group.start_soon(slow.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(4)  # one heard, two in the queue, one waits for room
        await wait_all_tasks_blocked()
        group.start_soon(joined.listen, reading, Newest())
        await wait_all_tasks_blocked()
        slow.go_on.set()
        tape.record(2)
        await wait_all_tasks_blocked()
    assert joined.heard == ["4", "5", "6"]
    assert slow.heard == ["1", "2", "3", "4", "5", "6"]


async def test_who_resumes_is_not_given_again_what_it_had(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    resumed = Ear()
    tape.record(10)
    had = LastFragment(6, clock.now() + timedelta(seconds=6))
    async with running(reading) as group:
        group.start_soon(resumed.listen, reading, After("1"), had)
        await wait_all_tasks_blocked()
    assert resumed.heard == ["7", "8", "9", "10"]
    assert tape.opened == [After("6", had.server_at)]


async def test_a_stream_that_could_not_be_read_is_tried_again_for_the_next_task(
    tape: Any, reading: StreamReading, clock: ManualClock
) -> None:
    refused, heard = Ear(), Ear()
    async with running(reading) as group:
        tape.fail(RemoteStreamNotFound(ARN))
        group.start_soon(refused.listen, reading, Newest())
        await refused.done.wait()
        reading.watch()
        await wait_all_tasks_blocked()
        assert len(tape.opened) == 1  # watching alone does not ask again and again
        tape.failure = None
        group.start_soon(heard.listen, reading, Newest())
        await wait_all_tasks_blocked()
        tape.record(1)
        await wait_all_tasks_blocked()
    assert heard.heard == ["1"]


async def test_nobody_stays_behind_when_tasks_end(tape: Any, reading: StreamReading, clock: ManualClock) -> None:
    async with running(reading):
        for _ in range(3):
            async with reading.subscribed(Newest()):
                await wait_all_tasks_blocked()
                tape.record(10)
                await wait_all_tasks_blocked()
        assert reading._subscriptions == []
        tape.record(10)
        await wait_all_tasks_blocked()
        assert reading.quiet_seconds == 0
    assert tape.open_now == 0
