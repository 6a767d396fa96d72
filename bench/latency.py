"""From the fragment that completes 10 s of speech to the answer: decided, and in the sink.

Three real calls are streamed at natural speed at the same time, each with both tasks on the customer's channel. Which
fragment completes 10 s of speech is found out beforehand with the same analyzer. Time runs from when that fragment is
handed to the network, which is before the server has received it: the figures are upper bounds.

    python bench/latency.py [--speed 1]
"""

import argparse
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import soundfile
from anyio import create_task_group

from carillon import config
from carillon.analysis.speaker import IdentificationReady, SpeakerAnalyzer
from carillon.audio import Pcm
from carillon.clock import SystemClock
from carillon.data_folder import prepare
from carillon.demo import CALLS, SPEED
from carillon.demo.process import running_server
from carillon.demo.receiver import receiving
from carillon.demo.story import IDENTIFICATIONS, Clients, Story
from carillon.environment import exports
from carillon.inference import Models
from carillon.media import KinesisVideoClient, as_live, put_media, read_recording

RECORDINGS: Final = Path(__file__).parents[1] / "src/carillon/demo/recordings"
DECIDED_BAR_SECONDS: Final = 0.5
SINK_BAR_SECONDS: Final = 1.0


async def run(speed: float) -> int:
    """Print the latencies beside their bars; fail if one misses."""
    completing = {name: completing_fragment(name) for name in CALLS}
    sent_at: dict[str, list[float]] = {name: [] for name in CALLS}
    in_sink_at: dict[str, float] = {}
    decided_at: dict[str, float] = {}

    async def note(notification: dict[str, Any]) -> None:
        detail = notification["detail"]
        if detail["detailStatus"] in IDENTIFICATIONS:
            name = detail["streamArn"].split("/")[1]
            in_sink_at[name] = time.time()
            decided_at[name] = datetime.fromisoformat(notification["time"]).timestamp()

    with TemporaryDirectory() as folder:
        async with receiving(note) as inbox:
            prepare(Path(folder))
            environment = {**exports(config.load(Path(folder))), "AWS_ENDPOINT_URL_LAMBDA": inbox.url}
            async with running_server(Path(folder), environment) as server:

                async def play(name: str, stream: str) -> None:
                    client = KinesisVideoClient(
                        endpoint_url=server.url,
                        region=environment["AWS_REGION"],
                        access_key_id=environment["AWS_ACCESS_KEY_ID"],
                        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                    )
                    body = as_live(read_recording(path_of(name)), speed, clock=SystemClock())
                    async with client:
                        await put_media(client, stream, timed(body, sent_at[name]), lambda _: None)

                story = Story(Clients.connect(server.url, environment), inbox, play)
                await story.set_up()
                async with create_task_group() as group:
                    for name in CALLS:
                        group.start_soon(partial(story.run_call, name, enroll=False))
    decided = [decided_at[name] - sent_at[name][completing[name]] for name in CALLS]
    in_sink = [in_sink_at[name] - sent_at[name][completing[name]] for name in CALLS]
    for what, seconds, bar in (("decided", decided, DECIDED_BAR_SECONDS), ("in sink", in_sink, SINK_BAR_SECONDS)):
        figures = f"median {median(seconds) * 1000:4.0f} ms  worst {max(seconds) * 1000:4.0f} ms"
        print(f"{what}  {figures}  bar {bar * 1000:.0f} ms")
    return int(max(decided) > DECIDED_BAR_SECONDS or max(in_sink) > SINK_BAR_SECONDS)


def completing_fragment(name: str) -> int:
    """Return the number, from 0, of the one-second fragment with which the customer has spoken for 10 s."""
    recording = read_recording(path_of(name))
    models = Models()
    analyzer = SpeakerAnalyzer(models.vad, models.speaker, recording.rate_hz)
    samples = samples_of(name)
    for number in range(len(samples) // recording.rate_hz + 1):
        found = analyzer.push(samples[number * recording.rate_hz : (number + 1) * recording.rate_hz])
        if any(isinstance(finding, IdentificationReady) for finding in found):
            return number
    raise ValueError(f"{name} has less than 10 s of speech")


def samples_of(name: str) -> Pcm:
    """Return the customer's samples."""
    samples, _ = soundfile.read(path_of(name), dtype="float32")
    customer: Pcm = samples[:, 0]
    return customer


def path_of(name: str) -> Path:
    """Return where a call's recording is."""
    return RECORDINGS / f"{name.replace('-', '_')}.flac"


async def timed(body: AsyncIterator[bytes], sent_at: list[float]) -> AsyncIterator[bytes]:
    """Note when each fragment is handed over; what comes first is the header."""
    is_header = True
    async for data in body:
        if not is_header:
            sent_at.append(time.time())
        is_header = False
        yield data


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--speed", type=float, default=1.0, help=f"1 is natural; the demonstration plays at {SPEED:.0f}"
    )
    return anyio.run(run, parser.parse_args().speed)


if __name__ == "__main__":
    sys.exit(main())
