"""What is deleted is gone from the database's files: from its pages, free or not, and from its log."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from carillon.clock import ManualClock
from carillon.errors import NotFound
from carillon.profiles import DomainNotFound, ProfileNotFound, Profiles, ProfileSettings
from carillon.storage import Database

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
SLICE = 32
"""Bytes that are looked for at a time; a value of pages spreads over several of them."""
Hear = Callable[..., Awaitable[None]]


class Files:
    """The database as a thief would see it: bytes."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder

    async def secrets(self) -> set[bytes]:
        """Every sealed value and wrapped key that any row holds now."""
        found: set[bytes] = set()
        async with self.database.reading() as connection:
            names = await connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
            for name in names.scalars().all():
                rows = await connection.execute(sa.text(f'SELECT * FROM "{name}"'))
                found.update(value for row in rows for value in row if isinstance(value, bytes) and len(value) > SLICE)
        return found

    def bytes_of(self, suffix: str = "*") -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob(f"carillon.db{suffix}")))

    def traces(self, values: set[bytes]) -> int:
        """How many slices of these values are anywhere in the files."""
        everything = self.bytes_of()
        slices = {value[at : at + SLICE] for value in values for at in range(0, len(value) - SLICE + 1, 997)}
        return sum(one in everything for one in slices)


@pytest.fixture
def files(database: Database, tmp_path: Path) -> Files:
    return Files(database, tmp_path)


async def test_a_deleted_domain_leaves_no_trace_and_another_is_whole(
    profiles: Profiles, hear: Hear, files: Files
) -> None:
    doomed, kept = [await profiles.create_domain(name, None, KEY) for name in ("doomed", "kept")]
    for number in range(24):  # enough for pages to be split and joined
        await hear(f"task-{number}", (doomed, kept)[number % 2].id, number)
        await profiles.enroll(f"task-{number}")
    everything = await files.secrets()
    await profiles.delete_domain(doomed.id)
    staying = await files.secrets()
    assert len(everything - staying) > 12 * 3, "voiceprints, profiles, speech and a key"
    assert files.traces(everything - staying) == 0
    assert files.traces(staying) > len(staying) / 2, "or we would not find anything anyway"
    assert len(await profiles.profiles(kept.id)) == 12


async def test_an_opt_out_leaves_no_trace(profiles: Profiles, hear: Hear, files: Files) -> None:
    domain = await profiles.create_domain("x", None, KEY)
    for number in range(3):
        await hear(f"task-{number}", domain.id, number)
    profile = [await profiles.enroll(f"task-{number}") for number in range(3)][1]
    before = await files.secrets()
    assert files.traces(before) > 0
    await profiles.delete_profile(profile.id)
    assert before - await files.secrets()
    assert files.traces(before - await files.secrets()) == 0


async def test_what_expires_leaves_no_trace(profiles: Profiles, hear: Hear, files: Files, clock: ManualClock) -> None:
    domain = await profiles.create_domain("x", None, KEY)
    await hear("task-1", domain.id, 1)
    await profiles.enroll("task-1")
    before = await files.secrets()
    for by in (timedelta(days=3), timedelta(days=3 * 366)):  # the voiceprint, then the profile
        clock.advance(by)
        await profiles.sweep()
        after = await files.secrets()
        assert before - after
        assert files.traces(before - after) == 0
        before = after


async def test_a_renewed_profile_holds_nothing_old_after_the_next_sweep(
    profiles: Profiles, hear: Hear, files: Files
) -> None:
    domain = await profiles.create_domain("x", None, KEY)
    await hear("task-1", domain.id, 1)
    await hear("task-2", domain.id, 2)
    profile = await profiles.enroll("task-1")
    before = await files.secrets()
    await profiles.refresh(profile.id, "task-2")
    await profiles.sweep()
    assert before - await files.secrets()
    assert files.traces(before - await files.secrets()) == 0


async def test_while_somebody_reads_it_is_put_off_until_the_next_sweep(
    profiles: Profiles, hear: Hear, files: Files
) -> None:
    domain = await profiles.create_domain("x", None, KEY)
    await hear("task-1", domain.id, 1)
    before = await files.secrets()
    async with files.database.reading() as connection:
        await connection.exec_driver_sql("SELECT count(*) FROM voiceprints")
        await profiles.delete_domain(domain.id)
        assert files.traces(before) > 0
    await profiles.sweep()
    assert files.traces(before - await files.secrets()) == 0


async def test_a_deleted_domain_is_gone_at_once_however_much_is_left_to_overwrite(
    profiles: Profiles,
    hear: Hear,
    files: Files,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    open_profiles: Callable[..., Profiles],
) -> None:
    domain = await profiles.create_domain("x", None, KEY)
    for number in range(40):  # more than one piece
        await hear(f"task-{number}", domain.id, number)
    made = [await profiles.enroll(f"task-{number}") for number in range(40)]
    before = await files.secrets()
    with monkeypatch.context() as patched:
        patched.setattr("carillon.profiles.sweeper._ERASING_SECONDS", 0.0)  # a process that is killed at once
        await profiles.delete_domain(domain.id)
    left = await files.secrets()
    assert before & left, "or this test shows nothing"
    keys = {value for value in before if len(value) < 100}
    assert keys
    assert not keys & left
    assert files.traces(keys) == 0
    assert await profiles.domains() == []
    for gone in (profiles.domain(domain.id), profiles.profiles(domain.id), profiles.delete_domain(domain.id)):
        with pytest.raises(DomainNotFound):
            await gone
    with pytest.raises(ProfileNotFound):
        await profiles.profile(made[0].id)
    for lost in (
        profiles.delete_profile(made[0].id),
        profiles.refresh(made[0].id, "task-1"),
        profiles.enroll("task-1"),
    ):
        with pytest.raises(NotFound):
            await lost
    async with open_profiles(ProfileSettings(max_domains=1)) as later:
        await later.create_domain("room for another", None, KEY)
        clock.advance(timedelta(days=4 * 366))  # all of it is due as well
        await later.sweep()
    assert files.traces(before - await files.secrets()) == files.traces(before) == 0
