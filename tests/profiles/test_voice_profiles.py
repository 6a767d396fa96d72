"""Enrollment, refresh, expiry, opt-out: what becomes of a voice, and when it is no more."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest
import sqlalchemy as sa

from carillon.audio import Embedding
from carillon.clock import ManualClock
from carillon.errors import NotFound
from carillon.profiles import (
    Domain,
    Profile,
    ProfileNotFound,
    Profiles,
    ProfileSettings,
    Swept,
    TooManyProfiles,
    Voiceprint,
    VoiceprintExpired,
    VoiceprintNotFound,
    WrongDomain,
)
from carillon.profiles.tables import enrolled_voices, enrollment_speech, voice_profiles, voiceprints
from carillon.profiles.voice_profiles import years_later
from carillon.storage import Database

pytestmark = pytest.mark.anyio

MODEL = "resnet34-lm/1"
KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
Hear = Callable[..., Awaitable[None]]
Voice = Callable[[int], Embedding]


async def count_of(database: Database, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    async with database.reading() as connection:
        query = sa.select(sa.func.count()).select_from(table).where(*conditions)
        return int((await connection.execute(query)).scalar_one())


async def end_call(profiles: Profiles, database: Database, task_id: str, at: datetime) -> None:
    async with database.transaction() as connection:
        await profiles.end_call(connection, [task_id, "a task without a voiceprint"], at)


async def found(profiles: Profiles, domain: Domain, embedding: Embedding) -> list[str]:
    return [match.profile_id for match in await profiles.search(domain.id, embedding, MODEL)]


async def test_an_enrolled_voice_is_found_at_once(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, clock: ManualClock
) -> None:
    await hear("task-1", domain.id, 1)
    assert await found(profiles, domain, voice(1)) == []
    profile = await profiles.enroll("task-1")
    assert profile.id.startswith("vp-")
    assert profile.arn == f"arn:aws:chime:us-east-1:111122223333:voice-profile/{profile.id}"
    assert profile.expires_at == datetime(2029, 1, 1, tzinfo=UTC)
    assert await profiles.profile(profile.id) == profile
    assert await profiles.profiles(domain.id) == [profile]
    (match,) = await profiles.search(domain.id, voice(1), MODEL)
    assert match.profile_id == profile.id
    assert match.score == pytest.approx(1.0, abs=1e-3)


async def test_one_task_makes_one_profile_however_often_it_is_asked(
    profiles: Profiles, domain: Domain, hear: Hear, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    made: list[Profile] = []

    async def enroll() -> None:
        made.append(await profiles.enroll("task-1"))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(enroll)
    assert made == [made[0]] * 6
    assert await count_of(database, voice_profiles) == await count_of(database, enrollment_speech) == 1


async def test_a_task_without_a_voiceprint_cannot_enroll(profiles: Profiles) -> None:
    with pytest.raises(VoiceprintNotFound) as error:
        await profiles.enroll("task-1")
    assert isinstance(error.value, NotFound)


async def test_a_voiceprint_rolled_back_was_never_there(
    profiles: Profiles, domain: Domain, database: Database, voice: Voice, clock: ManualClock
) -> None:
    heard = Voiceprint("task-1", domain.id, voice(1), voice(1).astype("<i2"), MODEL, clock.now())

    async def keep_and_crash() -> None:
        async with database.transaction() as connection:
            await profiles.keep_voiceprint(connection, heard)
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        await keep_and_crash()
    with pytest.raises(VoiceprintNotFound):
        await profiles.enroll("task-1")


async def test_a_second_voiceprint_of_a_task_changes_nothing(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice
) -> None:
    await hear("task-1", domain.id, 1)
    await hear("task-1", domain.id, 2)
    await profiles.enroll("task-1")
    (match,) = await profiles.search(domain.id, voice(1), MODEL)
    assert match.score > 0.99


async def test_a_voiceprint_expires_a_day_after_its_call(
    profiles: Profiles, domain: Domain, hear: Hear, database: Database, clock: ManualClock
) -> None:
    await hear("task-1", domain.id, 1)
    clock.advance(timedelta(hours=7))  # a long call: as long as it lasts, nothing expires
    ended_at = clock.now()
    await end_call(profiles, database, "task-1", ended_at)
    await end_call(profiles, database, "task-1", ended_at + timedelta(hours=1))  # only the first end counts
    clock.advance(timedelta(hours=24))
    with pytest.raises(VoiceprintExpired) as expired:
        await profiles.enroll("task-1")
    assert expired.value.expired_at == ended_at + timedelta(hours=24)


async def test_a_voiceprint_can_be_enrolled_until_the_day_is_over(
    profiles: Profiles, domain: Domain, hear: Hear, database: Database, clock: ManualClock
) -> None:
    await hear("task-1", domain.id, 1)
    await end_call(profiles, database, "task-1", clock.now() - timedelta(hours=1))  # not earlier than it was made
    clock.advance(timedelta(hours=23, minutes=59))
    profile = await profiles.enroll("task-1")
    clock.advance(timedelta(hours=1))
    assert await profiles.enroll("task-1") == profile  # asking again needs no voiceprint


async def test_a_call_whose_end_nobody_reported_does_not_keep_a_voiceprint_forever(
    profiles: Profiles, domain: Domain, hear: Hear, clock: ManualClock
) -> None:
    await hear("task-1", domain.id, 1)
    clock.advance(timedelta(hours=48))
    with pytest.raises(VoiceprintExpired):
        await profiles.enroll("task-1")


async def test_a_sweep_wipes_expired_voiceprints_and_later_forgets_them(
    profiles: Profiles, domain: Domain, hear: Hear, database: Database, clock: ManualClock
) -> None:
    for number in range(70):  # more than one batch
        await hear(f"task-{number}", domain.id, number)
    await hear("fresh", domain.id, 99)
    for number in range(70):
        await end_call(profiles, database, f"task-{number}", clock.now())
    clock.advance(timedelta(hours=24))
    assert await profiles.sweep() == Swept(voiceprints=70, profiles=0)
    assert await profiles.sweep() == Swept(voiceprints=0, profiles=0)
    wiped = voiceprints.c.embedding.is_(None) & voiceprints.c.speech.is_(None)
    assert await count_of(database, voiceprints, wiped) == 70
    with pytest.raises(VoiceprintExpired):
        await profiles.enroll("task-0")
    await profiles.enroll("fresh")
    clock.advance(timedelta(days=6))
    await profiles.sweep()
    with pytest.raises(VoiceprintNotFound):
        await profiles.enroll("task-0")


async def test_the_quota_of_profiles_holds(open_profiles: Callable[..., Profiles], domain: Domain, hear: Hear) -> None:
    room = open_profiles(ProfileSettings(max_profiles_per_domain=1))
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    first = await room.enroll("task-1")
    with pytest.raises(TooManyProfiles):
        await room.enroll("task-2")
    assert await room.enroll("task-1") == first
    await room.delete_profile(first.id)
    await room.enroll("task-2")


async def test_a_refresh_replaces_the_voice_and_renews_the_expiry(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, clock: ManualClock, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    old = await profiles.enroll("task-1")
    await profiles.search(domain.id, voice(1), MODEL)
    clock.advance(timedelta(days=365))
    await hear("task-2", domain.id, 2)
    new = await profiles.refresh(old.id, "task-2")
    assert (new.id, new.created_at) == (old.id, old.created_at)
    assert new.updated_at == clock.now()
    assert new.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    (match,) = await profiles.search(domain.id, voice(2), MODEL)
    assert match.score > 0.99
    (match,) = await profiles.search(domain.id, voice(1), MODEL)
    assert match.score < 0.5
    assert await count_of(database, enrollment_speech) == 1


async def test_a_refresh_needs_a_profile_a_voiceprint_and_one_domain(
    profiles: Profiles, domain: Domain, hear: Hear, clock: ManualClock
) -> None:
    other = await profiles.create_domain("others", None, KEY)
    await hear("task-1", domain.id, 1)
    await hear("task-2", other.id, 2)
    await hear("task-3", domain.id, 3)
    profile = await profiles.enroll("task-1")
    with pytest.raises(ProfileNotFound):
        await profiles.refresh("vp-unknown", "task-1")
    with pytest.raises(VoiceprintNotFound):
        await profiles.refresh(profile.id, "task-unknown")
    with pytest.raises(WrongDomain):
        await profiles.refresh(profile.id, "task-2")
    clock.advance(timedelta(days=3))
    with pytest.raises(VoiceprintExpired):
        await profiles.refresh(profile.id, "task-3")


async def test_an_expired_profile_is_not_found_but_can_be_revived(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, clock: ManualClock, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    first = await profiles.enroll("task-1")
    clock.advance(timedelta(hours=1))
    second = await profiles.enroll("task-2")
    assert await found(profiles, domain, voice(1)) == [first.id, second.id]
    clock.advance(datetime(2029, 1, 1, tzinfo=UTC) - clock.now())
    assert await found(profiles, domain, voice(1)) == [second.id]  # no sweep has come by yet
    assert (await profiles.sweep()).profiles == 1
    assert await found(profiles, domain, voice(1)) == [second.id]
    assert await profiles.profile(first.id) == first
    assert await count_of(database, voice_profiles) == 2
    assert await count_of(database, enrolled_voices) == 1
    assert await count_of(database, enrollment_speech) == 1
    await hear("task-3", domain.id, 1)
    await profiles.refresh(first.id, "task-3")
    assert await found(profiles, domain, voice(1)) == [first.id, second.id]


async def test_who_opts_out_is_gone_with_the_voiceprints_it_was_known_by(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 1)
    await hear("task-3", domain.id, 3)
    profile = await profiles.enroll("task-1")
    await profiles.refresh(profile.id, "task-2")
    await profiles.search(domain.id, voice(1), MODEL)
    await profiles.delete_profile(profile.id)
    assert await found(profiles, domain, voice(1)) == []
    assert len(profiles._index) == 0
    assert await count_of(database, enrollment_speech) == 0
    assert await count_of(database, voiceprints) == 1
    with pytest.raises(VoiceprintNotFound):
        await profiles.enroll("task-1")
    with pytest.raises(ProfileNotFound):
        await profiles.profile(profile.id)
    with pytest.raises(ProfileNotFound):
        await profiles.delete_profile(profile.id)


async def test_pages_of_profiles_follow_one_another(profiles: Profiles, domain: Domain, hear: Hear) -> None:
    for number in range(5):
        await hear(f"task-{number}", domain.id, number)
        await profiles.enroll(f"task-{number}")
    first = await profiles.profiles(domain.id, limit=3)
    second = await profiles.profiles(domain.id, after=first[-1].id, limit=3)
    assert [len(first), len(second)] == [3, 2]
    assert len({profile.id for profile in first + second}) == 5


async def test_nothing_of_a_voice_can_be_read_from_the_file(
    profiles: Profiles, domain: Domain, hear: Hear, voice: Voice, database: Database
) -> None:
    await hear("task-1", domain.id, 1)
    await profiles.enroll("task-1")
    plain = voice(1).tobytes()[:32]
    async with database.reading() as connection:
        for column in (voiceprints.c.embedding, enrolled_voices.c.embedding):
            sealed = (await connection.execute(sa.select(column))).scalar_one()
            assert plain not in sealed
            assert len(sealed) == 256 * 4 + 28


def test_a_voiceprint_shows_nothing_of_the_voice() -> None:
    shown = repr(Voiceprint("task-1", "vpd-1", None, None, MODEL, datetime(2026, 1, 1, tzinfo=UTC)))  # type: ignore[arg-type]
    assert "embedding" not in shown
    assert "speech" not in shown


@pytest.mark.parametrize(
    ("at", "later"),
    [
        (datetime(2026, 11, 22, 10, 15, tzinfo=UTC), datetime(2029, 11, 22, 10, 15, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC)),
    ],
)
def test_three_years_are_calendar_years(at: datetime, later: datetime) -> None:
    assert years_later(at, 3) == later
