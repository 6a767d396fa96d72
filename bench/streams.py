"""What live streams cost, how soon producers hear of their fragments, and how soon consumers hear the producers.

Every producer sends 8 kHz mono s16le in real time: a block of 20 ms at a time, each in an HTTP chunk and a write of its
own, fifty to a fragment. The server is a process of its own (`carillon serve`), reached over loopback. All bytes are
made and signed beforehand; one process with one thread plays all producers and all consumers, on the same cores as the
server, and says how late it was itself.

1. Some streams with retention, each with one producer and one GetMedia consumer: the server's CPU for each of them, and
   the time from when a block's last byte is sent to when the consumer has read it.
2. Many producers at once: the time from a fragment's last byte to its acknowledgements RECEIVED and PERSISTED.

    python bench/streams.py [--streams 100] [--producers 200] [--seconds 20]
"""

import argparse
import itertools
import os
import random
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from carillon.matroska import AUDIO, Block, Muxer, Track
from referee.process import Server, serving

BLOCK_MS: Final = 20
BLOCKS: Final = 50
PAYLOAD_BYTES: Final = 320
MARK: Final = b"\x00BLOCK\x00"
CPU_BAR_MS: Final = 15.0
"""Of the server, for each second of a stream: 100 of them leave a quarter of two cores to whoever consumes them."""
ACKNOWLEDGED_BAR_MS: Final = 1000.0
HEARD_BAR_MS: Final = 50.0
SETTLE_SECONDS: Final = 3.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Print the figures beside their bars; fail if one misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--producers", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    call = make_call(options.seconds)
    cores = set(sorted(os.sched_getaffinity(0))[:2])
    os.sched_setaffinity(0, cores)  # and with it every process started from here
    print(f"{len(cores)} cores for the server and for what plays producers and consumers")
    with serving() as server:
        time.sleep(5)  # It loads its models once it is ready.
        met = [
            heard(play(server, call, "heard", options.streams, with_consumers=True), options.streams),
            acknowledged(play(server, call, "many", options.producers, with_consumers=False), options.producers),
        ]
    return int(not all(met))


@dataclass(frozen=True, slots=True)
class Call:
    """The bytes of a call as HTTP chunks: the header, and a piece for each block."""

    header: bytes
    pieces: Sequence[bytes]


def make_call(seconds: int) -> Call:
    """Return a call whose blocks end in a mark and their number."""
    muxer = Muxer(Track(1, 1, AUDIO, "leg", "A_PCM/INT/LIT", b"", 8000.0, 1, 16))
    pieces = []
    for second in range(seconds):
        first = second * BLOCKS
        blocks = [Block(1, n * BLOCK_MS, payload(n)) for n in range(first, first + BLOCKS)]
        cluster = muxer.cluster(second * 1000, blocks)
        length = (len(cluster) - cluster.index(payload(first))) // BLOCKS  # of a block: they are all of one size
        cuts = [0, *(len(cluster) - length * n for n in range(BLOCKS - 1, -1, -1))]
        pieces += [http_chunk(cluster[begin:end]) for begin, end in itertools.pairwise(cuts)]
    return Call(http_chunk(muxer.header()), pieces)


def payload(number: int) -> bytes:
    """Return a block's samples."""
    return (MARK + number.to_bytes(4, "big")).rjust(PAYLOAD_BYTES, b"\x01")


def http_chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(slots=True)
class Producer:
    """One PutMedia connection."""

    connection: socket.socket
    phase: float
    """When its first block is due, in seconds."""
    sent_at: list[float] = field(default_factory=list)
    """When each block had been sent."""
    delays: dict[str, list[float]] = field(default_factory=lambda: {"RECEIVED": [], "PERSISTED": []})
    _rest: bytes = b""

    def send(self, data: bytes) -> None:
        """Send a block."""
        self.connection.sendall(data)
        self.sent_at.append(time.perf_counter())

    def receive(self) -> bool:
        """Take what has come; tell whether more may."""
        data = self.connection.recv(65536)
        now = time.perf_counter()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not line.startswith(b"{"):
                continue
            event = msgspec.json.decode(line)
            if event["EventType"] == "ERROR":
                raise RuntimeError(f"A fragment was refused: {line.decode()}")
            if event["EventType"] in self.delays:
                last = event["FragmentTimecode"] // BLOCK_MS + BLOCKS - 1
                self.delays[event["EventType"]].append(now - self.sent_at[last])
        return bool(data)


@dataclass(slots=True)
class Consumer:
    """One GetMedia connection: finds the blocks of a producer by their marks."""

    connection: socket.socket
    producer: Producer
    delays: list[float] = field(default_factory=list)
    _rest: bytes = b""

    def receive(self) -> bool:
        """Take what has come; tell whether more may."""
        data = self.connection.recv(65536)
        now = time.perf_counter()
        *found, self._rest = (self._rest + data).split(MARK)
        if found and len(self._rest) < 4:
            found.pop()
            self._rest = MARK + self._rest
        for _ in found:
            self.delays.append(now - self.producer.sent_at[len(self.delays)])
        return bool(data)


@dataclass(frozen=True, slots=True)
class Played:
    """What one run measured."""

    producers: Sequence[Producer]
    consumers: Sequence[Consumer]
    cpu_seconds: float
    """Of the server."""
    seconds: float
    late: Sequence[float]
    """By how much each block was sent too late."""


def play(server: Server, call: Call, name: str, count: int, *, with_consumers: bool) -> Played:
    """Play a call on so many streams at once, each a moment later than the other."""
    kvs = server.client("kinesisvideo")
    chance = random.Random(name)  # the same phases every time
    producers, consumers = [], []
    with closing_all() as opened:
        for n in range(count):
            stream = f"{name}-{n}"
            kvs.create_stream(StreamName=stream, DataRetentionInHours=1)
            producer = Producer(put_media(server, stream), chance.random())
            opened.append(producer.connection)
            producers.append(producer)
        for n, producer in enumerate(producers if with_consumers else ()):
            consumers.append(Consumer(get_media(server, f"{name}-{n}"), producer))
            opened.append(consumers[-1].connection)
        cpu, began = cpu_seconds(server.pid), time.perf_counter()
        late = drive(producers, consumers, call)
        return Played(producers, consumers, cpu_seconds(server.pid) - cpu, time.perf_counter() - began, late)


def drive(producers: Sequence[Producer], consumers: Sequence[Consumer], call: Call) -> list[float]:
    """Send every block when it is due and read whatever comes; return how late each was sent."""
    with selectors.DefaultSelector() as selector:
        peers: list[Producer | Consumer] = [*producers, *consumers]
        for peer in peers:
            selector.register(peer.connection, selectors.EVENT_READ, peer)
        for producer in producers:
            producer.connection.sendall(call.header)
        began, late = time.perf_counter() + 0.1, []
        for due, producer, piece in schedule(producers, call):
            while (wait := began + due - time.perf_counter()) > 0:
                receive(selector, wait)
            producer.send(piece)
            late.append(producer.sent_at[-1] - began - due)
        for producer in producers:
            producer.connection.sendall(b"0\r\n\r\n")
        until = time.perf_counter() + SETTLE_SECONDS
        while selector.get_map() and (left := until - time.perf_counter()) > 0:
            receive(selector, left)
    return late


def schedule(producers: Sequence[Producer], call: Call) -> Iterator[tuple[float, Producer, bytes]]:
    """Yield what is to be sent by whom, and when, in the order of time."""
    period = BLOCK_MS / 1000
    in_order = sorted((producer.phase % period, int(producer.phase / period), producer) for producer in producers)
    last = max(first for _, first, _ in in_order) + len(call.pieces)
    for turn in range(last):
        for offset, first, producer in in_order:
            if 0 <= turn - first < len(call.pieces):
                yield turn * period + offset, producer, call.pieces[turn - first]


def receive(selector: selectors.BaseSelector, wait: float) -> None:
    """Let everyone read to whom something came."""
    for key, _ in selector.select(wait):
        if not key.data.receive():
            selector.unregister(key.fileobj)


def heard(played: Played, count: int) -> bool:
    """Print what a stream costs, and how soon its consumer reads it."""
    blocks = sum(len(producer.sent_at) for producer in played.producers)
    delays = [delay for consumer in played.consumers for delay in consumer.delays]
    seconds = sum(len(producer.sent_at) for producer in played.producers) * BLOCK_MS / 1000
    cpu_ms = 1000 * played.cpu_seconds / seconds
    print(f"{count} streams, each with a GetMedia consumer, {describe(played)}")
    print(f"  CPU          {cpu_ms:5.2f} ms a stream and second                                bar {CPU_BAR_MS:.0f} ms")
    print(f"  block heard  {spread(delays)}   bar {HEARD_BAR_MS:.0f} ms (median)")
    if len(delays) < blocks:
        print(f"  {blocks - len(delays)} of {blocks} blocks were never heard")
    return len(delays) == blocks and cpu_ms <= CPU_BAR_MS and 1000 * median(delays) <= HEARD_BAR_MS


def acknowledged(played: Played, count: int) -> bool:
    """Print how soon fragments are acknowledged."""
    print(f"{count} producers, {describe(played)}")
    is_met = True
    fragments = sum(len(producer.sent_at) // BLOCKS for producer in played.producers)
    for kind in ("RECEIVED", "PERSISTED"):
        delays = [delay for producer in played.producers for delay in producer.delays[kind]]
        print(f"  {kind:11}  {spread(delays)}   bar {ACKNOWLEDGED_BAR_MS:.0f} ms (99th percentile)")
        if len(delays) < fragments:
            print(f"  {fragments - len(delays)} of {fragments} fragments were never {kind}")
        is_met &= len(delays) == fragments and 1000 * quantiles(delays, n=100)[98] <= ACKNOWLEDGED_BAR_MS
    return is_met


def describe(played: Played) -> str:
    """Return how busy the server was, and how late the load."""
    late = 1000 * quantiles(played.late, n=100)[98]
    return f"server {played.cpu_seconds / played.seconds:.2f} cores, blocks sent up to {late:.0f} ms late (99 %)"


def spread(delays: Sequence[float]) -> str:
    """Return a median and what is above it, in milliseconds."""
    if len(delays) < 2:
        return "nothing came"
    percentiles = quantiles(delays, n=100)
    return (
        f"median {1000 * median(delays):6.1f} ms  99 % {1000 * percentiles[98]:6.1f} ms  "
        f"worst {1000 * max(delays):6.1f} ms"
    )


def put_media(server: Server, stream: str) -> socket.socket:
    """Open a PutMedia connection; return it once it is accepted."""
    headers = {
        "x-amzn-stream-name": stream,
        "x-amzn-fragment-timecode-type": "RELATIVE",
        "x-amzn-producer-start-timestamp": f"{time.time():.3f}",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "transfer-encoding": "chunked",
    }
    return connect(server, "/putMedia", headers, b"")


def get_media(server: Server, stream: str) -> socket.socket:
    """Open a GetMedia connection; return it once it is accepted."""
    body = msgspec.json.encode({"StreamName": stream, "StartSelector": {"StartSelectorType": "NOW"}})
    return connect(server, "/getMedia", {"content-length": str(len(body))}, body)


def connect(server: Server, path: str, headers: Mapping[str, str], body: bytes) -> socket.socket:
    """Sign and send a request; return the connection once the head of a 200 has come."""
    address = urlsplit(server.url)
    request = AWSRequest("POST", server.url + path, headers=dict(headers) | {"host": address.netloc}, data=body)
    secrets = server.environment
    credentials = Credentials(secrets["AWS_ACCESS_KEY_ID"], secrets["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, "kinesisvideo", secrets["AWS_REGION"]).add_auth(request)
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1) or b"\r\n\r\n"
    if b" 200 " not in head:
        raise RuntimeError(f"{path} was refused: {head.decode()}")
    return connection


@contextmanager
def closing_all() -> Iterator[list[socket.socket]]:
    """Yield a list whose sockets are closed at the end."""
    opened: list[socket.socket] = []
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    sys.exit(main())
