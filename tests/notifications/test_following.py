"""Who follows the outbox sees every event once, in whatever order transactions become visible."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from anyio import fail_after

from carillon.clock import ManualClock
from carillon.notifications import Event, EventFilter, Outbox
from carillon.notifications.following import FollowCursor
from carillon.notifications.tables import events
from carillon.storage import Database

pytestmark = pytest.mark.anyio

MakeEvent = Callable[..., Event]
AT = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, clock)


class Visible:
    """Numbered rows as a reader sees them who asks for what its cursor wants, a few at a time."""

    def __init__(self) -> None:
        self.rows: dict[int, datetime] = {}
        self.cursor = FollowCursor()
        self.seen: list[int] = []

    def read(self, at_once: int) -> None:
        while True:
            page = [number for number in sorted(self.rows) if self._is_wanted(number)][:at_once]
            self.seen += page
            self.cursor = self.cursor.advanced([(number, self.rows[number]) for number in page])
            if len(page) < at_once:
                return

    def _is_wanted(self, number: int) -> bool:
        return number > self.cursor.after or any(gap.first <= number <= gap.last for gap in self.cursor.gaps)


@pytest.mark.parametrize("order", list(permutations([1, 2, 3, 5])), ids=str)  # the transaction that took 4 failed
@pytest.mark.parametrize("at_once", [1, 2, 10])
@pytest.mark.parametrize("is_read_between", [True, False])
def test_every_number_is_seen_once_in_whatever_order_it_becomes_visible(
    order: Sequence[int], at_once: int, is_read_between: bool
) -> None:
    visible = Visible()
    for number in order:
        visible.rows[number] = AT + timedelta(seconds=number)
        if is_read_between:
            visible.read(at_once)
    visible.read(at_once)
    assert sorted(visible.seen) == [1, 2, 3, 5]
    assert visible.seen == (list(order) if is_read_between else [1, 2, 3, 5])


def test_a_number_that_nobody_will_have_is_looked_for_only_as_long_as_a_transaction_may_take() -> None:
    cursor = FollowCursor().advanced([(400, AT), (402, AT)])
    assert [(gap.first, gap.last) for gap in cursor.gaps] == [(1, 399), (401, 401)]
    cursor = cursor.advanced([(403, AT + timedelta(minutes=9))])
    assert len(cursor.gaps) == 2
    assert cursor.advanced([(404, AT + timedelta(minutes=10))]).gaps == ()


def test_a_clock_that_is_set_back_closes_no_gap() -> None:
    cursor = FollowCursor().advanced([(1, AT)]).advanced([(3, AT - timedelta(hours=1))])
    cursor = cursor.advanced([(4, AT - timedelta(minutes=30))])
    assert [(gap.first, gap.last) for gap in cursor.gaps] == [(2, 2)]


async def _commit(database: Database, outbox: Outbox, number: int, event: Event) -> None:
    """Make visible what a transaction posted that had taken this number."""
    async with database.transaction() as connection:
        await outbox.post(connection, event, ())
        posted = events.c.event_id == event.id
        await connection.execute(events.update().where(posted).values(sequence=number))
    outbox.wake()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_a_transaction_posted_that_commits_after_later_ones_is_followed_too(
    database: Database, outbox: Outbox, make_event: MakeEvent
) -> None:
    earlier, later = make_event(0), make_event(1)
    async with aclosing(outbox.follow()) as following:
        async with database.transaction(beside_others=True) as slow:
            await outbox.post(slow, earlier, ())
            async with database.transaction(beside_others=True) as quick:
                await outbox.post(quick, later, ())
            outbox.wake()
            assert await _next(following) == [(2, later)]
        outbox.wake()
        assert await _next(following) == [(1, earlier)]


async def _next(following: AsyncGenerator[list[tuple[int, Event]]]) -> list[tuple[int, Event]]:
    with fail_after(60):
        return await anext(following)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the next test is the same in earnest
async def test_of_two_interleaved_transactions_the_one_that_is_visible_later_is_followed_too(
    database: Database, outbox: Outbox, make_event: MakeEvent
) -> None:
    first, earlier, later, last = [make_event(number) for number in range(4)]
    async with aclosing(outbox.follow()) as following:
        await _commit(database, outbox, 1, first)
        assert await _next(following) == [(1, first)]
        await _commit(database, outbox, 3, later)  # the other has taken 2, and is still open
        assert await _next(following) == [(3, later)]
        await _commit(database, outbox, 2, earlier)
        assert await _next(following) == [(2, earlier)]
        await _commit(database, outbox, 4, last)
        assert await _next(following) == [(4, last)]


async def test_following_begins_with_what_is_there_and_goes_on_with_what_comes(
    database: Database, outbox: Outbox, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.notifications.outbox._FOLLOWED_AT_ONCE", 2)
    posted = [make_event(number) for number in range(5)]
    for number, event in enumerate(posted[:4], 1):
        await _commit(database, outbox, number, event)
    async with aclosing(outbox.follow(after=1)) as following:
        assert await _next(following) == [(2, posted[1]), (3, posted[2])]
        assert await _next(following) == [(4, posted[3])]
        await _commit(database, outbox, 5, posted[4])
        assert await _next(following) == [(5, posted[4])]


async def test_what_is_not_wanted_is_passed_over(
    database: Database, outbox: Outbox, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.notifications.outbox._FOLLOWED_AT_ONCE", 2)
    wanted, other = make_event(0, "wanted"), make_event(1)
    for number, event in enumerate([make_event(2), make_event(3), other], 1):
        await _commit(database, outbox, number, event)
    async with aclosing(outbox.follow(wanted=EventFilter(task_id="wanted"))) as following:
        await _commit(database, outbox, 4, wanted)
        assert await _next(following) == [(4, wanted)]
