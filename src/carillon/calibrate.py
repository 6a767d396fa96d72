"""`carillon calibrate`: fit the meaning of scores to an operator's own calls, show it, and write it down."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from carillon.config import Settings
from carillon.evaluation import Calibrated, Fitted, Needed, histogram, read_manifest, write_calibration
from carillon.evaluation import calibrate as fit
from carillon.inference import Models
from carillon.terminal import Table

FILE_NAME: Final = "calibration.toml"


def calibrate(
    directory: Path, settings: Settings, out: Path | None, *, chosen: Mapping[str, str], as_json: bool, threads: int
) -> None:
    """Print what the calls of a folder say about scores, and write the file for `inference.calibration`.

    Args:
        directory: holds `manifest.csv`: path, speaker, perhaps session.
        settings: which models are used, and the data folder.
        out: the file to write; None for `calibration.toml` in the data folder.
        chosen: only lines of the manifest with these values in these columns.
        as_json: print one object instead of tables.
        threads: people that are listened to at the same time.

    Raises:
        BadManifest: no usable manifest, or too little speech to compare anybody.
        CalibrationRefused: nothing can be fitted; everything measured has been shown then.
    """
    recordings = read_manifest(directory, (), chosen)
    seconds = settings.analysis.identification_seconds
    found = fit(recordings, Models(settings.inference), Needed(), seconds, threads=threads)
    if as_json:
        sys.stdout.write(_json(found) + "\n")
    else:
        _show(found)
    file = out or settings.data_dir / FILE_NAME
    write_calibration(found, file, datetime.now(UTC).date())
    Console(stderr=as_json).print(
        f'Wrote {file}. To use it: calibration = "{file.absolute()}" under [inference], and restart the server.',
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _show(found: Calibrated) -> None:
    console = Console()
    for condition, pairs in found.scores:
        console.print(histogram(condition, pairs))
    sys.stdout.write(f"{found.model}, fitted to {found.people} people; held-out figures, before and after\n\n")
    numbers = ("speech", "people", "genuine", "EER", "Cllr before", "Cllr after", "ECE before", "ECE after")
    table = Table("compared", *numbers, "verdict", numbers=numbers)
    for row in found.fits:
        table.add_row(*_cells(row))
    table.print()


def _cells(row: Fitted) -> list[str]:
    before, after = row.before, row.held_out
    return [
        row.condition.compared,
        f"{row.condition.seconds} s",
        str(row.people),
        str(row.genuine_pairs),
        "-" if row.equal_error_rate is None else f"{row.equal_error_rate:.2%}",
        "-" if before is None else f"{before.cllr:.3f}",
        "-" if after is None else f"{after.cllr:.3f}",
        "-" if before is None else f"{before.ece:.3f}",
        "-" if after is None else f"{after.ece:.3f}",
        row.verdict,
    ]


def _json(found: Calibrated) -> str:
    rows: list[dict[str, Any]] = []
    for row in found.fits:
        about = asdict(row)
        rows.append({**about.pop("condition"), "channel": row.condition.channel, **about})
    encoded = msgspec.json.encode({"model": found.model, "people": found.people, "fits": rows})
    return msgspec.json.format(encoded).decode()
