"""Freezes a server under live calls, again and again: no call may end by it, and no answer may change.

Each run starts `carillon serve`, plays one recorded call on several streams at once, faster than it was spoken if asked
to, stops the whole process (SIGSTOP, as a moved machine or a paused container does) for 5 to 60 s at a random moment,
lets it go on, and lets the calls come to their end. Producers go on sending all the while, each over one connection.
What every task was told must be what it is told in a run that nobody disturbs, times of the clock left out.

    python bench/freeze.py [--runs 20] [--calls 4] [--speed 2] [--seed 1]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

import anyio
import soundfile

from carillon import config
from carillon.clock import SystemClock
from carillon.data_folder import opened
from carillon.environment import exports
from carillon.media import KinesisVideoClient, MediaSettings, as_live, put_media, read_recording
from carillon.notifications import Outbox
from referee.process import Server

RECORDING: Final = Path(__file__).parents[1] / "src/carillon/demo/recordings/call_1.flac"
SECONDS: Final = 45
SHORTEST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 60.0
END_SECONDS: Final = 120.0
DETAILS: Final = ("speakerSearchDetails", "voiceToneAnalysisDetails")
KEY: Final = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}


def main() -> int:
    """Print each run; fail if one differs from the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--speed", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    undisturbed = anyio.run(run, options.calls, options.speed, 0.0, 0.0)
    if len({repr(answers) for answers in undisturbed}) != 1:
        print("the calls of the undisturbed run differ among themselves")
        return 1
    print(f"undisturbed: {options.calls} calls, {len(undisturbed[0])} answers each", flush=True)
    failed = 0
    for number in range(options.runs):
        step = (LONGEST_SECONDS - SHORTEST_SECONDS) / max(1, options.runs - 1)
        seconds = SHORTEST_SECONDS + number * step
        after = chance.uniform(1.0, SECONDS / options.speed - 1.0)
        answers = anyio.run(run, options.calls, options.speed, after, seconds)
        wrong = sum(one != undisturbed[0] for one in answers)
        failed += bool(wrong)
        print(f"frozen for {seconds:4.1f} s after {after:4.1f} s: {wrong} of {len(answers)} calls differ", flush=True)
    print(f"{options.runs} freezes of {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} s: {failed} runs with a difference")
    return 1 if failed else 0


async def run(calls: int, speed: float, after: float, seconds: float) -> list[list[Any]]:
    """Return what each call was told, in a run with one freeze, or none if it lasts no time."""
    with TemporaryDirectory() as folder:
        cut = Path(folder) / "call.flac"
        samples, rate_hz = soundfile.read(RECORDING, dtype="int16")
        soundfile.write(cut, samples[: SECONDS * rate_hz], rate_hz)
        with serving(Path(folder) / "data") as server:
            pipelines = [begin(server, f"call-{number}") for number in range(calls)]
            async with anyio.create_task_group() as group:
                for number in range(calls):
                    group.start_soon(play, server, f"call-{number}", cut, speed)
                if seconds:
                    await anyio.sleep(after)
                    os.kill(server.pid, signal.SIGSTOP)
                    await anyio.sleep(seconds)
                    os.kill(server.pid, signal.SIGCONT)
            deadline = time.monotonic() + END_SECONDS
            while True:
                told = await answers(Path(folder) / "data", pipelines)
                if all(one and one[-1][0] == "VoiceToneAnalysisCompleted" for one in told):
                    return told
                if time.monotonic() > deadline:
                    return told
                await anyio.sleep(0.5)


def begin(server: Server, name: str) -> str:
    """Start both tasks on one channel of a new stream; return the pipeline's id."""
    pipelines, video = server.client("chime-sdk-media-pipelines"), server.client("kinesisvideo")
    domain = server.client("chime-sdk-voice").create_voice_profile_domain(
        Name=name, ServerSideEncryptionConfiguration=KEY
    )["VoiceProfileDomain"]
    features = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
    configuration = pipelines.create_media_insights_pipeline_configuration(
        MediaInsightsPipelineConfigurationName=name,
        ResourceAccessRoleArn="arn:aws:iam::111122223333:role/any",
        Elements=[{"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": features}],
    )["MediaInsightsPipelineConfiguration"]
    stream_arn = video.create_stream(StreamName=name, DataRetentionInHours=1)["StreamARN"]
    channels = {"NumberOfChannels": 2, "ChannelDefinitions": [{"ChannelId": 0}, {"ChannelId": 1}]}
    pipeline_id: str = pipelines.create_media_insights_pipeline(
        MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
        KinesisVideoStreamSourceRuntimeConfiguration={
            "MediaEncoding": "pcm",
            "MediaSampleRate": 8000,
            "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": channels}],
        },
    )["MediaInsightsPipeline"]["MediaPipelineId"]
    source = {"StreamArn": stream_arn, "ChannelId": 0}
    pipelines.start_speaker_search_task(
        Identifier=pipeline_id,
        VoiceProfileDomainArn=domain["VoiceProfileDomainArn"],
        KinesisVideoStreamSourceTaskConfiguration=source,
    )
    pipelines.start_voice_tone_analysis_task(
        Identifier=pipeline_id, LanguageCode="en-US", KinesisVideoStreamSourceTaskConfiguration=source
    )
    return pipeline_id


async def play(server: Server, name: str, file: Path, speed: float) -> None:
    """Stream a recording over one connection."""
    client = KinesisVideoClient(
        endpoint_url=server.url,
        region=server.environment["AWS_REGION"],
        access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
    )
    patience = MediaSettings(connect_seconds=600, answer_seconds=600, acknowledgement_seconds=600)
    async with client:
        await put_media(client, name, as_live(read_recording(file), speed), lambda _: None, settings=patience)


async def answers(folder: Path, pipelines: list[str]) -> list[list[Any]]:
    """Return what the tasks of each pipeline were told, speaker search first, without what differs from run to run."""
    async with opened(config.load(folder, environment={})) as data_folder:
        found = await Outbox(data_folder.database, SystemClock()).events(0, 10_000)
    details = [event.body["detail"] for _, event in found if "taskId" in event.body["detail"]]
    told: list[list[Any]] = []
    for pipeline_id in pipelines:
        own = [
            (
                detail["detailStatus"],
                timeless(detail.get("speakerSearchDetails") or detail.get("voiceToneAnalysisDetails")),
            )
            for detail in details
            if detail["mediaInsightsPipelineId"] == pipeline_id
        ]
        told.append(sorted(own, key=lambda item: item[0].startswith("VoiceTone")))
    return told


def timeless(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a document without its times of the clock and the numbers of its fragments."""
    if isinstance(value, dict):
        return {
            name: timeless(inner)
            for name, inner in value.items()
            if not name.endswith(("Time", "Timestamp", "FragmentNumber"))
        }
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run `carillon serve` as it comes on a data folder."""
    folder.mkdir()
    command = [sys.executable, "-m", "carillon", "serve", "--port", "0", "--data-dir", str(folder)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))}
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=inherited)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        url = next(word for word in said.split() if word.startswith("http"))
        yield Server(url, process.pid, exports(config.load(folder, environment={}), url))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    sys.exit(main())
