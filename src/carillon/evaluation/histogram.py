"""The scores of two classes as text: how far apart are one person and two?"""

from typing import Final

import numpy as np
from rich.table import Table
from rich.text import Text

from carillon.evaluation.conditions import Condition
from carillon.evaluation.measures import Scores
from carillon.evaluation.trials import Pairs

_STEP: Final = 0.05
_WIDTH: Final = 30
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def histogram(condition: Condition, pairs: Pairs) -> Table:
    """Return a table with a row for every twentieth of cosine that occurs, highest first, a bar for each class."""
    both = np.concatenate([pairs.genuine, pairs.impostor])
    edges = np.arange(np.floor(both.min() / _STEP), np.ceil(both.max() / _STEP) + 1) * _STEP
    if len(edges) < 2:
        edges = np.append(edges, edges[-1] + _STEP)
    table = Table(title=f"{condition.compared}, {condition.seconds} s of speech")
    table.add_column("cosine", justify="right")
    table.add_column(f"one person ({len(pairs.genuine)} pairs)", style="green", no_wrap=True)
    table.add_column(f"two people ({len(pairs.impostor)} pairs)", style="red", no_wrap=True)
    genuine, impostor = _shares(pairs.genuine, edges), _shares(pairs.impostor, edges)
    most = max(genuine.max(), impostor.max())
    for low, one, two in reversed(list(zip(edges[:-1], genuine, impostor, strict=True))):
        table.add_row(f"{low:5.2f}", _bar(one, one / most), _bar(two, two / most))
    return table


def _shares(scores: Scores, edges: Scores) -> Scores:
    shares: Scores = np.histogram(scores, edges)[0] / len(scores)
    return shares


def _bar(share: float, length: float) -> Text:
    if not share:
        return Text("")
    eighths = max(round(length * _WIDTH * 8), 1)
    return Text(f"{'█' * (eighths // 8)}{_EIGHTHS[eighths % 8].strip()} {share:.1%}")
