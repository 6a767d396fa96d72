"""What commands print: JSON, tables that cut nothing, and a bar that only a terminal shows.

Standard output is for the answer, standard error for everything else, so that an answer can be piped.
"""

import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

_GAP: Final = "  "


def print_json(value: object) -> None:
    """Print a value as one line of JSON, at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


class Table:
    """Rows below headings.

    Nothing is ever cut or folded: an id must stay one that can be copied. On a terminal too narrow for the table each
    row becomes a block of lines, one for each value; in a pipe a row is always one line.

    Args:
        headings: of the columns.
        numbers: which of these columns are numbers, and are justified right.
    """

    def __init__(self, *headings: str, numbers: Collection[str] = ()) -> None:
        self._headings = headings
        self._pads = [str.rjust if heading in numbers else str.ljust for heading in headings]
        self._rows: list[Sequence[str]] = []
        self._widths = [len(heading) for heading in headings]
        self._is_begun = False

    def __len__(self) -> int:
        """Return how many rows wait to be printed."""
        return len(self._rows)

    def add_row(self, *cells: str) -> None:
        """Add a row: a text for each heading."""
        self._rows.append(cells)

    def print(self) -> None:
        """Print the rows that were added since the last time, below the headings the first time."""
        lines = list(self._lines(terminal_width()))
        self._rows.clear()
        self._is_begun = True
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()

    def _lines(self, most_width: int | None) -> Iterator[str]:
        for row in self._rows:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        is_too_wide = most_width is not None and sum(self._widths) + len(_GAP) * (len(self._widths) - 1) > most_width
        if is_too_wide and self._rows:
            yield from self._blocks()
            return
        for line in self._rows if self._is_begun else [self._headings, *self._rows]:
            cells = (pad(cell, width) for cell, width, pad in zip(line, self._widths, self._pads, strict=True))
            yield _GAP.join(cells).rstrip()

    def _blocks(self) -> Iterator[str]:
        width = max(map(len, self._headings))
        for number, row in enumerate(self._rows):
            if number or self._is_begun:
                yield ""
            for heading, cell in zip(self._headings, row, strict=True):
                if cell:
                    yield f"{heading.ljust(width)}{_GAP}{cell}"


def terminal_width() -> int | None:
    """Return the columns of the terminal that we print to, None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error, if that is a terminal; yield what moves it on by one.

    Args:
        title: what is being done.
        total: of how many; None where nobody knows.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
