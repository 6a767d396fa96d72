"""What may be kept no longer is gone: from what readers get, from the index, and from the place itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from anyio import wait_all_tasks_blocked

from carillon.arns import AwsAccount
from carillon.clock import ManualClock
from carillon.storage import Database, Vault
from carillon.streams import (
    AckEventType,
    Earliest,
    FragmentAck,
    PutMediaSession,
    StorageFailed,
    Stream,
    Streams,
    StreamSettings,
    tables,
)
from carillon.streams.stored.segments import Segment

pytestmark = pytest.mark.anyio
Make = Callable[[StreamSettings], Streams]
Names = Callable[[], list[str]]
FRAGMENT_BYTES = 16_500  # about: a second, sealed


async def write(streams: Streams, stream: Stream, body: bytes) -> list[str]:
    """Send a body as one connection does; return the numbers of what was persisted."""
    told: list[FragmentAck] = []

    async def listen(recording: PutMediaSession) -> None:
        async for acknowledgement in recording.acknowledgements:
            told.append(acknowledgement)  # noqa: PERF401 - asynchronous

    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(listen, recording)
        await recording.feed(body)
        await recording.end()
    return [ack.number or "" for ack in told if ack.kind is AckEventType.PERSISTED]


async def readable(streams: Streams, stream: Stream) -> int:
    """How many fragments a reader gets."""
    body = b"".join([piece async for piece in await streams.tail(stream, Earliest())])
    return body.count(b"AWS_KINESISVIDEO_CONTINUATION_TOKEN")


async def rows(database: Database, table: sa.Table) -> Sequence[sa.Row[Any]]:
    async with database.reading() as connection:
        return (await connection.execute(sa.select(table))).all()


async def stored_bytes(database: Database) -> dict[str, int]:
    return {row.id: row.stored_bytes for row in await rows(database, tables.streams)}


async def is_counted_right(database: Database) -> bool:
    """Tell whether what is said to be stored of each stream is the sum of its fragments."""
    sums = dict.fromkeys(await stored_bytes(database), 0)
    for row in await rows(database, tables.fragments):
        sums[row.stream_id] += row.size
    return sums == await stored_bytes(database)


async def test_what_is_too_old_is_deleted_with_its_segments(
    make_streams: Make,
    storage: StreamSettings,
    producer: Any,
    clock: ManualClock,
    stored_names: Names,
    database: Database,
) -> None:
    async with make_streams(replace(storage, segment_seconds=60)) as streams:
        short = await streams.catalog.create("short", retention_hours=1)
        long = await streams.catalog.create("long", retention_hours=24)
        for _ in range(3):
            await write(streams, short, producer.body(2))
            await write(streams, long, producer.body(2))
            clock.advance(timedelta(minutes=29))
        await streams.sweep()
        assert [await readable(streams, stream) for stream in (short, long)] == [4, 6]
        assert len(stored_names()) == 5
        clock.advance(timedelta(hours=3))
        await streams.sweep()
        assert [await readable(streams, stream) for stream in (short, long)] == [0, 6]
        assert {name.split("/")[0] for name in stored_names()} == {long.id}
        assert await is_counted_right(database)
        long = await streams.change_retention(long, long.version, -21)
        assert await readable(streams, long) == 0  # at once
        assert stored_names() == []
        assert await rows(database, tables.fragments) == []
        assert await rows(database, tables.segment_tombstones) == []


async def test_a_segment_stays_until_all_that_is_in_it_is_too_old(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock, stored_names: Names
) -> None:
    async with make_streams(replace(settings, cache_bytes=0)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        await write(streams, stream, producer.body(1))
        clock.advance(timedelta(minutes=5))
        await write(streams, stream, producer.body(1))
        clock.advance(timedelta(minutes=57))
        await streams.sweep()
        assert await readable(streams, stream) == 1
        assert len(stored_names()) == 1
        clock.advance(timedelta(minutes=5))
        await streams.sweep()
        assert stored_names() == []


async def test_a_stream_that_is_too_large_loses_its_oldest(
    make_streams: Make,
    storage: StreamSettings,
    producer: Any,
    clock: ManualClock,
    stored_names: Names,
    database: Database,
) -> None:
    limit = 10 * FRAGMENT_BYTES
    async with make_streams(replace(storage, max_stream_bytes=limit, s3_object_fragments=1)) as streams:
        large = await streams.catalog.create("large", retention_hours=24)
        small = await streams.catalog.create("small", retention_hours=24)
        await write(streams, small, producer.body(3))
        numbers: list[str] = []
        for _ in range(4):
            numbers += await write(streams, large, producer.body(6))
            clock.advance(timedelta(seconds=6))
            await streams.sweep()
            assert (await stored_bytes(database))[large.id] <= limit
            assert await is_counted_right(database)
        kept = [row.number for row in await rows(database, tables.fragments) if row.stream_id == large.id]
        assert sorted(kept) == numbers[-len(kept) :]
        assert len(kept) in (9, 10)
        assert await readable(streams, small) == 3
        segments = {row.segment for row in await rows(database, tables.fragments) if row.stream_id == large.id}
        assert stored_names() == sorted([f"{large.id}/{name}" for name in segments] + of(small, stored_names()))


def of(stream: Stream, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(stream.id)]


async def test_when_all_is_too_large_the_oldest_go_whosever_they_are(
    make_streams: Make,
    storage: StreamSettings,
    producer: Any,
    clock: ManualClock,
    stored_names: Names,
    database: Database,
) -> None:
    limit = 9 * FRAGMENT_BYTES
    settings = replace(storage, max_total_bytes=limit, segment_seconds=1)
    async with make_streams(settings) as streams:
        made = [await streams.catalog.create(f"call-{n}", retention_hours=24) for n in range(3)]
        for stream in made:
            await write(streams, stream, producer.body(4))
            clock.advance(timedelta(minutes=1))
        await streams.sweep()
        assert [await readable(streams, stream) for stream in made] == [1, 4, 4]
        assert sum((await stored_bytes(database)).values()) <= limit
        assert await is_counted_right(database)
        await write(streams, made[0], producer.body(5))
        await streams.sweep()
        assert [await readable(streams, stream) for stream in made] == [5, 0, 4]
        assert not of(made[1], stored_names())


async def test_a_deleted_stream_is_gone_at_once(
    make_streams: Make, storage: StreamSettings, producer: Any, stored_names: Names, database: Database, vault: Vault
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=24)
        other = await streams.catalog.create("other", retention_hours=24)
        await write(streams, stream, producer.body(3))
        await write(streams, other, producer.body(1))
        await streams.delete(stream.arn)
        assert of(stream, stored_names()) == []
        assert {row.stream_id for row in await rows(database, tables.fragments)} == {other.id}
        assert await rows(database, tables.segment_tombstones) == []
        assert await readable(streams, other) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_key_of_a_deleted_stream_leaves_the_database(
    make_streams: Make, settings: StreamSettings, producer: Any, tmp_path: Path
) -> None:
    def has(key: bytes) -> bool:
        return any(key in path.read_bytes() for path in tmp_path.glob("carillon.db*"))

    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=24)
        await write(streams, stream, producer.body(2))
        assert has(stream.data_key)
        await streams.delete(stream.arn)
        await streams.sweep()
        assert not has(stream.data_key)


async def test_what_was_being_stored_of_a_deleted_stream_goes_too(
    make_streams: Make, storage: StreamSettings, producer: Any, stored_names: Names, database: Database
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=24)
        append = streams._segments.append
        appending, go_on = anyio.Event(), anyio.Event()

        async def slow(*arguments: Any) -> Any:
            appending.set()
            await go_on.wait()
            return await append(*arguments)

        streams._segments.append = slow  # type: ignore[assignment, method-assign]  # holds it up, then does it
        persisted: list[str] = []
        async with anyio.create_task_group() as group:

            async def produce() -> None:
                persisted.extend(await write(streams, stream, producer.body(2)))

            group.start_soon(produce)
            await appending.wait()
            group.start_soon(streams.delete, stream.arn)
            await wait_all_tasks_blocked()
            go_on.set()
        assert persisted == []
        assert stored_names() == []
        assert await rows(database, tables.fragments) == []


async def test_a_deletion_that_fails_is_done_by_a_later_sweep_even_after_a_restart(
    make_streams: Make,
    storage: StreamSettings,
    producer: Any,
    clock: ManualClock,
    stored_names: Names,
    database: Database,
) -> None:
    async def fail(*_: object) -> None:
        raise StorageFailed("no answer")

    async with make_streams(replace(storage, segment_seconds=1)) as streams:
        deleted = await streams.catalog.create("deleted", retention_hours=24)
        aged = await streams.catalog.create("aged", retention_hours=1)
        for stream in (deleted, aged):
            await write(streams, stream, producer.body(2))
        clock.advance(timedelta(hours=2))
        streams._segments.delete = streams._segments.delete_stream = fail  # type: ignore[assignment, method-assign]  # an outage
        await streams.delete(deleted.arn)
        await streams.sweep()
        assert await readable(streams, aged) == 0
        assert len(stored_names()) == 2
        assert len(await rows(database, tables.segment_tombstones)) == 2
    async with make_streams(storage) as streams:
        await streams.sweep()
        assert stored_names() == []
        assert await rows(database, tables.segment_tombstones) == []
        assert await rows(database, tables.fragments) == []


async def test_what_a_crash_left_behind_is_deleted(
    make_streams: Make, storage: StreamSettings, producer: Any, stored_names: Names
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=24)
        await write(streams, stream, producer.body(1))
        known = stored_names()
        for left in ("1", "2"):
            await streams._segments.append(stream.id, left, [b"never indexed"])
            streams._segments.close([Segment(stream.id, left)])
        await streams._segments.append("f" * 32, "3", [b"of a stream that was deleted"])
        await streams._segments.tidy()
    async with make_streams(storage) as streams:
        for _ in range(2):  # it may be on its way into the index the first time
            await streams._retention.delete_orphans()
        assert [name for name in stored_names() if name != ".journal"] == known
        assert await readable(streams, stream) == 1


async def test_what_is_on_its_way_into_the_index_is_no_stray(
    make_streams: Make, storage: StreamSettings, producer: Any, stored_names: Names
) -> None:
    async with make_streams(storage) as streams:
        stream = await streams.catalog.create("call", retention_hours=24)
        add, found = streams._archive.add, []

        async def late(arriving: Any) -> frozenset[str]:
            await streams._retention.delete_orphans()
            found.extend(of(stream, stored_names()))
            return await add(arriving)

        streams._archive.add = late  # type: ignore[assignment, method-assign]  # looks for strays at the worst moment
        await write(streams, stream, producer.body(1))
        assert found
        await streams._retention.delete_orphans()
        assert await readable(streams, stream) == 1


async def test_writing_goes_on_while_a_deletion_hangs(
    make_streams: Make, storage: StreamSettings, producer: Any, clock: ManualClock, stored_names: Names
) -> None:
    async with make_streams(replace(storage, segment_seconds=1)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        await write(streams, stream, producer.body(1))
        clock.advance(timedelta(hours=2))
        delete, go_on = streams._segments.delete, anyio.Event()

        async def hang(segments: Sequence[Segment]) -> None:
            await go_on.wait()
            await delete(segments)

        streams._segments.delete = hang  # type: ignore[method-assign]  # an outage
        async with anyio.create_task_group() as group:
            group.start_soon(streams.sweep)
            await wait_all_tasks_blocked()
            assert len(await write(streams, stream, producer.body(3))) == 3
            go_on.set()
        assert await readable(streams, stream) == 3


async def test_many_pages_are_deleted(
    make_streams: Make, settings: StreamSettings, producer: Any, clock: ManualClock, database: Database
) -> None:
    async with make_streams(settings) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        tiny = producer.header + b"".join(producer.fragment(index, blocks=1) for index in range(600))
        assert len(await write(streams, stream, tiny)) == 600
        clock.advance(timedelta(hours=2))
        await streams.sweep()
        assert await rows(database, tables.fragments) == []
        assert await is_counted_right(database)
        await write(streams, stream, tiny)
        await streams.delete(stream.arn)
        assert await rows(database, tables.fragments) == []


async def test_several_servers_share_a_bucket(
    bucket: Any,
    settings: StreamSettings,
    producer: Any,
    clock: ManualClock,
    database: Database,
    vault: Vault,
    tmp_path: Path,
) -> None:
    shared = replace(settings, cache_bytes=0, **bucket.settings)

    def node(folder: str) -> Streams:
        return Streams(
            database=database,
            vault=vault,
            account=AwsAccount(),
            clock=clock,
            directory=tmp_path / folder,
            settings=shared,
        )

    async with node("one") as one, node("two") as two:
        stream = await one.catalog.create("call", retention_hours=1)
        numbers = await write(one, stream, producer.body(2))
        numbers += await write(two, stream, producer.body(2))
        numbers += await write(one, stream, producer.body(2))
        assert numbers == sorted(numbers)
        for streams in (one, two):
            assert await replayed(streams, stream, numbers) == 6
        clock.advance(timedelta(hours=2))
        await two.sweep()
        await one.sweep()
        assert bucket.names() == []
        assert await replayed(one, stream, numbers) == 0
        await write(one, stream, producer.body(1))
        await two.delete(stream.arn)
        assert bucket.names() == []
    assert not (tmp_path / "one").exists()


async def replayed(streams: Streams, stream: Stream, numbers: list[str]) -> int:
    body = b"".join([piece async for piece in streams.replay(stream, numbers)])
    return body.count(b"AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP")


async def test_two_databases_do_not_take_each_others_objects_for_strays(
    bucket: Any, settings: StreamSettings, producer: Any, clock: ManualClock, database: Database, tmp_path: Path
) -> None:
    shared = replace(settings, **bucket.settings)
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    async with other.transaction() as connection:
        await connection.run_sync(tables.streams.metadata.create_all)
    mine = Streams(
        database=database,
        vault=Vault(bytes(32)),
        account=AwsAccount(),
        clock=clock,
        directory=tmp_path,
        settings=shared,
    )
    theirs = Streams(
        database=other,
        vault=Vault(bytes([1] * 32)),
        account=AwsAccount(),
        clock=clock,
        directory=tmp_path,
        settings=shared,
    )
    async with mine, theirs:
        stream = await theirs.catalog.create("call", retention_hours=1)
        await write(theirs, stream, producer.body(1))
        for _ in range(3):
            await mine._retention.delete_orphans()
        assert len(bucket.names()) == 1
    await other.close()
