"""What a call that comes by WebSocket costs: Twilio's messages, two tracks, in and stored, CPU of the server process.

Each call has 100 messages a second. They are sent as fast as the server takes them, several calls at a time, and the
server's own clock tells what it cost. Ready-made messages; what they cost the sender does not count.

    python bench/ingest.py [--calls 8] [--seconds 50]
"""

import argparse
import base64
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import boto3
from websockets.asyncio.client import connect

from carillon import config
from carillon.data_folder import prepare
from carillon.demo.process import running_server
from carillon.environment import exports
from carillon.ingest_url import ingest_url

BAR_CPU_MS: Final = 10.0
"""CPU milliseconds for a second of a call: a hundred calls on one core."""


def main() -> int:
    """Print the figure beside its bar; fail if it misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=50)
    options = parser.parse_args()
    cost_ms = anyio.run(measure, options.calls, options.seconds)
    print(f"{options.calls} calls of {options.seconds} s: {cost_ms:.2f} ms of CPU a call second, bar {BAR_CPU_MS:g}")
    return int(cost_ms > BAR_CPU_MS)


async def measure(calls: int, seconds: int) -> float:
    """Return what the server spent on a second of a call, in milliseconds."""
    messages = list(call(seconds))
    with TemporaryDirectory() as folder:
        settings = config.load(Path(folder), environment={})
        prepare(settings.data_dir)
        environment = exports(settings)
        async with running_server(Path(folder), {**environment, "CARILLON_STREAMS_RING_SECONDS": "5"}) as server:
            video = boto3.client(
                "kinesisvideo",
                endpoint_url=server.url,
                region_name=environment["AWS_REGION"],
                aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            )
            urls = []
            for number in range(calls + 1):
                name = f"call-{number}"
                video.create_stream(StreamName=name, DataRetentionInHours=1)
                urls.append(await ingest_url(settings, name, "twilio", None, None, server.url))
            await send(urls.pop(), messages)  # the first loads what all need
            began = cpu_seconds(server.process_id)
            async with anyio.create_task_group() as group:
                for url in urls:
                    group.start_soon(send, url, messages)
            spent = cpu_seconds(server.process_id) - began
    return spent * 1000 / (calls * seconds)


async def send(url: str, messages: list[str]) -> None:
    """Be one call."""
    async with connect(url, proxy=None, compression=None) as client:
        for message in messages:
            await client.send(message)
        async for _ in client:
            pass
        assert client.close_code == 1000, client.close_reason


def call(seconds: int) -> Iterator[str]:
    """Yield the messages of a call with noise on both tracks."""
    tracks = ["inbound", "outbound"]
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {"callSid": "CA1", "streamSid": "MZ1", "tracks": tracks, "mediaFormat": media_format}
    yield json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    yield json.dumps({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1"})
    for number in range(50 * seconds):
        for index, track in enumerate(tracks):
            payload = base64.b64encode(os.urandom(160)).decode()
            media = {"track": track, "chunk": str(number + 1), "timestamp": str(20 * number), "payload": payload}
            sequence = str(2 * number + index + 2)
            yield json.dumps({"event": "media", "sequenceNumber": sequence, "media": media, "streamSid": "MZ1"})
    yield json.dumps({"event": "stop", "sequenceNumber": str(100 * seconds + 2), "streamSid": "MZ1"})


def cpu_seconds(process_id: int) -> float:
    """Return what a process has spent so far, its threads included."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
