"""Pages that can be sent to somebody: one file, light or dark as its reader likes it, and nothing to fetch."""

from collections.abc import Sequence
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid #8884; }
th.left, td.left { text-align: left; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { width: 29rem; max-width: 100%; font-size: 11px; fill: currentColor; }
svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: #8884; fill: none; }
svg .even { stroke: #888; fill: none; stroke-dasharray: 2 3; }
svg .line { stroke-width: 1.8; fill: none; }
.scroll { overflow-x: auto; }
"""


def document(title: str, body: str, style: str = "") -> str:
    """Return a page.

    Args:
        title: text, which is also its heading.
        body: HTML below the heading.
        style: CSS that this page has beyond that of all.
    """
    text = escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text}</title>'
        f"<style>{_STYLE}{style}</style></head><body><h1>{text}</h1>{body}</body></html>\n"
    )


def paragraphs(texts: Sequence[str]) -> str:
    """Return a paragraph for each text."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> str:
    """Return a table of texts.

    Args:
        columns: their headings.
        rows: a text for each column.
        left: headings of the columns that hold words; numbers stand on the right.
    """
    sides = [' class="left"' if column in left else "" for column in columns]
    head = "".join(f"<th{side}>{escape(column)}</th>" for side, column in zip(sides, columns, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{side}>{escape(cell)}</td>' for side, cell in zip(sides, row, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
