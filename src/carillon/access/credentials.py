"""The access keys that clients sign with, kept in the data folder; the command line reads them without a server."""

import fcntl
import os
import secrets
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec
from anyio import sleep, sleep_forever

from carillon.access.policies import Policy
from carillon.clock import Clock
from carillon.errors import CarillonError
from carillon.storage.files import create_file, replace_file
from carillon.telemetry import get_logger

_PREFIX: Final = "CRLN"  # As long as AWS's own (20 in all), and not to be taken for one of them.
_ID_ALPHABET: Final = string.ascii_uppercase + "234567"
_SECRET_BYTES: Final = 30
_TOKEN_BYTES: Final = 96
_LOOK_SECONDS: Final = 1.0
_ENDED_SECONDS: Final = 0.5
"""How often an open connection looks whether its key is still good; with the above, within 1.5 s."""

log = get_logger()


class CredentialsUnusable(CarillonError):
    """The file of access keys is open to others, or is not what we write."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A pair that an SDK signs with, and what is known of whoever holds it."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    name: str = "default"
    """What people call it; a rotated key has the name of the one it replaces."""
    status: Literal["active", "disabled"] = "active"
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """From then on it is refused; None means never."""
    session_token: str | None = field(default=None, repr=False)
    """Makes the key a temporary one: every request must carry it."""
    policy: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    """An IAM policy document; None allows everything."""

    @classmethod
    def generate(cls, *, temporary: bool = False, **known: Any) -> "AccessKey":  # noqa: ANN401 - fields of this class
        """Return a new key, random throughout; `known` are its other fields."""
        suffix = "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))
        token = secrets.token_urlsafe(_TOKEN_BYTES) if temporary else None
        return cls(_PREFIX + suffix, secrets.token_urlsafe(_SECRET_BYTES), session_token=token, **known)


class AccessKeys(Protocol):
    """Where keys are looked up: a ring of them, or the file as it is now."""

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return an active key, or None if there is none with this id."""
        ...

    def policy_of(self, access_key_id: str) -> Policy | None:
        """Return the policy of an active key; None means everything is allowed.

        Raises:
            KeyError: there is no such active key.
        """
        ...

    async def until_ended(self, access_key_id: str) -> str:
        """Wait until a key may be used no more: disabled, removed, expired; return which."""
        ...


class KeyRing:
    """The keys that this server accepts, at one moment.

    Args:
        keys: at least one; the first active one is the one that `carillon env` prints.

    Raises:
        PolicyInvalid: a key's policy is not one.
    """

    def __init__(self, keys: Sequence[AccessKey]) -> None:
        if not keys:
            raise ValueError("A key ring needs at least one key.")
        self.keys: Final = tuple(keys)
        self._active = {key.access_key_id: key for key in keys if key.status == "active"}
        self._policies = {
            key.access_key_id: None if key.policy is None else Policy(key.policy) for key in self._active.values()
        }

    @property
    def default(self) -> AccessKey:
        """Return the first active key that needs no session token.

        Raises:
            CredentialsUnusable: there is none.
        """
        now = datetime.now(UTC)
        for key in self._active.values():
            if key.session_token is None and (key.expires_at is None or key.expires_at > now):
                return key
        raise CredentialsUnusable("Every access key is disabled, expired or temporary. Make one: carillon keys create")

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return an active key, or None if there is none with this id."""
        return self._active.get(access_key_id)

    def policy_of(self, access_key_id: str) -> Policy | None:
        """Return the policy of an active key; None means everything is allowed.

        Raises:
            KeyError: there is no such active key.
        """
        return self._policies[access_key_id]

    async def until_ended(self, access_key_id: str) -> str:  # noqa: ARG002 - of whichever
        """Wait for ever: at one moment no key ends."""
        await sleep_forever()
        raise AssertionError


class WatchedKeys:
    """The keys of a file, as they are now: a change is noticed within a second, without a restart.

    Args:
        path: the file; made if it is missing.
        clock: tells when to look again.

    Raises:
        CredentialsUnusable: others may read the file, or it is not what we write.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._look_at = clock.monotonic() + _LOOK_SECONDS
        self.ring = load_or_create(path)
        self._seen = self._version()

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return an active key, or None if there is none with this id: one that was just made is there at once."""
        now = self._clock.monotonic()
        if now >= self._look_at or self.ring.find(access_key_id) is None:
            self._look_at = now + _LOOK_SECONDS
            self._look()
        return self.ring.find(access_key_id)

    def policy_of(self, access_key_id: str) -> Policy | None:
        """Return the policy of an active key; None means everything is allowed.

        Raises:
            KeyError: there is no such active key.
        """
        return self.ring.policy_of(access_key_id)

    async def until_ended(self, access_key_id: str) -> str:
        """Wait until a key may be used no more: disabled, removed, expired; return which."""
        while (why := self._why_ended(access_key_id)) is None:  # noqa: ASYNC110 - a file and a clock tell nobody
            await sleep(_ENDED_SECONDS)
        return why

    def _why_ended(self, access_key_id: str) -> str | None:
        key = self.find(access_key_id)
        if key is None:
            return "The access key was disabled or removed."
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            return "The access key has expired."
        return None

    def _look(self) -> None:
        """Read the file again if it changed; one that cannot be used changes nothing, and the log says so."""
        version = self._version()
        if version is None or version == self._seen:
            return
        try:
            self.ring = KeyRing(_read(self._path).keys)
        except (CarillonError, OSError) as error:
            log.error("keys.unusable", path=str(self._path), error=type(error).__name__)
        else:
            log.info("keys.changed", active=sum(key.status == "active" for key in self.ring.keys))
        self._seen = version

    def _version(self) -> tuple[int, int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size


@dataclass(frozen=True, slots=True)
class _File:
    keys: list[AccessKey] = field(repr=False)
    version: int = 1


_VERSION: Final = 2
"""Of what we write. 1 knew nothing of status and policy, and would let every key do everything."""


def load_or_create(path: Path) -> KeyRing:
    """Read the keys, or make a file with one new key, readable by this user alone.

    Two processes that start at once agree on one file, and no one ever sees half of it.

    Raises:
        CredentialsUnusable: others may read the file, or it is not what we write.
    """
    if not path.exists():
        create_file(path, _encoded([AccessKey.generate(created_at=datetime.now(UTC).replace(microsecond=0))]))
    return KeyRing(_read(path).keys)


def change(path: Path, edit: Callable[[Sequence[AccessKey]], Sequence[AccessKey]]) -> None:
    """Replace the keys of a file by what `edit` makes of them: at once, and one process after the other.

    Raises:
        CredentialsUnusable: others may read the file, it is not what we write, or no key would be left.
        Exception: whatever `edit` raises; nothing is changed then.
    """
    load_or_create(path)
    with _locked(path.parent):
        keys = list(edit(_read(path).keys))
        if not keys:
            raise CredentialsUnusable("The last access key cannot be removed; disable it instead.")
        replace_file(path, _encoded(keys))


def _encoded(keys: Sequence[AccessKey]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_File(list(keys), _VERSION))) + b"\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> _File:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise CredentialsUnusable(f"{path} may be read by others. Run: chmod 600 {path}")
        try:
            credentials = msgspec.json.decode(file.read(), type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CredentialsUnusable(f"{path} is not a file of access keys. Restore it, or remove it.") from error
    if credentials.version not in {1, _VERSION} or not credentials.keys:
        raise CredentialsUnusable(f"{path} holds no keys that this version understands. Restore it, or remove it.")
    return credentials
