import stat
import threading
from pathlib import Path

import pytest

from carillon.access.credentials import AccessKey, CredentialsUnusable, KeyRing, WatchedKeys, change, load_or_create
from carillon.clock import ManualClock


def test_the_first_start_makes_a_key_that_only_its_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    ring = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(ring.default.access_key_id) == 20
    assert len(ring.default.secret_access_key) == 40
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials.json"]


def test_a_later_start_finds_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    key = load_or_create(path).default
    again = load_or_create(path)
    assert again.default == key
    assert again.find(key.access_key_id) == key
    assert again.find("CRLNOTHER") is None


def test_starts_at_the_same_moment_agree_on_one_key(tmp_path: Path) -> None:
    path, keys, gate = tmp_path / "credentials.json", [], threading.Barrier(8)

    def start() -> None:
        gate.wait()
        keys.append(load_or_create(path).default)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "credentials.json"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(CredentialsUnusable, match="chmod 600"):
        load_or_create(path)


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": [{"access_key_id": "a"}]}', "\udcff", "[1]"])
def test_a_file_that_is_not_ours_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "credentials.json"
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CredentialsUnusable, match="Restore it"):
        load_or_create(path)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.touch(mode=0o600)
    path.write_text('{"version": 3, "keys": [{"access_key_id": "a", "secret_access_key": "b"}]}')
    with pytest.raises(CredentialsUnusable, match="this version understands"):
        load_or_create(path)


def test_secrets_are_in_no_repr() -> None:
    key = AccessKey.generate()
    assert key.secret_access_key not in repr(key) + repr(KeyRing([key]))
    with pytest.raises(ValueError, match="at least one"):
        KeyRing([])


def test_a_key_that_was_just_made_is_known_at_once(tmp_path: Path, clock: ManualClock) -> None:
    path, made = tmp_path / "credentials.json", AccessKey.generate()
    keys = WatchedKeys(path, clock)
    assert keys.find(made.access_key_id) is None
    change(path, lambda others: [*others, made])
    assert keys.find(made.access_key_id) == made
