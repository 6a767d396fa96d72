"""A folder of labelled recordings: `manifest.csv` with a line for each file, paths relative to the folder."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import soundfile

from carillon.audio import Pcm
from carillon.errors import InvalidRequest

FILE_NAME: Final = "manifest.csv"


class BadManifest(InvalidRequest):
    """The folder has no manifest, or one that lacks what the evaluation needs."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One line of a manifest."""

    path: Path
    speaker: str
    labels: dict[str, str]
    """Every column, by name."""

    def read(self) -> tuple[Pcm, int]:
        """Return (n,) samples in [-1, 1], channels mixed to one, and their rate in Hz."""
        samples, rate_hz = soundfile.read(self.path, dtype="float32", always_2d=True)
        mixed: Pcm = samples.mean(axis=1)
        return mixed, rate_hz


def read_manifest(directory: Path, columns: Sequence[str]) -> list[Recording]:
    """Read a folder's manifest.

    Args:
        directory: holds `manifest.csv`.
        columns: those that must be there beside `path` and `speaker`.

    Raises:
        BadManifest: no manifest, a missing column, no line, or a file that does not exist; says which.
    """
    file = directory / FILE_NAME
    if not file.is_file():
        raise BadManifest(f"{directory} has no {FILE_NAME}. Write one with the columns: {', '.join(_all(columns))}.")
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    missing = [column for column in _all(columns) if not rows or column not in rows[0]]
    if missing:
        raise BadManifest(f"{file} needs at least one line and the columns {', '.join(missing)}.")
    recordings = [Recording(directory / row["path"], row["speaker"], row) for row in rows]
    for recording in recordings:
        if not recording.path.is_file():
            raise BadManifest(f"{file} names {recording.path}, which does not exist.")
    return recordings


def _all(columns: Sequence[str]) -> tuple[str, ...]:
    return ("path", "speaker", *columns)
