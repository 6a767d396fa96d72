"""One reading, many listeners: nobody misses a fragment, hears one twice, or holds the others up for ever."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import pytest
from anyio import Event, create_task_group, fail_after, wait_all_tasks_blocked

from carillon.clock import ManualClock
from carillon.media import After, At, Fragment, Newest, Position, StreamNotFound
from carillon.tasks.reading import StreamReading

pytestmark = pytest.mark.anyio

ARN = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"


class Tape:
    """A stream that grows when the test says so; a real reader in all but the network."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._fragments: list[Fragment] = []
        self._grown = Event()
        self.opened: list[Position] = []
        self.failure: StreamNotFound | None = None

    def record(self, count: int = 1) -> None:
        """Append fragments 1, 2, 3, ... one second apart."""
        for number in range(len(self._fragments) + 1, len(self._fragments) + 1 + count):
            at = self._start + timedelta(seconds=number)
            self._fragments.append(Fragment(str(number), at, at, (), (), {}))
        self._grown.set()
        self._grown = Event()

    def fail(self) -> None:
        self.failure = StreamNotFound(ARN)
        self._grown.set()

    def open(self, stream_arn: str, position: Position) -> "Tape.Reader":
        assert stream_arn == ARN
        self.opened.append(position)
        return Tape.Reader(self, position)

    class Reader:
        def __init__(self, tape: "Tape", position: Position) -> None:
            self._tape = tape
            self._position = position

        async def fragments(self) -> AsyncGenerator[Fragment]:
            tape = self._tape
            match self._position:
                case Newest():
                    at = max(0, len(tape._fragments) - 1)
                case After(number):
                    at = int(number)
                case At(server_at):
                    at = sum(fragment.server_at < server_at for fragment in tape._fragments)
            while True:
                if tape.failure:
                    raise tape.failure
                if at < len(tape._fragments):
                    at += 1
                    yield tape._fragments[at - 1]
                else:
                    await tape._grown.wait()


class Ear:
    """A task's end of a reading."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.done = Event()
        self.go_on = Event()
        self.go_on.set()

    async def listen(self, reading: StreamReading, position: Position, asked_at: datetime) -> None:
        async with reading.listening(position, asked_at) as listener:
            async for fragment in listener.fragments:
                self.heard.append(fragment.number)
                await self.go_on.wait()
        self.done.set()


@pytest.fixture
def tape(clock: ManualClock) -> Tape:
    return Tape(clock.now())


@pytest.fixture
def reading(tape: Tape, clock: ManualClock) -> StreamReading:
    return StreamReading(ARN, tape.open, clock, queued_fragments=2)


async def test_two_tasks_share_one_connection(tape: Tape, reading: StreamReading, clock: ManualClock) -> None:
    first, second = Ear(), Ear()
    with fail_after(5):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            group.start_soon(first.listen, reading, Newest(), clock.now())
            group.start_soon(second.listen, reading, Newest(), clock.now())
            await wait_all_tasks_blocked()
            tape.record(3)
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert first.heard == second.heard == ["1", "2", "3"]
    assert tape.opened == [Newest()]


async def test_a_task_that_joins_late_starts_with_the_newest_fragment(
    tape: Tape, reading: StreamReading, clock: ManualClock
) -> None:
    first, late = Ear(), Ear()
    with fail_after(5):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            group.start_soon(first.listen, reading, Newest(), clock.now())
            await wait_all_tasks_blocked()
            tape.record(2)
            await wait_all_tasks_blocked()
            group.start_soon(late.listen, reading, Newest(), clock.now() + timedelta(seconds=2))
            await wait_all_tasks_blocked()
            tape.record(1)
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert first.heard == ["1", "2", "3"]
    assert late.heard == ["2", "3"]


@pytest.mark.parametrize("back", [After("1"), At(ManualClock().now() + timedelta(seconds=2))])
async def test_the_reading_goes_back_for_a_task_that_resumes(
    tape: Tape, reading: StreamReading, clock: ManualClock, back: Position
) -> None:
    live, resumed = Ear(), Ear()
    tape.record(10)
    asked_at = clock.now() + timedelta(seconds=10)
    with fail_after(5):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            group.start_soon(live.listen, reading, Newest(), asked_at)
            await wait_all_tasks_blocked()
            group.start_soon(resumed.listen, reading, back, asked_at)
            await wait_all_tasks_blocked()
            tape.record(1)
            await wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert resumed.heard == [str(number) for number in range(2, 12)]
    # The worker of a live task skips, by number, what comes again; nothing that is older than its start reaches it.
    assert live.heard[0] == "10"
    assert live.heard[-1] == "11"
    assert min(int(number) for number in live.heard) >= 5


async def test_the_slowest_task_holds_the_reading_back_instead_of_piling_up(
    tape: Tape, reading: StreamReading, clock: ManualClock
) -> None:
    slow = Ear()
    slow.go_on = Event()
    with fail_after(5):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            group.start_soon(slow.listen, reading, Newest(), clock.now())
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
            group.cancel_scope.cancel()


async def test_closing_lets_tasks_finish_what_was_received(
    tape: Tape, reading: StreamReading, clock: ManualClock
) -> None:
    ear = Ear()
    ear.go_on = Event()
    with fail_after(5):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            group.start_soon(ear.listen, reading, Newest(), clock.now())
            await wait_all_tasks_blocked()
            tape.record(3)
            await wait_all_tasks_blocked()
            reading.close_all()
            ear.go_on.set()
            await ear.done.wait()
            group.cancel_scope.cancel()
    assert ear.heard == ["1", "2", "3"]


async def test_a_stream_that_cannot_be_read_ends_its_tasks_and_says_why(
    tape: Tape, reading: StreamReading, clock: ManualClock
) -> None:
    ear = Ear()
    with fail_after(5):
        async with create_task_group() as group:
            group.start_soon(reading.run)
            group.start_soon(ear.listen, reading, Newest(), clock.now())
            await wait_all_tasks_blocked()
            tape.fail()
            await ear.done.wait()
    assert isinstance(reading.failure, StreamNotFound)
