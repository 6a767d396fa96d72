"""A report as a page that can be sent to somebody: the table, DET curves, and whether confidence means what it says."""

from itertools import groupby
from pathlib import Path
from statistics import NormalDist
from typing import Final

from carillon.evaluation.html import document, paragraphs, table
from carillon.evaluation.show import COLUMNS, as_text, cells_of, notes_on
from carillon.evaluation.speaker import SpeakerFigures, SpeakerReport
from carillon.evaluation.svg import SHARES, Axis, Series, chart

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
    return document(
        f"{report.model} on {report.directory}",
        f"{paragraphs(notes_on(report))}{table(COLUMNS, list(map(cells_of, report.figures)), COLUMNS[:1])}"
        "<h2>Detection error trade-off</h2><p>Pairs of stretches: one person or two? Lower left is better.</p>"
        f'<div class="charts">{"".join(_trade_offs(report))}</div>'
        "<h2>Calibration</h2><p>Searches for the people of a domain and as many strangers: how often the best "
        "candidate was the right person, by its confidence. On the diagonal, confidence means what it says.</p>"
        f'<div class="charts">{"".join(_reliabilities(report))}</div>',
    )


def _trade_offs(report: SpeakerReport) -> list[str]:
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


def _reliabilities(report: SpeakerReport) -> list[str]:
    confidence = Axis("confidence of the best candidate", SHARES, float)
    right = Axis("share that was right", SHARES, float)
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
