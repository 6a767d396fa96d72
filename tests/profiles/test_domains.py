"""Domains: what may be created, found again, and deleted for good."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import MalformedArn
from carillon.audio import Embedding
from carillon.clock import ManualClock
from carillon.errors import StateConflict
from carillon.profiles import (
    Domain,
    DomainNotFound,
    ForeignDomain,
    InvalidDomain,
    Profiles,
    ProfileSettings,
    TooManyDomains,
    VoiceprintNotFound,
)
from carillon.profiles.tables import domains, enrollment_speech, voice_profiles, voiceprints
from carillon.storage import Database, TokenReused, TokenSpent

pytestmark = pytest.mark.anyio

KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
Hear = Callable[..., Awaitable[None]]


async def test_a_domain_is_found_by_id_and_by_arn(profiles: Profiles, clock: ManualClock, database: Database) -> None:
    made = await profiles.create_domain("front desk", "who calls us", KEY)
    assert made.id == "vpd-00000000-0000-0000-0000-000000000001"
    assert made.arn == f"arn:aws:chime:us-east-1:111122223333:voice-profile-domain/{made.id}"
    assert (made.name, made.description, made.kms_key_arn) == ("front desk", "who calls us", KEY)
    assert made.created_at == made.updated_at == clock.now()
    assert await profiles.domain(made.id) == made
    async with database.reading() as connection:
        assert await profiles.find_domain_of_arn(connection, made.arn) == made


@pytest.mark.parametrize("name", ["", "é", "a/b", "a" * 257, "two\nlines"])
async def test_a_name_keeps_to_the_rule(profiles: Profiles, name: str) -> None:
    with pytest.raises(InvalidDomain):
        await profiles.create_domain(name, None, KEY)


async def test_a_description_and_a_key_keep_to_their_rules(profiles: Profiles) -> None:
    with pytest.raises(InvalidDomain, match="1024"):
        await profiles.create_domain("a", "d" * 1025, KEY)
    with pytest.raises(MalformedArn):
        await profiles.create_domain("a", None, "key/5f8a")


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        ("arn:aws:chime:us-west-2:111122223333:voice-profile-domain/vpd-1", ForeignDomain),
        ("arn:aws:chime:us-east-1:444455556666:voice-profile-domain/vpd-1", ForeignDomain),
        ("arn:aws:chime:us-east-1:111122223333:voice-profile/vp-1", ForeignDomain),
        ("arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-1", DomainNotFound),
        ("vpd-1", MalformedArn),
    ],
)
async def test_an_arn_that_names_no_domain_of_ours_says_why(
    profiles: Profiles, database: Database, arn: str, error: type[Exception]
) -> None:
    async with database.reading() as connection:
        with pytest.raises(error):
            await profiles.find_domain_of_arn(connection, arn)


async def test_pages_follow_one_another_without_overlap(profiles: Profiles) -> None:
    made = [(await profiles.create_domain(f"d{number}", None, KEY)).id for number in range(5)]
    first = [domain.id for domain in await profiles.domains(limit=2)]
    second = [domain.id for domain in await profiles.domains(after=first[-1], limit=2)]
    third = [domain.id for domain in await profiles.domains(after=second[-1], limit=2)]
    assert first + second + third == sorted(made)


async def test_the_same_token_returns_the_same_domain(profiles: Profiles) -> None:
    first = await profiles.create_domain("a", None, KEY, token="t-1")
    assert await profiles.create_domain("a", None, KEY, token="t-1") == first
    with pytest.raises(TokenReused) as reused:
        await profiles.create_domain("b", None, KEY, token="t-1")
    assert isinstance(reused.value, StateConflict)
    with pytest.raises(TokenReused):
        await profiles.create_domain("a", None, KEY, token="t-1", tags={"team": "a"})
    assert len(await profiles.domains()) == 1


async def test_a_token_is_remembered_for_a_day(profiles: Profiles, clock: ManualClock) -> None:
    first = await profiles.create_domain("a", None, KEY, token="t-1")
    clock.advance(timedelta(hours=23, minutes=59))
    assert (await profiles.create_domain("a", None, KEY, token="t-1")).id == first.id
    clock.advance(timedelta(minutes=1))
    assert (await profiles.create_domain("b", None, KEY, token="t-1")).id != first.id


async def test_a_token_makes_no_second_domain_when_the_first_is_deleted(profiles: Profiles) -> None:
    made = await profiles.create_domain("a", None, KEY, token="t-1")
    await profiles.delete_domain(made.id)
    with pytest.raises(TokenSpent):
        await profiles.create_domain("a", None, KEY, token="t-1")


async def test_many_requests_with_one_token_make_one_domain(profiles: Profiles) -> None:
    ids: set[str] = set()

    async def create() -> None:
        ids.add((await profiles.create_domain("a", None, KEY, token="t-1")).id)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(create)
    assert len(ids) == len(await profiles.domains()) == 1


async def test_a_token_is_checked(profiles: Profiles) -> None:
    with pytest.raises(InvalidDomain, match="ClientRequestToken"):
        await profiles.create_domain("a", None, KEY, token="not/this")


async def test_the_quota_of_domains_holds(open_profiles: Callable[..., Profiles]) -> None:
    room = open_profiles(ProfileSettings(max_domains=1))
    await room.create_domain("a", None, KEY, token="t-1")
    with pytest.raises(TooManyDomains):
        await room.create_domain("b", None, KEY)
    await room.create_domain("a", None, KEY, token="t-1")  # a repeated request is no new domain


async def test_deleting_a_domain_leaves_nothing_that_could_be_opened(
    profiles: Profiles, domain: Domain, hear: Hear, database: Database, voice: Callable[[int], Embedding]
) -> None:
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    profile = await profiles.enroll("task-1")
    other = await profiles.create_domain("callers", None, KEY)
    assert [match.profile_id for match in await profiles.search(domain.id, voice(1), "resnet34-lm/1")] == [profile.id]

    await profiles.delete_domain(domain.id)

    async with database.reading() as connection:
        for table in (voice_profiles, enrollment_speech, voiceprints):
            assert (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one() == 0
        assert (await connection.execute(sa.select(domains.c.domain_id))).scalars().all() == [other.id]
    with pytest.raises(DomainNotFound):
        await profiles.search(domain.id, voice(1), "resnet34-lm/1")
    with pytest.raises(DomainNotFound):
        await profiles.profiles(domain.id)
    with pytest.raises(VoiceprintNotFound):
        await profiles.enroll("task-2")
    with pytest.raises(DomainNotFound):
        await profiles.delete_domain(domain.id)
    with pytest.raises(DomainNotFound):
        await hear("task-3", domain.id, 3)


async def test_a_domain_in_use_is_not_deleted(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Callable[[int], Embedding]
) -> None:
    await hear("task-1", domain.id, 1)
    await profiles.enroll("task-1")

    async def refuse(connection: AsyncConnection, domain_id: str) -> None:
        assert domain_id == domain.id
        assert (await connection.execute(sa.select(sa.literal(1)))).scalar_one() == 1
        raise StateConflict("A search is active.")

    with pytest.raises(StateConflict, match="active"):
        await profiles.delete_domain(domain.id, refuse)
    assert len(await profiles.search(domain.id, voice(1), "resnet34-lm/1")) == 1
