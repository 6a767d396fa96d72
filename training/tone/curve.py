"""What more labels would bring: how English is heard, by how many English speakers a head was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from habits import Histories
from heads import Clips, Mask, Recipe, folds, train
from listening import BANDS
from logistic import unweighted_recall

from carillon.evaluation.svg import Axis, Series, chart

ENGLISH: Final = "ravdess"
SPEAKERS: Final = (0, 1, 2, 4, 7, 10)

_STYLE: Final = (
    "<style>text{font:12px sans-serif;fill:#444}.title{font-weight:bold}.grid{stroke:#ddd}"
    ".line{fill:none;stroke-width:2}</style>"
)


@dataclass(frozen=True, slots=True)
class Point:
    """How heads of one recipe hear held-out English speakers, in one band, after their earlier clips."""

    recipe: str
    band: str
    speakers: int
    """English ones that were trained on, beside the six German ones of EmoDB."""
    recall: float


def curve(clips: Clips, recipes: dict[str, Recipe], history: Histories) -> list[Point]:
    """Train on EmoDB and on more and more English speakers, three times; each third of the speakers is held out once.

    The speakers that are trained on are the first of a seeded order of those who are left.
    """
    corpora, speakers = np.array(clips.corpora), np.array(clips.speakers)
    english, unheard = corpora == ENGLISH, folds(clips)
    thirds = [(one | other) & english for one, other in list(pairwise(unheard))[::2]]
    points = []
    for name, recipe in recipes.items():
        for count in SPEAKERS:
            logits = {band: np.zeros((len(corpora), 3)) for band in BANDS}
            for third in thirds:
                head = train(clips.where((corpora == "emodb") | _first(speakers, english & ~third, count)), recipe)
                for band in BANDS:
                    logits[band][third] = head(clips.features[band], history)[0][third]
            points += [
                Point(name, band, count, unweighted_recall(logits[band][english], clips.tones[english]))
                for band in BANDS
            ]
    return points


def _first(speakers: np.ndarray[tuple[int], np.dtype[np.str_]], among: Mask, count: int) -> Mask:
    names = sorted(set(speakers[among].tolist()))
    order = np.random.default_rng(1).permutation(len(names))
    return among & np.isin(speakers, [names[place] for place in order[:count]])


def table(points: Sequence[Point]) -> str:
    """Return the points as Markdown."""
    lines: dict[tuple[str, str], list[str]] = {}
    for point in points:
        lines.setdefault((point.recipe, point.band), []).append(f"{point.recall:.1%}")
    head = ["hears", "band", *(str(count) for count in SPEAKERS)]
    rows = [head, ["---"] * len(head), *([*who, *values] for who, values in lines.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def drawing(points: Sequence[Point]) -> str:
    """Return the points as an SVG file."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for point in points:
        lines.setdefault((point.recipe, point.band), []).append((point.speakers, point.recall))
    x = Axis(
        "English speakers trained on, beside six German ones", [(n, str(n)) for n in SPEAKERS], lambda value: value
    )
    y = Axis("UAR on held-out English speakers", [(n / 10, f"{n * 10} %") for n in range(3, 11)], lambda value: value)
    series = [
        Series(f"{recipe}, {band[:3]}.", values, dashed=band == "telephone", marked=True)
        for (recipe, band), values in lines.items()
    ]
    drawn = chart("What more labels bring (RAVDESS)", x, y, series)
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{_STYLE}", 1) + "\n"
