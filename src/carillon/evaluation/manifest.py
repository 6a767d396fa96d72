"""A folder of labelled recordings: `manifest.csv` with a line for each file, paths relative to the folder.

Every manifest has `path` and `speaker`. One optional column is understood: `session` tells which recordings of one
person were made in one sitting. Any other can be there, and lines can be chosen by its values.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from carillon.audio import Pcm
from carillon.errors import InvalidRequest
from carillon.media import UnreadableRecording, opened

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

    @property
    def session(self) -> str:
        """Return the sitting that it was made in; empty where the manifest does not say."""
        return self.labels.get("session") or ""

    def read(self) -> tuple[Pcm, int]:
        """Return (n,) samples in [-1, 1], channels mixed to one, and their rate in Hz.

        Raises:
            BadManifest: the file is not audio that can be read.
        """
        try:
            with opened(self.path) as sound:
                return np.concatenate([samples.mean(axis=1) for samples in sound.blocks()]), sound.rate_hz
        except UnreadableRecording as error:
            raise BadManifest(str(error)) from error


def read_manifest(directory: Path, columns: Sequence[str], chosen: Mapping[str, str] | None = None) -> list[Recording]:
    """Read a folder's manifest.

    Args:
        directory: holds `manifest.csv`.
        columns: those that must be there beside `path` and `speaker`.
        chosen: only lines with these values in these columns; None for all.

    Raises:
        BadManifest: no manifest, a missing column, no line, none that was chosen, a line without a speaker, or a file
            that does not exist; says which.
    """
    chosen = chosen or {}
    needed = ("path", "speaker", *columns, *chosen)
    file = directory / FILE_NAME
    if not file.is_file():
        raise BadManifest(f"{directory} has no {FILE_NAME}. Write one with the columns: {', '.join(needed)}.")
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:  # spreadsheets write a byte order mark
            rows = list(csv.DictReader(lines, restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadManifest(f"{file} cannot be read: {error}. Save it as CSV in UTF-8.") from error
    missing = [column for column in needed if not rows or column not in rows[0]]
    if missing:
        raise BadManifest(f"{file} needs at least one line and the columns {', '.join(missing)}.")
    recordings = [
        Recording(directory / row["path"], row["speaker"], row)
        for row in rows
        if all(row[column] == value for column, value in chosen.items())
    ]
    if not recordings:
        wanted = " and ".join(f"{column}={value}" for column, value in chosen.items())
        raise BadManifest(f"{file} has no line with {wanted}.")
    for recording in recordings:
        if not recording.speaker:
            raise BadManifest(f"{file} names no speaker for {recording.path}.")
        if not recording.path.is_file():
            raise BadManifest(f"{file} names {recording.path}, which does not exist.")
    return recordings


def chosen_lines(texts: Sequence[str]) -> Mapping[str, str]:
    """Read `column=value`, as the command line gives it.

    Raises:
        BadManifest: one is not of that form.
    """
    for text in texts:
        if not text.partition("=")[1] or text.startswith("="):
            raise BadManifest(f"{text!r} chooses no lines of a manifest. Write column=value.")
    return {column: value for column, _, value in (text.partition("=") for text in texts)}
