"""Plain samples: 16-bit little-endian PCM in binary messages, of any length, both channels interleaved.

What they are is said in the query (`?rate=16000&channels=1`) or in a first text message, `{"rate": 16000, "channels":
1}`. A first message of Vonage's Voice API, `{"content-type": "audio/l16;rate=16000", ...}`, says it too. Later on
`{"event": "stop"}` ends the stream, for senders that want to hear that all of it was stored; other text is not for us.
"""

import re
from collections.abc import Sequence
from typing import Final, NoReturn
from urllib.parse import parse_qsl

import msgspec

from carillon.api.ingest.errors import NotUnderstood
from carillon.api.ingest.heard import Audio, Ended, Heard, Opened
from carillon.media.splicer import Layout, SampleFormat

RATES_HZ: Final = range(8_000, 48_001)
_CONTENT_TYPE: Final = re.compile(r"audio/l16; ?rate=([0-9]{4,5})", re.IGNORECASE | re.ASCII)
_MAX_FIELDS: Final = 100


class _Said(msgspec.Struct):
    """A text message."""

    event: str = ""
    rate: int | None = None
    channels: int = 1
    content_type: str = msgspec.field(default="", name="content-type")


class PlainPcm:
    """Reads one connection.

    Args:
        raw_query: of the URL that was connected to.
    """

    answers = True

    def __init__(self, raw_query: bytes) -> None:
        self._raw_query = raw_query
        self._is_open = False

    def begin(self) -> Sequence[Heard]:
        """Return what the query says.

        Raises:
            NotUnderstood: a rate or a number of channels that we do not take.
        """
        try:
            query = dict(parse_qsl(self._raw_query.decode("latin-1"), max_num_fields=_MAX_FIELDS))
        except ValueError:  # more fields than that
            _refuse()
        if "rate" not in query:
            return ()
        return self._open(_number(query["rate"]), _number(query.get("channels", "1")))

    def read(self, message: str | bytes) -> Sequence[Heard]:
        """Return what a message says.

        Raises:
            NotUnderstood: samples whose rate was not said, or a first message that does not say it.
        """
        if isinstance(message, bytes):
            if not self._is_open:
                _refuse()
            return (Audio(0, message),)
        said = _read(message)
        if not self._is_open:
            return self._open(_rate_hz(said), said.channels)
        return (Ended(),) if said.event == "stop" else ()

    def _open(self, rate_hz: int, channels: int) -> Sequence[Heard]:
        if rate_hz not in RATES_HZ or channels not in {1, 2}:
            _refuse()
        self._is_open = True
        return (Opened(Layout(SampleFormat.S16LE, rate_hz, channels)),)


def _read(message: str) -> _Said:
    """Return what a text says; nothing if it is about other things."""
    try:
        return msgspec.json.decode(message, type=_Said)
    except (msgspec.DecodeError, RecursionError):
        return _Said()


def _rate_hz(said: _Said) -> int:
    """Return the rate that a message says, 0 if it does not."""
    if said.rate is not None:
        return said.rate
    found = _CONTENT_TYPE.fullmatch(said.content_type)
    return int(found[1]) if found else 0


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,6}", text, re.ASCII) else 0


def _refuse() -> NoReturn:
    raise NotUnderstood('First say {"rate": 8000 to 48000, "channels": 1 or 2}, here or in the query.')
