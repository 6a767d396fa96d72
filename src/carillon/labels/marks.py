"""What somebody marked: the tone of 5 s of one channel of one call, kept as a manifest that `train` and `eval` read.

Rows that follow each other in one tone become one line of the manifest, of 30 s at most: a clip that is long enough to
be heard, and no longer than a window of the product. The manifest is all that is kept: it is read back as marks.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from carillon.evaluation.calls.page import ROW_SECONDS
from carillon.evaluation.manifest import CHANNELS, FILE_NAME, BadManifest
from carillon.storage.files import make_folder, replace_file

LABELS: Final = ("negative", "neutral", "positive")
FOLDER: Final = "labels"
"""Of the manifest, in the folder of the calls."""
_LINE_SECONDS: Final = 30
_COLUMNS: Final = ("path", "channel", "start", "end", "speaker", "corpus", "language", "valence")

Row = tuple[str, int, int]
"""Name of the call, channel, and the second at which the row begins."""


class Marks:
    """The marks of a folder of calls.

    Args:
        directory: holds the calls.
        parties: who is on the channels of each call, by its name.

    Raises:
        BadManifest: what was kept earlier cannot be read.
    """

    def __init__(self, directory: Path, parties: Mapping[str, tuple[str, ...]]) -> None:
        self._directory = directory
        self._parties = parties
        self._marks = dict(self._kept())

    @property
    def file(self) -> Path:
        """Return where the marks are kept."""
        return self._directory / FOLDER / FILE_NAME

    def __len__(self) -> int:
        """Return how many rows are marked."""
        return len(self._marks)

    def of(self, call: str) -> Mapping[tuple[int, int], str]:
        """Return the tone of each marked row of a call, by channel and begin."""
        return {(channel, begin): tone for (name, channel, begin), tone in self._marks.items() if name == call}

    def mark(self, call: str, channel: int, begin: int, tone: str | None) -> None:
        """Mark a row, or take its mark away, and keep that at once.

        Raises:
            ValueError: there is no such row, or no such tone.
        """
        is_row = call in self._parties and 0 <= channel < len(self._parties[call]) and begin % ROW_SECONDS == 0 <= begin
        if not is_row or tone not in (*LABELS, None):
            raise ValueError(f"{call} has no row of channel {channel} at {begin} s, or {tone} is no tone.")
        if tone is None:
            self._marks.pop((call, channel, begin), None)
        else:
            self._marks[call, channel, begin] = tone
        make_folder(self.file.parent)
        replace_file(self.file, self._manifest().encode())

    def _manifest(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._lines())
        return text.getvalue()

    def _lines(self) -> Iterator[Mapping[str, object]]:
        begun: Row | None = None
        for row in sorted(self._marks):
            call, channel, begin = row
            tone = self._marks[row]
            if begun is None:
                begun = row
            follows = self._marks.get((call, channel, begin + ROW_SECONDS)) == tone
            if follows and begin + ROW_SECONDS - begun[2] < _LINE_SECONDS:
                continue
            is_mono = len(self._parties.get(call, CHANNELS)) == 1
            yield {
                "path": f"../{call}",
                "channel": "" if is_mono else CHANNELS[channel],
                "start": begun[2],
                "end": begin + ROW_SECONDS,
                "speaker": f"{call} {self._parties.get(call, CHANNELS)[channel]}",
                "corpus": "own-calls",
                "language": "en",
                "valence": tone,
            }
            begun = None

    def _kept(self) -> Iterator[tuple[Row, str]]:
        if not self.file.is_file():
            return
        with self.file.open(newline="", encoding="utf-8-sig") as lines:
            for line in csv.DictReader(lines):
                try:
                    call, channel = Path(line["path"]).name, CHANNELS.index(line["channel"] or CHANNELS[0])
                    for begin in range(int(line["start"]), int(line["end"]), ROW_SECONDS):
                        yield (call, channel, begin), line["valence"]
                except (KeyError, ValueError) as error:
                    raise BadManifest(f"{self.file} cannot be read: {error}. Mend it, or put it aside.") from error
