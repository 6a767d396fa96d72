"""Work on many recordings at once, with a progress bar on standard error, if that is a terminal."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def tracked(pool: Executor, work: Callable[[_Item], _Result], items: Sequence[_Item], title: str) -> list[_Result]:
    """Return the results of `work` in the order of `items`."""
    console = Console(stderr=True)
    results = pool.map(work, items)
    return list(track(results, title, len(items), console=console, transient=True, disable=not console.is_terminal))
