"""Tokens: one resource each, whoever races, until a day has passed."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.clock import ManualClock
from carillon.errors import AlreadyExists, NotFound
from carillon.storage import Database, IdempotencyToken, TokenReused, TokenSpent, idempotency, made_before, make_once

pytestmark = pytest.mark.anyio

CLAIM = IdempotencyToken("StartSpeakerSearchTask/p1", "token-1", {"a": 1, "b": [2]})


class NameTaken(AlreadyExists):
    """Somebody else has the name."""


class Room:
    """A room whose resources are rows with an id and a unique name."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock

    async def make(self, resource_id: str, claim: IdempotencyToken | None = CLAIM, name: str | None = None) -> str:
        async def insert(connection: AsyncConnection) -> str:
            if (await connection.execute(sa.text("SELECT 1 FROM things WHERE name = :name"), {"name": name})).first():
                raise NameTaken("The name is taken.")
            values = {"id": resource_id, "name": name}
            await connection.execute(sa.text("INSERT INTO things (id, name) VALUES (:id, :name)"), values)
            return resource_id

        return await make_once(self.database, claim, resource_id, self.clock.now(), make=insert, find=self.find)

    async def find(self, connection: AsyncConnection, resource_id: str) -> str:
        if (await connection.execute(sa.text("SELECT 1 FROM things WHERE id = :id"), {"id": resource_id})).first():
            return resource_id
        raise NotFound("It is gone.")

    async def ids(self) -> list[str]:
        async with self.database.reading() as connection:
            return list((await connection.execute(sa.text("SELECT id FROM things ORDER BY id"))).scalars())


@pytest.fixture
async def room(database: Database, clock: ManualClock) -> Room:
    async with database.transaction() as connection:
        await connection.exec_driver_sql("CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT UNIQUE)")
    return Room(database, clock)


async def test_a_new_token_makes_something_and_names_it_from_then_on(room: Room) -> None:
    assert await room.make("1") == "1"
    same = IdempotencyToken(CLAIM.scope, CLAIM.token, {"b": [2], "a": 1})
    assert await room.make("2", same) == "1"
    async with room.database.reading() as connection:
        assert await made_before(connection, same, room.clock.now(), room.find) == "1"
    assert await room.ids() == ["1"]


async def test_a_token_is_bound_to_its_parameters_and_its_scope(room: Room) -> None:
    await room.make("1")
    with pytest.raises(TokenReused, match="token-1"):
        await room.make("2", IdempotencyToken(CLAIM.scope, CLAIM.token, {"a": 2}))
    assert await room.make("3", IdempotencyToken("other", CLAIM.token, {"a": 2})) == "3"


async def test_a_token_is_forgotten_after_a_day_and_may_serve_again(room: Room) -> None:
    await room.make("1")
    room.clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert await room.make("2") == "1"
    room.clock.advance(timedelta(microseconds=1))
    again = IdempotencyToken(CLAIM.scope, CLAIM.token, {"other": True})
    assert await room.make("2", again) == "2"
    assert await room.make("3", again) == "2"


async def test_a_token_whose_resource_was_deleted_is_spent(room: Room) -> None:
    await room.make("1")
    async with room.database.transaction() as connection:
        await connection.exec_driver_sql("DELETE FROM things")
    with pytest.raises(TokenSpent, match="token-1"):
        await room.make("2")
    assert await room.ids() == []


async def test_without_a_token_everything_is_made(room: Room) -> None:
    assert [await room.make(resource_id, None) for resource_id in "12"] == ["1", "2"]


async def test_what_fails_uses_up_no_token(room: Room) -> None:
    await room.make("1", None, name="taken")
    with pytest.raises(NameTaken):
        await room.make("2", name="taken")
    assert await room.make("3", name="free") == "3"


async def test_of_two_processes_that_race_one_makes_it(room: Room, database_url: str) -> None:
    other = Room(Database(database_url), room.clock)
    made = []

    async def make(room: Room, resource_id: str) -> None:
        made.append(await room.make(resource_id))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(make, (room, other)[number % 2], str(number))
    assert len(set(made)) == len(await room.ids()) == 1
    await other.database.close()


@pytest.fixture
def blind_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the next look at a token miss what is there, as if it had been committed a moment later.

    SQLite admits one writer and never gets there; of databases that admit several, this is the race that is lost.
    """

    def arm() -> None:
        look = idempotency.made_before

        async def miss(*arguments: object) -> None:
            monkeypatch.setattr(idempotency, "made_before", look)

        monkeypatch.setattr(idempotency, "made_before", miss)

    return arm


async def test_a_race_that_is_lost_to_the_same_token_finds_what_was_made(
    room: Room, blind_once: Callable[[], None]
) -> None:
    await room.make("1", name="same")
    blind_once()
    assert await room.make("2", name="same") == "1"
    blind_once()
    with pytest.raises(TokenReused):
        await room.make("3", IdempotencyToken(CLAIM.scope, CLAIM.token, {"a": 2}), name="same")
    assert await room.ids() == ["1"]


async def test_a_race_that_is_lost_for_a_name_is_told_in_the_rooms_own_words(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.make("1", None, name="same")
    execute: Callable[..., Awaitable[sa.CursorResult[object]]] = AsyncConnection.execute
    missed: list[object] = []

    async def miss_once(self: AsyncConnection, statement: sa.TextClause, *more: object) -> object:
        found = await execute(self, statement, *more)
        if "WHERE name" in str(statement) and not missed:
            missed.append(found.all())
        return found

    monkeypatch.setattr(AsyncConnection, "execute", miss_once)
    with pytest.raises(NameTaken):
        await room.make("2", name="same")
    assert missed
