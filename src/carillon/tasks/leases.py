"""Who runs a pipeline: at most one process at a time, and nothing that another one still writes counts.

Several processes may work on one database: `carillon serve`, and `carillon worker` beside it. Each pipeline that has
work is run by the one that holds its lease, a row of three numbers:

- **owner**: which process. Empty: nobody, anyone may take it.
- **epoch**: how often it changed hands. Only ever grows.
- **renewals**: how often the owner has shown that it lives. A runner's every write does, and a beat every third of
  `tasks.lease_seconds`.

**The fence.** The first statement of every transaction of a runner is an UPDATE of its row, `WHERE owner = me AND epoch
= mine`. If it finds no row, somebody else has taken over, and the transaction is rolled back: `LeaseLost`. It locks the
row, so a takeover comes before the transaction or after it, never in between. So it does no harm to be wrong about who
is dead: a process that was frozen for an hour and wakes in the middle of a chunk writes nothing.

**Who is dead** is judged without any clock but the one of who judges: a lease is free when its epoch and renewals have
stood still for `tasks.lease_seconds` of one's own monotonic time. Wall clocks, which are set, and which differ from
machine to machine, have no say; that is why there is no column `expires_at`. A process of the same data folder is known
to be dead at once: while it lives it holds a lock on a file of its own, which the operating system lets go of. So a
restart after a crash waits for nothing.

A runner that has lost its lease stops without a word to anybody: whoever took over goes on from the last checkpoint.

Source: C. Gray, D. Cheriton, "Leases" (1989); for the fence, M. Kleppmann, "How to do distributed locking" (2016).
"""

import fcntl
import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.clock import Clock
from carillon.errors import CarillonError
from carillon.pipelines.tables import pipelines
from carillon.storage import Database, metadata

NOBODY: Final = ""
_UNSEEN: Final = "."

_leases: Final = sa.Table(
    "pipeline_leases",
    metadata,
    sa.Column("pipeline_id", sa.String(36), primary_key=True),
    sa.Column("owner", sa.String(36), nullable=False, index=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("renewals", sa.BigInteger, nullable=False),
)
_RENEWED: Final = {"renewals": _leases.c.renewals + 1}


class LeaseLost(CarillonError):
    """Another process runs the pipeline now: what this one was about to write is not written."""

    def __init__(self, pipeline_id: str) -> None:
        super().__init__(f"Pipeline {pipeline_id} is run by another process now.")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a pipeline; a value, which another process may be handed."""

    pipeline_id: str
    owner: str
    epoch: int

    async def fence(self, connection: AsyncConnection) -> None:
        """Make sure that the lease still holds, and will until this transaction ends; renew it.

        Raises:
            LeaseLost: it does not.
        """
        done = await connection.execute(_leases.update().where(*self.mine).values(_RENEWED))
        if not done.rowcount:
            raise LeaseLost(self.pipeline_id)

    @property
    def mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Return what its row must be like."""
        of_this = _leases.c.pipeline_id == self.pipeline_id
        return of_this, _leases.c.owner == self.owner, _leases.c.epoch == self.epoch


class Owner:
    """One process among those that work on a database.

    Args:
        folder: where the processes of one data folder keep a locked file each while they live; None: there is none, and
            only the standstill of a lease tells that its owner is dead.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.id = str(uuid.uuid4())
        self._folder = folder

    @contextmanager
    def alive(self) -> Iterator[Self]:
        """Be known to be alive until the block is left, however that happens."""
        if self._folder is None:
            yield self
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for other in self._folder.glob(f"[!{_UNSEEN}]*"):
            self.knows_dead(other.name)
        file, unseen = self._folder / self.id, self._folder / f"{_UNSEEN}{self.id}"
        descriptor = os.open(unseen, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            unseen.rename(file)  # so that nobody sees it without its lock
            yield self
        finally:
            file.unlink(missing_ok=True)
            os.close(descriptor)

    def knows_dead(self, owner: str) -> bool:
        """Return whether another owner is dead for sure; clear away what it left."""
        if self._folder is None:
            return False
        file = self._folder / owner
        try:
            descriptor = os.open(file, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            with suppress(FileNotFoundError):
                file.unlink()
            return True
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Standstill:
    """How a lease of somebody else stood, and since when."""

    epoch: int
    renewals: int
    since: float


class Leases:
    """The leases of one process.

    Args:
        database: where they are kept.
        owner: this process.
        seconds: how long a lease must stand still before it is taken over.
        clock: tells how long that is.
    """

    def __init__(self, database: Database, owner: Owner, seconds: float, clock: Clock) -> None:
        self._database = database
        self._owner = owner
        self._seconds = seconds
        self._clock = clock
        self._others: dict[str, _Standstill] = {}

    def held(self) -> AbstractContextManager[Owner]:
        """Let other processes of this data folder know, until the block is left, that this one lives."""
        return self._owner.alive()

    async def acquire(self, pipeline_id: str) -> Lease | None:
        """Take the lease of a pipeline; None if somebody else has it who may be alive.

        Whoever had it before, this process included, has lost it.
        """
        async with self._database.transaction() as connection:
            row = (await connection.execute(_leases.select().where(_leases.c.pipeline_id == pipeline_id))).first()
            if row is None:
                epoch = 1
                values = {"pipeline_id": pipeline_id, "owner": self._owner.id, "epoch": epoch, "renewals": 0}
                await connection.execute(_leases.insert().values(values))
            elif not self._is_free(row):
                return None
            else:
                epoch = row.epoch + 1
                taken = _leases.update().where(_leases.c.pipeline_id == pipeline_id, _leases.c.epoch == row.epoch)
                done = await connection.execute(taken.values(owner=self._owner.id, epoch=epoch, renewals=0))
                if not done.rowcount:
                    return None  # somebody was faster
        self._others.pop(pipeline_id, None)
        return Lease(pipeline_id, self._owner.id, epoch)

    def _is_free(self, row: "sa.Row[tuple[str, str, int, int]]") -> bool:
        if row.owner in (NOBODY, self._owner.id) or self._owner.knows_dead(row.owner):
            return True
        now = self._clock.monotonic()
        seen = self._others.get(row.pipeline_id)
        if seen is None or (seen.epoch, seen.renewals) != (row.epoch, row.renewals):
            self._others[row.pipeline_id] = _Standstill(row.epoch, row.renewals, now)
            return False
        return now - seen.since >= self._seconds

    async def renew(self, leases: Collection[Lease]) -> list[Lease]:
        """Show that this process lives; return those of its leases that others have taken."""
        if not leases:
            return []
        async with self._database.transaction(beside_others=True) as connection:
            await connection.execute(_leases.update().where(_leases.c.owner == self._owner.id).values(_RENEWED))
            query = sa.select(_leases.c.pipeline_id, _leases.c.epoch).where(_leases.c.owner == self._owner.id)
            mine = {(row.pipeline_id, row.epoch) for row in await connection.execute(query)}
        return [lease for lease in leases if (lease.pipeline_id, lease.epoch) not in mine]

    async def release(self, lease: Lease) -> None:
        """Release a lease, if it is still ours: whoever looks next may take it at once."""
        async with self._database.transaction(beside_others=True) as connection:
            await connection.execute(_leases.update().where(*lease.mine).values(owner=NOBODY))

    async def sweep(self, connection: AsyncConnection) -> None:
        """Delete the leases of pipelines that have ended: nobody will run them again."""
        ended = sa.select(pipelines.c.id).where(pipelines.c.ended_at.is_not(None))
        await connection.execute(_leases.delete().where(_leases.c.pipeline_id.in_(ended)))
