"""Where a reader stands among events whose numbers are taken before they can be seen.

An event's number is taken as it is posted, and the event is visible once its transaction is committed. SQLite has one
writer, so events become visible in the order of their numbers. Elsewhere (PostgreSQL) 7 may be visible before 6, and a
reader who went on from 7 would never see 6. So it remembers what it has passed over: a gap may be a transaction that is
still open, or one that failed, whose number nobody will ever have. Which of the two, time tells: when events are posted
that much later than the gap was noticed, by the times that stand in the rows, every transaction of then has ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

_LONGEST_TRANSACTION: Final = timedelta(minutes=10)  # ours take seconds, and clocks of several servers differ a little


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that were not visible when a later one was, both ends included."""

    first: int
    last: int
    noticed_at: datetime
    """The latest time of posting that had been seen by then."""

    def without(self, number: int) -> Iterator["Gap"]:
        """Yield what is left of it when a number has become visible."""
        if number < self.first or number > self.last:
            yield self
            return
        if self.first < number:
            yield Gap(self.first, number - 1, self.noticed_at)
        if number < self.last:
            yield Gap(number + 1, self.last, self.noticed_at)


@dataclass(frozen=True, slots=True)
class FollowCursor:
    """Which numbers a reader has still to see: all after one, and those in gaps before it. Replaced, never mutated."""

    after: int = 0
    gaps: tuple[Gap, ...] = ()
    newest_at: datetime | None = None
    """The latest time of posting seen so far."""

    def wants(self, number: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
        """Return the condition by which a query finds what is still to be seen."""
        return sa.or_(number > self.after, *(number.between(gap.first, gap.last) for gap in self.gaps))

    def advanced(self, seen: Iterable[tuple[int, datetime]]) -> "FollowCursor":
        """Return where the reader stands after some events.

        Args:
            seen: number and time of posting of each that `wants` found up to the last of them, by number.
        """
        after, gaps, newest_at = self.after, self.gaps, self.newest_at
        for number, posted_at in seen:
            newest_at = posted_at if newest_at is None else max(newest_at, posted_at)
            if number <= after:
                gaps = tuple(rest for gap in gaps for rest in gap.without(number))
                continue
            if number > after + 1:
                gaps = (*gaps, Gap(after + 1, number - 1, newest_at))
            after = number
        if newest_at is not None:
            gaps = tuple(gap for gap in gaps if newest_at - gap.noticed_at < _LONGEST_TRANSACTION)
        return FollowCursor(after, gaps, newest_at)
