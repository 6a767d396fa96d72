"""`carillon push`: a recording, streamed as a telephone system would stream a call."""

import os
from pathlib import Path
from typing import Final

from anyio import to_thread
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from carillon.app import prepare
from carillon.config import Settings
from carillon.media import Acknowledgement, AcknowledgementType, KinesisVideoClient, as_live, put_media, read_recording
from carillon.tls import authorities

_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_ENDPOINT_URL")


async def push(
    settings: Settings, file: Path, stream: str, speed: float, rate_hz: int | None, endpoint: str | None
) -> None:
    """Stream a recording, with a progress bar, and say what became of it.

    Raises:
        UnreadableRecording: the file is not a recording of one or two channels.
        StreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable, PutMediaRefused: what the endpoint said.
    """
    recording = await to_thread.run_sync(read_recording, file, rate_hz)
    console = Console(stderr=True)
    counts = dict.fromkeys(AcknowledgementType, 0)

    def count(acknowledgement: Acknowledgement) -> None:
        counts[acknowledgement.type] += 1

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} s"),
        TimeRemainingColumn(),
        console=console,
    )
    async with client_for(settings, endpoint) as client:
        with bar:
            task = bar.add_task(f"{file.name} -> {stream}", total=recording.seconds)
            body = as_live(
                recording,
                speed,
                on_sent=lambda seconds: bar.update(task, completed=seconds),
                fragment_seconds=settings.media.fragment_seconds,
            )
            await put_media(client, stream, body, count, settings=settings.media)
    received, persisted = counts[AcknowledgementType.RECEIVED], counts[AcknowledgementType.PERSISTED]
    console.print(f"{received} fragments received, {persisted} persisted.", highlight=False)


def client_for(settings: Settings, endpoint: str | None = None) -> KinesisVideoClient:
    """Return a client of the endpoint asked for, of the AWS environment's, or of the local server with its own key."""
    from_environment = next((os.environ[name] for name in _ENDPOINT_VARIABLES if name in os.environ), None)
    url = endpoint or from_environment
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or settings.place.region
    if "AWS_ACCESS_KEY_ID" in os.environ or "AWS_PROFILE" in os.environ:
        return KinesisVideoClient(endpoint_url=url, region=region, settings=settings.media)
    key = prepare(settings.data_dir).default
    url = url or settings.server.url
    return KinesisVideoClient(
        endpoint_url=url,
        region=settings.place.region,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        settings=settings.media,
        ca_bundle=None if "AWS_CA_BUNDLE" in os.environ else authorities(settings, url),
    )
