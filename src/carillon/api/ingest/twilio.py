"""Twilio's Media Streams: JSON messages with base64 audio, as several telephony platforms send them.

`connected`, `start`, then `media` for each 20 ms of each track, now and then `dtmf` and `mark`, at last `stop`. The two
tracks of a call become one stream of two channels, inbound (what the caller says) left, outbound right; one track alone
is one channel. Times count from the start of the stream and are rounded, so that they may be less apart than the audio
between them is long.

Others write the same with snake_case names (Telnyx, Exotel), without `tracks` (then both are expected where audio names
its track, else one), call mu-law PCMU and A-law PCMA, name tracks inbound_track, and do not keep the order.

Sources: Twilio, "Media Streams - WebSocket Messages"; Telnyx, "Stream call media over WebSocket"; Exotel, "WebSocket
protocol" (audio/x-raw: 16 bits, little-endian).
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from carillon.api.ingest.errors import NotUnderstood
from carillon.api.ingest.heard import Audio, Ended, Heard, Opened
from carillon.api.ingest.pcm import RATES_HZ
from carillon.media.splicer import Layout, SampleFormat

_TRACKS: Final = ("inbound", "outbound")
_FORMATS: Final = {
    "audio/x-mulaw": SampleFormat.MU_LAW,
    "pcmu": SampleFormat.MU_LAW,
    "audio/x-alaw": SampleFormat.A_LAW,
    "pcma": SampleFormat.A_LAW,
    "audio/x-raw": SampleFormat.S16LE,
}
_MAX_MS: Final = 2**53
_MAX_TAGS: Final = 10  # as many as Kinesis Video Streams takes with a fragment, and as long
_MAX_TAG_NAME_BYTES: Final = 128
_MAX_TAG_VALUE_BYTES: Final = 256
_RESERVED_TAG_PREFIX: Final = "AWS"
_IDS: Final = {
    "CallId": ("callSid", "call_sid", "call_control_id"),
    "MediaStreamId": ("streamSid", "stream_sid", "stream_id"),
}
"""Kept with the audio, and what the platforms call them. Source of CallId: the streams of Amazon's Voice Connector."""

_Object: TypeAlias = Mapping[str, object]


class _Media(msgspec.Struct):
    payload: bytes  # base64 on the wire
    track: str | None = None
    timestamp: int | str | None = None


class _Message(msgspec.Struct):
    event: str
    start: dict[str, object] | None = None
    media: _Media | None = None


_decoder: Final = msgspec.json.Decoder(_Message)


class MediaStreams:
    """Reads one connection, which carries one call."""

    answers = False  # Twilio ends a one-way stream whose receiver sends anything (its error 31924)

    def __init__(self) -> None:
        self._start: _Object | None = None
        self._tracks: Mapping[str, int] | None = None

    def begin(self) -> Sequence[Heard]:
        """Return nothing: all is in the messages."""
        return ()

    def read(self, message: str | bytes) -> Sequence[Heard]:
        """Return what a message says.

        Raises:
            NotUnderstood: no such message; audio before `start`; a second `start`; a codec that we do not read.
        """
        try:
            said = _decoder.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NotUnderstood("This is no message of Twilio's Media Streams: JSON with an event.") from None
        match said.event:
            case "media":
                return self._read_media(said.media)
            case "start":
                return self._read_start(said.start)
            case "stop":
                return (Ended(),)
        return ()

    def _read_start(self, start: _Object | None) -> Sequence[Heard]:
        if start is None or self._start is not None:
            raise NotUnderstood("One start message must come, and before any media.")
        self._start = start
        declared = start.get("tracks")
        if not isinstance(declared, list):
            return ()  # the first media tells
        names = {_plain(name) for name in declared if isinstance(name, str)}
        return self._open(start, [name for name in _TRACKS if name in names])

    def _read_media(self, media: _Media | None) -> Sequence[Heard]:
        if self._start is None or media is None:
            raise NotUnderstood("Media came before the start message that describes it, or without content.")
        opened: Sequence[Heard] = ()
        name = None if media.track is None else _plain(media.track)
        if self._tracks is None:
            opened = self._open(self._start, _TRACKS[:1] if name is None else _TRACKS)
        assert self._tracks is not None
        track = 0 if name is None else self._tracks.get(name)
        if track is None:
            raise NotUnderstood("Media came of a track that start.tracks does not name.")
        return (*opened, Audio(track, media.payload, _milliseconds(media.timestamp)))

    def _open(self, start: _Object, tracks: Sequence[str]) -> Sequence[Heard]:
        if not tracks:
            raise NotUnderstood("start.tracks names neither inbound nor outbound.")
        self._tracks = {name: index for index, name in enumerate(tracks)}
        format_, rate_hz = _media_format(start)
        return (Opened(Layout(format_, rate_hz, len(tracks)), len(tracks), _metadata(start)),)


def _plain(track: str) -> str:
    return track.removesuffix("_track")


def _media_format(start: _Object) -> tuple[SampleFormat, int]:
    """Return format and rate: what `start` says, else what Twilio always sends."""
    said = _first(start, "mediaFormat", "media_format")
    described = said if isinstance(said, dict) else {}
    encoding = str(described.get("encoding", "audio/x-mulaw"))
    format_ = _FORMATS.get(encoding.lower())
    rate_hz = _whole(_first(described, "sampleRate", "sample_rate") or 8_000)
    if format_ is None or rate_hz not in RATES_HZ or _whole(described.get("channels", 1)) != 1:
        raise NotUnderstood(f"{encoding[:40]!r} cannot be read; send mu-law or A-law, one channel a track.")
    return format_, rate_hz


def _metadata(start: _Object) -> list[tuple[str, str]]:
    """Return the call's ids and the custom parameters, as far as a fragment may carry them."""
    found = [(tag, str(value)) for tag, names in _IDS.items() if (value := _first(start, *names)) is not None]
    custom = _first(start, "customParameters", "custom_parameters")
    if isinstance(custom, dict):
        found += [(name, str(value)) for name, value in custom.items()]
    return [tag for tag in found if _may_be_kept(*tag)][:_MAX_TAGS]


def _may_be_kept(name: str, text: str) -> bool:
    is_short = len(name.encode()) <= _MAX_TAG_NAME_BYTES and len(text.encode()) <= _MAX_TAG_VALUE_BYTES
    return is_short and name != "" and not name.startswith(_RESERVED_TAG_PREFIX)


def _first(described: _Object, *names: str) -> object:
    return next((described[name] for name in names if described.get(name) is not None), None)


def _whole(value: object) -> int:
    """Return a number that may be written as text; -1 for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= len(str(_MAX_MS)) else -1
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _milliseconds(timestamp: int | str | None) -> int | None:
    if timestamp is None:
        return None
    at_ms = _whole(timestamp)
    if not 0 <= at_ms < _MAX_MS:
        raise NotUnderstood("media.timestamp must be milliseconds.")
    return at_ms
