"""`carillon keys`: who may sign requests, and for what. A running server notices within a second.

What changes is in the audit trail: each row names the key concerned, since nobody signed for it, and `cli` as source.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec

from carillon.access import AuditRow, Policy, write_trail
from carillon.access.credentials import AccessKey, change
from carillon.config import Settings
from carillon.data_folder import CREDENTIALS_FILE, keys_of, opened, prepare
from carillon.errors import InvalidRequest, NotFound
from carillon.terminal import Table, print_json


class KeyUnknown(NotFound):
    """No access key has this id."""

    def __init__(self, access_key_id: str) -> None:
        super().__init__(f"There is no access key {access_key_id[:40]}. See: carillon keys list")


class PolicyUnreadable(InvalidRequest):
    """A file is not a policy document."""


def create(settings: Settings, name: str, policy: Path | None, hours: float | None) -> AccessKey:
    """Make a key, and return it with its secret.

    Args:
        settings: of the server.
        name: what people call it.
        policy: file of an IAM policy document; None allows everything.
        hours: how long a temporary key, with a session token, is good; None makes one that stays.

    Raises:
        PolicyUnreadable, PolicyInvalid: see `read_policy`.
    """
    document = None if policy is None else read_policy(policy)
    prepare(settings.data_dir)  # keys may be made before the first start
    now = _now()
    expires_at = None if hours is None else now + timedelta(hours=hours)
    made = AccessKey.generate(
        temporary=hours is not None, name=name, created_at=now, expires_at=expires_at, policy=document
    )
    _change(settings, lambda held: [*held, made], lambda: [("CreateAccessKey", made.access_key_id)])
    return made


def show(settings: Settings, *, as_json: bool) -> None:
    """Print every key, without secrets."""
    held = keys_of(settings.data_dir).keys
    if as_json:
        print_json([described(key) for key in held])
        return
    table = Table("access key id", "name", "status", "created", "expires", "may do")
    for key in held:
        may = "everything" if key.policy is None else f"{_count(key.policy)} statement(s)"
        table.add_row(key.access_key_id, key.name, key.status, _text(key.created_at), _text(key.expires_at), may)
    table.print()


def rotate(settings: Settings, access_key_id: str, grace_minutes: float) -> AccessKey:
    """Replace a key by a new one with the same name and policy, which is returned.

    Args:
        settings: of the server.
        access_key_id: of the key to replace.
        grace_minutes: how long it goes on.

    Raises:
        KeyUnknown: there is no such key.
    """
    now = _now()
    made: list[AccessKey] = []

    def edit(held: Sequence[AccessKey]) -> Sequence[AccessKey]:
        old = _find(held, access_key_id)
        temporary = old.session_token is not None
        lifetime = old.expires_at - old.created_at if temporary and old.expires_at and old.created_at else None
        fresh = AccessKey.generate(
            temporary=temporary,
            name=old.name,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            policy=old.policy,
        )
        made.append(fresh)
        end = now + timedelta(minutes=grace_minutes)
        ends = replace(old, expires_at=min(end, old.expires_at or end))
        others = [ends if key is old else key for key in held]
        others.insert(others.index(ends), fresh)  # before the old one: the first active key is the default
        return others

    _change(settings, edit, lambda: [("CreateAccessKey", made[0].access_key_id), ("RotateAccessKey", access_key_id)])
    return made[0]


def disable(settings: Settings, access_key_id: str) -> None:
    """Refuse a key from now on.

    Raises:
        KeyUnknown: there is no such key.
    """

    def edit(held: Sequence[AccessKey]) -> Sequence[AccessKey]:
        old = _find(held, access_key_id)
        return [replace(key, status="disabled") if key is old else key for key in held]

    _change(settings, edit, lambda: [("DisableAccessKey", access_key_id)])


def read_policy(path: Path) -> dict[str, Any]:
    """Return the policy document in a file, having checked it.

    Raises:
        PolicyUnreadable: not a JSON object.
        PolicyInvalid: not a policy that we would heed.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PolicyUnreadable(f"{path} is not a JSON object.") from error
    Policy(document)
    return document


def _change(
    settings: Settings,
    edit: Callable[[Sequence[AccessKey]], Sequence[AccessKey]],
    done: Callable[[], Sequence[tuple[str, str]]],
) -> None:
    """Change the keys and write down what was done: operations, each with the key concerned."""

    async def run() -> None:
        async with opened(
            settings, must_exist=True
        ) as data_folder:  # first: where nothing can be written down, nothing is done
            change(settings.data_dir / CREDENTIALS_FILE, edit)
            if settings.audit.is_on:
                await write_trail(data_folder.database, [_row(operation, key_id) for operation, key_id in done()])

    anyio.run(run)


def _row(operation: str, access_key_id: str) -> AuditRow:
    return AuditRow(
        at=datetime.now(UTC),
        access_key_id=access_key_id,
        action=f"carillon:{operation}",
        resource=f"access-key/{access_key_id}",
        source="cli",
        status=200,
        error=None,
        request_id=str(uuid.uuid4()),
    )


def _find(held: Sequence[AccessKey], access_key_id: str) -> AccessKey:
    for key in held:
        if key.access_key_id == access_key_id:
            return key
    raise KeyUnknown(access_key_id)


def described(key: AccessKey) -> dict[str, object]:
    """Return what may be shown of a key at any time."""
    return {
        "access_key_id": key.access_key_id,
        "name": key.name,
        "status": key.status,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "temporary": key.session_token is not None,
        "policy": key.policy,
    }


def _count(policy: Any) -> int:  # noqa: ANN401 - a policy document
    statements = policy["Statement"]
    return len(statements) if isinstance(statements, list) else 1


def _text(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
