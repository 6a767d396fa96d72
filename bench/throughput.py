"""Control operations per second: with and without checking signatures, and beside moto_server, in one run.

One load client for all: requests signed beforehand, each once, over a few kept-alive connections. carillon without
signatures is the same application in a process that this script starts, its Api made without a verifier. moto_server,
which checks no signature, answers SQS GetQueueUrl and CreateQueue: likewise one lookup, and one new resource.

    python bench/throughput.py [--requests 3000] [--rounds 3] [--connections 4]
"""

import argparse
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

import anyio
from botocore.credentials import Credentials

from carillon import app, config
from carillon.api.protocol import Api
from carillon.server.serving import serve
from carillon.telemetry import configure_logging
from referee.process import serving
from referee.wire import Request, Wire, write
from referee.world import KEY_ARN, World

MOTO_BAR: Final = 5.0
SIGNATURE_BAR: Final = 0.25
WARM_UP_REQUESTS: Final = 200
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Contender:
    """A server, and how to make requests of it."""

    name: str
    url: str
    pid: int
    lookups: Callable[[int], list[bytes]]
    creations: Callable[[int], list[bytes]]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round measured."""

    per_second: float
    cpu_ms: float
    """Of the server, for one request."""


def main() -> int:
    """Print the figures beside their bars; fail if one misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--serve-unverified", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_unverified:
        serve_unverified(options.data_dir)
        return 0
    unverified = serving(sys.executable, __file__, "--serve-unverified")
    with serving() as signed, unverified as open_, moto() as moto_contender:
        contenders = [
            carillon("carillon", signed.url, signed.pid, World.make(signed.client)),
            carillon("carillon, signatures unchecked", open_.url, open_.pid, World.make(open_.client)),
            moto_contender,
        ]
        time.sleep(5)  # Both load their models once they are ready.
        for contender in contenders:
            measure(contender, contender.lookups(WARM_UP_REQUESTS), options.connections)
            measure(contender, contender.creations(WARM_UP_REQUESTS), options.connections)
        looked_up = rounds(contenders, "lookups", options.requests, options)
        created = rounds(contenders, "creations", options.requests // 3, options)
    results = [
        report("GetSpeakerSearchTask (moto: SQS GetQueueUrl)", looked_up),
        report("CreateVoiceProfileDomain (moto: SQS CreateQueue)", created),
    ]
    return int(not all(results))


def rounds(
    contenders: Sequence[Contender], kind: str, requests: int, options: argparse.Namespace
) -> dict[str, list[Figure]]:
    """Measure each in turn, so that what else the machine does falls on all."""
    figures: dict[str, list[Figure]] = {contender.name: [] for contender in contenders}
    for _ in range(options.rounds):
        for contender in contenders:
            made = getattr(contender, kind)(requests if contender.name != "moto_server" else requests // 3)
            figures[contender.name].append(measure(contender, made, options.connections))
    return figures


def report(what: str, figures: dict[str, list[Figure]]) -> bool:
    """Print medians; return whether the bars are met."""
    print(what)
    for name, measured in figures.items():
        each = "  ".join(f"{figure.per_second:6.0f}" for figure in measured)
        rate, cpu = median(one.per_second for one in measured), median(one.cpu_ms for one in measured)
        print(f"  {name:31} {rate:6.0f} requests/s  {cpu:5.2f} ms server CPU each   rounds {each}")
    signed, unsigned, moto_server = (median(one.per_second for one in measured) for measured in figures.values())
    ratio, cost = signed / moto_server, 1 - signed / unsigned
    print(f"  {ratio:.1f} x moto_server (bar {MOTO_BAR:.0f} x); signatures cost {cost:.0%} (bar {SIGNATURE_BAR:.0%})")
    return ratio >= MOTO_BAR and cost <= SIGNATURE_BAR


def carillon(name: str, url: str, pid: int, world: World) -> Contender:
    """Return a carillon, with a world on it."""
    credentials = world.client("chime-sdk-voice")._request_signer._credentials  # noqa: SLF001 - boto3 has no public way
    wire = Wire(url, credentials, "us-east-1")
    task = {"Identifier": world.pipeline_id, "SpeakerSearchTaskId": world.start_search()}

    def lookups(count: int) -> list[bytes]:
        request = write("chime-sdk-media-pipelines", "GetSpeakerSearchTask", task)
        return [raw(wire, request, number) for number in range(count)]

    def creations(count: int) -> list[bytes]:
        encryption = {"KmsKeyArn": KEY_ARN}
        made = ({"Name": uuid.uuid4().hex, "ServerSideEncryptionConfiguration": encryption} for _ in range(count))
        return [raw(wire, write("chime-sdk-voice", "CreateVoiceProfileDomain", values)) for values in made]

    return Contender(name, url, pid, lookups, creations)


@contextmanager
def moto() -> Iterator[Contender]:
    """Run moto_server with one queue."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        wire = Wire(url, Credentials("AKIDEXAMPLE", "secret"), "us-east-1")

        def call(operation: str, name: str) -> Request:
            headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
            return Request("POST", "/", b'{"QueueName":"%s"}' % name.encode(), headers, "sqs")

        try:
            for _ in range(300):
                try:
                    wire.send(call("CreateQueue", "bench"))
                    break
                except OSError:
                    time.sleep(0.1)
            yield Contender(
                "moto_server",
                url,
                process.pid,
                lambda count: [raw(wire, call("GetQueueUrl", "bench"), number) for number in range(count)],
                lambda count: [raw(wire, call("CreateQueue", uuid.uuid4().hex)) for _ in range(count)],
            )
        finally:
            process.terminate()


def raw(wire: Wire, request: Request, number: int | None = None) -> bytes:
    """Return the bytes of a signed request; a number makes it unlike its sisters, as those of an SDK are."""
    if number is not None:
        headers = {**request.headers, "X-Amz-Bench": str(number)}
        request = Request(request.method, request.target, request.body, headers, request.signing_name)
    headers = {"Host": urlsplit(wire.url).netloc, "Content-Length": str(len(request.body)), **wire.signed(request)}
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


def measure(contender: Contender, requests: Sequence[bytes], connections: int) -> Figure:
    """Send every request once and wait for its answer.

    Raises:
        RuntimeError: an answer was no success.
    """
    address = urlsplit(contender.url)
    failures: list[bytes] = []

    def work(number: int) -> None:
        try:
            answers = converse(str(address.hostname), int(address.port or 80), requests[number::connections])
            failures.extend(answer for answer in answers if b" 20" not in answer)
        except (OSError, RuntimeError) as error:
            failures.append(repr(error).encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    cpu, began = cpu_seconds(contender.pid), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - began, cpu_seconds(contender.pid) - cpu
    if failures:
        raise RuntimeError(f"{len(failures)} requests of {contender.name} failed: {failures[0]!r}")
    return Figure(len(requests) / seconds, cpu * 1000 / len(requests))


def converse(host: str, port: int, requests: Sequence[bytes]) -> Iterator[bytes]:
    """Send one request after the other on one connection; yield the status line of each answer."""
    connection = socket.create_connection((host, port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for request in requests:
        connection.sendall(request)
        head, _, body = receive(connection, b"").partition(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        while len(body) < length:
            body = receive(connection, body, length)
        yield head.split(b"\r\n", 1)[0]
        if b"connection: close" in lower:
            connection.close()
            connection = socket.create_connection((host, port), timeout=10)
    connection.close()


def receive(connection: socket.socket, data: bytes, length: int | None = None) -> bytes:
    """Read on until a head is complete, or until there are `length` bytes."""
    while (b"\r\n\r\n" not in data) if length is None else len(data) < length:
        received = connection.recv(65536)
        if not received:
            raise RuntimeError("The server hung up.")
        data += received
    return data


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def serve_unverified(data_dir: Path) -> None:
    """Serve as `carillon serve` does, but let everybody in."""

    def unverified(**given: object) -> Api:
        return Api(**{**given, "verifier": None})  # type: ignore[arg-type]  # handed through as they came

    configure_logging("warning", "json")  # To stderr: nobody reads what a server says after its first line.
    app.Api = unverified  # type: ignore[assignment,attr-defined]  # the one place that makes it
    settings = config.load(data_dir, environment={"CARILLON_SERVER_PORT": "0"})
    anyio.run(
        serve,
        settings,
        lambda url: print(f"carillon is ready at {url}", flush=True),
        backend_options={"use_uvloop": sys.platform != "win32"},
    )  # as the command line does


if __name__ == "__main__":
    sys.exit(main())
