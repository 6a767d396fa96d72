"""Who may see what is kept: everything that we write is for this user alone."""

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

MOST_EXPOSED: Final = 100


def exposed(paths: Iterable[Path]) -> list[Path]:
    """Return the first 100 of these files and folders, and of all in them, that somebody else may read or change.

    Links are not followed; what is not there, or goes away meanwhile, is passed over.
    """
    return list(islice((path for root in paths for path in _all_in(root) if _is_exposed(path)), MOST_EXPOSED))


def _all_in(root: Path) -> Iterator[Path]:
    yield root
    for parent, folders, files in os.walk(root):
        yield from (Path(parent, name) for name in sorted(folders + files))


def _is_exposed(path: Path) -> bool:
    try:
        mode = path.stat(follow_symlinks=False).st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & 0o077)
