"""One key for what lies in a database: made once, remembered, and never replaced beside what it sealed."""

import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

import carillon.app  # noqa: F401 - every room declares its tables
from carillon.arns import AwsAccount
from carillon.clock import SystemClock
from carillon.profiles import Profiles
from carillon.storage import Database, RootKeyUnusable, Vault, check_root_key, migrate, unlock

pytestmark = pytest.mark.anyio

KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
STARTS = 60
FIRST_START = """
import asyncio, sys
from pathlib import Path
from carillon import config
from carillon.data_folder import opened

async def start():
    async with opened(config.load(Path(sys.argv[1]), environment={})) as ground:
        print(ground.vault.derive("compare").hex())

sys.stdin.readline()
asyncio.run(start())
"""
CREATE_TOGETHER = """
import sys
from pathlib import Path
from carillon.storage.files import create_file

for number in range(int(sys.argv[2])):
    sys.stdin.readline()
    path = Path(sys.argv[1], str(number))
    create_file(path, bytes(range(32)))
    print(path.read_bytes() == bytes(range(32)), flush=True)
"""


@pytest.fixture
async def migrated(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'carillon.db'}")
    await migrate(opened)
    yield opened
    await opened.close()


def put(path: Path, key: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


async def add_domain(database: Database, vault: Vault) -> None:
    async with Profiles(database, vault, AwsAccount(), SystemClock()) as profiles:
        await profiles.create_domain("callers", None, KMS_KEY)


async def test_the_root_key_is_made_once_for_this_user_alone(migrated: Database, path: Any) -> None:
    first = await unlock(migrated, path)
    again = await unlock(migrated, path)
    assert first.derive("compare") == again.derive("compare")
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_missing_key_is_not_replaced_by_a_new_one(migrated: Database, path: Any) -> None:
    await unlock(migrated, path)
    path.unlink()
    for attempt in (unlock, check_root_key):
        with pytest.raises(RootKeyUnusable, match="Restore it"):
            await attempt(migrated, path)
    assert not path.exists()


async def test_another_key_is_refused_before_anything_is_opened(migrated: Database, path: Any) -> None:
    await unlock(migrated, path)
    put(path, bytes(32))
    for attempt in (unlock, check_root_key):
        with pytest.raises(RootKeyUnusable, match="Restore that one"):
            await attempt(migrated, path)


@pytest.mark.parametrize("left", [None, bytes(32)])
async def test_data_that_was_sealed_before_keys_were_remembered_wants_its_own_key_too(
    left: bytes | None, migrated: Database, path: Any
) -> None:
    key = bytes(range(32))
    await add_domain(migrated, Vault(key))
    if left is not None:
        put(path, left)
    with pytest.raises(RootKeyUnusable, match="Restore"):
        await unlock(migrated, path)
    put(path, key)
    vault = await unlock(migrated, path)
    assert vault.derive("compare") == Vault(key).derive("compare")


async def test_a_key_that_others_may_read_is_refused_with_the_mending_command(migrated: Database, path: Any) -> None:
    await unlock(migrated, path)
    path.chmod(0o644)
    with pytest.raises(RootKeyUnusable, match="chmod 600"):
        await unlock(migrated, path)


async def test_a_torn_key_is_refused(migrated: Database, path: Any) -> None:
    put(path, b"short")
    with pytest.raises(RootKeyUnusable, match="32 bytes"):
        await unlock(migrated, path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
async def test_what_is_no_file_is_refused_and_not_waited_for(
    migrated: Database, path: Path, make: Callable[[Path], None]
) -> None:
    put(path, bytes(32))
    await unlock(migrated, path)
    await to_thread.run_sync(path.unlink)
    make(path)
    with pytest.raises(RootKeyUnusable, match=str(path)):
        await unlock(migrated, path)


@pytest.mark.parametrize("harm", ["missing", "another"])
def test_a_server_without_its_key_ends_with_one_line_and_makes_none(
    harm: str, start_server: Callable[..., Any], carillon: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    assert start_server(folder).stop() == 0
    key = folder / "root.key"
    key.unlink()
    if harm == "another":
        put(key, bytes(32))
    ended = carillon("serve", "--port", "0", "--data-dir", str(folder), check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"carillon: {key} is ")
    assert "Restore" in ended.stderr
    assert key.exists() == (harm == "another")
    looked = carillon("doctor", "--data-dir", str(folder), check=False)
    assert looked.returncode == 1
    assert "Restore" in looked.stdout


def test_first_starts_at_the_same_moment_agree_on_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FIRST_START, str(tmp_path / "data")]
    starts = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for start in starts:
        assert start.stdin
        start.stdin.write("go\n")
        start.stdin.flush()
    said = [start.communicate(timeout=250) for start in starts]
    assert {start.returncode for start in starts} == {0}, said
    assert len({output for output, _ in said}) == 1


def test_a_file_that_many_make_at_once_is_never_seen_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE_TOGETHER, str(tmp_path), str(STARTS)]
    starts = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(4)
    ]
    for number in range(STARTS):
        for start in starts:
            assert start.stdin
            start.stdin.write("go\n")
            start.stdin.flush()
        assert [start.stdout.readline() for start in starts if start.stdout] == ["True\n"] * 4, number
    for start in starts:
        start.communicate(timeout=250)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(STARTS))  # and no draft is left
