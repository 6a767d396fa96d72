"""At most one process runs a pipeline, and what another one still writes does not count."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from carillon.clock import ManualClock
from carillon.storage import Database
from carillon.tasks.leases import Lease, LeaseLost, Leases, Owner

pytestmark = pytest.mark.anyio

SECONDS = 10.0


def _process(database: Database, clock: ManualClock, folder: Path | None = None) -> tuple[Leases, Owner]:
    owner = Owner(folder)
    return Leases(database, owner, SECONDS, clock), owner


async def _write(database: Database, lease: Lease) -> None:
    async with database.transaction() as connection:
        await lease.fence(connection)


async def test_a_lease_is_held_by_one_process_while_that_shows_that_it_lives(
    database: Database, clock: ManualClock
) -> None:
    (mine, _), (others, _) = _process(database, clock), _process(database, clock)
    lease = await mine.acquire("p")
    assert lease is not None
    for write in (mine.renew, None, mine.renew):
        assert await others.acquire("p") is None
        clock.advance(timedelta(seconds=SECONDS - 1))
        await (write([lease]) if write else _write(database, lease))  # each says that its owner lives
    assert await others.acquire("p") is None


async def test_a_lease_that_stands_still_is_taken_over_and_the_one_before_writes_nothing_more(
    database: Database, clock: ManualClock
) -> None:
    (mine, _), (others, _) = _process(database, clock), _process(database, clock)
    lease = await mine.acquire("p")
    assert lease is not None
    assert await others.acquire("p") is None, "it must be seen to stand still first"
    clock.advance(timedelta(seconds=SECONDS))
    taken = await others.acquire("p")
    assert taken is not None
    assert taken.epoch == lease.epoch + 1
    with pytest.raises(LeaseLost):
        await _write(database, lease)
    assert await mine.renew([lease]) == [lease]
    await mine.release(lease)  # of no account
    await _write(database, taken)


async def test_a_wall_clock_that_is_set_has_no_say(database: Database, clock: ManualClock) -> None:
    (mine, _), (others, _) = _process(database, clock), _process(database, clock)
    assert await mine.acquire("p") is not None
    assert await others.acquire("p") is None
    clock.set(timedelta(days=365))
    assert await others.acquire("p") is None


async def test_a_lease_that_was_released_is_free_at_once(database: Database, clock: ManualClock) -> None:
    (mine, _), (others, _) = _process(database, clock), _process(database, clock)
    lease = await mine.acquire("p")
    assert lease is not None
    await mine.release(lease)
    assert await others.acquire("p") is not None
    with pytest.raises(LeaseLost):
        await _write(database, lease)


async def test_a_new_runner_of_the_same_process_fences_the_one_before(database: Database, clock: ManualClock) -> None:
    mine, _ = _process(database, clock)
    first, second = await mine.acquire("p"), await mine.acquire("p")
    assert first is not None
    assert second is not None
    with pytest.raises(LeaseLost):
        await _write(database, first)
    await _write(database, second)


async def test_a_process_of_the_same_folder_is_known_to_be_dead_at_once(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    folder = tmp_path / "owners"
    (mine, me), (others, _) = _process(database, clock, folder), _process(database, clock, folder)
    with me.alive():
        assert await mine.acquire("p") is not None
        assert await others.acquire("p") is None
        assert [file.name for file in folder.iterdir()] == [me.id]
    assert await others.acquire("p") is not None
    assert not list(folder.iterdir())


async def test_the_leases_of_pipelines_that_have_ended_are_deleted(room: Any, tape: Any) -> None:
    async with room.running():
        pipeline = await room.pipeline()
        task = await room.tone(pipeline)
        tape.record(1)
        await room.tasks.delete_pipeline(pipeline.id)
        await room.until_ended(pipeline)
        assert task
    await room.supervisor.keep_house()
    async with room.database.reading() as connection:
        rows = (await connection.exec_driver_sql("SELECT pipeline_id FROM pipeline_leases")).all()
    assert rows == []
