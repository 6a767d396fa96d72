"""A tone report as a page that can be sent to somebody: figures, confusion matrices, and reliability diagrams."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from carillon.evaluation.pages import render
from carillon.evaluation.plots import SHARES, Axis, Chart, Series, chart
from carillon.evaluation.tone.evaluation import ToneReport
from carillon.evaluation.tone.figures import ALL, ToneFigures
from carillon.evaluation.tone.measures import LABELS
from carillon.evaluation.tone.show import COLUMNS, LEFT, as_text, cells_of, notes_on, rows_of, warnings_on

PAGE_NAME: Final = "tone.html"
FIGURES_NAME: Final = "tone.json"


@dataclass(frozen=True, slots=True)
class _Matrix:
    title: str
    rows: Sequence[tuple[str, Sequence[int]]]
    """What was acted, and how often it was heard as each label."""


def write_tone_report(report: ToneReport, folder: Path) -> None:
    """Write `tone.html`, one page that needs nothing else, and `tone.json` into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_NAME).write_text(page(report), encoding="utf-8")
    (folder / FIGURES_NAME).write_text(as_text(report, with_curves=True) + "\n", encoding="utf-8")


def page(report: ToneReport) -> str:
    """Return the page."""
    rows = rows_of(report)
    return render(
        "tone.html",
        {
            "title": f"{report.model} on {report.directory}",
            "warnings": warnings_on(report),
            "notes": notes_on(report),
            "columns": COLUMNS,
            "left": LEFT,
            "rows": list(map(cells_of, rows)),
            "reliabilities": _reliabilities(report),
            "labels": LABELS,
            "confusions": _confusions(rows),
        },
    )


def _reliabilities(report: ToneReport) -> list[Chart]:
    probability = Axis("probability of the label", SHARES)
    right = Axis("share that was right", SHARES)
    together = [row for row in report.figures if row.corpus == ALL and row.quality is not None]
    return [
        chart(
            f"{band}: {unit}",
            probability,
            right,
            [
                Series(row.inputs, [(b.confidence, b.right) for b in row.quality.bins], marked=True)
                for row in rows
                if row.quality is not None
            ],
            diagonal=True,
        )
        for (band, unit), rows in groupby(together, key=lambda row: (row.band, row.unit))
    ]


def _confusions(rows: list[ToneFigures]) -> list[tuple[str, list[_Matrix]]]:
    return [
        (
            f"{band}: {unit}",
            [
                _Matrix(f"{row.corpus}, {row.inputs}", list(zip(LABELS, row.quality.confusion, strict=True)))
                for row in of_unit
                if row.quality is not None
            ],
        )
        for (band, unit), of_unit in groupby(rows, key=lambda row: (row.band, row.unit))
    ]
