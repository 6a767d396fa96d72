"""Drawings as SVG text, to stand inside one HTML page: no plotting library, no script, nothing to fetch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

SHARES: Final = tuple((share / 5, f"{share / 5:g}") for share in range(6))
"""Ticks of an axis from 0 to 1."""

_WIDTH: Final = 460
_HEIGHT: Final = 400
_LEFT: Final = 62
_BOTTOM: Final = 46
_MARGIN: Final = 14
_COLORS: Final = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a drawing."""

    title: str
    ticks: Sequence[tuple[float, str]]
    """Values and what is written there; the first and the last are the ends."""
    scale: Callable[[float], float]
    """Rising; equal steps of it are equal distances."""

    def place(self, value: float) -> float:
        """Return where a value is between the ends, in [0, 1]; what is beyond is at the end."""
        low, high = self.scale(self.ticks[0][0]), self.scale(self.ticks[-1][0])
        inside = min(max(value, self.ticks[0][0]), self.ticks[-1][0])
        return (self.scale(inside) - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a drawing."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    marked: bool = False
    """With a dot at each point."""


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series], *, diagonal: bool = False) -> str:
    """Return an `<svg>` element.

    Args:
        title: what stands above it, also its label for those who cannot see it.
        x: from left to right.
        y: from bottom to top.
        series: lines, each in a color of its own.
        diagonal: draw the line where x and y are equal.
    """
    parts = [*_grid(x, y)]
    if diagonal:
        ends = [(x.ticks[0][0], y.ticks[0][0]), (x.ticks[-1][0], y.ticks[-1][0])]
        parts.append(f'<polyline class="even" points="{_points(ends, x, y)}"/>')
    for number, line in enumerate(series):
        parts += _line(number, line, x, y)
    label = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f'<text class="title" x="{_LEFT}" y="16">{escape(title)}</text>{"".join(parts)}</svg>'
    )


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    for value, text in x.ticks:
        at = _across(x.place(value))
        parts.append(f'<path class="grid" d="M{at:.1f} {_up(0):.1f}V{_up(1):.1f}"/>')
        parts.append(f'<text text-anchor="middle" x="{at:.1f}" y="{_up(0) + 15:.1f}">{escape(text)}</text>')
    for value, text in y.ticks:
        at = _up(y.place(value))
        parts.append(f'<path class="grid" d="M{_across(0):.1f} {at:.1f}H{_across(1):.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{_LEFT - 6}" y="{at + 4:.1f}">{escape(text)}</text>')
    middle = _up(0.5)
    parts.append(f'<text text-anchor="middle" x="{_across(0.5):.1f}" y="{_HEIGHT - 8}">{escape(x.title)}</text>')
    parts.append(
        f'<text text-anchor="middle" transform="translate(13 {middle:.1f}) rotate(-90)">{escape(y.title)}</text>'
    )
    return parts


def _line(number: int, line: Series, x: Axis, y: Axis) -> list[str]:
    color = _COLORS[number % len(_COLORS)]
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    parts = [f'<polyline class="line" stroke="{color}"{dash} points="{_points(line.points, x, y)}"/>']
    if line.marked:
        parts += [
            f'<circle fill="{color}" r="3.5" cx="{_across(x.place(a)):.1f}" cy="{_up(y.place(b)):.1f}"/>'
            for a, b in line.points
        ]
    height = _up(1) + 14 + 15 * number
    parts.append(f'<path class="line" stroke="{color}"{dash} d="M{_across(1) - 118:.1f} {height - 4:.1f}h22"/>')
    parts.append(f'<text x="{_across(1) - 92:.1f}" y="{height:.1f}">{escape(line.name)}</text>')
    return parts


def _points(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    return " ".join(f"{_across(x.place(a)):.1f},{_up(y.place(b)):.1f}" for a, b in points)


def _across(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _MARGIN)


def _up(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _MARGIN - 16)
