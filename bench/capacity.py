"""How many live calls two cores carry, and what each costs: a real server, PutMedia at natural speed, events in a sink.

Each call is a packaged recording, repeated to the length asked for, in two channels at 8 kHz, with a speaker search and
a voice tone analysis on the customer's. The server is `carillon serve`, a process of its own; this one plays producers
and sink on the same cores, which it says. A call is over when its stream has fallen silent and its last event has come.

- Cost: CPU of the server for each second of call, at --speed times natural, a few calls at a time.
- Live: for each of --calls, that many at natural speed, begun evenly over 5 s. A report is late by the time from the
  end of the audio that it tells of until the sink has it: 1 s of that is the fragment, which comes when it is over. A
  count is carried if 99 % of the reports are late by less than 2 s, and every call told everything.

With --against, the same for another checkout with its own .venv, in turns, and the ratios.

    python bench/capacity.py [--seconds 300] [--calls 8 12 16] [--against DIR] [--words] [--tone ID [--directory DIR]]
"""

import argparse
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import numpy as np
import soundfile
from anyio import create_task_group, fail_after, sleep, to_thread

from carillon import config
from carillon.clock import SystemClock
from carillon.demo.process import ServerProcess, running_server
from carillon.demo.receiver import Inbox, receiving
from carillon.demo.story import FINAL_TONES, IDENTIFICATIONS, TONE_REPORT, VOICEPRINTS, Clients
from carillon.environment import exports
from carillon.media import KinesisVideoClient, as_live, put_media, read_recording

RECORDINGS: Final = Path(__file__).parents[1] / "src/carillon/demo/recordings"
LATE_BAR_SECONDS: Final = 2.0
SILENCE_SECONDS: Final = 5.0
BEGIN_OVER_SECONDS: Final = 5.0
LOAD_SECONDS: Final = 6.0
"""A server loads its models once it is ready."""
COST_CALLS: Final = 3
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ANSWERS: Final = (IDENTIFICATIONS, VOICEPRINTS, FINAL_TONES)
_NAME: Final = "arn:aws:lambda:us-east-1:111122223333:function:bench"
_ROLE: Final = "arn:aws:iam::111122223333:role/any"
_KEY: Final = "arn:aws:kms:us-east-1:111122223333:key/1"


def main() -> int:
    """Print the figures; fail if a call lost anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="how long a call lasts")
    parser.add_argument(
        "--calls", type=int, nargs="*", default=[], help="how many live calls to try, one after the other"
    )
    parser.add_argument(
        "--speed", type=float, default=8.0, help="of the calls whose cost is measured; 0 leaves that out"
    )
    parser.add_argument("--against", type=Path, help="another checkout to measure too")
    parser.add_argument("--words", action="store_true", help="tone listens to words too")
    parser.add_argument("--tone", default="", help="id of this checkout's tone model")
    parser.add_argument("--directory", default="", help="a folder of more models")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:2]))  # and with it every process started from here
    return anyio.run(measure, options)


@dataclass(frozen=True, slots=True)
class Contender:
    """A checkout, and what its server is told."""

    name: str
    python: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round showed."""

    cpu_ms: float
    """Of the server, for each second of call."""
    late: Sequence[float]
    """Seconds, of every report."""
    complete: int
    """Calls that told everything."""
    own_share: float
    """Of a core, what producers and sink took."""


async def measure(options: argparse.Namespace) -> int:
    """Run the rounds, the contenders in turns."""
    contenders = list(contenders_of(options))
    lost = 0
    with TemporaryDirectory() as folder:
        recordings = [lengthened(path, options.seconds, Path(folder)) for path in sorted(RECORDINGS.glob("*.flac"))]
        if options.speed:
            print(f"cost of a call of {options.seconds} s, {COST_CALLS} at a time")
            spent: list[float] = []
            for one in reversed(contenders):
                figure = await round_of(one, recordings, COST_CALLS, options.speed)
                spent.append(figure.cpu_ms)
                lost += COST_CALLS - figure.complete
                ratio = f"   {figure.cpu_ms / spent[0]:.2f}x" if len(contenders) > 1 else ""
                print(f"  {one.name:10} {figure.cpu_ms:6.1f} ms of CPU per second of call{ratio}", flush=True)
        for one in contenders:
            carried = 0
            for count in options.calls:
                figure = await round_of(one, recordings, count, 1.0)
                lost += count - figure.complete
                late = quantiles(figure.late, n=100)
                is_carried = late[98] < LATE_BAR_SECONDS and figure.complete == count
                print(
                    f"  {one.name:10} {count:3} live calls: late by {median(figure.late):.2f} s, p99 {late[98]:.2f} s, "
                    f"at most {max(figure.late):.2f} s; {figure.complete} told everything; {figure.cpu_ms:.1f} ms of "
                    f"CPU per second of call; producers and sink took {figure.own_share:.2f} of a core",
                    flush=True,
                )
                carried = max(carried, count if is_carried else 0)
            if options.calls:
                print(f"  {one.name:10} carries {carried}", flush=True)
    return int(lost > 0)


def contenders_of(options: argparse.Namespace) -> Iterator[Contender]:
    """Yield this checkout, and the one that it is held against."""
    words = {"CARILLON_INFERENCE_WORDS": "on" if options.words else "off"}
    chosen = {"CARILLON_INFERENCE_TONE": options.tone, "CARILLON_INFERENCE_DIRECTORY": options.directory}
    yield Contender("here", sys.executable, {**words, **{name: value for name, value in chosen.items() if value}})
    if options.against:
        yield Contender("against", str(options.against.absolute() / ".venv/bin/python"), words)


def lengthened(path: Path, seconds: int, folder: Path) -> Path:
    """Return a recording that is repeated until it has lasted so long."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    longer = folder / f"{path.stem}.wav"
    soundfile.write(longer, np.resize(samples, (seconds * rate_hz, samples.shape[1])), rate_hz)
    return longer


async def round_of(contender: Contender, recordings: Sequence[Path], count: int, speed: float) -> Figure:
    """Play that many calls at once to a new server, until each has told everything or takes too long."""
    async with serving(contender) as (server, inbox, arrivals):
        stage = await Stage.set_up(server, inbox)
        cpu, own, began = cpu_seconds(server.process_id), cpu_seconds(os.getpid()), time.perf_counter()
        calls = [stage.call(number, recordings[number % len(recordings)]) for number in range(count)]
        async with create_task_group() as group:
            for number, call in enumerate(calls):
                group.start_soon(call.run, speed, BEGIN_OVER_SECONDS * number / count / speed)
        cpu, own = cpu_seconds(server.process_id) - cpu, cpu_seconds(os.getpid()) - own
        seconds = sum(read_recording(call.recording).seconds for call in calls)
        return Figure(
            cpu_ms=1000 * cpu / seconds,
            late=list(lateness(inbox, arrivals)),
            complete=sum(call.is_complete for call in calls),
            own_share=own / (time.perf_counter() - began),
        )


def lateness(inbox: Inbox, arrivals: Mapping[str, float]) -> Iterator[float]:
    """Yield by how many seconds each report came after the audio that it tells of."""
    for notification in inbox.received:
        detail = notification["detail"]
        if detail["detailStatus"] == TONE_REPORT:
            ended_at = detail["voiceToneAnalysisDetails"]["currentAverageVoiceTone"]["endTime"]
            yield arrivals[notification["id"]] - datetime.fromisoformat(ended_at).timestamp()


@asynccontextmanager
async def serving(contender: Contender) -> AsyncIterator[tuple["Reached", Inbox, dict[str, float]]]:
    """Run a contender's server on a new data folder, with a sink that notes when each event comes."""
    arrivals: dict[str, float] = {}
    with TemporaryDirectory() as name:

        async def note(event: dict[str, Any]) -> None:
            arrivals.setdefault(event["id"], time.time())

        async with receiving(note) as inbox:
            environment = {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL_LAMBDA": inbox.url,
                "CARILLON_TASKS_SILENCE_SECONDS": str(SILENCE_SECONDS),
                **contender.environment,
            }
            async with running_server(Path(name), environment, contender.python) as server:
                await sleep(LOAD_SECONDS)
                known = exports(config.load(Path(name), environment={}), server.url)
                yield Reached(server.url, server.process_id, known), inbox, arrivals


@dataclass(frozen=True, slots=True)
class Reached(ServerProcess):
    """A server, and the variables that an SDK needs for it."""

    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stage:
    """What calls have in common."""

    server: Reached
    inbox: Inbox
    clients: Clients
    domain_arn: str
    configuration_arn: str

    @classmethod
    async def set_up(cls, server: Reached, inbox: Inbox) -> "Stage":
        """Make a domain and a configuration."""
        clients = Clients.connect(server.url, server.environment)
        domain = await asked(
            clients.voice.create_voice_profile_domain,
            Name="bench",
            ServerSideEncryptionConfiguration={"KmsKeyArn": _KEY},
        )
        enabled = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
        configuration = await asked(
            clients.pipelines.create_media_insights_pipeline_configuration,
            MediaInsightsPipelineConfigurationName="bench",
            ResourceAccessRoleArn=_ROLE,
            Elements=[
                {"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": enabled},
                {"Type": "LambdaFunctionSink", "LambdaFunctionSinkConfiguration": {"InsightsTarget": _NAME}},
            ],
        )
        arns = (
            domain["VoiceProfileDomain"]["VoiceProfileDomainArn"],
            configuration["MediaInsightsPipelineConfiguration"]["MediaInsightsPipelineConfigurationArn"],
        )
        return cls(server, inbox, clients, *arns)

    def call(self, number: int, recording: Path) -> "Call":
        """Return a call that can be run."""
        return Call(self, f"call-{number}", recording)


@dataclass(slots=True)
class Call:
    """One call: its stream, its pipeline, its tasks."""

    stage: Stage
    name: str
    recording: Path
    tasks: list[str] = field(default_factory=list)
    is_complete: bool = False

    async def run(self, speed: float, after_seconds: float) -> None:
        """Play it, and wait until everything is told."""
        await self._set_up()
        await sleep(after_seconds)
        known = self.stage.server.environment
        client = KinesisVideoClient(
            endpoint_url=self.stage.server.url,
            region=known["AWS_REGION"],
            access_key_id=known["AWS_ACCESS_KEY_ID"],
            secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
        )
        recording = read_recording(self.recording)
        async with client:
            await put_media(client, self.name, as_live(recording, speed, clock=SystemClock()), lambda _: None)
        search, tone = self.tasks
        try:
            with fail_after(60 + 3 * recording.seconds):
                for task, statuses in zip((search, search, tone), _ANSWERS, strict=True):
                    while not await self.stage.inbox.wait_for(task, *statuses, seconds=60):
                        pass
        except TimeoutError:
            return
        self.is_complete = True

    async def _set_up(self) -> None:
        clients = self.stage.clients
        stream = (await asked(clients.video.create_stream, StreamName=self.name, DataRetentionInHours=1))["StreamARN"]
        channels = [{"ChannelId": 0, "ParticipantRole": "CUSTOMER"}, {"ChannelId": 1, "ParticipantRole": "AGENT"}]
        definition = {"NumberOfChannels": 2, "ChannelDefinitions": channels}
        made = await asked(
            clients.pipelines.create_media_insights_pipeline,
            MediaInsightsPipelineConfigurationArn=self.stage.configuration_arn,
            KinesisVideoStreamSourceRuntimeConfiguration={
                "MediaEncoding": "pcm",
                "MediaSampleRate": 8000,
                "Streams": [{"StreamArn": stream, "StreamChannelDefinition": definition}],
            },
        )
        common = {
            "Identifier": made["MediaInsightsPipeline"]["MediaPipelineId"],
            "KinesisVideoStreamSourceTaskConfiguration": {"StreamArn": stream, "ChannelId": 0},
        }
        domain = self.stage.domain_arn
        search = await asked(clients.pipelines.start_speaker_search_task, VoiceProfileDomainArn=domain, **common)
        tone = await asked(clients.pipelines.start_voice_tone_analysis_task, LanguageCode="en-US", **common)
        self.tasks += [
            search["SpeakerSearchTask"]["SpeakerSearchTaskId"],
            tone["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskId"],
        ]


async def asked(function: Any, **parameters: Any) -> Any:  # noqa: ANN401 - boto3 has no types
    """Call boto3 in a thread."""
    return await to_thread.run_sync(partial(function, **parameters))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    sys.exit(main())
