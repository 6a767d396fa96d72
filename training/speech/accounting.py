"""How well speech is accounted for: against the labeled turns of calls, and on what is no speech at all.

    python training/speech/accounting.py DIR [--noise DIR] [--collar 0.25]

DIR holds calls with a party on each channel and a `manifest.csv` with the columns path, and turns: the file beside it
with the turns of that call (start and end in seconds; channel, left or right), or nothing.

Labels are not exact to the frame, so what is within the collar of an edge of the channel's turns is not counted. A
turn has pauses in it, which the gate leaves out on purpose: besides what it misses of the turns, what it misses of
their sound is given, which is the frames at most 30 dB below the speech that it found on that channel.

What is no speech is counted as it is, 10 dB louder, and right after 5 s of speech, all as a telephone carries it.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
from sounds import RATE_HZ, sounds

from carillon.analysis import VadModel
from carillon.analysis.speech import FRAME_SECONDS, JudgedFrames, SpeechGate
from carillon.analysis.speech.telephone import through_telephone
from carillon.audio import Pcm
from carillon.inference import Models

CHANNELS: Final = ("left", "right")
VOICE: Final = Path(__file__).parents[2] / "src/carillon/demo/recordings/call_1.flac"
VOICE_SECONDS: Final = (0.0, 5.0)
SOUND_DB: Final = 30.0
LOUDER: Final = np.float32(10 ** (10 / 20))

_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one party."""

    channel: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Account:
    """Frames of a channel, by what they are labeled and judged."""

    labeled: int
    missed: int
    sound: int
    """Labeled, and not a pause."""
    missed_sound: int
    other: int
    false: int

    def __add__(self, account: "Account") -> "Account":
        return Account(*(getattr(self, name) + getattr(account, name) for name in Account.__slots__))

    def row(self) -> str:
        """Return the shares in percent."""
        shares = ((self.missed, self.labeled), (self.missed_sound, self.sound), (self.false, self.other))
        return "".join(f"{100 * part / max(whole, 1):10.1f} %" for part, whole in shares)


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calls", type=Path)
    parser.add_argument("--noise", type=Path, help="a folder of recordings without speech, in folders by kind")
    parser.add_argument("--collar", type=float, default=0.25, help="seconds on both sides of a turn's edge")
    options = parser.parse_args()
    vad = Models().vad
    print(f"{'call':28}{'channel':10}{'missed':>12}{'of sound':>12}{'false':>12}")
    accounts = []
    for name, channel, account in of_calls(options.calls, vad, options.collar):
        print(f"{name:28}{channel:10}{account.row()}")
        accounts.append(account)
    print(f"{'all':38}{sum(accounts[1:], accounts[0]).row()}\n" if accounts else "no call has turns\n")
    print(f"{'no speech, judged speech':42}{'as it is':>12}{'+10 dB':>12}{'after speech':>14}")
    for name, shares in of_no_speech({**sounds(), **recorded(options.noise)}, vad):
        print(f"{name:42}" + "".join(f"{100 * share:10.1f} %" for share in shares))
    return 0


def of_calls(folder: Path, vad: VadModel, collar: float) -> Iterator[tuple[str, str, Account]]:
    """Yield the account of each channel of each call that has turns."""
    for row in _rows(folder / "manifest.csv"):
        if not row["turns"]:
            continue
        turns = [
            Turn(turn["channel"], float(turn["start"]), float(turn["end"])) for turn in _rows(folder / row["turns"])
        ]
        samples, rate_hz = soundfile.read(folder / row["path"], dtype="float32")
        for number, channel in enumerate(CHANNELS):
            heard = judged(np.ascontiguousarray(samples[:, number]), rate_hz, vad)
            yield row["path"], channel, account_of(heard, [turn for turn in turns if turn.channel == channel], collar)


def account_of(heard: JudgedFrames, turns: Iterable[Turn], collar: float) -> Account:
    """Hold what was judged against the turns of that channel."""
    is_speech, decibels = heard.is_speech, _decibels(heard)
    middle = (np.arange(len(is_speech)) + 0.5) * FRAME_SECONDS
    is_labeled, is_edge = np.zeros(len(is_speech), np.bool_), np.zeros(len(is_speech), np.bool_)
    for turn in turns:
        is_labeled |= (middle >= turn.start) & (middle < turn.end)
        is_edge |= (np.abs(middle - turn.start) < collar) | (np.abs(middle - turn.end) < collar)
    in_turn, outside = is_labeled & ~is_edge, ~is_labeled & ~is_edge
    speech_db = 10 * np.log10(np.mean(10 ** (decibels[is_speech] / 10))) if is_speech.any() else 0.0
    in_sound = in_turn & (decibels > speech_db - SOUND_DB)
    return Account(
        labeled=_count(in_turn),
        missed=_count(in_turn & ~is_speech),
        sound=_count(in_sound),
        missed_sound=_count(in_sound & ~is_speech),
        other=_count(outside),
        false=_count(outside & is_speech),
    )


def of_no_speech(named: Mapping[str, Pcm], vad: VadModel) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Yield the share of each sound that is judged speech: as it is, louder, and after speech."""
    voice, rate_hz = soundfile.read(VOICE, dtype="float32")
    first, last = (round(seconds * rate_hz) for seconds in VOICE_SECONDS)
    before = np.ascontiguousarray(voice[first:last, 1])  # the agent speaks first
    for name, sound in named.items():
        carried = through_telephone(sound, RATE_HZ)
        louder = through_telephone(sound * LOUDER, RATE_HZ)
        after = judged(np.concatenate([before, carried]), RATE_HZ, vad).is_speech
        skipped = round(VOICE_SECONDS[1] / FRAME_SECONDS)
        alone = (float(np.mean(judged(samples, RATE_HZ, vad).is_speech)) for samples in (carried, louder))
        yield name, (*alone, float(np.mean(after[skipped:])))


def recorded(folder: Path | None) -> dict[str, Pcm]:
    """Return what was recorded, all of a kind one after the other, at 8 kHz."""
    kinds: dict[str, list[Pcm]] = {}
    for path in sorted(folder.rglob("*.flac")) if folder else ():
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        narrow = through_telephone(samples[:, 0], rate_hz)
        kinds.setdefault(path.parent.name, []).append(narrow)
    return {f"recorded: {kind} ({len(parts)})": np.concatenate(parts) for kind, parts in kinds.items()}


def judged(samples: Pcm, rate_hz: int, vad: VadModel) -> JudgedFrames:
    """Return the whole of (n,) samples as the product hears it."""
    gate = SpeechGate(vad, rate_hz)
    parts = (gate.push(samples), gate.end())
    return JudgedFrames(0, np.concatenate([it.frames for it in parts]), np.concatenate([it.is_speech for it in parts]))


def _decibels(heard: JudgedFrames) -> npt.NDArray[np.float64]:
    power = np.mean((heard.frames / 32_768.0) ** 2, axis=1)
    decibels: npt.NDArray[np.float64] = 10 * np.log10(power + 1e-12)
    return decibels


def _count(flags: _Flags) -> int:
    return int(np.count_nonzero(flags))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
