"""What only PostgreSQL can do to a transaction: run others beside it, end it, and go away."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from anyio import create_task_group, fail_after, to_thread, wait_all_tasks_blocked

from carillon.storage import (
    CommitUnconfirmed,
    Database,
    DatabaseBusy,
    DatabaseRefused,
    DatabaseServed,
    DatabaseSettings,
    DatabaseUnreachable,
)
from postgres import PostgresServer, postgres_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shared(postgres: PostgresServer) -> AsyncIterator[Database]:
    """A database with a table `t`."""
    database = Database(postgres.new_database())
    async with database.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))
    yield database
    await database.close()


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server that may be stopped, as nobody else uses it."""
    with postgres_server() as server:
        yield server


async def _add(database: Database, n: int, *, beside_others: bool = False) -> None:
    async with database.transaction(beside_others=beside_others) as connection:
        await connection.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})


async def _rows(database: Database) -> list[int]:
    async with database.reading() as connection:
        return list((await connection.execute(sa.text("SELECT n FROM t ORDER BY n"))).scalars())


async def test_two_that_allow_it_run_beside_each_other(shared: Database) -> None:
    async with shared.transaction(beside_others=True) as first:
        await first.execute(sa.text("INSERT INTO t VALUES (1)"))
        await _add(shared, 2, beside_others=True)
        assert await _rows(shared) == [2]
    assert await _rows(shared) == [1, 2]


@pytest.mark.parametrize("beside_others", [True, False])
async def test_one_that_is_alone_waits_for_all_and_all_for_it(shared: Database, beside_others: bool) -> None:
    done: list[str] = []

    async def wait() -> None:
        await _add(shared, 2, beside_others=not beside_others)
        done.append("later")

    async with create_task_group() as group, shared.transaction(beside_others=beside_others) as connection:
        group.start_soon(wait)
        await wait_all_tasks_blocked()
        await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        done.append("earlier")
    assert done == ["earlier", "later"]


async def test_a_snapshot_stays_what_it_was(shared: Database) -> None:
    count = sa.text("SELECT count(*) FROM t")
    async with shared.reading() as connection:
        assert (await connection.execute(count)).scalar_one() == 0
        await _add(shared, 1)
        assert (await connection.execute(count)).scalar_one() == 0


async def test_a_reader_cannot_write(shared: Database) -> None:
    async with shared.reading() as connection:
        with pytest.raises(sa.exc.InternalError, match="read-only"):
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))


async def test_who_waits_too_long_for_the_lock_is_told_to_come_back(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database(), DatabaseSettings(wait_seconds=0.1))
    try:
        async with database.transaction():
            with pytest.raises(DatabaseBusy):
                await _add(database, 1)
    finally:
        await database.close()


async def test_who_stands_still_within_a_transaction_holds_up_nobody_for_long(shared: Database) -> None:
    async def freeze() -> None:
        async with shared.transaction() as frozen:
            await frozen.execute(sa.text("INSERT INTO t VALUES (1)"))
            await _add(shared, 2)  # gets its turn once PostgreSQL has ended the other
            await frozen.execute(sa.text("INSERT INTO t VALUES (3)"))

    with pytest.raises(DatabaseUnreachable), fail_after(120):
        await freeze()
    assert await _rows(shared) == [2]


async def test_a_commit_that_is_not_answered_is_neither_called_done_nor_undone(
    shared: Database, postgres: PostgresServer
) -> None:
    async def lose() -> None:
        async with shared.transaction() as connection:
            pid = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
            postgres.execute(f"SELECT pg_terminate_backend({pid}, 10000)")

    with pytest.raises(CommitUnconfirmed):
        await lose()
    await _add(shared, 1)
    assert await _rows(shared) == [1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_server_that_stops_is_unreachable_until_it_is_back(mortal: PostgresServer, how: signal.Signals) -> None:
    database = Database(mortal.new_database())
    try:
        async with database.transaction() as connection:
            await connection.execute(sa.text("CREATE TABLE t (n INTEGER)"))
        mortal.stop(how)
        try:
            for _ in range(2):  # over the connections that there were, and over new ones
                with pytest.raises(DatabaseUnreachable):
                    await _add(database, 1)
                with pytest.raises(DatabaseUnreachable):
                    await _rows(database)
        finally:
            await to_thread.run_sync(mortal.start)
        await _add(database, 2)
        assert await _rows(database) == [2]
    finally:
        await database.close()


async def test_a_second_server_on_a_database_is_refused_until_the_first_is_gone(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    first, second = Database(url), Database(url)
    try:
        async with first.served():
            with pytest.raises(DatabaseServed, match="Stop it first"):
                async with second.served():
                    pass
        async with second.served():
            pass
    finally:
        await first.close()
        await second.close()


async def test_a_server_that_lets_nobody_in_says_why(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database().replace("@/postgres?", "@/elsewhere?"))
    try:
        with pytest.raises(DatabaseRefused, match='database "elsewhere" does not exist'):
            await _rows(database)
    finally:
        await database.close()
