"""Lays real recordings out as the three two-channel calls of the demonstration. Deterministic.

Two people take turns on a telephone line (8 kHz, 300 to 3400 Hz, mu-law): the customer left, the agent right, a pause
after each turn, nobody talks over the other. Only the arrangement, the level and the line are ours; every word was
spoken by the person it is credited to.

    python training/demo_calls.py SPEAKERS_DIR

SPEAKERS_DIR holds LibriSpeech utterances (CC BY 4.0) as `<speaker>/<utterance>.flac`. The customer of calls 1 and 2 is
one person, who reads from two books: nothing that was recorded for one chapter is in both.
"""

import argparse
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from carillon.analysis.speech.telephone import RATE_HZ, through_telephone
from carillon.audio import Pcm, Pcm16, to_pcm16

PAUSE_SECONDS: Final = (0.7, 0.4, 0.9, 0.5)  # after a turn, in turn
PEAK: Final = np.float32(0.5)
OUT: Final = Path(__file__).parents[1] / "src/carillon/demo/recordings"
CUSTOMER, AGENT = 0, 1


@dataclass(frozen=True)
class Call:
    """Who says what, the agent first."""

    name: str
    customer: tuple[str, ...]
    agent: tuple[str, ...]


CALLS: Final = (
    Call(
        "call_1",
        ("libri_19/19-198-0002", "libri_19/19-198-0004", "libri_19/19-198-0012", "libri_19/19-198-0030"),
        ("libri_2414/2414-128291-0008", "libri_2414/2414-128291-0006", "libri_2414/2414-128291-0007"),
    ),
    Call(
        "call_2",
        ("libri_19/19-227-0025", "libri_19/19-227-0049", "libri_19/19-227-0054", "libri_19/19-227-0063"),
        (
            "libri_3331/3331-159605-0001",
            "libri_3331/3331-159605-0006",
            "libri_3331/3331-159605-0007",
            "libri_3331/3331-159605-0005",
        ),
    ),
    Call(
        "call_3",
        ("libri_26/26-495-0000", "libri_26/26-495-0041", "libri_26/26-495-0068", "libri_26/26-495-0080"),
        ("libri_533/533-1066-0006", "libri_533/533-1066-0009", "libri_533/533-1066-0008", "libri_533/533-1066-0003"),
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


def lay_out(call: Call, directory: Path) -> Pcm16:
    """Return (n, 2) samples at 8 kHz: customer, agent."""
    pairs = zip_longest(call.agent, call.customer)
    turns = chain.from_iterable(((AGENT, said), (CUSTOMER, answered)) for said, answered in pairs)
    parts = []
    for number, (channel, utterance) in enumerate(turn for turn in turns if turn[1]):
        voice = read(directory / f"{utterance}.flac")
        pause = round(PAUSE_SECONDS[number % len(PAUSE_SECONDS)] * RATE_HZ)
        turn = np.zeros((len(voice) + pause, 2), np.float32)
        turn[: len(voice), channel] = voice
        parts.append(turn)
    return to_pcm16(np.concatenate(parts))


def read(path: Path) -> Pcm:
    """Return (n,) samples as the telephone carries them, their peak at half of full scale."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return through_telephone(samples * (PEAK / np.abs(samples).max()), rate_hz)


if __name__ == "__main__":
    main()
