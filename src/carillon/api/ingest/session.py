"""One connection, from the first message until its last fragment is stored.

One child takes messages, has what they hold spliced, and feeds the recording with the fragments that come of it; where
nothing comes, it watches the clock. Audio that precedes the message which explains it is held for a moment. One hears
how far each fragment got, and one whether another producer is to take over. What has come is stored however the
connection ends.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from anyio import CancelScope, Event, create_task_group, current_time, move_on_after

from carillon.api.ingest.errors import (
    FasterThanRealTime,
    FormatUnknown,
    IdleTimeout,
    KeyEnded,
    MediaRefused,
    ServerRestarting,
    TakenOver,
)
from carillon.api.ingest.messages import IngestMessage, MediaAudio, MediaEnded, MediaOpened, MessageFormat
from carillon.api.ingest.pending import PendingMessages
from carillon.api.ingest.settings import IngestSettings
from carillon.api.ingest.socket import WebSocket
from carillon.api.kinesis_video.put_media import render
from carillon.clock import Clock, to_millis
from carillon.media.splicer import Splicer
from carillon.streams import AckEventType, PutMediaSession
from carillon.telemetry import get_logger

log: Final = get_logger()

_LATE_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 0.5


class WebSocketSession:
    """Fills a recording from a connection.

    Args:
        socket: the connection.
        put_media: what it fills.
        format_: what its messages mean.
        key_ended: waits until the access key that let it in may be used no more; returns why.
        clock: tells the time of the audio.
        settings: limits.
    """

    def __init__(
        self,
        socket: WebSocket,
        put_media: PutMediaSession,
        format_: MessageFormat,
        key_ended: Callable[[], Awaitable[str]],
        clock: Clock,
        settings: IngestSettings,
    ) -> None:
        self._key_ended = key_ended
        self._socket = socket
        self._put_media = put_media
        self._format = format_
        self._clock = clock
        self._settings = settings
        self._opened: MediaOpened | None = None
        self._splicer: Splicer | None = None
        self._began = 0.0  # monotonic: the moment of the first sample
        self._heard_at = clock.monotonic()
        self._early = PendingMessages(clock, settings.start_seconds, settings.max_early_bytes)
        self._looked_at = current_time()  # in the event loop's time
        self._is_catching_up = False
        self._is_leaving = False
        self._waiting = CancelScope()  # for a message
        self._taking = CancelScope()
        self._is_stored = Event()
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Take what comes until it ends, then wait until it is stored.

        Raises:
            MalformedMessage, IdleTimeout, FasterThanRealTime, MediaRefused, TakenOver: why it ended early. What had
            come is stored.
        """
        async with create_task_group() as group:
            group.start_soon(self._listen)
            group.start_soon(self._watch_turn)
            group.start_soon(self._watch_closing)
            group.start_soon(self._watch_key)
            try:
                with self._taking:
                    await self._take()
                    if self._is_leaving:
                        await self._take_what_came()
                    self._early.give_up()
            except Exception as error:  # out of the group first, which would wrap it, and after storing what came
                self._failure = self._failure or error
            await self._finish()
            await self._is_stored.wait()
            group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def describe(self) -> dict[str, float]:
        """Return figures for the log."""
        splicer = self._splicer
        if splicer is None:
            return {"seconds": 0.0}
        return {
            "seconds": round(splicer.seconds, 3),
            "filled_seconds": round(splicer.filled_seconds, 3),
            "dropped_seconds": round(splicer.dropped_seconds, 3),
        }

    async def _take(self) -> None:
        if await self._handle(self._format.begin()):
            return
        while True:
            message: str | bytes | None = ""
            with move_on_after(self._settings.fragment_seconds) as patience:
                self._waiting = patience
                message = await self._socket.receive()
            self._notice_stall(is_idle=patience.cancelled_caught)
            if message is None or (self._is_leaving and patience.cancelled_caught):
                return
            if patience.cancelled_caught:
                if not self._is_catching_up:
                    await self._wait_on()
                continue
            self._heard_at = self._clock.monotonic()
            if await self._read(message) or self._is_leaving:
                return

    async def _read(self, message: str | bytes) -> bool:
        """Take a message, and those that it explains; return whether one was the last."""
        try:
            messages = self._format.read(message)
        except FormatUnknown as why:
            self._early.append(message, why)
            return False
        if await self._handle(messages):
            return True
        with suppress(FormatUnknown):
            for early in self._early.explained():
                await self._handle(self._format.read(early), is_early=True)
                self._early.drop()
        return False

    async def _handle(self, messages: Sequence[IngestMessage], *, is_early: bool = False) -> bool:
        """Take what was made of a message; return whether it was the last."""
        for one in messages:
            match one:
                case MediaAudio():
                    await self._take_audio(one, is_early=is_early)
                case MediaOpened():
                    self._opened = one
                case MediaEnded():
                    return True
        return False

    async def _take_audio(self, audio: MediaAudio, *, is_early: bool) -> None:
        splicer = await (self._begun() if is_early else self._reach_now())
        await self._feed(splicer.push(audio.track, audio.data, audio.at_ms))
        ahead_seconds = splicer.seconds - self._elapsed()
        if ahead_seconds > self._settings.most_ahead_seconds:
            raise FasterThanRealTime(
                f"Audio is {ahead_seconds:.0f} s ahead of the clock. Send it as it is spoken, or PutMedia."
            )

    async def _wait_on(self) -> None:
        """Keep the stream going while nothing comes, for so long.

        Raises:
            IdleTimeout: it has been too long.
        """
        silent_seconds = self._clock.monotonic() - self._heard_at
        if self._opened is None:
            self._early.check_age()
            if silent_seconds >= self._settings.start_seconds:
                raise IdleTimeout("Nothing said what would be sent.")
            return
        if silent_seconds >= self._settings.idle_seconds:
            raise IdleTimeout(f"Nothing came for {self._settings.idle_seconds:g} s.")
        await self._reach_now()

    async def _reach_now(self) -> Splicer:
        """Return the splicer; where audio lags behind the clock by too much, it was silent."""
        splicer = await self._begun()
        due_seconds = self._elapsed() - self._settings.silence_seconds
        if due_seconds <= splicer.seconds:
            self._is_catching_up = False
        elif not self._is_catching_up:
            await self._feed(splicer.fill_until(due_seconds))
        return splicer

    async def _begun(self) -> Splicer:
        """Return the splicer; its clock began when the first audio came, also if it could not be understood yet."""
        if self._splicer is None:
            assert self._opened is not None, "a format opens before it gives audio"
            waited_seconds = self._early.seconds()
            self._began = self._clock.monotonic() - waited_seconds
            self._splicer = Splicer(
                self._opened.layout,
                to_millis(self._clock.now() - timedelta(seconds=waited_seconds)),
                tracks=self._opened.tracks,
                fragment_seconds=self._settings.fragment_seconds,
                late_seconds=self._settings.late_seconds,
                most_gap_seconds=self._settings.most_ahead_seconds,
                metadata=self._opened.metadata,
            )
            await self._put_media.feed(self._splicer.header())
        return self._splicer

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began

    async def _feed(self, fragments: Sequence[bytes]) -> None:
        for fragment in fragments:
            await self._put_media.feed(fragment)
            await self._put_media.finalize()  # no tags will follow, so that readers need not wait for any

    async def _finish(self) -> None:
        """Store what is left."""
        if self._splicer is not None:
            await self._feed(self._splicer.end())
        await self._put_media.end()

    async def _listen(self) -> None:
        """Read acknowledgements and pass them on; an ERROR ends the connection."""
        async for acknowledgement in self._put_media.acknowledgements:
            if acknowledgement.kind is AckEventType.ERROR:
                assert acknowledgement.error_code is not None
                self._stop(MediaRefused(acknowledgement.error_code))
            if self._format.answers and not self._socket.is_over:
                await self._answer(render(acknowledgement).decode().rstrip("\n"))
        self._is_stored.set()

    async def _answer(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except TimeoutError:
            self._stop(IdleTimeout("Acknowledgements were not read."))

    async def _watch_turn(self) -> None:
        """Leave the stream to another producer that is to take it over."""
        await self._put_media.wanted()
        self._stop(TakenOver())

    async def _watch_closing(self) -> None:
        """Leave when this server is about to end, with all that has come; whoever sends may come back to the next."""
        await self._put_media.closing()
        self._failure = self._failure or ServerRestarting()
        self._is_leaving = True
        self._waiting.cancel()

    async def _take_what_came(self) -> None:
        """Take messages that have been received and not been looked at, as far as a moment allows."""
        message: str | bytes | None = ""
        with move_on_after(_LAST_SECONDS):
            while message is not None:
                with move_on_after(_LATE_SECONDS / 10) as patience:
                    message = await self._socket.receive()
                if message is None or patience.cancelled_caught or await self._read(message):
                    return

    async def _watch_key(self) -> None:
        """Leave once the access key that let the connection in may be used no more."""
        self._stop(KeyEnded(await self._key_ended()))

    def _notice_stall(self, *, is_idle: bool) -> None:
        """Notice that nothing could be received for a while: what came meanwhile waits, and is no silence.

        This process was frozen, or the disk held it up. Until what waits is read, or nothing does, no audio is missed.
        """
        now = current_time()
        if now - self._looked_at > self._settings.fragment_seconds + _LATE_SECONDS:
            self._is_catching_up = True
            self._heard_at = self._clock.monotonic()
        elif is_idle:
            self._is_catching_up = False
        self._looked_at = now

    def _stop(self, why: Exception) -> None:
        self._failure = self._failure or why
        self._taking.cancel()
