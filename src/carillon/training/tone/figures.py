"""How right a head is, corpus by corpus, and how sure: what is printed, and what model cards show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from carillon.evaluation.measures import calibration_error, reliability
from carillon.inference.tone import LABELS
from carillon.training.tone.calibrating import ScoreCalibration, ScoreTable, softmax
from carillon.training.tone.clips import Clips, Mask

HISTORIES: Final = {
    "none": "nothing was heard before",
    "earlier": "after the speaker's earlier clips, in the order of a hash of their names",
}


@dataclass(frozen=True, slots=True)
class HeadFigures:
    """How a head did in one corpus, in one band, after one kind of history."""

    corpus: str
    unseen: str
    """What of it the head had not heard: "corpus", or only these "people"."""
    band: str
    history: str
    clips: int
    recalls: Sequence[float | None]
    """Of negative, neutral and positive; None where a tone does not occur."""
    shares: Sequence[float]
    """Called negative, neutral and positive."""
    calibration_error: float
    arousal: float | None
    """Mean recall of the excited and the calm; None unless both occur."""

    @property
    def recall(self) -> float:
        """Return the mean recall of the tones that occur."""
        return float(np.mean([recall for recall in self.recalls if recall is not None]))


def measured(
    clips: Clips, scores: ScoreTable, calibration: ScoreCalibration, unseen: str, among: Mask
) -> Iterator[HeadFigures]:
    """Measure heads that had not heard what they judge."""
    for corpus in np.unique(clips.corpora[among]).tolist():
        inside = among & (clips.corpora == corpus)
        tones, excited = clips.tones[inside], clips.excited[inside]
        for (band, history), values in scores.items():
            probabilities = softmax(calibration.of_tone(values[inside]))
            guesses, arousal = probabilities.argmax(axis=1), calibration.of_arousal(values[inside]) > 0
            known = [excited == truth for truth in (0, 1)]
            yield HeadFigures(
                corpus,
                unseen,
                band,
                history,
                len(tones),
                [
                    float((guesses[tones == tone] == tone).mean()) if (tones == tone).any() else None
                    for tone in range(3)
                ],
                [float((guesses == tone).mean()) for tone in range(3)],
                calibration_error(reliability(probabilities.max(axis=1), guesses == tones)),
                float(np.mean([(arousal[rows] == truth).mean() for truth, rows in enumerate(known)]))
                if all(rows.any() for rows in known)
                else None,
            )


def table(figures: Sequence[HeadFigures], history: str = "earlier") -> str:
    """Return a Markdown table of one history: a line for each corpus and band."""
    rows = [["corpus", "not heard", "band", "clips", "UAR", *LABELS, "called negative", "neutral", "ECE", "arousal"]]
    rows.append(["---"] * len(rows[0]))
    for item in figures:
        if item.history != history:
            continue
        recalls = ["-" if recall is None else f"{recall:.0%}" for recall in item.recalls]
        about = [item.corpus, item.unseen, item.band, str(item.clips), f"{item.recall:.1%}", *recalls]
        shares = [f"{share:.0%}" for share in item.shares[:2]]
        arousal = "-" if item.arousal is None else f"{item.arousal:.0%}"
        rows.append([*about, *shares, f"{item.calibration_error:.2f}", arousal])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
