"""`carillon push`: a recording, or a live pipe, streamed as a telephone system would stream a call."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from anyio import CancelScope, open_signal_receiver, to_thread, wait_readable
from anyio.abc import TaskStatus
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from carillon.concurrency import beside
from carillon.config import Settings
from carillon.data_folder import keys_of
from carillon.errors import InvalidRequest
from carillon.media import Acknowledgement, AcknowledgementType, KinesisVideoClient, as_live, read_recording, send_media
from carillon.media.pipe import read_pipe
from carillon.media.sound import MAX_RATE_HZ
from carillon.media.splicer import Layout, SampleFormat
from carillon.server.running import reached

STDIN: Final = Path("-")
_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_ENDPOINT_URL")
_READ_BYTES: Final = 65_536
_SLOWEST: Final = 0.01
_FASTEST: Final = 10_000.0


class BadOptions(InvalidRequest):
    """Options that make no sense together."""


@dataclass(frozen=True, slots=True)
class SendProgress:
    """How many fragments the endpoint has acknowledged."""

    received: int
    persisted: int


async def push(
    settings: Settings, file: Path, stream: str, speed: float, rate_hz: int | None, endpoint: str | None
) -> SendProgress:
    """Stream a recording, with a progress bar, and return what became of it.

    Raises:
        UnreadableRecording: the file is not a recording of one or two channels.
        StreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable, PutMediaRefused: what the endpoint said.
    """
    recording = await to_thread.run_sync(read_recording, file, rate_hz)
    sending = _Sending(settings, stream, endpoint)
    timing = (BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f} s"), TimeRemainingColumn())
    with sending.bar(*timing) as bar:
        task = bar.add_task(f"{file.name} -> {stream}", total=recording.seconds)
        body = as_live(
            recording,
            speed,
            on_sent=lambda seconds: bar.update(task, completed=seconds),
            fragment_seconds=settings.media.fragment_seconds,
        )
        await sending.send(body, None)
    return sending.sent()


async def push_pipe(
    settings: Settings, stream: str, raw: Layout | None, endpoint: str | None, pipe: Path = STDIN
) -> SendProgress:
    """Stream what comes through a pipe, as it comes, until its end or SIGINT, and return what became of it.

    Args:
        settings: how fragments are cut.
        stream: name of the stream.
        raw: what samples without a header are; None if there must be one.
        endpoint: any KVS endpoint.
        pipe: a named one, or standard input.

    Raises:
        UnreadableRecording: nothing came that can be streamed.
        StreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable, PutMediaRefused: what the endpoint said.
    """
    sending = _Sending(settings, stream, endpoint)
    async with _input(pipe) as source:
        with sending.bar(TextColumn("{task.completed:.0f} s")) as bar:
            task = bar.add_task(f"pipe -> {stream}", total=None)
            piped = await read_pipe(
                source.read,
                raw,
                on_sent=lambda seconds: bar.update(task, completed=seconds),
                fragment_seconds=settings.media.fragment_seconds,
            )
            await sending.send(piped.body, piped.started_at)
    return sending.sent()


def checked_speed(speed: float | None) -> float:
    """Return the speed that a file is played at: natural, if nobody says.

    Raises:
        BadOptions: there is no such speed.
    """
    if speed is None:
        return 1.0
    if not (speed == 0 or _SLOWEST <= speed <= _FASTEST):  # also what is no number
        raise BadOptions(f"--speed is 0, or from {_SLOWEST:g} to {_FASTEST:g}, not {speed:g}.")
    return speed


def raw_layout(rate_hz: int | None, channels: int | None, encoding: str | None) -> Layout | None:
    """Return what options say of samples without a header; None if they say nothing.

    Raises:
        BadOptions: the rate is missing, or none that can be.
    """
    if rate_hz is None:
        if channels is not None or encoding is not None:
            raise BadOptions("Say the rate of raw samples, too: --rate 8000.")
        return None
    if not 1 <= rate_hz <= MAX_RATE_HZ:
        raise BadOptions(f"--rate is from 1 to {MAX_RATE_HZ} Hz, not {rate_hz}.")
    return Layout(SampleFormat(encoding or "s16le"), rate_hz, channels or 1)


def client_for(settings: Settings, endpoint: str | None = None) -> KinesisVideoClient:
    """Return a client of the endpoint asked for, of the AWS environment's, or of the local server with its own key."""
    given = endpoint or next((url for name in _ENDPOINT_VARIABLES if (url := os.environ.get(name))), None)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or settings.account.region
    if "AWS_ACCESS_KEY_ID" in os.environ or "AWS_PROFILE" in os.environ:
        return KinesisVideoClient(endpoint_url=given, region=region, settings=settings.media)
    key = keys_of(settings.data_dir).default
    url, bundle = reached(settings, given)
    return KinesisVideoClient(
        endpoint_url=url,
        region=settings.account.region,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        settings=settings.media,
        ca_bundle=None if given and "AWS_CA_BUNDLE" in os.environ else bundle,
    )


class _Sending:
    """One document on its way, and what is said of it."""

    def __init__(self, settings: Settings, stream: str, endpoint: str | None) -> None:
        self._settings = settings
        self._stream = stream
        self._console = Console(stderr=True)
        self._client = client_for(settings, endpoint)
        self._counts = dict.fromkeys(AcknowledgementType, 0)

    def bar(self, *columns: ProgressColumn) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            *columns,
            console=self._console,
            disable=not self._console.is_terminal,
        )

    async def send(self, body: AsyncIterator[bytes], started_at: datetime | None) -> None:
        async with self._client as client:
            await send_media(
                client, self._stream, body, self._count, started_at=started_at, settings=self._settings.media
            )

    def sent(self) -> SendProgress:
        return SendProgress(self._counts[AcknowledgementType.RECEIVED], self._counts[AcknowledgementType.PERSISTED])

    def _count(self, acknowledgement: Acknowledgement) -> None:
        self._counts[acknowledgement.type] += 1


class _Input:
    """A pipe, which SIGINT ends: what has come by then is sent."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._waiting = CancelScope()
        self._is_over = False

    async def read(self) -> bytes:
        """Return what is there, waiting until something is; empty at the end."""
        with CancelScope() as self._waiting:
            if not self._is_over:
                await self._until_readable()
                return await to_thread.run_sync(os.read, self._file, _READ_BYTES)
        return b""

    async def _until_readable(self) -> None:
        with suppress(PermissionError):  # a file, which epoll does not watch, and need not
            await wait_readable(self._file)

    async def end_on_signal(self, *, task_status: TaskStatus[None]) -> None:
        with open_signal_receiver(signal.SIGINT) as signals:
            task_status.started()
            await anext(aiter(signals))
        self._is_over = True  # a second one is not for us, and stops the program
        self._waiting.cancel()


@asynccontextmanager
async def _input(pipe: Path) -> AsyncIterator[_Input]:
    file = sys.stdin.fileno() if pipe == STDIN else os.open(pipe, os.O_RDONLY)  # which waits for a writer
    source = _Input(file)
    try:
        async with beside() as group:
            await group.start(source.end_on_signal)
            yield source
    finally:
        if pipe != STDIN:
            os.close(file)
