"""The one object that the rest of carillon talks to."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from carillon.arns import AwsAccount
from carillon.clock import Clock
from carillon.concurrency import beside
from carillon.storage import Database, Vault
from carillon.streams.catalog.catalog import StreamCatalog
from carillon.streams.catalog.stream import Stream
from carillon.streams.errors import StreamNotFound
from carillon.streams.ingest.session import PutMediaSession, open_session, random_bits
from carillon.streams.live.starts import StartSelector, before_current_speech
from carillon.streams.live.store import Store
from carillon.streams.live.tail import Tail
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.archive import Archive, ListPosition, StoredFragment, TimestampRange
from carillon.streams.stored.replay import Replay, Replays
from carillon.streams.stored.retention import Retention
from carillon.streams.stored.sealing import FragmentSealing
from carillon.streams.stored.segments import choose
from carillon.streams.stored.writer import Writer
from carillon.telemetry import get_logger

_log: Final = get_logger()


class Streams:
    """Kinesis Video Streams that we hold ourselves. Everything but `catalog` works inside `async with` only.

    What crosses the folders of this room is here; what is asked of streams as such is asked of `catalog`.

    Args:
        database: for the catalog and the index of fragments.
        vault: seals the fragments.
        account: the Region and account in the ARNs.
        clock: what time fragments arrive.
        directory: for the fragments themselves, unless the settings name a bucket; ours alone.
        settings: limits and buffers.
        random: returns the 28 random bits of a fragment number.
    """

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        account: AwsAccount,
        clock: Clock,
        directory: Path,
        settings: StreamSettings | None = None,
        random: Callable[[], int] = random_bits,
    ) -> None:
        self.settings = settings or StreamSettings()
        self._clock = clock
        self._random = random
        owner = vault.derive("streams storage").hex()[:16]
        self._segments = choose(self.settings, directory, owner, account.region, clock)
        self.catalog: Final = StreamCatalog(database, vault, account, clock, self.settings.max_stream_tags)
        sealing = FragmentSealing(vault)
        self._archive = Archive(database, sealing, self._segments)
        self._replays = Replays(self._archive, self.settings.max_replays)
        self._writer = Writer(self._archive, sealing, self._segments, self.settings)
        self._retention = Retention(database, self._segments, self._writer, clock, self.settings)
        self._store = Store(self._archive, self._writer, self._retention, clock, self.settings)
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._exits.enter_async_context(self._running())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._exits.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with self._segments:
            await self._retention.recover()
            async with beside(self._writer.run, self._store.run, self._retention.run):
                try:
                    yield
                finally:
                    self._writer.close()

    async def has_stream(self, stream_arn: str) -> bool:
        """Return whether a stream with this ARN exists."""
        try:
            await self.catalog.find(arn=stream_arn)
        except StreamNotFound:
            return False
        return True

    async def newest_position(self, stream_arn: str) -> str | None:
        """Return the number after which somebody begins who is to hear what is being said now, and nothing before.

        Empty for the first fragment of all; None if there is no such stream.
        """
        try:
            live = await self._store.live(await self.catalog.find(arn=stream_arn))
        except StreamNotFound:
            return None
        return before_current_speech(live, self._clock)

    async def update(
        self, stream: Stream, version: str, *, device_name: str | None = None, media_type: str | None = None
    ) -> Stream:
        """Change what a stream says of itself.

        Raises:
            StaleVersion: the stream was changed since `version`.
            StreamNotFound: it was deleted.
        """
        changed = await self.catalog.update(stream, version, device_name=device_name, media_type=media_type)
        self._store.change(changed)
        return changed

    async def change_retention(self, stream: Stream, version: str, by_hours: int) -> Stream:
        """Keep fragments for longer, or, if negative, for a shorter time: what is then too old is deleted at once.

        Raises:
            StaleVersion: the stream was changed since `version`.
            StreamNotFound: it was deleted.
            InvalidRetention: the sum is below 0 or over ten years.
        """
        hours = stream.retention_hours + by_hours
        changed = await self.catalog.update(stream, version, retention_hours=hours)
        self._store.change(changed)
        if by_hours < 0:
            await self._retention.apply_to(changed)
        return changed

    async def delete(self, arn: str, version: str | None = None) -> None:
        """Delete a stream and everything in it; connections to it end.

        Raises:
            StaleVersion: the stream was changed since `version`.
            StreamNotFound: there is none.
        """
        await self._store.delete(await self.catalog.delete(arn, version))
        _log.info("streams.deleted", stream_arn=arn)

    @asynccontextmanager
    async def record(self, stream: Stream, producer_start: datetime | None) -> AsyncIterator[PutMediaSession]:
        """Write to a stream, as its only producer.

        Args:
            stream: to write to.
            producer_start: what the timecodes count from; None if they are absolute.

        Raises:
            StreamThrottled: the stream is used faster than its rates allow.
            ProducerConnected: another connection is writing.
            StreamNotFound: it was deleted.
        """
        live = await self._store.live(stream)
        async with open_session(
            live, self._store, self.catalog, producer_start, self._clock, self.settings, self._random
        ) as session:
            yield session

    async def drain(self) -> None:
        """Wait for producers to finish the fragments that they are sending, and readers to come to the last one.

        Returns when everything that was sent is stored and acknowledged. Who wants to send more is told to come back.
        """
        await self._store.close()

    async def tail(self, stream: Stream, start: StartSelector, *, is_whole: bool = False) -> Tail:
        """Read a stream from some place on.

        Args:
            stream: to read.
            start: where to begin.
            is_whole: give out fragments once they are complete, and not as they arrive.

        Raises:
            StreamThrottled: the stream is used faster than its rates allow.
            TooManyReaders: as many connections as allowed are reading it.
            StreamNotFound: it was deleted.
        """
        live = await self._store.live(stream)
        return Tail(self._store, live, start, self._clock, self.settings, is_whole)

    async def list_fragments(
        self, stream: Stream, span: TimestampRange, after: ListPosition | None = None, limit: int = 100
    ) -> Sequence[StoredFragment]:
        """Return the first stored fragments of a span, in the order of its times.

        Args:
            stream: whose.
            span: from when until when, by whose time.
            after: where an earlier list ended; None begins.
            limit: how many at most.
        """
        return await self._archive.within(stream, span, after, limit)

    def replay(self, stream: Stream, numbers: Sequence[str]) -> Replay:
        """Read stored fragments by number, in the order asked for; for one that is not there, why.

        Raises:
            NotAFragmentNumber: one of the numbers is none.
            TooManyReplays: as many connections as allowed are reading the stream so.
        """
        return self._replays.open(stream, numbers)

    async def sweep(self) -> None:
        """Delete what may be kept no longer now, not only when it is next due."""
        await self._store.sweep()
