"""A folder of recorded calls: wav or flac, one party on each channel, and beside a call perhaps what was said in it.

`NAME.turns.csv` has a line for each turn of `NAME.wav` or `NAME.flac`: start, end (seconds), channel (left or right),
text. `manifest.csv`, if there is one with the columns path, left and right, names the parties.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from carillon.errors import InvalidRequest
from carillon.evaluation.manifest import CHANNELS

_SUFFIXES: Final = (".wav", ".flac")
_COLUMNS: Final = ("start", "end", "channel", "text")


class BadCall(InvalidRequest):
    """A folder without calls, or a file in it that cannot be used."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody who listened wrote down."""

    channel: int
    begin_seconds: float
    end_seconds: float
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallFile:
    """A recorded call."""

    path: Path
    parties: tuple[str, str]
    """Who is on the left and on the right channel."""
    turns: Sequence[Turn]
    """In the order in which they begin; empty if nobody wrote them down."""


def call_files(directory: Path) -> list[CallFile]:
    """Return the calls of a folder, by name.

    Raises:
        BadCall: there are none, or a table beside them cannot be read; says which and why.
    """
    paths = sorted(path for path in directory.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise BadCall(f"{directory} has no calls. Put wav or flac files there, one party on each channel.")
    named = _parties(directory / "manifest.csv")
    return [CallFile(path, named.get(path.name, CHANNELS), _turns(path.with_suffix(".turns.csv"))) for path in paths]


def _parties(file: Path) -> Mapping[str, tuple[str, str]]:
    if not file.is_file():
        return {}
    rows = _rows(file)
    if not rows or not {"path", *CHANNELS} <= set(rows[0]):
        return {}
    return {row["path"]: (row["left"] or "left", row["right"] or "right") for row in rows}


def _turns(file: Path) -> list[Turn]:
    if not file.is_file():
        return []
    rows = _rows(file)
    missing = [column for column in _COLUMNS if rows and column not in rows[0]]
    if missing:
        raise BadCall(f"{file} lacks the columns {', '.join(missing)}. Add them, or take the file away.")
    return sorted((_turn(file, row) for row in rows), key=lambda turn: turn.begin_seconds)


def _turn(file: Path, row: Mapping[str, str]) -> Turn:
    if row["channel"] not in CHANNELS:
        raise BadCall(f"{file}: the channel must be left or right, not {row['channel']!r}.")
    try:
        begin, end = float(row["start"]), float(row["end"])
    except ValueError as error:
        raise BadCall(f"{file}: start and end must be seconds: {error}.") from error
    return Turn(CHANNELS.index(row["channel"]), begin, end, row["text"])


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            return list(csv.DictReader(lines, restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadCall(f"{file} cannot be read: {error}. Save it as CSV in UTF-8.") from error
