"""Kills a server under four producers, again and again: whatever it called PERSISTED must be there afterwards.

Each round starts `carillon serve` on the same data folder, checks what the rounds before left behind, lets four
producers send to four streams as fast as they are acknowledged, in pieces cut at random, and sends SIGKILL at a random
moment. What was acknowledged PERSISTED must be read back, byte for byte, in the order of its numbers and of its
sending; so must be whatever else is there. The moments come from a seed; what the machine makes of them does not.

    python bench/crash.py [--kills 50] [--seed 1]
"""

import argparse
import itertools
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

import msgspec

from carillon import config
from carillon.environment import exports
from carillon.matroska import AUDIO, Block, ClusterEnded, ClusterTimecode, Demuxer, Muxer, TagsRead, Track
from referee.process import Server
from streams import http_chunk, put_media

PRODUCERS: Final = 4
FRAGMENT_MS: Final = 100
BLOCKS: Final = 5
MOST_UNSTORED: Final = 20
LONGEST_SECONDS: Final = 1.2
SETTINGS: Final = {
    "CARILLON_STREAMS_END_SECONDS": "0.3",
    "CARILLON_STREAMS_CACHE_BYTES": "20000",  # so that what is read back comes from the disk
    "CARILLON_STREAMS_SEGMENT_BYTES": "100000",  # so that files are begun and closed under fire
}
MUXER: Final = Muxer(Track(1, 1, AUDIO, "leg", "A_PCM/INT/LIT", b"", 8000.0, 1, 16))


def main() -> int:
    """Print what was found; fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    producers = [Producer(f"call-{n}", random.Random(chance.random())) for n in range(PRODUCERS)]
    with TemporaryDirectory() as folder:
        for kill in range(options.kills):
            with serving(Path(folder)) as server:
                if not kill:
                    for producer in producers:
                        server.client("kinesisvideo").create_stream(StreamName=producer.stream, DataRetentionInHours=1)
                for producer in producers:
                    check(server, producer)
                crash(server, producers, chance.uniform(0, LONGEST_SECONDS))
        with serving(Path(folder)) as server:
            for producer in producers:
                producer.found.clear()
                check(server, producer)  # once more, from the first
    stored = sum(len(producer.persisted) for producer in producers)
    found = sum(len(producer.found) for producer in producers)
    print(f"{options.kills} kills under {PRODUCERS} producers: {stored} fragments were called PERSISTED")
    print(f"{found} are there, intact, in order; {found - stored} of them had not been called so yet")
    return 0


class Lost(Exception):
    """Something that was promised is not there."""


@dataclass(slots=True)
class Producer:
    """Sends to one stream, in one connection after the other; no content twice."""

    stream: str
    chance: random.Random
    sent: int = 0
    persisted: dict[str, int] = field(default_factory=dict)
    """What was called so: which fragment, by its number."""
    found: dict[str, int] = field(default_factory=dict)
    """What was read back, likewise."""
    refused: list[object] = field(default_factory=list)
    """Errors that it was told of; there must be none."""

    def fragment(self, index: int) -> bytes:
        """Return a Cluster that is like no other."""
        noise = random.Random(f"{self.stream} {index}")
        at = index * FRAGMENT_MS
        blocks = [Block(1, at + n * FRAGMENT_MS // BLOCKS, noise.randbytes(320)) for n in range(BLOCKS)]
        return MUXER.cluster(at, blocks, known_size=index % 3 > 0)

    def send(self, connection: socket.socket) -> None:
        """Send until the connection breaks, and take note of every acknowledgement until then."""
        acknowledged = self._acknowledged(connection)
        waiting = 0
        try:
            connection.sendall(http_chunk(MUXER.header()))
            while True:
                while waiting >= MOST_UNSTORED or select.select([connection], [], [], 0)[0]:
                    waiting -= next(acknowledged)
                data = self.fragment(self.sent)
                self.sent += 1
                waiting += 1
                cuts = sorted(self.chance.sample(range(1, len(data)), self.chance.randrange(4)))
                for begin, end in itertools.pairwise([0, *cuts, len(data)]):
                    connection.sendall(http_chunk(data[begin:end]))
        except OSError:
            for _ in acknowledged:
                pass  # what was on its way
        except StopIteration:
            pass

    def _acknowledged(self, connection: socket.socket) -> Iterator[int]:
        """Take note of acknowledgements as they come; yield how many fragments each read called PERSISTED."""
        rest = b""
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            events = [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]
            self.refused += (event for event in events if event["EventType"] == "ERROR")
            stored = [event for event in events if event["EventType"] == "PERSISTED"]
            self.persisted.update(
                (event["FragmentNumber"], event["FragmentTimecode"] // FRAGMENT_MS) for event in stored
            )
            yield len(stored)


def crash(server: Server, producers: list[Producer], seconds: float) -> None:
    """Let all producers send for so long, and kill the server."""
    connections = [put_media(server, producer.stream) for producer in producers]
    threads = [
        threading.Thread(target=producer.send, args=(connection,))
        for producer, connection in zip(producers, connections, strict=True)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    os.kill(server.pid, signal.SIGKILL)
    for thread, connection in zip(threads, connections, strict=True):
        thread.join()
        connection.close()
    if refused := [error for producer in producers for error in producer.refused]:
        raise Lost(f"Fragments were refused: {refused}")


def check(server: Server, producer: Producer) -> None:
    """Read what a stream has behind what was found before.

    Raises:
        Lost: it is not what was sent, or lacks what was called PERSISTED.
    """
    for number, index, cluster in documents(server, producer.stream, next(reversed(producer.found), None)):
        if cluster != producer.fragment(index):
            raise Lost(f"Fragment {index} of {producer.stream} is not what was sent.")
        if producer.persisted.get(number, index) != index:
            raise Lost(f"Fragment {index} of {producer.stream} has the number of another.")
        if producer.found and (number, index) <= next(reversed(producer.found.items())):
            raise Lost(f"Fragment {index} of {producer.stream} is out of order.")
        producer.found[number] = index
    if missing := sorted(producer.persisted.keys() - producer.found.keys()):
        raise Lost(f"{len(missing)} fragments of {producer.stream} are gone, the first {missing[0]}.")


def documents(server: Server, stream: str, last: str | None) -> Iterator[tuple[str, int, bytes]]:
    """Yield of every fragment behind the last its number, which one it is, and its Cluster."""
    start = {"StartSelectorType": "EARLIEST"}
    if last:
        start = {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": last}
    body = server.client("kinesis-video-media").get_media(StreamName=stream, StartSelector=start)["Payload"].read()
    demuxer, tags, timecode_ms = Demuxer(), dict[str, str](), 0
    for event in demuxer.feed(body) + demuxer.end():
        match event:
            case TagsRead():
                tags.update(event.tags)
                if "AWS_KINESISVIDEO_ERROR_ID" in tags:
                    raise Lost(f"A fragment of {stream} cannot be read: {tags}")
            case ClusterTimecode():
                timecode_ms = event.timecode_ms
            case ClusterEnded():
                number = tags["AWS_KINESISVIDEO_FRAGMENT_NUMBER"]
                yield number, timecode_ms // FRAGMENT_MS, body[event.start : event.end]


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run `carillon serve` on a data folder until the end, which may come before that of the block."""
    command = [sys.executable, "-m", "carillon", "serve", "--port", "0", "--data-dir", str(folder)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))}
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=inherited | SETTINGS)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        url = next((word for word in said.split() if word.startswith("http")), None)
        if url is None:
            raise RuntimeError(f"The server did not start: {Path(log.name).read_text()[-2000:]}")
        yield Server(url, process.pid, exports(config.load(folder, environment={}), url))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    sys.exit(main())
