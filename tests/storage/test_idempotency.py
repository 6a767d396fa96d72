from datetime import timedelta

import pytest

from carillon.clock import ManualClock
from carillon.storage import Claim, Database, TokenReused, claimed, remember

pytestmark = pytest.mark.anyio

CLAIM = Claim("StartSpeakerSearchTask/p1", "token-1", {"a": 1, "b": [2]})


async def test_a_new_token_names_nothing_and_a_remembered_one_its_resource(
    database: Database, clock: ManualClock
) -> None:
    async with database.transaction() as connection:
        assert await claimed(connection, CLAIM, clock.now()) is None
        await remember(connection, CLAIM, "task-1", clock.now())
    same = Claim(CLAIM.scope, CLAIM.token, {"b": [2], "a": 1})
    async with database.reading() as connection:
        assert await claimed(connection, same, clock.now()) == "task-1"


async def test_a_token_is_bound_to_its_parameters_and_its_scope(database: Database, clock: ManualClock) -> None:
    async with database.transaction() as connection:
        await remember(connection, CLAIM, "task-1", clock.now())
    async with database.reading() as connection:
        with pytest.raises(TokenReused, match="token-1"):
            await claimed(connection, Claim(CLAIM.scope, CLAIM.token, {"a": 2}), clock.now())
        assert await claimed(connection, Claim("other", CLAIM.token, {"a": 2}), clock.now()) is None


async def test_a_token_is_forgotten_after_a_day_and_may_serve_again(database: Database, clock: ManualClock) -> None:
    async with database.transaction() as connection:
        await remember(connection, CLAIM, "task-1", clock.now())
    clock.advance(timedelta(hours=24))
    again = Claim(CLAIM.scope, CLAIM.token, {"other": True})
    async with database.transaction() as connection:
        assert await claimed(connection, again, clock.now()) is None
        await remember(connection, again, "task-2", clock.now())
        assert await claimed(connection, again, clock.now()) == "task-2"


async def test_no_token_claims_nothing(database: Database, clock: ManualClock) -> None:
    async with database.transaction() as connection:
        await remember(connection, None, "task-1", clock.now())
        assert await claimed(connection, None, clock.now()) is None
