"""A tone report as a page that can be sent to somebody: figures, confusion matrices, and reliability diagrams."""

from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from carillon.evaluation.html import document, paragraphs, table
from carillon.evaluation.svg import SHARES, Axis, Series, chart
from carillon.evaluation.tone.evaluation import ToneReport
from carillon.evaluation.tone.figures import ALL, ToneFigures
from carillon.evaluation.tone.measures import LABELS
from carillon.evaluation.tone.show import COLUMNS, LEFT, as_text, cells_of, notes_on, rows_of, warnings_on

PAGE_NAME: Final = "tone.html"
FIGURES_NAME: Final = "tone.json"

_STYLE: Final = """
.warning { border-left: .3rem solid #d62728; padding-left: .7rem; font-weight: 600; }
svg.matrix { width: 14rem; font-size: 12px; }
svg.matrix rect { fill: #1f77b4; stroke: #8884; }
"""
_CELL: Final = (66, 40)
_LEFT: Final = 70
_TOP: Final = 56


def write_tone_report(report: ToneReport, folder: Path) -> None:
    """Write `tone.html`, one page that needs nothing else, and `tone.json` into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_NAME).write_text(page(report), encoding="utf-8")
    (folder / FIGURES_NAME).write_text(as_text(report, with_curves=True) + "\n", encoding="utf-8")


def page(report: ToneReport) -> str:
    """Return the page."""
    rows = rows_of(report)
    warnings = "".join(f'<p class="warning">{escape(warning)}</p>' for warning in warnings_on(report))
    return document(
        f"{report.model} on {report.directory}",
        f"{warnings}{paragraphs(notes_on(report))}{table(COLUMNS, list(map(cells_of, rows)), LEFT)}"
        "<h2>Reliability</h2><p>How often the label was right, by its probability. On the diagonal, a probability "
        "means what it says.</p>"
        f'<div class="charts">{"".join(_reliabilities(report))}</div>'
        "<h2>Confusions</h2><p>Rows are what was acted, columns what was heard: counts, and shares of the row.</p>"
        f"{''.join(_confusions(rows))}",
        _STYLE,
    )


def _reliabilities(report: ToneReport) -> list[str]:
    probability = Axis("probability of the label", SHARES, float)
    right = Axis("share that was right", SHARES, float)
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


def _confusions(rows: list[ToneFigures]) -> list[str]:
    return [
        f'<h3>{escape(band)}: {escape(unit)}</h3><div class="charts">{"".join(map(_matrix, of_unit))}</div>'
        for (band, unit), of_unit in groupby(rows, key=lambda row: (row.band, row.unit))
    ]


def _matrix(row: ToneFigures) -> str:
    """Return an `<svg>` element; nothing where nothing was judged."""
    if row.quality is None:
        return ""
    width, height = _CELL
    title = escape(f"{row.corpus}, {row.inputs}", quote=True)
    parts = [f'<text class="title" x="4" y="16">{title}</text>']
    for number, label in enumerate(LABELS):
        across, down = _LEFT + (number + 0.5) * width, _TOP + (number + 0.5) * height + 4
        parts.append(f'<text text-anchor="middle" x="{across:.0f}" y="{_TOP - 8}">{label}</text>')
        parts.append(f'<text text-anchor="end" x="{_LEFT - 6}" y="{down:.0f}">{label}</text>')
    for y, counts in enumerate(row.quality.confusion):
        for x, count in enumerate(counts):
            parts.append(_cell(x, y, count, count / sum(counts) if sum(counts) else 0.0))
    size = f"{_LEFT + 3 * width + 2} {_TOP + 3 * height + 2}"
    return f'<svg class="matrix" viewBox="0 0 {size}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _cell(x: int, y: int, count: int, share: float) -> str:
    width, height = _CELL
    left, top = _LEFT + x * width, _TOP + y * height
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill-opacity="{0.6 * share:.2f}"/>'
        f'<text text-anchor="middle" x="{left + width / 2:.0f}" y="{top + 17}">{count}</text>'
        f'<text text-anchor="middle" x="{left + width / 2:.0f}" y="{top + 32}">{share:.0%}</text>'
    )
