"""PutMedia: sends Matroska while it is being made, and hears the acknowledgements while it sends.

Two children share a connection: one takes the document from its maker, the other sends it on and reads the answer. So
the maker runs among our own children and not inside aiohttp, which would hide how it failed, or wait for it for ever.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import msgspec
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from anyio import (
    CancelScope,
    EndOfStream,
    create_memory_object_stream,
    current_time,
    fail_after,
    move_on_after,
    to_thread,
)
from anyio.lowlevel import checkpoint

from carillon.clock import to_millis
from carillon.concurrency import beside
from carillon.errors import CarillonError
from carillon.media.acknowledgements import (
    Acknowledgement,
    AcknowledgementParser,
    AcknowledgementType,
    PutMediaRefused,
)
from carillon.media.kinesis_video import KinesisVideoClient
from carillon.media.refusals import (
    RemoteStreamNotFound,
    RequestRefused,
    StreamBusy,
    StreamUnavailable,
    refusal,
    translated,
)
from carillon.media.settings import MediaSettings

_LONGEST_ANSWER_BYTES: Final = 4096
_LONGEST_MESSAGE: Final = 300
_CLOSE_SECONDS: Final = 2.0


async def put_media(
    client: KinesisVideoClient,
    stream_name: str,
    body: AsyncIterator[bytes],
    on_acknowledgement: Callable[[Acknowledgement], None],
    *,
    started_at: datetime | None = None,
    settings: MediaSettings | None = None,
) -> None:
    """Send one Matroska document to a stream, until its end.

    Args:
        client: knows the endpoint and signs.
        stream_name: of an existing stream.
        body: the document, as it is made; each piece is sent at once. It is closed if it can be. What it raises comes
            out as it is, and the fragment that it breaks off is lost.
        on_acknowledgement: called with every acknowledgement as it comes.
        started_at: if given, timecodes count from this time (RELATIVE), else they are epoch times (ABSOLUTE).
        settings: deadlines.

    Raises:
        PutMediaRefused: the endpoint answered with an error, at once or by an ERROR acknowledgement.
        RemoteStreamNotFound, NotAuthorized: the stream cannot be sent to.
        StreamUnavailable: it cannot be reached, fell silent, or ended the request before the document was over.
    """
    settings = settings or MediaSettings()
    try:
        url = await client.data_endpoint(stream_name, "PUT_MEDIA") + "/putMedia"
        upload = _Upload(client, stream_name, body, on_acknowledgement, settings)
        await upload.run(url, _headers(stream_name, started_at))
    except StreamBusy:
        raise
    except (RemoteStreamNotFound, StreamUnavailable):
        client.forget_endpoint(stream_name, "PUT_MEDIA")
        raise
    finally:
        await _close(body)


def _headers(stream_name: str, started_at: datetime | None) -> Mapping[str, str]:
    headers = {
        "x-amzn-stream-name": stream_name,
        "x-amzn-fragment-timecode-type": "ABSOLUTE" if started_at is None else "RELATIVE",
        "x-amzn-fragment-acknowledgment-required": "1",
    }
    if started_at is not None:
        headers["x-amzn-producer-start-timestamp"] = f"{to_millis(started_at) / 1000:.3f}"
    return headers


class _Upload:
    """One request, from its first byte to the last acknowledgement."""

    def __init__(
        self,
        client: KinesisVideoClient,
        stream: str,
        document: AsyncIterator[bytes],
        on_acknowledgement: Callable[[Acknowledgement], None],
        settings: MediaSettings,
    ) -> None:
        self._client = client
        self._stream = stream
        self._document = document
        self._on_acknowledgement = on_acknowledgement
        self._settings = settings
        self._made, self._pieces = create_memory_object_stream[bytes]()
        self._is_all_made = False
        self._breakdown: Exception | None = None  # of the document's maker

    async def run(self, url: str, headers: Mapping[str, str]) -> None:
        with self._made, self._pieces:
            try:
                async with beside() as group:
                    group.start_soon(self._take_document, group.cancel_scope)
                    await self._converse(url, headers)
            except Exception:
                if self._breakdown is None:
                    raise
        if self._breakdown is not None:
            raise self._breakdown

    async def _take_document(self, conversation: CancelScope) -> None:
        with self._made:
            try:
                async for piece in self._document:
                    if piece:
                        await self._made.send(piece)
                self._is_all_made = True
            except Exception as error:  # the request must not be ended properly: its last fragment is torn
                self._breakdown = error
                conversation.cancel()

    async def _converse(self, url: str, headers: Mapping[str, str]) -> None:
        try:
            first = await self._pieces.receive()  # aiohttp sends nothing before, so the answer could not begin
        except EndOfStream:
            first = b""
        signed = await self._client.sign("POST", url, headers)  # not before: signatures age
        sent = {**signed, "Content-Type": "application/json"}
        trust = await to_thread.run_sync(self._client.trust) if url.startswith("https:") else True
        async with _session(self._settings) as session:
            with translated(self._stream), fail_after(self._settings.connect_seconds + self._settings.answer_seconds):
                response = await session.post(
                    url, data=self._rest(first), headers=sent, allow_redirects=False, ssl=trust
                )
            async with response:
                if response.status != 200:
                    raise await self._refusal(response)
                await self._listen(response)

    async def _rest(self, first: bytes) -> AsyncGenerator[bytes]:
        if first:
            yield first
        async for piece in self._pieces:
            yield piece

    async def _listen(self, response: ClientResponse) -> None:
        parser = AcknowledgementParser(self._stream)
        patience = self._settings.acknowledgement_seconds
        deadline = current_time() + patience
        while True:
            with translated(self._stream), fail_after(deadline - current_time()):
                await checkpoint()  # what has come already is read without waiting, and so without a deadline
                data = await response.content.readany()
            if not data:
                break
            for acknowledgement in parser.feed(data):
                if acknowledgement.type is not AcknowledgementType.IDLE or self._is_idle:
                    deadline = current_time() + patience
                self._take(acknowledgement)
        parser.end()
        if not self._is_all_made:
            raise StreamUnavailable(self._stream, "the endpoint ended the request before the media did")

    @property
    def _is_idle(self) -> bool:
        """Return whether the document goes on but there is nothing to send now: else, who says so only stalls."""
        return not self._is_all_made and self._made.statistics().tasks_waiting_send == 0

    def _take(self, acknowledgement: Acknowledgement) -> None:
        self._on_acknowledgement(acknowledgement)
        if acknowledgement.type is AcknowledgementType.ERROR:
            what = f"fragment {acknowledgement.fragment_number}" if acknowledgement.fragment_number else "the media"
            raise PutMediaRefused(
                f"{self._stream} refused {what}: {acknowledgement.error_code} ({acknowledgement.error_id}).",
                acknowledgement.error_id,
            )

    async def _refusal(self, response: ClientResponse) -> CarillonError:
        answer = b""
        with suppress(StreamUnavailable), translated(self._stream), fail_after(self._settings.answer_seconds):
            while len(answer) < _LONGEST_ANSWER_BYTES and (data := await response.content.readany()):
                answer += data
        code = response.headers.get("x-amzn-ErrorType") or response.headers.get("x-amz-ErrorType") or ""
        error = refusal(self._stream, code, response.status)
        if not isinstance(error, RequestRefused):
            return error
        return PutMediaRefused(f"PutMedia to {self._stream} was refused with {error.code}{_message(answer)}")


@asynccontextmanager
async def _session(settings: MediaSettings) -> AsyncIterator[ClientSession]:
    """Yield a session for one connection, closed also while being canceled."""
    session = ClientSession(timeout=ClientTimeout(total=None, sock_connect=settings.connect_seconds))
    try:
        yield session
    finally:
        with move_on_after(_CLOSE_SECONDS, shield=True):
            await session.close()


async def _close(body: AsyncIterator[bytes]) -> None:
    close = getattr(body, "aclose", None)  # generators have it, iterators in general do not
    if close is not None:
        await close()


def _message(answer: bytes) -> str:
    try:
        return f": {msgspec.json.decode(answer, type=dict[str, str])['Message'][:_LONGEST_MESSAGE]}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return "."
