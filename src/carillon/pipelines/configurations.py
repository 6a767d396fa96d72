"""Reusable settings of pipelines: which analyses may run and where their notifications go."""

import uuid
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import Arn, AwsAccount
from carillon.clock import Clock
from carillon.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound, StateConflict
from carillon.pipelines.elements import Elements, check_elements
from carillon.pipelines.states import ACTIVE
from carillon.pipelines.tables import configurations, dump, load_elements, pipelines
from carillon.storage import Database, IdempotencyToken, forget_tags, make_once, put_tags

ARN_KIND: Final = "media-insights-pipeline-configuration"


class ConfigurationNotFound(NotFound):
    """No configuration has this name, id or ARN."""

    def __init__(self, identifier: str) -> None:
        super().__init__(f"Media insights pipeline configuration {identifier!r} does not exist.")


class ForeignConfiguration(InvalidRequest):
    """An ARN names no configuration of this Region and account."""

    def __init__(self, arn: str, account: AwsAccount) -> None:
        super().__init__(
            f"{arn} is not the ARN of a media insights pipeline configuration of {account.region}, account "
            f"{account.id}."
        )


class ConfigurationNameTaken(AlreadyExists):
    """Another configuration has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"A media insights pipeline configuration named {name!r} exists already. Choose another name.")


class TooManyConfigurations(LimitExceeded):
    """The quota of configurations is used up."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} media insights pipeline configurations, as many as may be. Delete one.")


class ConfigurationInUse(StateConflict):
    """A configuration cannot go while a pipeline made from it is active."""

    def __init__(self, name: str) -> None:
        super().__init__(f"An active media insights pipeline uses configuration {name!r}. Delete the pipeline first.")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration as it stands."""

    id: str
    name: str
    arn: str
    role_arn: str
    elements: Elements
    created_at: datetime
    updated_at: datetime


class Configurations:
    """Creates, finds and deletes configurations."""

    def __init__(
        self,
        database: Database,
        account: AwsAccount,
        clock: Clock,
        *,
        strict: bool = False,
        accounts: Container[str] = (),
        most: int = 0,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self._database = database
        self._account = account
        self._clock = clock
        self._strict = strict
        self._accounts = accounts
        self._most = most
        self._new_id = new_id

    async def create(
        self,
        name: str,
        role_arn: str,
        elements: Elements,
        claim: IdempotencyToken | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Configuration:
        """Keep a new configuration, or return the one that the same client request token made.

        Raises:
            BrokenRule: the elements do not go together.
            ConfigurationNameTaken: the name is in use.
            TooManyConfigurations: the quota is used up.
            TokenReused: the token came with other parameters before.
            TokenSpent: the configuration that the token made has been deleted.
        """
        check_elements(elements, self._account, strict=self._strict, accounts=self._accounts)
        now = self._clock.now()
        new = Configuration(
            id=str(self._new_id()),
            name=name,
            arn=self._account.arn("chime", f"{ARN_KIND}/{name}"),
            role_arn=role_arn,
            elements=elements,
            created_at=now,
            updated_at=now,
        )

        async def insert(connection: AsyncConnection) -> Configuration:
            if (await connection.execute(sa.select(configurations.c.id).filter_by(name=name))).first():
                raise ConfigurationNameTaken(name)
            await self._require_room(connection)
            await connection.execute(configurations.insert().values(**_columns(new)))
            await put_tags(connection, new.arn, tags or {})
            return new

        return await make_once(self._database, claim, new.id, now, make=insert, find=_find_by_id)

    async def update(self, identifier: str, role_arn: str, elements: Elements) -> Configuration:
        """Replace all that a configuration says; pipelines that were made from it keep what they have.

        Raises:
            ConfigurationNotFound: there is none.
            BrokenRule: the elements do not go together.
        """
        async with self._database.transaction() as connection:
            found = await _find(connection, identifier, for_update=True)
            check_elements(elements, self._account, strict=self._strict, accounts=self._accounts)
            values = {"role_arn": role_arn, "elements": dump(elements), "updated_at": self._clock.now()}
            await connection.execute(configurations.update().where(configurations.c.id == found.id).values(**values))
            return await _find_by_id(connection, found.id)

    async def find(self, identifier: str) -> Configuration:
        """Find a configuration by name, ARN or id.

        Raises:
            ConfigurationNotFound: there is none.
        """
        async with self._database.reading() as connection:
            return await _find(connection, identifier)

    async def find_in(self, connection: AsyncConnection, identifier: str) -> Configuration:
        """Find a configuration with a connection of the caller's.

        Raises:
            ConfigurationNotFound: there is none.
        """
        return await _find(connection, identifier)

    async def find_by_arn(self, arn: str) -> Configuration:
        """Find a configuration that another resource refers to.

        Raises:
            MalformedArn: not an ARN.
            ForeignConfiguration: of something else, or of another Region or account.
            ConfigurationNotFound: there is none.
        """
        parsed = Arn.parse(arn)
        if parsed.service != "chime" or parsed.kind != ARN_KIND or not self._account.owns(parsed):
            raise ForeignConfiguration(arn, self._account)
        return await self.find(arn)

    async def lock(self, connection: AsyncConnection, identifier: str) -> Configuration:
        """Find a configuration that then stays, but for the caller's transaction, until that is committed.

        Raises:
            ConfigurationNotFound: there is none.
        """
        return await _find(connection, identifier, for_update=True)

    async def page(self, after: str, limit: int) -> list[Configuration]:
        """Return up to `limit` configurations whose names follow `after`, by name."""
        query = sa.select(configurations).where(configurations.c.name > after).order_by(configurations.c.name)
        async with self._database.reading() as connection:
            return [_configuration_from(row) for row in await connection.execute(query.limit(limit))]

    async def delete(self, identifier: str) -> None:
        """Remove a configuration.

        Raises:
            ConfigurationNotFound: there is none.
            ConfigurationInUse: an active pipeline was made from it.
        """
        async with self._database.transaction() as connection:
            found = await _find(connection, identifier, for_update=True)
            in_use = sa.select(pipelines.c.id).where(
                pipelines.c.configuration_arn == found.arn, pipelines.c.state.in_([state.value for state in ACTIVE])
            )
            if (await connection.execute(in_use.limit(1))).first():
                raise ConfigurationInUse(found.name)
            await connection.execute(configurations.delete().where(configurations.c.id == found.id))
            await forget_tags(connection, found.arn)

    async def _require_room(self, connection: AsyncConnection) -> None:
        count = (await connection.execute(sa.select(sa.func.count()).select_from(configurations))).scalar_one()
        if self._most and count >= self._most:
            raise TooManyConfigurations(self._most)


async def _find(connection: AsyncConnection, identifier: str, *, for_update: bool = False) -> Configuration:
    columns = configurations.c
    _, is_arn, name = identifier.rpartition("/")  # which no name has in it
    query = sa.select(configurations)
    if is_arn:
        query = query.where(columns.name == name, columns.arn == identifier)
    else:  # a name may look like the id of another
        query = query.where(sa.or_(columns.name == name, columns.id == name)).order_by(columns.name != name)
    if for_update:  # SQLite ignores it: there a writing transaction is alone anyway
        query = query.with_for_update()
    row = (await connection.execute(query)).first()
    if row is None:
        raise ConfigurationNotFound(identifier)
    return _configuration_from(row)


async def _find_by_id(connection: AsyncConnection, configuration_id: str) -> Configuration:
    row = (await connection.execute(sa.select(configurations).filter_by(id=configuration_id))).one_or_none()
    if row is None:
        raise ConfigurationNotFound(configuration_id)
    return _configuration_from(row)


def _columns(configuration: Configuration) -> dict[str, object]:
    return {
        "id": configuration.id,
        "name": configuration.name,
        "arn": configuration.arn,
        "role_arn": configuration.role_arn,
        "elements": dump(configuration.elements),
        "created_at": configuration.created_at,
        "updated_at": configuration.updated_at,
    }


def _configuration_from(row: sa.Row[Any]) -> Configuration:
    return Configuration(
        id=row.id,
        name=row.name,
        arn=row.arn,
        role_arn=row.role_arn,
        elements=load_elements(row.elements),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
