"""Plain samples in binary messages, of any length, both channels interleaved; what they are is said in text.

It is said in the query (`?rate=16000&channels=1`, 16-bit little-endian) or in a text message before the samples:

- our own: `{"rate": 16000, "channels": 1}`;
- Vonage's Voice API: `{"content-type": "audio/l16;rate=16000", ...}`;
- jambonz, and others of drachtio's family: `{"sampleRate": 8000, "mixType": "stereo", "callSid": ..., ...}`;
- Asterisk's chan_websocket: `MEDIA_START connection_id:... format:ulaw optimal_frame_size:160`, or the same as JSON.

Later on `{"event": "stop"}` ends the stream, for senders that want to hear that all of it was stored; other text is not
for us. The last two are told nothing, since they take text for commands.

Sources: jambonz, "listen"; Asterisk, "WebSocket" (channel driver) and its codecs' names.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn
from urllib.parse import parse_qsl

import msgspec

from carillon.api.ingest.errors import FormatUnknown, MalformedMessage
from carillon.api.ingest.messages import IngestMessage, MediaAudio, MediaEnded, MediaOpened
from carillon.api.ingest.tags import kept_tags
from carillon.media.splicer import Layout, SampleFormat

RATES_HZ: Final = range(8_000, 48_001)
_CONTENT_TYPE: Final = re.compile(r"audio/l16; ?rate=([0-9]{4,5})", re.IGNORECASE | re.ASCII)
_MAX_FIELDS: Final = 100
_MEDIA_START: Final = "MEDIA_START"
_MIXES: Final[Mapping[str, int]] = {"mono": 1, "mixed": 1, "stereo": 2}
_ASTERISK: Final[Mapping[str, tuple[SampleFormat, int]]] = {
    "ulaw": (SampleFormat.MU_LAW, 8_000),
    "alaw": (SampleFormat.A_LAW, 8_000),
    "slin": (SampleFormat.S16LE, 8_000),
    "slin12": (SampleFormat.S16LE, 12_000),
    "slin16": (SampleFormat.S16LE, 16_000),
    "slin24": (SampleFormat.S16LE, 24_000),
    "slin32": (SampleFormat.S16LE, 32_000),
    "slin44": (SampleFormat.S16LE, 44_100),
    "slin48": (SampleFormat.S16LE, 48_000),
}
_EXPECTED: Final = 'First say {"rate": 8000 to 48000, "channels": 1 or 2}, here or in the query.'


class _Said(msgspec.Struct):
    """A text message."""

    event: str = ""
    rate: int | None = None
    channels: int = 1
    content_type: str = msgspec.field(default="", name="content-type")
    sample_rate: int | None = msgspec.field(default=None, name="sampleRate")
    mix_type: str = msgspec.field(default="mono", name="mixType")
    call_sid: str = msgspec.field(default="", name="callSid")
    format: str = ""
    channel: str = ""
    connection_id: str = ""


class PlainPcm:
    """Reads one connection.

    Args:
        raw_query: of the URL that was connected to.
    """

    def __init__(self, raw_query: bytes) -> None:
        self.answers = True
        self._raw_query = raw_query
        self._is_open = False
        self._has_begun = False

    def begin(self) -> Sequence[IngestMessage]:
        """Return what the query says.

        Raises:
            MalformedMessage: a rate or a number of channels that we do not take.
        """
        try:
            query = dict(parse_qsl(self._raw_query.decode("latin-1"), max_num_fields=_MAX_FIELDS))
        except ValueError:  # more fields than that
            _refuse()
        if "rate" not in query:
            return ()
        return self._open(_number(query["rate"]), _number(query.get("channels", "1")))

    def read(self, message: str | bytes) -> Sequence[IngestMessage]:
        """Return what a message says.

        Raises:
            FormatUnknown: samples, and it was not said yet what they are.
            MalformedMessage: a first text that does not say it.
        """
        if isinstance(message, bytes):
            if not self._is_open:
                raise FormatUnknown(_EXPECTED)
            self._has_begun = True
            return (MediaAudio(0, message),)
        said = _read(message)
        if not self._has_begun and said.event == _MEDIA_START and (said.format or not self._is_open):
            return self._open_asterisk(said)
        if self._is_open:
            return (MediaEnded(),) if said.event == "stop" else ()
        if said.sample_rate is not None:
            return self._open_jambonz(said)
        return self._open(_rate_hz(said), said.channels)

    def _open_asterisk(self, said: _Said) -> Sequence[IngestMessage]:
        if said.format not in _ASTERISK:
            known = ", ".join(_ASTERISK)
            raise MalformedMessage(f"Asterisk sends {said.format[:20] or 'no format'!r}; dial with one of {known}.")
        format_, rate_hz = _ASTERISK[said.format]
        self.answers = False
        return self._open(rate_hz, 1, format_, {"CallId": said.channel, "MediaStreamId": said.connection_id})

    def _open_jambonz(self, said: _Said) -> Sequence[IngestMessage]:
        self.answers = False
        return self._open(said.sample_rate or 0, _MIXES.get(said.mix_type, 0), metadata={"CallId": said.call_sid})

    def _open(
        self,
        rate_hz: int,
        channels: int,
        format_: SampleFormat = SampleFormat.S16LE,
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[IngestMessage]:
        if rate_hz not in RATES_HZ or channels not in {1, 2}:
            _refuse()
        self._is_open = True
        return (MediaOpened(Layout(format_, rate_hz, channels), metadata=kept_tags((metadata or {}).items())),)


def _read(message: str) -> _Said:
    """Return what a text says; nothing if it is about other things."""
    if message.startswith(_MEDIA_START):
        fields = dict(field.partition(":")[::2] for field in message.split())
        return _Said(
            event=_MEDIA_START,
            format=fields.get("format", ""),
            channel=fields.get("channel", ""),
            connection_id=fields.get("connection_id", ""),
        )
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
    raise MalformedMessage(_EXPECTED)
