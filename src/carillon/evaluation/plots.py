"""Drawings of lines, each as an image that stands in a page by itself; matplotlib is a guest of this module alone."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np

SHARES: Final = tuple((share / 5, f"{share / 5:g}") for share in range(6))
"""Ticks of an axis from 0 to 1."""

_INCHES: Final = (4.8, 4.2)
_STYLE: Final[Any] = {  # matplotlib types its keys one by one
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#8884",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: in the reader's font, and a tenth of the size
    "svg.hashsalt": "carillon",  # the same figures are the same file
}


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a drawing."""

    title: str
    ticks: Sequence[tuple[float, str]]
    """Values and what is written there; the first and the last are the ends."""
    scale: Callable[[float], float] = float
    """Rising; equal steps of it are equal distances."""

    def place(self, value: float) -> float:
        """Return where a value is on the scale; what is beyond an end is at the end."""
        return self.scale(float(np.clip(value, self.ticks[0][0], self.ticks[-1][0])))


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a drawing."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    marked: bool = False
    """With a dot at each point."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing."""

    title: str
    """Stands above it, and is told to those who cannot see it."""
    image: str
    """An SVG file as a `data:` URL."""


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series], *, diagonal: bool = False) -> Chart:
    """Draw lines, each in a color of its own.

    Args:
        title: of the drawing.
        x: from left to right.
        y: from bottom to top.
        series: lines.
        diagonal: draw the line where x and y are equal.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
        axes.set(title=title, xlabel=x.title, ylabel=y.title)
        axes.set_xticks([x.place(value) for value, _ in x.ticks], [text for _, text in x.ticks])
        axes.set_yticks([y.place(value) for value, _ in y.ticks], [text for _, text in y.ticks])
        if diagonal:
            axes.plot([0, 1], [0, 1], color="#888", linestyle=":", linewidth=1, transform=axes.transAxes)
        for line in series:
            across, up = [x.place(point[0]) for point in line.points], [y.place(point[1]) for point in line.points]
            style, marker = "--" if line.dashed else "-", "o" if line.marked else ""
            axes.plot(across, up, style, marker=marker, markersize=4, label=line.name, clip_on=False)
        axes.set_xlim(x.place(x.ticks[0][0]), x.place(x.ticks[-1][0]))
        axes.set_ylim(y.place(y.ticks[0][0]), y.place(y.ticks[-1][0]))
        figure.legend(loc="outside lower center", ncols=2)
        file = BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Chart(title, f"data:image/svg+xml;base64,{b64encode(file.getvalue()).decode()}")
