"""A power failure may keep what was not synced from the files: the journal gives it back."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carillon.storage.permissions import exposed
from carillon.streams.stored.segments import journal as module
from carillon.streams.stored.segments.journal import Entry, Journal

Make = Callable[[Path], Journal]


@pytest.fixture
def make() -> Iterator[Make]:
    """Open the journal of a folder, as a process does that starts."""
    made: list[Journal] = []

    def start(folder: Path) -> Journal:
        made.append(Journal(folder))
        made[-1].open()
        return made[-1]

    yield start
    for journal in made:
        journal.turn_over()  # closes its file


def append(journal: Journal, *entries: tuple[str, int, bytes]) -> list[Entry]:
    made = [Entry(*entry) for entry in entries]
    journal.append(made)
    assert all(entry.is_done for entry in made)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and Journal.FOLDER not in path.parts
    }


def parts(folder: Path) -> list[Path]:
    return sorted((folder / Journal.FOLDER).iterdir())


def lose_what_was_not_synced(folder: Path) -> None:
    """Do to the files the worst that a power failure may do: some are gone, some are empty, some full of zeros."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and Journal.FOLDER not in path.parts)
    for number, path in enumerate(files):
        match number % 3:
            case 0:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
            case 1:
                path.write_bytes(b"")
            case 2:
                path.write_bytes(bytes(path.stat().st_size))


THREE = [("a/1", 0, b"one of a"), ("b/1", 0, b"one of b"), ("c/1", 0, b"one of c")]
MORE = [("a/1", 8, b", two of a"), ("b/1", 8, b", two of b"), ("d/1", 0, b"one of d")]
ALL = {"a/1": b"one of a, two of a", "b/1": b"one of b, two of b", "c/1": b"one of c", "d/1": b"one of d"}


def test_what_was_appended_survives_a_power_failure(make: Make, tmp_path: Path) -> None:
    journal = make(tmp_path)
    append(journal, *THREE)
    append(journal, *MORE)
    assert contents(tmp_path) == ALL
    lose_what_was_not_synced(tmp_path)
    make(tmp_path)
    assert contents(tmp_path) == ALL
    assert parts(tmp_path) == []


def test_a_process_that_was_killed_leaves_nothing_to_mend(make: Make, tmp_path: Path) -> None:
    append(make(tmp_path), *THREE)
    before = contents(tmp_path)
    make(tmp_path)
    assert contents(tmp_path) == before


def test_a_journal_torn_anywhere_gives_back_what_came_before(make: Make, tmp_path: Path) -> None:
    journal = make(tmp_path / "whole")
    append(journal, *THREE)
    append(journal, *MORE)
    (part,) = parts(tmp_path / "whole")
    whole = part.read_bytes()
    for cut in range(0, len(whole) + 1, 7):
        folder = tmp_path / str(cut)
        (folder / Journal.FOLDER).mkdir(parents=True)
        (folder / Journal.FOLDER / "1").write_bytes(whole[:cut] + bytes(byte ^ 0xA5 for byte in whole[cut:]))
        make(folder)
        expected: dict[str, bytes] = {}
        end = 0
        for name, offset, data in [*THREE, *MORE]:
            end += module._HEAD.size + len(name) + len(data)
            if end <= cut:
                expected[name] = expected.get(name, b"")[:offset] + data
        assert contents(folder) == expected, cut


def test_the_journal_goes_once_the_files_are_synced(make: Make, tmp_path: Path) -> None:
    journal = make(tmp_path)
    append(journal, *THREE)
    assert journal.has("a/1")
    assert journal.has("b/")
    assert not journal.has("d/")
    journal.fold()
    assert journal.has("a/1")  # the part is not over
    journal.turn_over()
    append(journal, *MORE)
    journal.fold()
    assert not journal.has("c/")
    assert journal.has("a/1")
    assert len(parts(tmp_path)) == 1
    journal.turn_over()
    journal.fold()
    assert not journal.has("a/1")
    assert parts(tmp_path) == []
    assert contents(tmp_path) == ALL


def test_a_file_that_was_deleted_stops_nothing(make: Make, tmp_path: Path) -> None:
    journal = make(tmp_path)
    append(journal, *THREE)
    (tmp_path / "a" / "1").unlink()
    (tmp_path / "a").rmdir()
    journal.turn_over()
    journal.fold()
    assert parts(tmp_path) == []
    assert set(contents(tmp_path)) == {"b/1", "c/1"}


def test_one_entry_alone_is_written_once(make: Make, tmp_path: Path) -> None:
    journal = make(tmp_path)
    append(journal, ("a/1", 0, b"alone"))
    assert parts(tmp_path) == []
    assert contents(tmp_path) == {"a/1": b"alone"}


def test_a_file_that_cannot_be_written_fails_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file where the folder should be")
    entries = append(make(tmp_path), *THREE, ("a/1", 99, b"of a file that is there"), ("e/1", 5, b"of one that is not"))
    assert [entry.error is None for entry in entries] == [True, False, True, True, False]


def test_a_journal_that_cannot_be_written_fails_all_and_is_not_gone_on_with(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = make(tmp_path)
    append(journal, *THREE)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        failed = append(journal, ("a/2", 0, b"x"), ("b/2", 0, b"y"))
    assert all(entry.error is not None and entry.error.errno == errno.ENOSPC for entry in failed)
    assert all(entry.error is None for entry in append(journal, ("c/2", 0, b"z"), ("d/2", 0, b"w")))
    assert len(parts(tmp_path)) == 2
    lose_what_was_not_synced(tmp_path)
    make(tmp_path)
    assert contents(tmp_path)["c/2"] == b"z"
    assert contents(tmp_path)["c/1"] == b"one of c"


def test_a_file_that_cannot_be_synced_is_written_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = make(tmp_path)
    append(journal, *THREE)
    journal.turn_over()
    fsync, failures = os.fsync, [OSError(errno.EIO, "the disk")]

    def fail_once(descriptor: int) -> None:
        if failures:
            lose_what_was_not_synced(tmp_path)  # the system drops what it could not write
            raise failures.pop()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    journal.fold()
    assert contents(tmp_path) == {name: data for name, _, data in THREE}
    assert parts(tmp_path) == []


def test_while_the_disk_fails_the_journal_stays(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = make(tmp_path)
    append(journal, *THREE)
    journal.turn_over()

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="the disk"):
            journal.fold()
    assert len(parts(tmp_path)) == 1
    assert journal.has("a/1")
    journal.fold()
    assert parts(tmp_path) == []


def test_a_part_is_closed_at_its_size(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    journal = make(tmp_path)
    for number in range(6):
        append(journal, ("a/1", 40 * number, bytes(40)), ("b/1", 40 * number, bytes(40)))
    assert len(parts(tmp_path)) == 6
    lose_what_was_not_synced(tmp_path)
    make(tmp_path)
    assert contents(tmp_path) == {"a/1": bytes(240), "b/1": bytes(240)}


def test_the_journal_and_the_files_are_for_this_user_alone_whatever_the_umask(tmp_path: Path, make: Make) -> None:
    before = os.umask(0)
    try:
        append(make(tmp_path / "streams"), ("a/1", 0, b"one"), ("b/1", 0, b"two"))
    finally:
        os.umask(before)
    assert list((tmp_path / "streams" / Journal.FOLDER).iterdir())
    assert exposed([tmp_path / "streams"]) == []
