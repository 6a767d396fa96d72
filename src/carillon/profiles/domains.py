"""Voice profile domains: a name, a key, and everything that is known inside.

All functions work in the transaction they are given. By `lock_access` changes inside one domain wait for each other.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import Arn, AwsAccount
from carillon.errors import InvalidRequest, LimitExceeded, NotFound
from carillon.profiles.tables import domains
from carillon.storage import IdempotencyToken, WrappedKey

ARN_KIND: Final = "voice-profile-domain"
_NAME: Final = re.compile(r"[a-zA-Z0-9 _.-]{1,256}")
_TOKEN: Final = re.compile(r"[-_a-zA-Z0-9]{2,64}")
_MAX_DESCRIPTION_CHARACTERS: Final = 1024
_ADD: Final = sa.insert(domains)
_IS_THERE: Final = domains.c.deleted_at.is_(None)
_FIND: Final = sa.select(domains).where(domains.c.domain_id == sa.bindparam("domain_id"), _IS_THERE)
_FIND_ACCESS: Final = sa.select(domains.c.data_key, domains.c.revision, domains.c.compacted_revision).where(
    domains.c.domain_id == sa.bindparam("domain_id"), _IS_THERE
)
_LOCK: Final = _FIND_ACCESS.with_for_update()  # SQLite ignores it: there a writing transaction is alone anyway


class DomainNotFound(NotFound):
    """No voice profile domain has this id."""

    def __init__(self, domain_id: str) -> None:
        super().__init__(f"Voice profile domain {domain_id} does not exist. List the domains to see their ids.")
        self.domain_id = domain_id


class ForeignDomain(InvalidRequest):
    """An ARN names no voice profile domain of this Region and account."""

    def __init__(self, arn: str, account: AwsAccount) -> None:
        super().__init__(f"{arn} is not the ARN of a voice profile domain of {account.region}, account {account.id}.")


class InvalidDomain(InvalidRequest):
    """A domain's name, description or token breaks its rule."""


class TooManyDomains(LimitExceeded):
    """The quota of domains is used up."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} voice profile domains already. Delete one, or raise profiles.max_domains.")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Domain:
    """A voice profile domain: profiles are compared only with others of the same domain."""

    id: str  # vpd-{uuid}
    arn: str
    name: str
    description: str | None
    kms_key_arn: str  # echoed to the caller; sealing is done by our own vault
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewDomain:
    """What a caller asks for; checked on construction.

    Raises:
        InvalidDomain: name not 1..256 of letters, digits, space, `_.-`; description over 1024 characters.
        MalformedArn: `kms_key_arn` is not an ARN.
    """

    name: str
    description: str | None
    kms_key_arn: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidDomain("A domain name has 1 to 256 letters, digits, spaces, underscores, dots or hyphens.")
        if self.description is not None and len(self.description) > _MAX_DESCRIPTION_CHARACTERS:
            raise InvalidDomain(f"A description has at most {_MAX_DESCRIPTION_CHARACTERS} characters.")
        Arn.parse(self.kms_key_arn)

    def claim(self, token: str | None) -> IdempotencyToken | None:
        """Return what makes a repetition of this request recognizable, if it came with a token.

        Raises:
            InvalidDomain: the token is not 2..64 letters, digits, `-_`.
        """
        if token is None:
            return None
        if not _TOKEN.fullmatch(token):
            raise InvalidDomain("A ClientRequestToken has 2 to 64 letters, digits, hyphens or underscores.")
        return IdempotencyToken("CreateVoiceProfileDomain", token, asdict(self))


@dataclass(frozen=True, slots=True)
class DomainAccess:
    """What work inside a domain needs: the key of its rows, and the revision that its changes have reached."""

    data_key: WrappedKey
    revision: int
    compacted_revision: int


async def add(
    connection: AsyncConnection,
    domain_id: str,
    asked: NewDomain,
    data_key: WrappedKey,
    now: datetime,
    account: AwsAccount,
) -> Domain:
    """Add a domain, and return it."""
    row: dict[str, Any] = {
        "domain_id": domain_id,
        "name": asked.name,
        "description": asked.description,
        "kms_key_arn": asked.kms_key_arn,
        "data_key": data_key,
        "created_at": now,
        "updated_at": now,
        "revision": 0,
        "compacted_revision": 0,
    }
    await connection.execute(_ADD, row)
    return _domain(row, account)


async def describe(connection: AsyncConnection, domain_id: str, asked: NewDomain, now: datetime) -> None:
    """Change what a domain is called."""
    await connection.execute(
        domains.update()
        .where(domains.c.domain_id == domain_id)
        .values(name=asked.name, description=asked.description, updated_at=now)
    )


async def require_room(connection: AsyncConnection, limit: int) -> None:
    """Check the quota of domains; 0 is no quota.

    Raises:
        TooManyDomains: another domain would exceed it.
    """
    count = sa.select(sa.func.count()).select_from(domains).where(_IS_THERE)
    if limit and (await connection.execute(count)).scalar_one() >= limit:
        raise TooManyDomains(limit)


async def find(connection: AsyncConnection, domain_id: str, account: AwsAccount) -> Domain:
    """Return a domain.

    Raises:
        DomainNotFound: there is none with this id.
    """
    row = (await connection.execute(_FIND, {"domain_id": domain_id})).mappings().one_or_none()
    if row is None:
        raise DomainNotFound(domain_id)
    return _domain(row, account)


async def find_page(connection: AsyncConnection, after: str | None, limit: int, account: AwsAccount) -> list[Domain]:
    """Return up to `limit` domains, by id, from the first after `after`."""
    query = sa.select(domains).where(_IS_THERE).order_by(domains.c.domain_id).limit(limit)
    if after is not None:
        query = query.where(domains.c.domain_id > after)
    return [_domain(row, account) for row in (await connection.execute(query)).mappings()]


async def find_access(connection: AsyncConnection, domain_id: str) -> DomainAccess:
    """Return what work inside a domain needs.

    Raises:
        DomainNotFound: there is none with this id.
    """
    return await _access(connection, domain_id, for_update=False)


async def lock_access(connection: AsyncConnection, domain_id: str) -> DomainAccess:
    """Return the same, and make every other change inside the domain wait for the end of this transaction.

    Raises:
        DomainNotFound: there is none with this id.
    """
    return await _access(connection, domain_id, for_update=True)


async def set_revision(connection: AsyncConnection, domain_id: str, revision: int) -> None:
    """Publish a change of a locked domain: searches from now on look for rows up to `revision`."""
    await connection.execute(domains.update().where(domains.c.domain_id == domain_id).values(revision=revision))


async def set_compacted(connection: AsyncConnection, domain_id: str, revision: int) -> None:
    """Record up to which revision removals are no longer listed."""
    await connection.execute(
        domains.update()
        .where(domains.c.domain_id == domain_id, domains.c.compacted_revision < revision)
        .values(compacted_revision=revision)
    )


def arn_of(domain_id: str, account: AwsAccount) -> str:
    """Return a domain's ARN."""
    return account.arn("chime", f"{ARN_KIND}/{domain_id}")


def id_of_arn(arn: str, account: AwsAccount) -> str:
    """Return the domain id that an ARN names.

    Raises:
        MalformedArn: not an ARN.
        ForeignDomain: of something else, or of another Region or account.
    """
    parsed = Arn.parse(arn)
    if parsed.service != "chime" or parsed.kind != ARN_KIND or not parsed.name or not account.owns(parsed):
        raise ForeignDomain(arn, account)
    return parsed.name


async def _access(connection: AsyncConnection, domain_id: str, *, for_update: bool) -> DomainAccess:
    query = _LOCK if for_update else _FIND_ACCESS
    row = (await connection.execute(query, {"domain_id": domain_id})).one_or_none()
    if row is None:
        raise DomainNotFound(domain_id)
    return DomainAccess(WrappedKey(row.data_key), row.revision, row.compacted_revision)


def _domain(row: sa.RowMapping | Mapping[str, Any], account: AwsAccount) -> Domain:
    return Domain(
        id=row["domain_id"],
        arn=arn_of(row["domain_id"], account),
        name=row["name"],
        description=row["description"],
        kms_key_arn=row["kms_key_arn"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
