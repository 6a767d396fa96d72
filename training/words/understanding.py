"""When does the transcriber count as having understood? What `least_log_probability` of its manifest rests on.

    python training/words/understanding.py DATA

DATA holds speakers/, tone/, calls/ and noise/; calls have their turns in *.turns.csv. Speech in English
should be believed; speech in other languages, speech played backwards and sounds should not. Nothing is trained: the
shares believed are printed for a range of thresholds, and one was chosen by hand. At most 60 recordings of a kind, the
same ones each time.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference import ModelSettings
from carillon.inference.catalog import ModelCatalog
from carillon.inference.moonshine import Moonshine

THRESHOLDS: Final = (-0.45, -0.55, -0.65, -0.75, -0.85, -1.0)
MOST: Final = 60
MOST_SAMPLES: Final = 10 * MODEL_RATE_HZ


def read(path: Path) -> Pcm:
    """Read the first channel at 16 kHz."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    resampled: Pcm = soxr.resample(samples[:, 0], rate_hz, MODEL_RATE_HZ)
    return resampled


def some(folder: Path, pattern: str) -> list[Pcm]:
    """Read a few recordings, spread evenly over all."""
    paths = sorted(folder.glob(pattern))
    return [read(path) for path in paths[:: max(1, len(paths) // MOST)][:MOST]]


def turns(folder: Path) -> Iterator[Pcm]:
    """Cut the turns out of calls."""
    for path in sorted(folder.glob("*.turns.csv")):
        samples, rate_hz = soundfile.read(path.with_name(path.name.replace(".turns.csv", ".flac")), dtype="float32")
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                begin, end = (int(float(row[name]) * rate_hz) for name in ("start", "end"))
                yield soxr.resample(samples[begin:end, int(row["channel"] == "right")], rate_hz, MODEL_RATE_HZ)


def main() -> None:
    """Print the share believed of each kind at each threshold."""
    parser = argparse.ArgumentParser(description="How sure a transcriber must be.")
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    read_aloud = some(data / "speakers", "libri_*/*.flac")
    kinds = {
        "calls, English": list(turns(data / "calls")),
        "read aloud, English": read_aloud,
        "read by Mandarin speakers, English": some(data / "speakers", "so762_*/*.flac"),
        "acted, English": some(data / "tone", "ravdess/*/*.flac"),
        "acted, German": some(data / "tone", "emodb/*/*.flac"),
        "acted, Polish": some(data / "tone", "nemo/*/*.flac"),
        "English, backwards": [samples[::-1].copy() for samples in read_aloud],
        "sounds": some(data / "noise", "*/*.flac"),
    }
    transcriber = Moonshine(ModelCatalog().find(ModelSettings().asr, "asr"))
    print(f"{'share believed from':36}", *(f"{threshold:7}" for threshold in THRESHOLDS))
    for kind, recordings in kinds.items():
        cut = [samples[:MOST_SAMPLES] for samples in recordings if len(samples) >= MODEL_RATE_HZ // 2]
        heard = [transcriber.transcribe(samples) for samples in cut]
        sure = np.array([item.log_probability for item in heard])
        print(f"{kind:36}", *(f"{(sure >= threshold).mean():7.0%}" for threshold in THRESHOLDS), flush=True)


if __name__ == "__main__":
    sys.exit(main())
