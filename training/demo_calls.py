"""Lays real recordings out as the three two-channel calls of the demonstration. Deterministic.

Two people take turns on an 8 kHz line: the customer left, the agent right, a pause after each turn, nobody talks over
the other. Only the arrangement, the rate and the level are ours; every word was spoken by the person it is credited to.

    python training/demo_calls.py SPEAKERS_DIR

SPEAKERS_DIR holds LibriSpeech utterances (CC BY 4.0) as `<speaker>/<utterance>.flac`. Customers of call 1 and 2 are the
same person reading two different chapters, recorded in two sessions.
"""

import argparse
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RATE_HZ: Final = 8_000
PAUSE_SECONDS: Final = (0.7, 0.4, 0.9, 0.5)  # after a turn, in turn
PEAK: Final = 0.5
OUT: Final = Path(__file__).parents[1] / "src/carillon/demo/recordings"

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """Who says what: utterances of the customer and of the agent, who speaks first."""

    name: str
    customer: tuple[str, ...]
    agent: tuple[str, ...]


CALLS: Final = (
    Call(
        "call_1",
        ("libri_19/19-198-0002", "libri_19/19-198-0004", "libri_19/19-198-0012", "libri_19/19-198-0020"),
        ("libri_2414/2414-128291-0008", "libri_2414/2414-128291-0006"),
    ),
    Call(
        "call_2",
        ("libri_19/19-227-0025", "libri_19/19-227-0049", "libri_19/19-227-0054"),
        ("libri_3331/3331-159605-0001", "libri_3331/3331-159605-0006"),
    ),
    Call(
        "call_3",
        ("libri_26/26-495-0000", "libri_26/26-495-0041", "libri_26/26-495-0068"),
        ("libri_533/533-1066-0006", "libri_533/533-1066-0009"),
    ),
)


def main() -> None:
    """Write the calls and say how long they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speakers", type=Path)
    directory: Path = parser.parse_args().speakers
    OUT.mkdir(exist_ok=True)
    for call in CALLS:
        samples = lay_out(call, directory)
        soundfile.write(OUT / f"{call.name}.flac", samples, RATE_HZ, subtype="PCM_16")
        print(f"{call.name}: {len(samples) / RATE_HZ:.1f} s")


def lay_out(call: Call, directory: Path) -> Samples:
    """Return (n, 2) samples: customer, agent."""
    parts: list[Samples] = []
    turns = (turn for pair in zip_longest(call.agent, call.customer) for turn in zip((1, 0), pair, strict=True))
    for number, (channel, utterance) in enumerate((c, u) for c, u in turns if u is not None):
        voice = read(directory / f"{utterance}.flac")
        pause = round(PAUSE_SECONDS[number % len(PAUSE_SECONDS)] * RATE_HZ)
        turn = np.zeros((len(voice) + pause, 2))
        turn[: len(voice), channel] = voice
        parts.append(turn)
    return np.concatenate(parts)


def read(path: Path) -> Samples:
    """Return (n,) samples at 8 kHz, their peak at half of full scale."""
    samples, rate_hz = soundfile.read(path)
    narrow: Samples = soxr.resample(samples, rate_hz, RATE_HZ)
    return narrow * (PEAK / np.abs(narrow).max())


if __name__ == "__main__":
    main()
