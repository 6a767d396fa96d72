"""`carillon ingest-url`: where a telephony platform or a browser may send the audio of one stream."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from carillon.api.ingest import KEY_PURPOSE, IngestTokens, websocket_url
from carillon.config import Settings
from carillon.data_folder import opened
from carillon.errors import InvalidRequest, NotFound
from carillon.server.running import running

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)


class SpanUnreadable(InvalidRequest):
    """A text that should be a span of time is none."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is not a span of time; write 90m, 24h or 365d.")


class KeyUnusable(NotFound):
    """No active access key has this id."""

    def __init__(self, access_key_id: str) -> None:
        super().__init__(f"There is no active access key {access_key_id[:40]}. See: carillon keys list")


async def ingest_url(
    settings: Settings,
    stream: str,
    target_format: str,
    expires: str | None,
    access_key_id: str | None,
    endpoint: str | None,
) -> str:
    """Return the URL.

    Args:
        settings: of the server.
        stream: name of the stream; it need not exist yet.
        target_format: one of `carillon.api.ingest.FORMATS`.
        expires: after how long it is good for nothing: 90m, 24h, 365d; None means never.
        access_key_id: of the key on whose behalf, and no longer than which, audio is taken; None means the default.
        endpoint: base URL of the server; None means the public one of the running one, else what its settings say.

    Raises:
        SpanUnreadable: `expires` is no span of time.
        KeyUnusable: no such active key.
        NoDataFolder: no server has ever run there.
        MalformedMessage: no such format, or no name of a stream.
    """
    expires_at = None if expires is None else datetime.now(UTC) + _span(expires)
    async with opened(settings, must_exist=True) as data_folder:
        key = data_folder.keys.default if access_key_id is None else data_folder.keys.find(access_key_id)
        if key is None:
            raise KeyUnusable(access_key_id or "")
        tokens = IngestTokens(data_folder.vault.derive(KEY_PURPOSE), settings.ingest.generation)
        path = tokens.make(target_format, stream, key.access_key_id, expires_at)
    return websocket_url(endpoint or _public_url(settings), path)


def _public_url(settings: Settings) -> str:
    server = running(settings.data_dir)
    return settings.server.url if server is None else server.public_url


def _span(text: str) -> timedelta:
    said = _SPAN.fullmatch(text)
    if said is None:
        raise SpanUnreadable(text)
    return int(said[1]) * _UNITS[said[2]]
