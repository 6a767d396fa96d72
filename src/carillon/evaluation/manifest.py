"""A folder of labeled recordings: `manifest.csv` with a line for each file, paths relative to the folder.

Every manifest has `path` and `speaker`. Four optional columns are understood: `session` tells which recordings of one
person were made in one sitting; `start` and `end`, in seconds, and `channel`, left or right, tell which part of a file
a line is about, so that several can be about one call. Any other can be there, and lines can be chosen by its values.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from carillon.audio import Pcm
from carillon.errors import InvalidRequest
from carillon.media import UnreadableRecording, channel_of, opened

FILE_NAME: Final = "manifest.csv"
CHANNELS: Final = ("left", "right")


class BadManifest(InvalidRequest):
    """The folder has no manifest, or one that lacks what the evaluation needs."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Which part of a file a line is about."""

    begin_seconds: float = 0.0
    end_seconds: float = math.inf
    channel: int | None = None
    """0 is left; None: all channels, mixed to one."""


@dataclass(frozen=True, slots=True)
class ManifestRecording:
    """One line of a manifest."""

    path: Path
    speaker: str
    labels: dict[str, str]
    """Every column, by name."""
    part: FilePart = FilePart()
    """All of the file, unless the line says otherwise."""

    @property
    def name(self) -> str:
        """Return what tells it from all others of the manifest, wherever the folder lies."""
        return self.labels["path"] if self.part == FilePart() else f"{self.labels['path']} {self.part}"

    @property
    def session(self) -> str:
        """Return the sitting that it was made in; empty where the manifest does not say."""
        return self.labels.get("session") or ""

    def read(self) -> tuple[Pcm, int]:
        """Return (n,) samples in [-1, 1], channels mixed to one, and their rate in Hz.

        Raises:
            BadManifest: the file is not audio that can be read, or lacks the part.
        """
        channel, kept, at = self.part.channel, [np.zeros(0, np.float32)], 0
        try:
            with opened(self.path) as sound:
                if channel is not None and channel >= sound.channels:
                    raise BadManifest(f"{self.path} has no channel {CHANNELS[channel]}.")
                begin, end = round(self.part.begin_seconds * sound.rate_hz), self.part.end_seconds * sound.rate_hz
                for block in sound.blocks():
                    samples = block[max(begin - at, 0) : None if end >= at + len(block) else max(round(end) - at, 0)]
                    kept.append(samples.mean(axis=1) if channel is None else channel_of(samples, channel))
                    at += len(block)
                if at <= begin and self.part != FilePart():
                    raise BadManifest(f"{self.path} ends at {at / sound.rate_hz:.1f} s, before the part of its line.")
                return np.concatenate(kept), sound.rate_hz
        except UnreadableRecording as error:
            raise BadManifest(str(error)) from error


def read_manifest(
    directory: Path, columns: Sequence[str], chosen: Mapping[str, str] | None = None
) -> list[ManifestRecording]:
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
        ManifestRecording(directory / row["path"], row["speaker"], row, _part(file, row))
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


def _part(file: Path, row: Mapping[str, str]) -> FilePart:
    channel = row.get("channel") or None
    if channel not in (None, *CHANNELS):
        raise BadManifest(f"{file}: the channel must be left or right, not {channel!r}.")
    try:
        begin, end = float(row.get("start") or 0), float(row.get("end") or math.inf)
    except ValueError as error:
        raise BadManifest(f"{file}: start and end must be seconds: {error}.") from error
    if not 0 <= begin < end:
        raise BadManifest(f"{file}: {row['path']} cannot begin at {begin} s and end at {end} s.")
    return FilePart(begin, end, None if channel is None else CHANNELS.index(channel))


def chosen_lines(texts: Sequence[str]) -> Mapping[str, str]:
    """Read `column=value`, as the command line gives it.

    Raises:
        BadManifest: one is not of that form.
    """
    for text in texts:
        if not text.partition("=")[1] or text.startswith("="):
            raise BadManifest(f"{text!r} chooses no lines of a manifest. Write column=value.")
    return {column: value for column, _, value in (text.partition("=") for text in texts)}
