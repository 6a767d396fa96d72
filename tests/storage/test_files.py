import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.storage.files import create_file, creating, make_folder, make_private, replace_file
from carillon.storage.permissions import exposed


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_for_this_user_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    make_folder(tmp_path / "folder")
    assert create_file(tmp_path / "made", b"1")
    replace_file(tmp_path / "replaced", b"1")
    make_private(tmp_path / "private")
    with creating(tmp_path / "streamed") as file:
        file.write(b"1")
    assert mode(tmp_path / "folder") == 0o700
    assert {mode(tmp_path / name) for name in ("made", "replaced", "private", "streamed")} == {0o600}


def test_what_is_there_is_not_made_again_and_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert create_file(path, b"first")
    assert not create_file(path, b"second")
    assert path.read_bytes() == b"first"
    replace_file(path, b"third")
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_whose_writing_fails_is_not_there_at_all(tmp_path: Path) -> None:
    def write() -> None:
        with creating(tmp_path / "file") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_could_read_is_closed_to_them_and_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    path.chmod(0o664)
    make_private(path)
    assert (path.read_bytes(), mode(path)) == (b"1", 0o600)


def test_what_others_may_see_is_found_however_deep(tmp_path: Path) -> None:
    deep = tmp_path / "streams" / "one"
    for folder in (deep.parent, deep):
        folder.mkdir(0o700)
        folder.chmod(0o700)
    create_file(deep / "segment", b"1")
    nothing = tmp_path / "missing"
    assert exposed([nothing, deep.parent]) == []
    (deep / "segment").chmod(0o604)
    deep.chmod(0o710)
    (deep.parent / "elsewhere").symlink_to("/")
    assert exposed([nothing, deep.parent]) == [deep, deep / "segment"]
