"""Which streams exist: the control plane's part, one row each."""

import base64
import binascii
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.clock import Clock, to_millis
from carillon.storage import Database, Vault
from carillon.streams import tables
from carillon.streams.catalog.stream import Stream, StreamPage
from carillon.streams.errors import (
    InvalidPage,
    InvalidRetention,
    StaleVersion,
    StreamNameTaken,
    StreamNotFound,
    StreamNotNamed,
    TooManyTags,
)
from carillon.telemetry import get_logger

_log: Final = get_logger()

MAX_RETENTION_HOURS: Final = 87_600


class StreamCatalog:
    """Creates, finds, changes and deletes streams. Knows nothing of what flows through them."""

    def __init__(self, database: Database, vault: Vault, account: AwsAccount, clock: Clock, max_tags: int) -> None:
        self._database = database
        self._vault = vault
        self._account = account
        self._clock = clock
        self._max_tags = max_tags

    async def create(
        self,
        name: str,
        *,
        retention_hours: int = 0,
        device_name: str | None = None,
        media_type: str | None = None,
        kms_key_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Stream:
        """Make a stream, ready to be written to.

        Raises:
            StreamNameTaken: one of this name exists.
            InvalidRetention: more than ten years.
            TooManyTags: over the limit.
        """
        self._check_tags(tags or {})
        created_at = self._clock.now()
        stream = Stream(
            id=uuid.uuid4().hex,
            name=name,
            arn=self._account.arn("kinesisvideo", f"stream/{name}/{to_millis(created_at)}"),
            version=_new_version(),
            created_at=created_at,
            retention_hours=_checked_retention(retention_hours),
            device_name=device_name,
            media_type=media_type,
            kms_key_id=kms_key_id,
            tags=dict(tags or {}),
            data_key=self._vault.new_key(),
        )
        values = {column: getattr(stream, column) for column in _COLUMNS}
        try:
            async with self._database.transaction() as connection:
                await connection.execute(sa.insert(tables.streams).values(**values, reserved_sequence=0))
        except IntegrityError as error:
            raise StreamNameTaken(name) from error
        _log.info("streams.created", stream_arn=stream.arn, retention_hours=retention_hours)
        return stream

    async def find(self, name: str | None = None, arn: str | None = None) -> Stream:
        """Return a stream by its name or by its ARN.

        Raises:
            StreamNotNamed: neither or both were given.
            StreamNotFound: there is none.
        """
        async with self._database.reading() as connection:
            return await _find(connection, name, arn)

    async def list(self, prefix: str = "", token: str | None = None, limit: int = 10_000) -> StreamPage:
        """Return streams whose names begin with `prefix`, ordered by name.

        Raises:
            InvalidPage: `token` does not come from an earlier page.
        """
        row = tables.streams.c
        query = sa.select(*_SELECTED).where(row.name > (_name_from_token(token) if token else ""))
        if prefix:  # not LIKE, which on SQLite takes A for a
            query = query.where(sa.func.substr(row.name, 1, len(prefix)) == prefix)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(row.name).limit(limit + 1))).all()
        streams = [_stream(row) for row in rows[:limit]]
        return StreamPage(streams, _token_after(streams[-1].name) if len(rows) > limit else None)

    async def update(
        self,
        stream: Stream,
        version: str,
        *,
        device_name: str | None = None,
        media_type: str | None = None,
        retention_hours: int | None = None,
    ) -> Stream:
        """Change what is given; return the stream under its new version.

        Raises:
            StaleVersion: the stream was changed since `version`.
            StreamNotFound: it was deleted.
            InvalidRetention: negative, or more than ten years.
        """
        changed = replace(
            stream,
            version=_new_version(),
            device_name=stream.device_name if device_name is None else device_name,
            media_type=stream.media_type if media_type is None else media_type,
            retention_hours=_checked_retention(stream.retention_hours if retention_hours is None else retention_hours),
        )
        values = {name: getattr(changed, name) for name in ("version", "device_name", "media_type", "retention_hours")}
        row = tables.streams.c
        async with self._database.transaction() as connection:
            update = sa.update(tables.streams).where(row.id == stream.id, row.version == version).values(**values)
            if not (await connection.execute(update)).rowcount:
                await _find(connection, None, stream.arn)
                raise StaleVersion(stream.name)
        return changed

    async def delete(self, arn: str, version: str | None = None) -> Stream:
        """Forget a stream and its data key, and write a tombstone for what was stored of it; return what it was.

        Raises:
            StaleVersion: the stream was changed since `version`.
            StreamNotFound: there is none.
        """
        async with self._database.transaction() as connection:
            stream = await _find(connection, None, arn, to_change=True)
            if version is not None and version != stream.version:
                raise StaleVersion(stream.name)
            await connection.execute(sa.insert(tables.segment_tombstones).values(stream_id=stream.id, segment=""))
            await connection.execute(sa.delete(tables.streams).where(tables.streams.c.id == stream.id))
        self._vault.forget_keys()
        return stream

    async def tag(self, stream: Stream, tags: Mapping[str, str]) -> None:
        """Add tags, replacing those of the same name.

        Raises:
            TooManyTags: over the limit.
            StreamNotFound: it was deleted.
        """
        async with self._database.transaction() as connection:
            current = await _find(connection, None, stream.arn, to_change=True)
            merged = {**current.tags, **tags}
            self._check_tags(merged)
            await _set_tags(connection, current, merged)

    async def untag(self, stream: Stream, names: Iterable[str]) -> None:
        """Remove tags; those that are not there are no error.

        Raises:
            StreamNotFound: it was deleted.
        """
        async with self._database.transaction() as connection:
            current = await _find(connection, None, stream.arn, to_change=True)
            removed = frozenset(names)
            await _set_tags(connection, current, {k: v for k, v in current.tags.items() if k not in removed})

    async def reserve_numbers(self, stream: Stream, count: int) -> int:
        """Set the next `count` sequences aside for the caller; return the last of them.

        Raises:
            StreamNotFound: it was deleted.
        """
        row = tables.streams.c
        async with self._database.transaction(beside_others=True) as connection:
            update = (
                sa.update(tables.streams)
                .where(row.id == stream.id)
                .values(reserved_sequence=row.reserved_sequence + count)
                .returning(row.reserved_sequence)
            )
            last: int | None = (await connection.execute(update)).scalar_one_or_none()
        if last is None:
            raise StreamNotFound(stream.arn)
        return last

    def _check_tags(self, tags: Mapping[str, str]) -> None:
        if len(tags) > self._max_tags:
            raise TooManyTags(self._max_tags)


_COLUMNS: Final = tuple(Stream.__dataclass_fields__)
_SELECTED: Final = tuple(tables.streams.c[column] for column in _COLUMNS)


async def _find(connection: AsyncConnection, name: str | None, arn: str | None, *, to_change: bool = False) -> Stream:
    row = tables.streams.c
    if (name is None) == (arn is None):
        raise StreamNotNamed
    query = sa.select(*_SELECTED).where(row.name == name if arn is None else row.arn == arn)
    found = (await connection.execute(query.with_for_update() if to_change else query)).one_or_none()
    if found is None:
        raise StreamNotFound(name or arn or "")
    return _stream(found)


async def _set_tags(connection: AsyncConnection, stream: Stream, tags: Mapping[str, str]) -> None:
    await connection.execute(sa.update(tables.streams).where(tables.streams.c.id == stream.id).values(tags=tags))


def _stream(row: sa.Row[tuple[object, ...]]) -> Stream:
    return Stream(**row._mapping)  # noqa: SLF001 - documented as public despite its name


def _new_version() -> str:
    return secrets.token_hex(10)


def _checked_retention(hours: int) -> int:
    if not 0 <= hours <= MAX_RETENTION_HOURS:
        raise InvalidRetention(hours, MAX_RETENTION_HOURS)
    return hours


def _token_after(name: str) -> str:
    return base64.b64encode(name.encode()).decode()


def _name_from_token(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise InvalidPage from error
