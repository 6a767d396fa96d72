r"""Fit how many judgments so much speech is worth: the two numbers of src/carillon/analysis/tone/averages.py.

    python training/tone/windows.py --acted TONE_DIR --acted MORE_DIR --calm SPEAKERS_DIR --noise NOISE_DIR --cache DIR

Clips of one person and one tone are put together to stretches of up to 30 s, each clip judged by a head that never
heard the person, after the person's earlier ones. The two numbers are those of least log loss on what heads learn from;
what they may not learn from shows what comes of it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from scipy.optimize import minimize
from train import CHANGES, acted, calm

from carillon.analysis.tone.averages import HALF_SECONDS, MOST_JUDGMENTS, PRIOR
from carillon.evaluation.measures import calibration_error, reliability
from carillon.training.tone import DEFAULT, Clips, FeatureExtractor, extract
from carillon.training.tone.calibrating import calibrate, merged, softmax
from carillon.training.tone.clips import Array, Labels
from carillon.training.tone.heads import fit
from carillon.training.tone.listening import BANDS
from carillon.training.tone.training import dealt, histories_of, scores_of

STRETCH_SECONDS: Final = 30.0


def stretches(clips: Clips, logits: Array) -> Iterator[tuple[Array, float, int, str]]:
    """Yield the mean log probability of a stretch, (3,), its seconds of speech, its tone and its corpus."""
    logs = np.log(np.maximum(softmax(logits), 1e-4))
    for speaker in np.unique(clips.speakers):
        for tone in np.unique(clips.tones[clips.speakers == speaker]):
            rows: list[int] = []
            own = np.flatnonzero((clips.speakers == speaker) & (clips.tones == tone))
            for row in sorted(own, key=lambda row: str(clips.names[row])[::-1]):
                if clips.seconds[[*rows, row]].sum() > STRETCH_SECONDS * 0.8:  # the rest is pauses
                    yield _stretch(clips, logs, rows)
                    rows = []
                rows.append(row)
            yield _stretch(clips, logs, rows)


def _stretch(clips: Clips, logs: Array, rows: list[int]) -> tuple[Array, float, int, str]:
    seconds = clips.seconds[rows]
    mean = (logs[rows] * seconds[:, None]).sum(axis=0) / seconds.sum()
    return mean, float(seconds.sum()), int(clips.tones[rows[0]]), str(clips.corpora[rows[0]])


def worth(seconds: Array, most: float, half: float) -> Array:
    """Return what `averages.judgments` does."""
    return most * seconds / (seconds + half)


def main() -> None:
    """Fit, and show what comes of it."""
    parser = argparse.ArgumentParser(description="Fit what windows are worth.")
    parser.add_argument("--acted", type=Path, action="append", required=True)
    parser.add_argument("--calm", type=Path, required=True)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    listener = FeatureExtractor(arguments.noise, arguments.cache)
    labeled = acted(arguments.acted)
    may = [item.recording.labels["commercial_use"] == "yes" for item in labeled]
    learned = [item for item, is_clean in zip(labeled, may, strict=True) if is_clean] + calm(arguments.calm)
    clips = extract(listener, learned, CHANGES)
    others = extract(listener, [item for item, is_clean in zip(labeled, may, strict=True) if not is_clean], ())
    before = histories_of(clips)
    people = merged([(scores_of(fit(clips.where(~fold), DEFAULT), clips, before), fold) for fold in dealt(clips, 3)])
    calibration = calibrate(clips, people, np.isin(clips.corpora, DEFAULT.calm))
    elsewhere = scores_of(fit(clips, DEFAULT), others, histories_of(others))

    found = [
        stretch
        for of, scores in ((clips, people), (others, elsewhere))
        for band in BANDS
        for stretch in stretches(of, calibration.of_tone(scores[band, "earlier"]))
    ]
    means, seconds = np.array([item[0] for item in found]), np.array([item[1] for item in found])
    tones, corpora = np.array([item[2] for item in found]), np.array([item[3] for item in found])
    clean = np.isin(corpora, np.unique(clips.corpora))
    weights = _weights(tones, corpora) * clean

    def loss(point: Array) -> float:
        said = softmax(means * worth(seconds, *np.exp(point))[:, None])[np.arange(len(tones)), tones]
        return float(-(np.log(said + 1e-12) * weights).sum() / weights.sum())

    most, half = np.exp(minimize(loss, np.log([3.0, 5.0]), method="Nelder-Mead").x).tolist()
    print(f"MOST_JUDGMENTS {most:.2f}, HALF_SECONDS {half:.2f}")
    ways = {
        "fitted": means * worth(seconds, most, half)[:, None],
        "as it ships": np.log(PRIOR) + means * worth(seconds, MOST_JUDGMENTS, HALF_SECONDS)[:, None],
        "a plain mean": means,
    }
    for name, logits in ways.items():
        probabilities = softmax(logits)
        for corpus in np.unique(corpora):
            inside = corpora == corpus
            sure, right = probabilities[inside].max(axis=1), probabilities[inside].argmax(axis=1) == tones[inside]
            error = calibration_error(reliability(sure, right))
            told = f"right {right.mean():.2f} sure {sure.mean():.2f} ECE {error:.2f}"
            print(f"{name:12} {corpus:15} {inside.sum():4} {told}")


def _weights(tones: Labels, corpora: "np.ndarray[tuple[int], np.dtype[np.str_]]") -> Array:
    weights = np.zeros(len(tones))
    for tone in np.unique(tones):
        for corpus in np.unique(corpora):
            inside = (tones == tone) & (corpora == corpus)
            weights[inside] = 1 / max(int(inside.sum()), 1)
        weights[tones == tone] /= weights[tones == tone].sum()
    return weights


if __name__ == "__main__":
    sys.exit(main())
