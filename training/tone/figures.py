"""How right heads are, corpus by corpus, and how sure: what is printed, and what model cards show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from heads import Clips, Judged
from logistic import Array, Labels, calibration_error, log_loss, unweighted_recall

from carillon.inference.tone import LABELS

HISTORIES: Final = {
    "alone": "nothing was heard before",
    "earlier": "after the speaker's earlier clips, in the order of a hash of their names",
    "others": "after all other clips of the speaker",
    "one tone": "after all other clips of the speaker in the same tone: the worst that a history can be",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """How a head did in one corpus, in one band, after one kind of history."""

    corpus: str
    band: str
    history: str
    clips: int
    recall: float
    loss: float
    calibration_error: float
    recalls: Sequence[float]
    arousal: float
    """Mean recall of the excited and the calm."""


def measured(clips: Clips, judged: Judged) -> Iterator[Figures]:
    """Measure logits that are as sure as they should be."""
    corpora = np.array(clips.corpora)
    for corpus in sorted(set(clips.corpora)):
        of_corpus = corpora == corpus
        for (band, history), logits in judged.logits.items():
            tones, own = clips.tones[of_corpus], logits[of_corpus]
            excited, arousal = clips.excited[of_corpus], judged.arousal[band, history][of_corpus]
            yield Figures(
                corpus,
                band,
                history,
                len(tones),
                unweighted_recall(own, tones),
                log_loss(own, tones),
                calibration_error(own, tones),
                _recalls(own, tones),
                float(np.mean([((arousal > 0) == truth)[excited == truth].mean() for truth in (0, 1)])),
            )


def _recalls(logits: Array, tones: Labels) -> list[float]:
    guesses = logits.argmax(axis=1)
    return [float((guesses[tones == tone] == tone).mean()) for tone in range(len(LABELS))]


def shares(logits: Array) -> list[float]:
    """Return which share of some speech is judged to be of each tone."""
    guesses = logits.argmax(axis=1)
    return [float((guesses == tone).mean()) for tone in range(len(LABELS))]


def table(figures: Sequence[Figures], *, details: bool = True) -> str:
    """Return a Markdown table: a line for each corpus and band, a column for each history."""
    histories = list(dict.fromkeys(item.history for item in figures))
    lines: dict[tuple[str, str], dict[str, Figures]] = {}
    for item in figures:
        lines.setdefault((item.corpus, item.band), {})[item.history] = item
    more = ["log loss", "ECE", "recall of negative / neutral / positive", "arousal"] if details else []
    shown = "earlier" if "earlier" in histories else histories[0]
    rows = [["corpus", "band", "clips", *(f"UAR, {history}" for history in histories), *more]]
    rows.append(["---"] * len(rows[0]))
    for (corpus, band), found in lines.items():
        item = found[shown]
        recalls = " / ".join(f"{recall:.2f}" for recall in item.recalls)
        details_of = [f"{item.loss:.2f}", f"{item.calibration_error:.2f}", recalls, f"{item.arousal:.1%}"]
        recall_of = [f"{found[history].recall:.1%}" for history in histories]
        rows.append([corpus, band, str(item.clips), *recall_of, *(details_of if details else [])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
