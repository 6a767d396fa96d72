"""What voice tone costs beyond its models, with words and without: the whole path over the bare ONNX time, in one run.

Each packaged call is what GetMedia sends of it in mu-law, fragments of a second with blocks of 20 ms. The path demuxes
it, decodes the customer's channel, resamples it, judges every frame, and then, every 5 s and at every pause, how the
speech sounds and, with words, what is said, to the end of the call. Bare ONNX time is `InferenceSession.run` of every
model that this asks, on inputs that were recorded beforehand from that same path. CPU time of the process, one thread.

The two take turns. Other work on a machine only ever adds to such times, so what is held against the bar is the least
that each call took in any round.

    python bench/tone_path.py [--rounds 15] [--model ID] [--directory DIR]
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, Final

import soundfile

from carillon.analysis import SpeechGate, ToneAnalyzer, ToneFinding, WordsModel
from carillon.analysis.speech import Resampler
from carillon.inference import Models, ModelSettings
from carillon.inference.sessions import OnnxSession
from carillon.media import ChannelDecoder, Chunk, Fragment, FragmentParser
from carillon.media.splicer import Layout, SampleFormat
from carillon.telemetry import configure_logging
from speaker_path import FEED_BYTES, RECORDINGS, SOURCE, Run, Spent, Timer, documents, least

BAR: Final = 1.25


def main() -> int:
    """Print the figures beside the bar; fail if it is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", default=ModelSettings().tone, help="id of the tone model")
    parser.add_argument("--directory", default="", help="a folder of more models")
    options = parser.parse_args()
    configure_logging("error", "json")
    models = Models(ModelSettings(directory=options.directory, tone=options.model))
    calls = [mu_law_call(path) for path in sorted(RECORDINGS.glob("*.flac"))]
    ratios = [report(TonePath(models, None), calls, options.rounds)]
    if models.words is None:
        print(f"with words: not measured. {models.words_missing}")
        return 1
    ratios.append(report(TonePath(models, models.words), calls, options.rounds))
    return int(any(ratio > BAR for ratio in ratios))


@dataclass(frozen=True, slots=True)
class TonePath:
    """Bytes of a call in, reports out."""

    models: Models
    words: WordsModel | None

    def run(self, body: bytes) -> None:
        """Follow a call to its end."""
        parser, decoder, analyzer = FragmentParser(), ChannelDecoder(SOURCE), self._analyzer()
        findings: list[ToneFinding] = []
        for at in range(0, len(body), FEED_BYTES):
            for fragment in parser.feed(body[at : at + FEED_BYTES]):
                assert isinstance(fragment, Fragment)
                findings += analyzer.push(decoder.decode(fragment).samples)
        findings += analyzer.end()
        assert len(findings) > 1, "the call has too little speech to tell a tone"

    def stages(self, body: bytes) -> dict[str, float]:
        """Return the CPU seconds of each stage of that, one after the other."""
        timer = Timer()
        fragments = [it for it in timer("demux", lambda: list(FragmentParser().feed(body))) if isinstance(it, Fragment)]
        decoder = ChannelDecoder(SOURCE)
        chunks: list[Chunk] = timer("decode", lambda: [decoder.decode(fragment) for fragment in fragments])
        resampler, gate = Resampler(SOURCE.rate_hz), SpeechGate(self.models.vad, SOURCE.rate_hz)
        analyzer = self._analyzer()
        timer("resample", lambda: [resampler.push(chunk.samples) for chunk in chunks])
        timer("gate", lambda: [gate.push(chunk.samples) for chunk in chunks])
        timer("analysis", lambda: [*(analyzer.push(chunk.samples) for chunk in chunks), analyzer.end()])
        spent = timer.spent
        return {
            "demux": spent["demux"],
            "decode": spent["decode"],
            "resample": spent["resample"],
            "VAD": spent["gate"] - spent["resample"],
            "judge": spent["analysis"] - spent["gate"],
        }

    def _analyzer(self) -> ToneAnalyzer:
        return ToneAnalyzer(self.models.vad, self.models.tone, SOURCE.rate_hz, words=self.words)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as GetMedia sends it."""

    body: bytes
    seconds: float


def report(path: TonePath, calls: Sequence[Call], rounds: int) -> float:
    """Race the path against its bare models, print, and return the ratio."""
    whole, bare, count = race(path, calls, rounds)
    stages = [[path.stages(call.body) for call in calls] for _ in range(rounds)]
    seconds = sum(call.seconds for call in calls)
    ratio = least(whole) / least(bare)
    by_round = [sum(one) / sum(other) for one, other in zip(whole, bare, strict=True)]
    print(
        f"{'with words' if path.words else 'acoustics alone'}: {path.models.tone.id}, {len(calls)} calls, {count} runs"
    )
    print(
        f"  real-time factor of one core  {least(whole) / seconds:.4f}; of the models alone {least(bare) / seconds:.4f}"
    )
    for name in stages[0][0]:
        spent = [[stage[name] for stage in of_round] for of_round in stages]
        print(f"    {name:10}{least(spent) / seconds:.4f}")
    print(f"  ratio {ratio:.3f}, bar {BAR}; of the {rounds} rounds: median {median(by_round):.3f}")
    return ratio


def race(path: TonePath, calls: Sequence[Call], rounds: int) -> tuple[Spent, Spent, int]:
    """Return what the whole path and what the models alone spent on each call, round by round, and their runs.

    A call at a time: what a decoder of words was given for every token is much to remember.
    """
    whole: Spent = [[] for _ in range(rounds)]
    bare: Spent = [[] for _ in range(rounds)]
    count = 0
    for call in calls:
        with recorded() as runs:
            path.run(call.body)
        count += len(runs)
        for number in range(rounds):
            began = process_time()
            path.run(call.body)
            between = process_time()
            for run, arguments in runs:
                run(*arguments)
            whole[number].append(between - began)
            bare[number].append(process_time() - between)
    return whole, bare, count


@contextmanager
def recorded() -> Iterator[list[Run]]:
    """Note every run of every model: the bare session's own method, and what it was given."""
    runs: list[Run] = []
    run_it = OnnxSession.run

    def run(self: OnnxSession, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        runs.append((self._session.run, (list(outputs), dict(inputs))))
        return run_it(self, outputs, inputs)

    OnnxSession.run = run  # type: ignore[method-assign]  # put back below
    try:
        yield runs
    finally:
        OnnxSession.run = run_it  # type: ignore[method-assign]  # as it was


def mu_law_call(path: Path) -> Call:
    """Return a call as GetMedia sends it in mu-law."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == SOURCE.rate_hz
    written = BytesIO()
    soundfile.write(written, samples, rate_hz, format="RAW", subtype="ULAW")
    track = Layout(SampleFormat.MU_LAW, rate_hz, SOURCE.count).track()
    return Call(documents(track, written.getvalue(), rate_hz * SOURCE.count), len(samples) / rate_hz)


if __name__ == "__main__":
    sys.exit(main())
