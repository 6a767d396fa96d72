"""Indexes follow the rows: every committed change, and nothing else."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio
import numpy as np
import pytest
import sqlalchemy as sa

from carillon.audio import Band, Embedding
from carillon.clock import ManualClock
from carillon.profiles import Domain, DomainNotFound, Profiles, ProfileSettings
from carillon.profiles.tables import domains, enrolled_voices, removed_voices
from carillon.storage import Database, SealBroken

pytestmark = pytest.mark.anyio

MODEL = "resnet34-lm/1"
KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
Hear = Callable[..., Awaitable[None]]
Voice = Callable[[int], Embedding]
Open = Callable[..., Profiles]


async def found(room: Profiles, domain: Domain, embedding: Embedding, model_id: str = MODEL) -> set[str]:
    return {match.profile_id for match in await room.search(domain.id, embedding, model_id)}


async def test_a_restart_knows_the_same_voices(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear, voice: Voice
) -> None:
    for number in range(12):
        await hear(f"task-{number}", domain.id, number)
        await profiles.enroll(f"task-{number}")
    before = await profiles.search(domain.id, voice(3), MODEL)
    assert len(before) == 10
    assert await open_profiles().search(domain.id, voice(3), MODEL) == before
    compact = open_profiles(ProfileSettings(int8_above=5))
    assert await compact.search(domain.id, voice(3), MODEL) == before


async def test_a_domain_can_be_read_before_it_is_searched(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear
) -> None:
    await hear("task-1", domain.id, 1)
    await profiles.enroll("task-1")
    room = open_profiles()
    await room.warm(domain.id)
    assert len(room._index) == 1
    with pytest.raises(DomainNotFound):
        await room.warm("vpd-unknown")


async def test_another_process_sees_every_change_at_its_next_search(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear, voice: Voice
) -> None:
    other = open_profiles()
    assert await found(other, domain, voice(1)) == set()
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    first, second = await profiles.enroll("task-1"), await profiles.enroll("task-2")
    assert await found(other, domain, voice(1)) == {first.id, second.id}
    await hear("task-3", domain.id, 3)
    await profiles.refresh(first.id, "task-3")
    assert (await other.search(domain.id, voice(3), MODEL))[0].score > 0.99
    await profiles.delete_profile(second.id)
    assert await found(other, domain, voice(1)) == {first.id}
    assert len(other._index) == 1


async def test_removals_no_longer_listed_make_an_index_start_anew(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear, voice: Voice, clock: ManualClock,
    database: Database,
) -> None:  # fmt: skip
    other = open_profiles()
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    first, second = await profiles.enroll("task-1"), await profiles.enroll("task-2")
    assert await found(other, domain, voice(1)) == {first.id, second.id}
    await profiles.delete_profile(first.id)
    clock.advance(timedelta(days=1))
    await profiles.sweep()
    async with database.reading() as connection:
        assert (await connection.execute(sa.select(removed_voices))).all() == []
    assert await found(other, domain, voice(1)) == {second.id}
    assert len(other._index) == 1


async def test_a_change_that_is_rolled_back_is_never_found(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    profile = await profiles.enroll("task-1")
    assert await found(profiles, domain, voice(1)) == {profile.id}

    async def change_and_crash() -> None:
        async with database.transaction() as connection:
            await connection.execute(domains.update().values(revision=domains.c.revision + 1))
            await connection.execute(enrolled_voices.delete())
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        await change_and_crash()
    assert await found(profiles, domain, voice(1)) == {profile.id}


async def test_models_are_never_compared_with_each_other(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice
) -> None:
    await hear("task-1", domain.id, 1)
    profile = await profiles.enroll("task-1")
    assert await found(profiles, domain, voice(1), "another/1") == set()
    await hear("task-2", domain.id, 1, "another/1")
    await profiles.refresh(profile.id, "task-2")
    assert await found(profiles, domain, voice(1)) == set()
    assert await found(profiles, domain, voice(1), "another/1") == {profile.id}
    assert len(profiles._index) == 1


async def test_domains_are_never_compared_with_each_other(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice
) -> None:
    other = await profiles.create_domain("others", None, KEY)
    await hear("task-1", domain.id, 1)
    await profiles.enroll("task-1")
    assert await found(profiles, other, voice(1)) == set()


async def test_expired_profiles_take_no_place_among_the_ten(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, clock: ManualClock
) -> None:
    for number in range(15):  # the same voice: the fifteen best matches will all be expired
        await hear(f"old-{number}", domain.id, 1)
        await profiles.enroll(f"old-{number}")
    clock.advance(timedelta(days=1))
    for number in range(10):
        await hear(f"new-{number}", domain.id, 100 + number)
        await profiles.enroll(f"new-{number}")
    assert len(await found(profiles, domain, voice(1))) == 10
    clock.advance(timedelta(days=365 * 3))
    assert {match.score < 0.5 for match in await profiles.search(domain.id, voice(1), MODEL)} == {True}
    assert len(await found(profiles, domain, voice(1))) == 10


async def test_a_row_that_was_tampered_with_is_an_error_and_not_a_gap(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear, voice: Voice, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    await profiles.enroll("task-1")
    await profiles.enroll("task-2")
    async with database.transaction() as connection:  # give both profiles the first one's embedding
        first = (await connection.execute(sa.select(enrolled_voices.c.embedding).limit(1))).scalar_one()
        await connection.execute(enrolled_voices.update().values(embedding=first))
    with pytest.raises(SealBroken):
        await open_profiles().search(domain.id, voice(1), MODEL)


async def test_memory_holds_so_many_embeddings_and_no_more(
    profiles: Profiles, open_profiles: Open, hear: Hear, voice: Voice
) -> None:
    room = open_profiles(ProfileSettings(resident_profiles=5))
    made = [await profiles.create_domain(f"d{number}", None, KEY) for number in range(3)]
    for number in range(9):
        await hear(f"task-{number}", made[number % 3].id, number)
        await profiles.enroll(f"task-{number}")
    for _ in range(2):
        for domain in made:
            assert len(await found(room, domain, voice(0))) == 3
            assert len(room._index) <= 5


async def test_searches_while_people_enroll_and_opt_out_stay_right(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice
) -> None:
    await hear("known", domain.id, 1_000)
    known = await profiles.enroll("known")
    for number in range(20):
        await hear(f"task-{number}", domain.id, number)

    async def come_and_go(number: int) -> None:
        profile = await profiles.enroll(f"task-{number}")
        assert (await profiles.search(domain.id, voice(number), MODEL))[0].profile_id == profile.id
        await profiles.delete_profile(profile.id)
        assert profile.id not in await found(profiles, domain, voice(number))

    async def keep_searching() -> None:
        for _ in range(40):
            assert (await profiles.search(domain.id, voice(1_000), MODEL))[0].profile_id == known.id

    async with anyio.create_task_group() as group:
        group.start_soon(keep_searching)
        for number in range(20):
            group.start_soon(come_and_go, number)
    assert len(profiles._index) == 1


async def test_a_domain_of_many_pages_is_read_whole(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear, voice: Voice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("carillon.profiles.index.resident._PAGE_ROWS", 3)
    for number in range(10):
        await hear(f"task-{number}", domain.id, number)
        await profiles.enroll(f"task-{number}")
    room = open_profiles()
    scores = [(await room.search(domain.id, voice(number), MODEL, limit=1))[0].score for number in range(10)]
    np.testing.assert_allclose(scores, np.ones(10), atol=1e-3)
    assert len(room._index) == 10


async def test_a_voice_is_compared_with_those_of_its_band_and_with_what_a_telephone_makes_of_the_others(
    profiles: Profiles, open_profiles: Open, domain: Domain, hear: Hear, voice: Voice
) -> None:
    await hear("phone", domain.id, 1)
    await hear("headset", domain.id, 2, band="wb", narrowband=3)
    await hear("imported", domain.id, 4, band="wb")
    phone, headset, imported = [await profiles.enroll(task_id) for task_id in ("phone", "headset", "imported")]

    async def channels(seed: int, band: Band) -> set[tuple[str, str]]:
        matches = await open_profiles().search(domain.id, voice(seed), MODEL, band=band)
        assert {match.size for match in matches} == {3}
        return {(match.profile_id, match.channel) for match in matches if match.score > 0.99}

    assert await channels(1, "tel") == {(phone.id, "tel")}
    assert await channels(1, "wb") == {(phone.id, "cross")}
    assert await channels(2, "wb") == {(headset.id, "wb")}
    assert await channels(2, "tel") == set()  # the narrowband embedding stands for it
    assert await channels(3, "tel") == {(headset.id, "cross")}
    assert await channels(3, "wb") == set()
    assert await channels(4, "tel") == {(imported.id, "cross")}  # without a narrowband embedding its own must do


async def test_a_refreshed_voice_takes_its_twin_along(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice
) -> None:
    await hear("first", domain.id, 1, band="wb", narrowband=2)
    profile = await profiles.enroll("first")
    assert (await profiles.search(domain.id, voice(2), MODEL))[0].score > 0.99
    await hear("second", domain.id, 3)
    await profiles.refresh(profile.id, "second")
    assert {match.score < 0.5 for match in await profiles.search(domain.id, voice(2), MODEL)} == {True}
    assert len(profiles._index) == 1
