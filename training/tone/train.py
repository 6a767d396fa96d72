r"""Train the tone heads: the licence-clean one that is the default, and the research one; and tell how good they are.

    python training/tone/train.py TONE_DIR SPEAKERS_DIR NOISE_DIR --out src/carillon/inference/weights \
        --research training/tone/research --docs docs/discussion --cache /tmp/tone

TONE_DIR and SPEAKERS_DIR have a manifest.csv, NOISE_DIR folders of sounds. The research head learns from all of
TONE_DIR; the clean one only from its rows with commercial_use = yes, which is EmoDB: six German actors. The others tell
how it does on people, languages and recordings that it does not know. SPEAKERS_DIR, read English speech without labels,
is taken for neutral when the clean head's sureness is fitted, never when it is trained.

Every figure is of speakers that were held out. Penalties and parts are fixed here, in advance of the folds; how they
were chosen is told in docs/discussion/tone-model.md. It takes about ten minutes on two idle cores, less with a cache.
What is random is seeded: every run gives the same figures, and weights that differ in the last digits, by how many
threads share a sum.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import habits
import numpy as np
from calibrating import calibrate, calibrated, cross_calibrated
from cards import CLEAN, RESEARCH, Leaning, write_clean_card, write_research_card
from curve import curve, drawing
from curve import table as curve_table
from export import check, write_head
from figures import Figures, measured, shares, table
from habits import Histories
from heads import EXCITED, Calibration, Clips, Head, Recipe, folds, judge, train
from listening import BANDS, CHANGES, Features, Listener, long_enough
from logistic import Array

from carillon.audio import MODEL_RATE_HZ
from carillon.evaluation.manifest import Recording, read_manifest
from carillon.inference.tone import LABELS

ALL: Final = Recipe({"hidden": 1.0, "prosody": 1.0, "voice": 2**0.5}, penalty=0.3)
"""What the research head hears."""
FEW: Final = Recipe({"prosody": 2.0, "voice": 2**0.5}, penalty=1.0)
"""What the clean head hears: with so few speakers, Whisper's many numbers learn the corpus."""
PROSODY: Final = Recipe({"prosody": 1.0}, penalty=0.05)
"""The baseline: functionals and a linear classifier."""
WHISPER: Final = Recipe({"hidden": 1.0}, penalty=0.3)

CLIPS_OF_A_SPEAKER: Final = 3  # of the English speakers


@dataclass(frozen=True, slots=True, eq=False)
class English:
    """Read speech, taken for neutral."""

    features: Mapping[str, Features]
    histories: Sequence[Histories]

    def judged(self, heads: Sequence[Head]) -> Array:
        """Return (n, 3) logits: what every head says in both bands, at the start of a call and later."""
        return np.vstack(
            [head(self.features[band], history)[0] for head in heads for band in BANDS for history in self.histories]
        )


def labelled(listener: Listener, directory: Path) -> Clips:
    """Hear all clips with half a second of speech in both bands, in every way."""
    rows = read_manifest(directory, ("corpus", "valence", "emotion", "commercial_use"))
    features, kept, seconds = heard(listener, rows, CHANGES)
    return Clips(
        features,
        np.array([LABELS.index(row.labels["valence"]) for row in kept]),
        np.array([EXCITED.get(row.labels["emotion"], -1) for row in kept]),
        [row.speaker for row in kept],
        [row.labels["corpus"] for row in kept],
        [row.labels["path"] for row in kept],
        seconds,
    )


def read_speech(listener: Listener, directory: Path) -> English:
    """Hear the first few recordings of every speaker."""
    by_speaker: dict[str, list[Recording]] = {}
    for recording in read_manifest(directory, ()):
        by_speaker.setdefault(recording.speaker, []).append(recording)
    chosen = [item for _, own in sorted(by_speaker.items()) for item in own[:CLIPS_OF_A_SPEAKER]]
    features, kept, seconds = heard(listener, chosen, ())
    who, names = [row.speaker for row in kept], [row.labels["path"] for row in kept]
    return English(features, (habits.none(seconds), habits.earlier(who, names, seconds)))


def heard(
    listener: Listener, rows: Sequence[Recording], changes: Sequence[str]
) -> tuple[Mapping[str, Features], list[Recording], Array]:
    """Return the features of recordings in both bands and after changes; which they are, and how long."""
    speech = {band: listener.speech(rows, band) for band in BANDS}
    places = np.flatnonzero(np.logical_and(*(long_enough(speech[band]) for band in BANDS)))
    kept = [rows[place] for place in places]
    wideband, telephone = ([speech[band][place] for place in places] for band in BANDS)
    features = {"wideband": listener.features(kept, wideband, "wideband")}
    features["telephone"] = listener.features(kept, telephone, "telephone")
    features |= {change: listener.features(kept, wideband, change) for change in changes}
    return features, kept, np.array([len(item) / MODEL_RATE_HZ for item in wideband])


def histories_of(clips: Clips) -> dict[str, Histories]:
    """Return every kind of history that is measured; see `figures.HISTORIES`."""
    return {
        "alone": habits.none(clips.seconds),
        "earlier": habits.earlier(clips.speakers, clips.names, clips.seconds),
        "others": habits.others(clips.speakers, clips.seconds),
        "one tone": habits.of_one_tone(clips.speakers, clips.tones, clips.seconds),
    }


def on_all(clips: Clips, recipe: Recipe) -> tuple[list[Figures], Head, Calibration]:
    """Train on everything; measure on held-out speakers, each fold calibrated by the others."""
    masks = folds(clips)
    judged = judge(clips, [(train(clips.where(~mask), recipe), mask) for mask in masks], histories_of(clips))
    figures = list(measured(clips, cross_calibrated(clips, judged, masks)))
    return figures, train(clips, recipe), calibrate(clips, judged, np.ones(len(clips.tones), bool))


def on_some(
    clips: Clips, corpora: Sequence[str], recipe: Recipe, english: English
) -> tuple[list[Figures], Head, Calibration, Leaning]:
    """Train on some corpora; measure on their held-out speakers and on all others, which no number is fitted to."""
    known = np.isin(clips.corpora, corpora)
    masks = [mask & known for mask in folds(clips)]
    parts = [(train(clips.where(known & ~mask), recipe), mask) for mask in masks]
    head = train(clips.where(known), recipe)
    judged = judge(clips, [*parts, (head, ~known)], histories_of(clips))
    read = english.judged([part for part, _ in parts])
    calibration = calibrate(clips, judged, known, read)
    leaning = Leaning(shares(read), shares(calibration.of_tone(read)))
    return list(measured(clips, calibrated(judged, calibration))), head, calibration, leaning


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the tone heads.")
    parser.add_argument("tone", type=Path)
    parser.add_argument("speakers", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the clean head")
    parser.add_argument("--research", type=Path, help="the folder of the research head; left out: it is only measured")
    parser.add_argument("--docs", type=Path, help="a folder to draw the curve into")
    parser.add_argument("--cache", type=Path, help="a folder to keep what was heard in")
    arguments = parser.parse_args()
    started = time.monotonic()

    listener = Listener(arguments.noise, arguments.cache)
    clips = labelled(listener, arguments.tone)
    english = read_speech(listener, arguments.speakers)
    rows = read_manifest(arguments.tone, ("corpus", "commercial_use"))
    clean = sorted({row.labels["corpus"] for row in rows if row.labels["commercial_use"] == "yes"})
    print(f"heard {len(clips.tones)} of {len(rows)} clips, {time.monotonic() - started:.0f} s")

    baseline = on_all(clips, PROSODY)[0]
    print(f"\nprosody and a linear classifier, trained on all\n{table(baseline)}")
    whisper = on_all(clips, WHISPER)[0]
    print(f"\nWhisper's layers alone, trained on all\n{table(whisper)}")
    figures, head, calibration = on_all(clips, ALL)
    print(f"\n{RESEARCH.id}, {calibration}\n{table(figures)}")
    if arguments.research is not None:
        sha256 = write_head(head, calibration, RESEARCH, arguments.research)
        check(head, calibration, clips.features["wideband"], clips.seconds, arguments.research, RESEARCH)
        write_research_card(figures, baseline, whisper, calibration, arguments.research)
        print(f"{arguments.research}: sha256 {sha256}")

    clean_figures, clean_head, clean_calibration, leaning = on_some(clips, clean, FEW, english)
    print(f"\n{CLEAN.id}, {clean_calibration}\n{table(clean_figures)}")
    points = curve(clips, {"all": ALL, "few": FEW}, histories_of(clips)["earlier"])
    print(f"\n{curve_table(points)}")
    if arguments.docs is not None:
        (arguments.docs / "tone-curve.svg").write_text(drawing(points), encoding="utf-8")
    sha256 = write_head(clean_head, clean_calibration, CLEAN, arguments.out)
    check(clean_head, clean_calibration, clips.features["wideband"], clips.seconds, arguments.out, CLEAN)
    write_clean_card(clean_figures, leaning, curve_table(points), clean_calibration, arguments.out)
    print(f"{arguments.out}: sha256 {sha256}; {time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    sys.exit(main())
