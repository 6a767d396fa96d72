"""The URLs that audio is sent to: `/ingest/FORMAT/STREAM/TOKEN`.

Telephony platforms cannot sign requests, and Twilio removes the query, so the path itself must be a secret. A token
names the access key on whose behalf it was made and when it expires, and a MAC binds both to the stream and the format.
Nothing is stored: the key of the MAC derives from the root key.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from carillon.access import AccessKeys
from carillon.api.errors import AwsError
from carillon.api.ingest.errors import MalformedMessage
from carillon.clock import Clock

FORMATS: Final = ("twilio", "pcm")
KEY_PURPOSE: Final = "ingest urls"
"""What the MAC's key is derived for: `Vault.derive`."""

_PATH: Final = re.compile(
    rf"/ingest/({'|'.join(FORMATS)})/([a-zA-Z0-9_.-]{{1,256}})(?:/([A-Za-z0-9_.-]{{1,300}}))?".encode()
)
_STREAM: Final = re.compile(r"[a-zA-Z0-9_.-]{1,256}", re.ASCII)
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{1,128})\.([0-9]{1,11})\.([A-Za-z0-9_-]{43})", re.ASCII)
_NEVER: Final = 0
_REFUSED: Final = "This URL is not one that was made here, or was withdrawn. Make one: carillon ingest-url"


@dataclass(frozen=True, slots=True)
class IngestTarget:
    """What a path asks for."""

    format: str
    """One of FORMATS."""
    stream_name: str
    token: str | None = field(repr=False)


def read_path(raw_path: bytes) -> IngestTarget | None:
    """Return what a path asks for, None if it is no path of ours."""
    found = _PATH.fullmatch(raw_path)
    if found is None:
        return None
    format_, stream_name, token = (None if part is None else part.decode("ascii") for part in found.groups())
    assert format_ is not None
    assert stream_name is not None
    return IngestTarget(format_, stream_name, token)


class IngestTokens:
    """Makes and judges tokens.

    Args:
        key: 32 bytes, the same after a restart: `Vault.derive(KEY_PURPOSE)`.
        generation: tokens of another are refused.
    """

    def __init__(self, key: bytes, generation: int) -> None:
        self._key = key
        self._generation = generation

    def __repr__(self) -> str:
        return "IngestTokens(...)"

    def make(self, target_format: str, stream_name: str, access_key_id: str, expires_at: datetime | None) -> str:
        """Return the path, with its token, at which audio of a format may be sent to a stream.

        Raises:
            MalformedMessage: no such format, or not the name of a stream.
        """
        if target_format not in FORMATS or not _STREAM.fullmatch(stream_name):
            raise MalformedMessage(f"Name a stream (letters, digits, '_', '.', '-'), and one of {', '.join(FORMATS)}.")
        expires = _NEVER if expires_at is None else int(expires_at.timestamp())
        mac = self._mac(target_format, stream_name, access_key_id, expires)
        return f"/ingest/{target_format}/{stream_name}/{access_key_id}.{expires}.{mac}"

    def issuer(self, target: IngestTarget, keys: AccessKeys, clock: Clock) -> str:
        """Return the id of the access key that a token was made for, if it is good for what is asked.

        Raises:
            AwsError: UnrecognizedClientException, ExpiredTokenException; not a token of ours for this, or no more.
        """
        said = _TOKEN.fullmatch(target.token or "")
        if said is None:
            raise _refused()
        access_key_id, expires, mac = said[1], int(said[2]), said[3]
        expected = self._mac(target.format, target.stream_name, access_key_id, expires)
        if not hmac.compare_digest(expected.encode(), mac.encode()):
            raise _refused()
        now = clock.now()
        if expires != _NEVER and datetime.fromtimestamp(expires, UTC) <= now:
            raise AwsError("ExpiredTokenException", "This URL has expired. Make another: carillon ingest-url")
        key = keys.find(access_key_id)
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            raise _refused()
        return access_key_id

    def _mac(self, target_format: str, stream_name: str, access_key_id: str, expires: int) -> str:
        """Return the MAC; none of what it is made of can hold a line break."""
        said = f"{self._generation}\n{target_format}\n{stream_name}\n{access_key_id}\n{expires}"
        return base64.urlsafe_b64encode(hmac.digest(self._key, said.encode(), "sha256")).rstrip(b"=").decode()


def websocket_url(base_url: str, path: str) -> str:
    """Return the WebSocket URL of a path on a server that is reached at an http or https URL."""
    scheme, _, rest = base_url.rstrip("/").partition("://")
    schemes: Mapping[str, str] = {"http": "ws", "https": "wss"}
    return f"{schemes.get(scheme, scheme)}://{rest}{path}"


def _refused() -> AwsError:
    return AwsError("UnrecognizedClientException", _REFUSED)
