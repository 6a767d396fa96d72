"""What speaker search costs beyond its models: the whole path over the bare ONNX time on the same audio, in one run.

Each packaged call is what GetMedia sends of it, fragments of a second with blocks of 20 ms. The path demuxes it, takes
the customer's channel out, resamples it, judges every frame, gathers and embeds the speech and searches a domain of
1,000 profiles, until the voiceprint is ready. Bare ONNX time is `InferenceSession.run` of the detector and of the
speaker model, on inputs that were recorded beforehand from that same path. CPU time of the process, one thread.

The two take turns, call by call. Other work on a machine only ever adds to such times, so what is held against the bar
is the least that each call took in any round.

The stages are measured alone, each on what the stage before it made, so they need not add up to the whole.

    python bench/speaker_path.py [--rounds 15]
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, Final

import anyio
import faiss
import numpy as np
import soundfile

from carillon import config
from carillon.analysis import IdentificationReady, SpeakerAnalyzer, SpeakerFinding, SpeechGate
from carillon.analysis.speech import Resampler
from carillon.audio import Embedding, to_pcm16
from carillon.clock import SystemClock, to_millis
from carillon.data_folder import opened
from carillon.inference import Models
from carillon.matroska import AUDIO, Block, Muxer, Track, tags_element
from carillon.media import ChannelDecoder, ChannelSource, Chunk, Fragment, FragmentParser
from carillon.profiles import BulkProfiles, OpenVoice, Profiles
from carillon.telemetry import configure_logging

RECORDINGS: Final = Path(__file__).parents[1] / "src/carillon/demo/recordings"
BAR: Final = 1.25
PROFILES: Final = 1_000
KEY_ARN: Final = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
FEED_BYTES: Final = 65_536
BLOCK_MS: Final = 20

Run = tuple[Callable[..., Any], tuple[Any, ...]]
"""One call of `InferenceSession.run`."""

Spent = list[list[float]]
"""CPU seconds by round, and in it by call."""


def main() -> int:
    """Print the figures beside the bar; fail if it is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    configure_logging("warning", "json")
    faiss.omp_set_num_threads(1)
    return anyio.run(measure, options.rounds)


async def measure(rounds: int) -> int:
    """Fill a domain, run the paths against the bare models, and print."""
    models = Models()
    models.load()
    calls = [get_media(path) for path in sorted(RECORDINGS.glob("*.flac"))]
    with tempfile.TemporaryDirectory() as folder:
        settings = config.load(Path(folder), environment={})
        async with opened(settings) as data_folder:
            parts = (data_folder.database, data_folder.vault, settings.account, SystemClock(), settings.profiles)
            async with Profiles(*parts) as profiles:
                domain_id = (await profiles.create_domain("bench", None, KEY_ARN)).id
                await fill(BulkProfiles(*parts), domain_id, models)
                await profiles.warm(domain_id)
                path = SpeakerPath(models, profiles, domain_id)
                cases = [await Case.of(path, models, call) for call in calls]
                whole, bare = await race(path, cases, rounds)
                stages = [[await path.stages(case.body) for case in cases] for _ in range(rounds)]
    seconds = sum(case.seconds for case in cases)
    count = sum(len(case.runs) for case in cases)
    print(f"{seconds:.0f} s of {len(cases)} calls, {count} runs of the models; ms of CPU per second of call")
    print(f"  the whole path     {1000 * least(whole) / seconds:7.3f}")
    print(f"  the models alone   {1000 * least(bare) / seconds:7.3f}")
    for name in stages[0][0]:
        spent = [[stage[name] for stage in of_round] for of_round in stages]
        print(f"    {name:17}{1000 * least(spent) / seconds:7.3f}")
    ratio = least(whole) / least(bare)
    by_round = [sum(one) / sum(other) for one, other in zip(whole, bare, strict=True)]
    print(f"ratio {ratio:.3f}, bar {BAR}; of the {rounds} rounds: median {median(by_round):.3f}")
    return int(ratio > BAR)


@dataclass(frozen=True, slots=True)
class Case:
    """A call, how much of it the path takes, and what it asks of the models."""

    body: bytes
    seconds: float
    runs: tuple[Run, ...]

    @classmethod
    async def of(cls, path: "SpeakerPath", models: Models, body: bytes) -> "Case":
        """Follow a call once."""
        with recorded(models) as runs:
            seconds = await path.run(body)
        return cls(body, seconds, tuple(runs))


async def race(path: "SpeakerPath", cases: Sequence[Case], rounds: int) -> tuple[Spent, Spent]:
    """Return what the whole path and what the models alone spent on each call, round by round."""
    whole: Spent = [[] for _ in range(rounds)]
    bare: Spent = [[] for _ in range(rounds)]
    for number in range(rounds):
        for case in cases:
            began = process_time()
            await path.run(case.body)
            between = process_time()
            for run, arguments in case.runs:
                run(*arguments)
            whole[number].append(between - began)
            bare[number].append(process_time() - between)
    return whole, bare


def least(spent: Spent) -> float:
    """Return the seconds of all calls, the best round of each."""
    return sum((min(of_call) for of_call in zip(*spent, strict=True)), 0.0)


@dataclass(frozen=True, slots=True)
class SpeakerPath:
    """Bytes of a call in, the nearest profiles out."""

    models: Models
    profiles: Profiles
    domain_id: str

    async def run(self, body: bytes) -> float:
        """Follow a call until its voiceprint is ready; return how many seconds of it that took."""
        parser, decoder = FragmentParser(), ChannelDecoder(SOURCE)
        analyzer = SpeakerAnalyzer(self.models.vad, self.models.speaker, SOURCE.rate_hz)
        heard = 0
        for at in range(0, len(body), FEED_BYTES):
            for fragment in parser.feed(body[at : at + FEED_BYTES]):
                assert isinstance(fragment, Fragment)
                chunk = decoder.decode(fragment)
                heard += len(chunk.samples)
                await self._conclude(analyzer.push(chunk.samples))
                if analyzer.is_done:
                    return heard / SOURCE.rate_hz
        raise ValueError("the call has too little speech for a voiceprint")

    async def stages(self, body: bytes) -> dict[str, float]:
        """Return the CPU seconds of each stage of that, one after the other."""
        timer = Timer()
        fragments = [it for it in timer("demux", lambda: list(FragmentParser().feed(body))) if isinstance(it, Fragment)]
        decoder = ChannelDecoder(SOURCE)
        chunks: list[Chunk] = timer("decode", lambda: [decoder.decode(fragment) for fragment in fragments])
        analyzer = SpeakerAnalyzer(self.models.vad, self.models.speaker, SOURCE.rate_hz)
        findings: list[SpeakerFinding] = []
        needed = 0

        def analyze() -> None:
            nonlocal needed
            while not analyzer.is_done:
                findings.extend(analyzer.push(chunks[needed].samples))
                needed += 1

        timer("analysis", analyze)
        resampler, gate = Resampler(SOURCE.rate_hz), SpeechGate(self.models.vad, SOURCE.rate_hz)
        timer("resample", lambda: [resampler.push(chunk.samples) for chunk in chunks[:needed]])
        timer("gate", lambda: [gate.push(chunk.samples) for chunk in chunks[:needed]])
        began = process_time()
        await self._conclude(findings)
        spent = {**timer.spent, "search": process_time() - began}
        share = needed / len(chunks)  # of the call, the path only takes what it needs
        embed = spent["analysis"] - spent["gate"]
        vad = spent["gate"] - spent["resample"]
        return {
            "demux": spent["demux"] * share,
            "decode": spent["decode"] * share,
            "resample": spent["resample"],
            "VAD": vad,
            "gather, embed": embed,
            "search": spent["search"],
        }

    async def _conclude(self, findings: Sequence[SpeakerFinding]) -> None:
        for finding in findings:
            if isinstance(finding, IdentificationReady):
                model = self.models.speaker
                found = await self.profiles.search(self.domain_id, finding.embedding, model.id, band=finding.band)
                assert found


@dataclass(slots=True)
class Timer:
    """CPU seconds by name."""

    spent: dict[str, float] = field(default_factory=dict)

    def __call__(self, name: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `act` returns
        """Do something and note what it cost."""
        began = process_time()
        made = act()
        self.spent[name] = process_time() - began
        return made


@contextmanager
def recorded(models: Models) -> Iterator[list[Run]]:
    """Note every run of the detector and of the speaker model: the bare session's own method, and what it was given."""
    runs: list[Run] = []
    sessions = [models.vad._session, models.speaker._session]  # noqa: SLF001 - what is compared with is below the product
    bare = [session._session for session in sessions]  # noqa: SLF001 - likewise
    for session, own in zip(sessions, bare, strict=True):
        session._session = _Recorder(own, runs)  # noqa: SLF001 - likewise
    try:
        yield runs
    finally:
        for session, own in zip(sessions, bare, strict=True):
            session._session = own  # noqa: SLF001 - likewise


class _Recorder:
    def __init__(self, session: Any, runs: list[Run]) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._session, self._runs = session, runs

    def run(self, *arguments: Any) -> Any:  # noqa: ANN401 - likewise
        self._runs.append((self._session.run, arguments))
        return self._session.run(*arguments)


async def fill(bulk: BulkProfiles, domain_id: str, models: Models) -> None:
    """Enroll people who do not exist."""
    generator = np.random.default_rng(1)
    model = models.speaker
    for _ in range(PROFILES):
        drawn = generator.standard_normal(model.dimensions, dtype=np.float32)
        voice: Embedding = drawn / np.linalg.norm(drawn)
        await bulk.enroll(domain_id, OpenVoice("", "tel", model.id, voice, None, np.zeros(16_000, np.int16)), unnoted)


async def unnoted(*_: object) -> None:
    """Leave no audit row: nobody is enrolled."""


SOURCE: Final = ChannelSource(2, 0, 8_000)


def get_media(path: Path) -> bytes:
    """Return a call as GetMedia sends it: a document a second, with Kinesis's tags around its Cluster."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == SOURCE.rate_hz
    track = Track(1, 1, AUDIO, "call", "A_PCM/INT/LIT", b"", float(rate_hz), 2, 16)
    return documents(track, to_pcm16(samples).astype("<i2").tobytes(), 4 * rate_hz)


def documents(track: Track, data: bytes, bytes_a_second: int) -> bytes:
    """Return samples as GetMedia sends them, with blocks of 20 ms."""
    muxer = Muxer(track)
    block = bytes_a_second * BLOCK_MS // 1000
    parts = []
    for number, first in enumerate(range(0, len(data), bytes_a_second)):
        at_ms = to_millis(BEGAN_AT) + 1000 * number
        second = data[first : first + bytes_a_second]
        starts = range(0, len(second), block)
        blocks = [Block(1, at_ms + at * 1000 // bytes_a_second, second[at : at + block]) for at in starts]
        time = f"{at_ms / 1000:.3f}"
        before = {"FRAGMENT_NUMBER": str(number + 1), "SERVER_TIMESTAMP": time, "PRODUCER_TIMESTAMP": time}
        after = {"MILLIS_BEHIND_NOW": "0", "CONTINUATION_TOKEN": str(number + 1)}
        parts += [muxer.header(), aws_tags(before), muxer.cluster(at_ms, blocks), aws_tags(after)]
    return b"".join(parts)


def aws_tags(tags: dict[str, str]) -> bytes:
    """Return a Tags element as Kinesis adds it."""
    return tags_element([(f"AWS_KINESISVIDEO_{name}", text) for name, text in tags.items()])


if __name__ == "__main__":
    sys.exit(main())
