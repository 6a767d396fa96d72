"""A report as a page that can be sent to somebody: the table, DET curves, and whether confidence means what it says."""

from itertools import groupby
from pathlib import Path
from statistics import NormalDist
from typing import Final

from carillon.evaluation.pages import render
from carillon.evaluation.plots import SHARES, Axis, Chart, Series, chart
from carillon.evaluation.show import COLUMNS, as_text, cells_of, notes_on
from carillon.evaluation.speaker import SpeakerFigures, SpeakerReport

PAGE_NAME: Final = "speaker.html"
FIGURES_NAME: Final = "speaker.json"

_RATES: Final = tuple((rate, f"{rate * 100:g} %") for rate in (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5))


def write_report(report: SpeakerReport, folder: Path) -> None:
    """Write `speaker.html`, one page that needs nothing else, and `speaker.json` into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_NAME).write_text(page(report), encoding="utf-8")
    (folder / FIGURES_NAME).write_text(as_text(report, with_curves=True) + "\n", encoding="utf-8")


def page(report: SpeakerReport) -> str:
    """Return the page."""
    return render(
        "speaker.html",
        {
            "title": f"{report.model} on {report.directory}",
            "notes": notes_on(report),
            "columns": COLUMNS,
            "left": COLUMNS[:1],
            "rows": list(map(cells_of, report.figures)),
            "trade_offs": _trade_offs(report),
            "reliabilities": _reliabilities(report),
        },
    )


def _trade_offs(report: SpeakerReport) -> list[Chart]:
    probit = NormalDist().inv_cdf
    accepted = Axis("impostor pairs accepted", _RATES, probit)
    missed = Axis("genuine pairs missed", _RATES, probit)
    return [
        chart(
            band,
            accepted,
            missed,
            [
                Series(_name(row), list(zip(row.curves.accepted, row.curves.missed, strict=True)), row.noisy)
                for row in rows
            ],
        )
        for band, rows in _by_band(report)
    ]


def _reliabilities(report: SpeakerReport) -> list[Chart]:
    confidence = Axis("confidence of the best candidate", SHARES)
    right = Axis("share that was right", SHARES)
    return [
        chart(
            band,
            confidence,
            right,
            [
                Series(_name(row), [(b.confidence, b.right) for b in row.curves.bins], row.noisy, marked=True)
                for row in rows
            ],
            diagonal=True,
        )
        for band, rows in _by_band(report)
        if any(row.curves.bins for row in rows)
    ]


def _by_band(report: SpeakerReport) -> list[tuple[str, list[SpeakerFigures]]]:
    return [(str(band), list(rows)) for band, rows in groupby(report.figures, key=lambda row: row.band)]


def _name(row: SpeakerFigures) -> str:
    how = f", {row.line}" if row.line else ", noise" if row.noisy else ""
    return f"{row.seconds} s{how}"
