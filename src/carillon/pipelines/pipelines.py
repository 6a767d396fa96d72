"""Pipelines: created for a call, moved from state to state, read by the tasks that run on them."""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Protocol

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import Arn, AwsAccount
from carillon.bounds import Limit
from carillon.clock import Clock
from carillon.errors import LimitExceeded, NotFound
from carillon.pipelines.configurations import ARN_KIND as CONFIGURATION
from carillon.pipelines.configurations import Configuration, Configurations
from carillon.pipelines.elements import BrokenRule
from carillon.pipelines.model import NewPipeline, Pipeline, StreamSource
from carillon.pipelines.states import ACTIVE, TERMINAL, PipelineState, check_transition
from carillon.pipelines.tables import dump, dump_recording, pipeline_from, pipelines
from carillon.storage import Database, IdempotencyToken, Vault, forget_tags, made_before, make_once, put_tags

_LISTED_AFTER_END: Final = timedelta(hours=1)
_FIND: Final = sa.select(pipelines).where(
    pipelines.c.id == sa.bindparam("pipeline_id"), pipelines.c.deleted_at.is_(None)
)
_LOCK: Final = _FIND.with_for_update()  # SQLite ignores it: there a writing transaction is alone anyway


class PipelineNotFound(NotFound):
    """No pipeline has this id or ARN."""

    def __init__(self, identifier: str) -> None:
        super().__init__(f"Media insights pipeline {identifier!r} does not exist.")


class TooManyPipelines(LimitExceeded):
    """The quota of active pipelines is used up."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} active media insights pipelines, as many as may be. Delete one.")


class StreamUnknown(NotFound):
    """A declared stream does not exist."""

    def __init__(self, stream_arn: str) -> None:
        super().__init__(f"Kinesis video stream {stream_arn} does not exist. Create it before the pipeline.")


class StreamDirectory(Protocol):
    """Who knows which streams exist: the embedded server, or Kinesis Video Streams itself."""

    async def has_stream(self, stream_arn: str) -> bool:
        """Return whether a stream can be read."""
        ...


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Rules for pipelines."""

    strict_elements: bool = False
    """Demand a KinesisDataStreamSink beside every processor, as the AWS console does."""
    sink_accounts: Annotated[
        str, Meta(pattern=r"^([0-9]{12}( *, *[0-9]{12})*)?\Z", description="accounts of 12 digits, separated by commas")
    ] = ""
    """Accounts that a sink may be in besides that of `[account]`, such as an emulator's fixed 000000000000."""
    max_configurations: Limit = 0
    """Configurations; 0 means as many as wanted (AWS: 100)."""
    max_active: Limit = 0
    """Active pipelines; 0 means as many as wanted (AWS: 20)."""
    kept_days: Annotated[int, Meta(ge=1, le=36_500)] = 7
    """How long an ended pipeline, and its tasks, can still be read."""

    @property
    def other_sink_accounts(self) -> frozenset[str]:
        """Return those accounts, one by one."""
        return frozenset(name for part in self.sink_accounts.split(",") if (name := part.strip()))


class Pipelines:
    """Creates, finds, lists and moves pipelines."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        account: AwsAccount,
        clock: Clock,
        streams: StreamDirectory,
        settings: PipelineSettings | None = None,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self._settings = settings or PipelineSettings()
        self._database = database
        self._vault = vault
        self._account = account
        self._clock = clock
        self._streams = streams
        self._new_id = new_id
        self.configurations = Configurations(
            database,
            account,
            clock,
            strict=self._settings.strict_elements,
            accounts=self._settings.other_sink_accounts,
            most=self._settings.max_configurations,
            new_id=new_id,
        )

    async def create(self, new: NewPipeline, claim: IdempotencyToken | None = None) -> Pipeline:
        """Make a pipeline from a configuration, or return the one that the same client request token made.

        Raises:
            MalformedArn, ForeignConfiguration: the ARN names no configuration of this Region and account.
            ConfigurationNotFound: no configuration has this ARN.
            StreamUnknown: a declared stream does not exist.
            BrokenRule: the declared sources contradict each other.
            TooManyPipelines: the quota is used up.
            TokenReused: the token came with other parameters before.
            TokenSpent: the pipeline that the token made has been deleted.
        """
        now = self._clock.now()
        if claim is not None:  # before we look at what the request names: it may be gone by now
            async with self._database.reading() as connection:
                earlier = await made_before(connection, claim, now, self._find)
            if earlier is not None:
                return earlier
        configuration = await self.configurations.find_by_arn(new.configuration_arn)
        await self._check_sources(new.sources)
        made = self._made(new, configuration, now)

        async def insert(connection: AsyncConnection) -> Pipeline:
            await self.configurations.lock(connection, configuration.arn)
            await self._require_room(connection)
            await connection.execute(pipelines.insert().values(**_columns(made)))
            await put_tags(connection, made.arn, new.tags)
            return made

        return await make_once(self._database, claim, made.id, now, make=insert, find=self._find)

    def _made(self, new: NewPipeline, configuration: Configuration, now: datetime) -> Pipeline:
        pipeline_id = str(self._new_id())
        return Pipeline(
            id=pipeline_id,
            arn=self._account.arn("chime", f"media-pipeline/{pipeline_id}"),
            configuration_arn=configuration.arn,
            elements=configuration.elements,
            sources=new.sources,
            rate_hz=new.rate_hz,
            metadata=new.metadata,
            document=new.document,
            recording=new.recording,
            state=PipelineState.NOT_STARTED,
            created_at=now,
            updated_at=now,
            ended_at=None,
            key=self._vault.new_key(),
        )

    async def find(self, identifier: str) -> Pipeline:
        """Find a pipeline by id or ARN.

        Raises:
            PipelineNotFound: there is none, or it was deleted after it had ended.
        """
        async with self._database.reading() as connection:
            return await self._find(connection, identifier)

    async def find_in(self, connection: AsyncConnection, identifier: str) -> Pipeline:
        """Find a pipeline with a connection of the caller's.

        Raises:
            PipelineNotFound: there is none.
        """
        return await self._find(connection, identifier)

    async def lock(self, connection: AsyncConnection, identifier: str) -> Pipeline:
        """Find a pipeline whose state then stays, but for the caller's transaction, until that is committed.

        Raises:
            PipelineNotFound: there is none.
        """
        return await self._find(connection, identifier, for_update=True)

    async def find_taggable(self, connection: AsyncConnection, arn: str) -> Pipeline | Configuration:
        """Find what can carry tags, a pipeline or a configuration, with a connection of the caller's.

        Raises:
            MalformedArn: not an ARN.
            PipelineNotFound, ConfigurationNotFound: there is none.
        """
        if Arn.parse(arn).kind == CONFIGURATION:
            return await self.configurations.find_in(connection, arn)
        return await self.find_in(connection, arn)

    async def page(self, after: str, limit: int) -> list[Pipeline]:
        """Return up to `limit` pipelines whose ids follow `after`: active ones, and those that ended within an hour."""
        columns = pipelines.c
        recent = columns.ended_at > self._clock.now() - _LISTED_AFTER_END
        query = (
            sa.select(pipelines)
            .where(columns.id > after, columns.deleted_at.is_(None), sa.or_(_in(ACTIVE), recent))
            .order_by(columns.id)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [pipeline_from(row) for row in await connection.execute(query)]

    async def active(self) -> list[Pipeline]:
        """Return every pipeline that has not ended: what a process that starts must take up again."""
        async with self._database.reading() as connection:
            return [pipeline_from(row) for row in await connection.execute(sa.select(pipelines).where(_in(ACTIVE)))]

    async def move(self, connection: AsyncConnection, pipeline: Pipeline, state: PipelineState) -> Pipeline:
        """Take a pipeline to another state, in the caller's transaction; return it as it then stands.

        Raises:
            WrongPipelineState: its present state has no way there.
            PipelineNotFound: it is gone.
        """
        current = await self.lock(connection, pipeline.id)
        check_transition(pipeline.id, current.state, state)
        now = self._clock.now()
        ended_at = now if state in TERMINAL else None
        await connection.execute(
            pipelines.update()
            .where(pipelines.c.id == pipeline.id)
            .values(state=state.value, updated_at=now, ended_at=ended_at)
        )
        return await self._find(connection, pipeline.id)

    async def forget(self, connection: AsyncConnection, pipeline: Pipeline) -> None:
        """Hide an ended pipeline from every later request."""
        await connection.execute(
            pipelines.update().where(pipelines.c.id == pipeline.id).values(deleted_at=self._clock.now())
        )

    async def sweep(self, connection: AsyncConnection) -> None:
        """Delete pipelines that ended longer ago than they are kept."""
        limit = self._clock.now() - timedelta(days=self._settings.kept_days)
        old = await connection.execute(sa.select(pipelines.c.arn).where(pipelines.c.ended_at <= limit))
        for arn in old.scalars().all():
            await forget_tags(connection, arn)
        await connection.execute(pipelines.delete().where(pipelines.c.ended_at <= limit))

    async def _require_room(self, connection: AsyncConnection) -> None:
        count = (await connection.execute(sa.select(sa.func.count()).where(_in(ACTIVE)))).scalar_one()
        if self._settings.max_active and count >= self._settings.max_active:
            raise TooManyPipelines(self._settings.max_active)

    async def _find(self, connection: AsyncConnection, identifier: str, *, for_update: bool = False) -> Pipeline:
        pipeline_id = identifier.rpartition("/")[2]
        row = (await connection.execute(_LOCK if for_update else _FIND, {"pipeline_id": pipeline_id})).first()
        if row is None or identifier not in (row.id, row.arn) or _has_ended(row.ended_at, self.shown_since):
            raise PipelineNotFound(identifier)
        return pipeline_from(row)

    @property
    def shown_since(self) -> datetime:
        """Return when a pipeline must have ended, if it has, to be shown still; see `is_visible`."""
        return self._clock.now() - timedelta(days=self._settings.kept_days)

    async def _check_sources(self, sources: tuple[StreamSource, ...]) -> None:
        for source in sources:
            if not self._account.owns(Arn.parse(source.stream_arn)):
                raise BrokenRule(
                    f"Stream {source.stream_arn} is not in account {self._account.id} and Region "
                    f"{self._account.region}, as it must be."
                )
            if not await self._streams.has_stream(source.stream_arn):
                raise StreamUnknown(source.stream_arn)
        check_sources(sources)


def check_sources(sources: tuple[StreamSource, ...]) -> None:
    """Raise unless the declared streams and channels fit together.

    Raises:
        BrokenRule: a stream stands twice, or more channels are defined than it has.
    """
    arns = [source.stream_arn for source in sources]
    if len(set(arns)) < len(arns):
        raise BrokenRule("A stream stands twice in Streams; declare its two channels in one StreamChannelDefinition.")
    for source in sources:
        if len(source.roles) > source.channel_count:
            raise BrokenRule(
                f"Stream {source.stream_arn} has {source.channel_count} channel(s) but {len(source.roles)} definitions."
            )


def _has_ended(ended_at: datetime | None, by: datetime) -> bool:
    return ended_at is not None and ended_at <= by


def _in(states: Collection[PipelineState]) -> sa.ColumnElement[bool]:
    return pipelines.c.state.in_([state.value for state in states])


def _columns(pipeline: Pipeline) -> dict[str, object]:
    return {
        "id": pipeline.id,
        "arn": pipeline.arn,
        "configuration_arn": pipeline.configuration_arn,
        "elements": dump(pipeline.elements),
        "sources": dump(pipeline.sources),
        "rate_hz": pipeline.rate_hz,
        "runtime_metadata": dump(pipeline.metadata),
        "document": dump(pipeline.document),
        "recording": dump_recording(pipeline.recording),
        "state": pipeline.state.value,
        "data_key": pipeline.key,
        "created_at": pipeline.created_at,
        "updated_at": pipeline.updated_at,
    }


async def find_kept(connection: AsyncConnection, offset: int, limit: int) -> list[Pipeline]:
    """Return up to `limit` of all pipelines that are kept, active and ended, oldest first, after the first `offset`."""
    query = sa.select(pipelines).where(pipelines.c.deleted_at.is_(None))
    rows = await connection.execute(query.order_by(pipelines.c.created_at, pipelines.c.id).offset(offset).limit(limit))
    return [pipeline_from(row) for row in rows]
