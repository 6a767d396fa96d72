r"""Train the packaged tone heads, the default and the light one, and tell how good they are.

    python training/tone/train.py --acted TONE_DIR --acted MORE_DIR --calm SPEAKERS_DIR --noise NOISE_DIR \
        --out src/carillon/inference/weights --cache /tmp/tone

Each folder of acted speech has a manifest.csv with corpus, speaker, valence, emotion and commercial_use. Heads learn
from its rows with commercial_use = yes alone; the others tell how they do on corpora that they never heard. The calm
folder holds people who read aloud, taken for neutral: the first few recordings of each.

What was chosen, and how, is told in docs/discussion/tone-model.md. It takes about twenty minutes on two idle cores, a
minute with a cache. What is random is seeded: every run gives the same figures, and weights that differ in the last
digits, by how many threads share a sum.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cards import write_card
from check import check

from carillon.evaluation.manifest import read_manifest
from carillon.inference.tone import LABELS
from carillon.training.tone import (
    CHANGES,
    DEFAULT,
    LIGHT,
    FeatureExtractor,
    LabeledRecording,
    Name,
    extract,
    table,
    train,
    write_head,
)

_ATTRIBUTION: Final = (
    "Trained for carillon on EmoDB (CC0 1.0), EmoGator (F. W. Buhl, Apache-2.0), speechocean762 and LibriSpeech (CC BY "
    "4.0), with sounds of ESC-10 (CC BY 3.0)"
)
_CORPORA: Final = ("emodb", "emogator", "speechocean762", "librispeech")
HEADS: Final = {
    Name(
        "tone-head-clean-5", "tone_head_clean", "training/tone/train.py", "Apache-2.0", True, _CORPORA, _ATTRIBUTION
    ): DEFAULT,
    Name(
        "tone-head-light-3", "tone_head_light", "training/tone/train.py", "Apache-2.0", True, _CORPORA, _ATTRIBUTION
    ): LIGHT,
}

READINGS_OF_A_SPEAKER: Final = 3


def acted(directories: Sequence[Path]) -> list[LabeledRecording]:
    """Return all recordings whose tone is one of the three."""
    rows = [row for folder in directories for row in read_manifest(folder, ("corpus", "valence", "commercial_use"))]
    return [LabeledRecording.of(row) for row in rows if row.labels["valence"] in LABELS]


def calm(directory: Path) -> list[LabeledRecording]:
    """Return the first few recordings of every reader, taken for neutral."""
    chosen: dict[str, list[LabeledRecording]] = {}
    for row in read_manifest(directory, ("source",)):
        corpus = "librispeech" if row.labels["source"].startswith("LibriSpeech") else "speechocean762"
        labeled = LabeledRecording(row, corpus, LABELS.index("neutral"), "read")
        chosen.setdefault(row.speaker, []).append(labeled)
    return [item for own in chosen.values() for item in own[:READINGS_OF_A_SPEAKER]]


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the packaged tone heads.")
    parser.add_argument("--acted", type=Path, action="append", required=True)
    parser.add_argument("--calm", type=Path, required=True)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the heads")
    parser.add_argument("--cache", type=Path, help="a folder to keep what was heard in")
    arguments = parser.parse_args()
    started = time.monotonic()

    listener = FeatureExtractor(arguments.noise, arguments.cache)
    labeled = acted(arguments.acted)
    may_learn = [item.recording.labels["commercial_use"] == "yes" for item in labeled]
    learned = [item for item, may in zip(labeled, may_learn, strict=True) if may] + calm(arguments.calm)
    clips = extract(listener, learned, CHANGES)
    others = extract(listener, [item for item, may in zip(labeled, may_learn, strict=True) if not may], ())
    print(f"heard {len(clips.tones)} to learn from and {len(others.tones)} others, {time.monotonic() - started:.0f} s")
    for name, recipe in HEADS.items():
        trained = train(clips, recipe, others=others)
        sha256 = write_head(trained.head, trained.calibration, name, arguments.out)
        check(trained, others, arguments.out / f"{name.file}.onnx")
        write_card(name, trained, arguments.out)
        print(f"\n{name.id}, {trained.calibration}, sha256 {sha256}\n{table(trained.figures)}")
        print(f"\nat the start of a call\n{table(trained.figures, 'none')}\n{time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    sys.exit(main())
