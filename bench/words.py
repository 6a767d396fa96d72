"""What words cost and how well they are heard: speech to words to tone, over the turns of real telephone calls.

Time is that of one thread on the CPU. Bare time is ONNX Runtime's on the very inputs that the product gave it, replayed
at once after each turn; the rest is ours: front end, greedy search, word pieces, VADER. Words are compared with the
calls' transcripts after fillers are dropped and numbers are spelled; the times of turns are good to some tenths of a
second, so some of the words counted as missed were never heard.

    python bench/words.py CALLS [--turns 60]

CALLS holds two-channel NAME.flac and NAME.turns.csv (start, end, channel, text).
"""

import argparse
import csv
import gc
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import soundfile
import soxr

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference import Models, ModelSettings
from carillon.inference.sessions import OnnxSession

RATIO_BAR: Final = 1.25
LEAST_SECONDS: Final = 0.5
MARGIN_SECONDS: Final = 0.2
FILLERS: Final = {"uh", "um", "mm", "hmm", "hm", "ah", "er", "oh"}
ONES: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS: Final = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one party said."""

    samples: Pcm
    text: str

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return len(self.samples) / MODEL_RATE_HZ


def turns(folder: Path) -> Iterator[Turn]:
    """Cut the turns out of every call, at the rate of the models."""
    for path in sorted(folder.glob("*.turns.csv")):
        samples, rate_hz = soundfile.read(path.with_name(path.name.replace(".turns.csv", ".flac")), dtype="float32")
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                begin, end = float(row["start"]) - MARGIN_SECONDS, float(row["end"]) + MARGIN_SECONDS
                cut = samples[max(0, int(begin * rate_hz)) : int(end * rate_hz), int(row["channel"] == "right")]
                if len(cut) >= LEAST_SECONDS * rate_hz:
                    yield Turn(soxr.resample(cut, rate_hz, MODEL_RATE_HZ), row["text"])


class Tape:
    """Remembers what ONNX Runtime was asked, to ask it again without us."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, list[str], dict[str, Any]]] = []
        self._run = OnnxSession.run

    def __enter__(self) -> Self:
        tape, run = self, self._run

        def record(session: OnnxSession, outputs: list[str], inputs: dict[str, Any]) -> Any:  # noqa: ANN401
            tape.calls.append((session._session, list(outputs), dict(inputs)))  # noqa: SLF001 (to leave out our layer)
            return run(session, outputs, inputs)

        OnnxSession.run = record  # type: ignore[assignment,method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        OnnxSession.run = self._run  # type: ignore[method-assign]

    def replay(self) -> float:
        """Return the CPU seconds of the same calls."""
        began = time.thread_time()
        for session, outputs, inputs in self.calls:
            session.run(outputs, inputs)
        return time.thread_time() - began


def spelled(number: str) -> list[str]:
    """Turn digits into words as people say them, up to 99; longer ones digit by digit."""
    value = int(number)
    if len(number) > 2 or (number[0] == "0" and len(number) > 1):
        return [ONES[int(digit)] for digit in number]
    if value < 20:
        return [(ONES + TEENS)[value]]
    return [TENS[value // 10 - 2], *([ONES[value % 10]] if value % 10 else [])]


def normal(text: str) -> list[str]:
    """Return the words that count."""
    words = re.findall(r"[a-z]+(?:'[a-z]+)*|\d+", text.lower())
    every = [part for word in words for part in (spelled(word) if word.isdigit() else [word])]
    return [word for word in every if word not in FILLERS]


def distance(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words must be changed, put in or taken out."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(wanted, 1):
        left, row[0] = row[0], number
        for column, other in enumerate(heard, 1):
            left, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, left + (word != other))
    return row[-1]


def resident_mb() -> float:
    """Return the memory that this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def main() -> int:
    """Print the figures beside their bar; fail if it is missed."""
    parser = argparse.ArgumentParser(description="What words cost and how well they are heard.")
    parser.add_argument("calls", type=Path)
    parser.add_argument("--turns", type=int, default=1_000)
    arguments = parser.parse_args()

    every = list(turns(arguments.calls))[: arguments.turns]
    models = Models(ModelSettings(words="on"))
    assert models.vad.id
    assert models.tone.id
    before = resident_mb()
    words = models.words
    assert words is not None
    words.judge(every[0].samples)
    loaded = resident_mb()

    ours = bare = 0.0
    errors = wanted = understood = neutral = 0
    for turn in every:
        began = time.thread_time()
        said = words.judge(turn.samples)
        ours += time.thread_time() - began
        with Tape() as tape:
            words.judge(turn.samples)
        bare += tape.replay()
        understood += said.words > 0
        neutral += max(said.probabilities) == said.probabilities[1]
        wanted += len(normal(turn.text))
        errors += distance(normal(turn.text), normal(said.text))
    seconds = sum(turn.seconds for turn in every)
    ratio = ours / bare

    print(f"{len(every)} turns, {seconds:.0f} s, telephone; {understood} understood, {neutral} neutral in words")
    print(f"word error rate      {errors / wanted:6.1%}  of {wanted} words")
    print(f"real-time factor     {ours / seconds:6.3f}  of one core ({ours / len(every) * 1e3:.0f} ms a turn)")
    print(f"over bare ONNX time  {ratio:6.2f}  bar {RATIO_BAR}")
    print(f"memory of the words  {loaded - before:6.0f}  MB loaded, {resident_mb() - before:.0f} MB after all turns")
    return 0 if ratio <= RATIO_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
