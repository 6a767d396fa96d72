"""PutMedia: sends Matroska while it is being made, and hears the acknowledgements while it sends."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from carillon.clock import to_millis
from carillon.errors import CarillonError
from carillon.media.kinesis_video import KinesisVideoClient, StreamUnavailable
from carillon.media.settings import Settings

_LONGEST_ANSWER_BYTES: Final = 4096


class PutMediaRefused(CarillonError):
    """The endpoint did not take the media, or gave up on it."""


class AcknowledgementType(StrEnum):
    """What happened to a fragment; the values are AWS's."""

    BUFFERING = "BUFFERING"
    RECEIVED = "RECEIVED"
    PERSISTED = "PERSISTED"
    ERROR = "ERROR"
    IDLE = "IDLE"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One line of the response."""

    type: AcknowledgementType
    fragment_timecode: int | None = None
    fragment_number: str | None = None
    error_id: int | None = None
    error_code: str | None = None


class _Line(msgspec.Struct, rename="pascal"):
    event_type: AcknowledgementType
    fragment_timecode: int | None = None
    fragment_number: str | None = None
    error_id: int | None = None
    error_code: str | None = None


async def put_media(
    client: KinesisVideoClient,
    stream_name: str,
    body: AsyncIterator[bytes],
    on_acknowledgement: Callable[[Acknowledgement], None],
    *,
    started_at: datetime | None = None,
    settings: Settings | None = None,
) -> None:
    """Send one Matroska document to a stream, until its end.

    Args:
        client: knows the endpoint and signs.
        stream_name: of an existing stream.
        body: the document, as it is made; each piece is sent at once.
        on_acknowledgement: told of every acknowledgement as it comes.
        started_at: if given, timecodes count from this time (RELATIVE), else they are epoch times (ABSOLUTE).
        settings: deadlines.

    Raises:
        PutMediaRefused: the endpoint answered with an error, at once or by an ERROR acknowledgement.
        StreamNotFound, NotAuthorized, StreamUnavailable: it cannot be reached.
    """
    settings = settings or Settings()
    url = await client.data_endpoint(stream_name, "PUT_MEDIA") + "/putMedia"
    headers = {
        "x-amzn-stream-name": stream_name,
        "x-amzn-fragment-timecode-type": "ABSOLUTE" if started_at is None else "RELATIVE",
        "x-amzn-fragment-acknowledgment-required": "1",
    }
    if started_at is not None:
        headers["x-amzn-producer-start-timestamp"] = f"{to_millis(started_at) / 1000:.3f}"
    signed = await client.sign("POST", url, headers)
    timeout = ClientTimeout(total=None, sock_connect=settings.connect_seconds)
    try:
        async with (
            ClientSession(timeout=timeout) as session,
            session.post(url, data=body, headers={**signed, "Content-Type": "application/json"}) as response,
        ):
            if response.status != 200:
                answer = await response.content.read(_LONGEST_ANSWER_BYTES)
                raise PutMediaRefused(f"PutMedia to {stream_name} was refused: {_reason(answer, response.status)}")
            async for line in response.content:
                if line.strip():
                    _take(stream_name, line, on_acknowledgement)
    except (ClientError, OSError) as error:
        raise StreamUnavailable(stream_name, type(error).__name__) from error


def _take(stream_name: str, line: bytes, on_acknowledgement: Callable[[Acknowledgement], None]) -> None:
    read = msgspec.json.decode(line, type=_Line)
    on_acknowledgement(
        Acknowledgement(read.event_type, read.fragment_timecode, read.fragment_number, read.error_id, read.error_code)
    )
    if read.event_type is AcknowledgementType.ERROR:
        raise PutMediaRefused(
            f"{stream_name} refused fragment {read.fragment_number}: {read.error_code} ({read.error_id})."
        )


def _reason(answer: bytes, status: int) -> str:
    try:
        return str(msgspec.json.decode(answer)["Message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"HTTP status {status}"
