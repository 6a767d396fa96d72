"""Twilio's Media Streams: JSON messages with base64 audio, as several telephony platforms send them.

`connected`, `start`, then `media` for each 20 ms of each track, now and then `dtmf` and `mark`, at last `stop`. The two
tracks of a call become one stream of two channels, inbound (what the caller says) left, outbound right; one track alone
is one channel. Times count from the start of the stream and are rounded, so that they may be less apart than the audio
between them is long. A message that is sent twice counts once.

Others write the same with snake_case names (Telnyx, Exotel), without `tracks` (then both are expected where audio names
its track, else one), name encodings in their way (PCMU, PCMA, L16, audio/x-l16;rate=16000), name tracks inbound_track,
and do not keep the order. Bandwidth writes `eventType` for `event`, `metadata` for `start`, in which each track may
have a format of its own, and the audio beside the event instead of under `media`.

Sources: Twilio, "Media Streams - WebSocket Messages"; Telnyx, "Stream call media over WebSocket"; Plivo, "Audio
Streaming"; Bandwidth, "StartStream"; Exotel, "WebSocket protocol". 16-bit samples are little-endian everywhere.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from carillon.api.ingest.errors import FormatUnknown, MalformedMessage
from carillon.api.ingest.messages import IngestMessage, MediaAudio, MediaEnded, MediaOpened
from carillon.api.ingest.pcm import RATES_HZ
from carillon.api.ingest.tags import kept_tags
from carillon.media.splicer import Layout, SampleFormat

_TRACKS: Final = ("inbound", "outbound")
_NAMES: Final = {
    SampleFormat.MU_LAW: ("audio/x-mulaw", "audio/mulaw", "audio/pcmu", "pcmu", "mulaw", "ulaw"),
    SampleFormat.A_LAW: ("audio/x-alaw", "audio/alaw", "audio/pcma", "pcma", "alaw"),
    SampleFormat.S16LE: ("audio/x-raw", "audio/x-l16", "audio/l16", "audio/pcm", "l16", "linear16", "pcm16", "pcm"),
}
_FORMATS: Final = {name: format_ for format_, names in _NAMES.items() for name in names}
_MAX_MS: Final = 2**53
_REMEMBERED: Final = 1_024
_IDS: Final = {
    "CallId": ("callSid", "call_sid", "call_control_id", "callId", "call_id"),
    "MediaStreamId": ("streamSid", "stream_sid", "stream_id", "streamId"),
}
"""Kept with the audio, and what the platforms call them. Source of CallId: the streams of Amazon's Voice Connector."""

_Object: TypeAlias = Mapping[str, object]
_Number: TypeAlias = int | str | None


class _Media(msgspec.Struct):
    payload: bytes  # base64 on the wire
    track: str | None = None
    timestamp: _Number = None
    chunk: _Number = None


class _Message(msgspec.Struct, rename={"event_type": "eventType", "sequence_number": "sequenceNumber"}):
    event: str = ""
    event_type: str = ""
    start: dict[str, object] | None = None
    metadata: dict[str, object] | None = None
    media: _Media | None = None
    track: str | None = None
    payload: bytes | None = None
    timestamp: _Number = None
    sequence_number: _Number = None
    snake_sequence_number: _Number = msgspec.field(default=None, name="sequence_number")
    stream_id: str = ""

    def audio(self) -> _Media | None:
        """Return the audio, wherever it stands."""
        if self.media is not None or self.payload is None:
            return self.media
        return _Media(self.payload, self.track, self.timestamp)

    def number(self) -> _Number:
        """Return the message's number."""
        return self.snake_sequence_number if self.sequence_number is None else self.sequence_number


_decoder: Final = msgspec.json.Decoder(_Message)


class MediaStreams:
    """Reads one connection, which carries one call."""

    answers = False  # Twilio ends a one-way stream whose receiver sends anything (its error 31924)

    def __init__(self) -> None:
        self._start: _Object | None = None
        self._tracks: Mapping[str, int] | None = None
        self._recent: deque[tuple[object, ...]] = deque(maxlen=_REMEMBERED)
        self._known: set[tuple[object, ...]] = set()

    def begin(self) -> Sequence[IngestMessage]:
        """Return nothing: all is in the messages."""
        return ()

    def read(self, message: str | bytes) -> Sequence[IngestMessage]:
        """Return what a message says.

        Raises:
            FormatUnknown: audio before `start`.
            MalformedMessage: no such message; another `start`; a codec that we do not read.
        """
        try:
            said = _decoder.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _no_message() from None
        match said.event or said.event_type:
            case "":
                raise _no_message()
            case "media":
                return self._read_media(said)
            case "start":
                return self._read_start(said)
            case "stop":
                return (MediaEnded(),)
        return ()

    def _read_start(self, said: _Message) -> Sequence[IngestMessage]:
        start = said.metadata if said.start is None else said.start
        if start is None:
            raise MalformedMessage("A start message came without content.")
        if said.stream_id:
            start = {"stream_id": said.stream_id, **start}
        if self._start is not None:
            if start == self._start:  # sent twice
                return ()
            raise MalformedMessage("A second start message came; a connection carries one call.")
        self._start = start
        declared = start.get("tracks")
        if not isinstance(declared, list):
            return ()  # the first media tells
        names = {_plain(name) for name in map(_name_of, declared) if name is not None}
        return self._open(start, [name for name in _TRACKS if name in names])

    def _read_media(self, said: _Message) -> Sequence[IngestMessage]:
        media = said.audio()
        if media is None:
            raise MalformedMessage("Media came without content.")
        if self._start is None:
            raise FormatUnknown("Media came before the start message that describes it.")
        at_ms = _milliseconds(media.timestamp)
        if self._is_known(media, said.number()):
            return ()
        opened: Sequence[IngestMessage] = ()
        name = None if media.track is None else _plain(media.track)
        if self._tracks is None:
            opened = self._open(self._start, _TRACKS[:1] if name is None else _TRACKS)
        assert self._tracks is not None
        track = 0 if name is None else self._tracks.get(name)
        if track is None:
            raise MalformedMessage("Media came of a track that start.tracks does not name.")
        return (*opened, MediaAudio(track, media.payload, at_ms))

    def _is_known(self, media: _Media, number: _Number) -> bool:
        """Return whether it came before: the same audio of the same time, by the same number, or as the same chunk."""
        content = (media.track, media.timestamp, zlib.crc32(media.payload))
        keys = [
            (kind, value, *content)
            for kind, value in (("message", number), ("chunk", media.chunk))
            if value is not None
        ]
        if any(key in self._known for key in keys):
            return True
        for key in keys:
            if len(self._recent) == _REMEMBERED:
                self._known.discard(self._recent[0])
            self._recent.append(key)
            self._known.add(key)
        return False

    def _open(self, start: _Object, tracks: Sequence[str]) -> Sequence[IngestMessage]:
        if not tracks:
            raise MalformedMessage("start.tracks names neither inbound nor outbound.")
        self._tracks = {name: index for index, name in enumerate(tracks)}
        format_, rate_hz = _media_format(start)
        return (MediaOpened(Layout(format_, rate_hz, len(tracks)), len(tracks), _metadata(start)),)


def _no_message() -> MalformedMessage:
    return MalformedMessage("This is no message of Twilio's Media Streams: JSON with an event.")


def _name_of(track: object) -> str | None:
    """Return the name of a declared track, which may be an object."""
    name = track.get("name") if isinstance(track, dict) else track
    return name if isinstance(name, str) else None


def _plain(track: str) -> str:
    return track.removesuffix("_track")


def _media_format(start: _Object) -> tuple[SampleFormat, int]:
    """Return format and rate: what `start` or its tracks say, else what Twilio always sends.

    Raises:
        MalformedMessage: it cannot be read, or tracks differ.
    """
    said = [_described(one) for one in _descriptions(start)] or [_described({})]
    if any(one != said[0] for one in said):
        raise MalformedMessage("The tracks have different formats; send the same for both.")
    return said[0]


def _descriptions(start: _Object) -> Iterator[_Object]:
    """Yield every media format that is described."""
    tracks = start.get("tracks")
    for holder in (start, *(tracks if isinstance(tracks, list) else ())):
        if isinstance(holder, dict) and isinstance(found := _first(holder, "mediaFormat", "media_format"), dict):
            yield found


def _described(said: _Object) -> tuple[SampleFormat, int]:
    name, *parameters = str(said.get("encoding", "audio/x-mulaw")).lower().split(";")
    given = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    format_ = _FORMATS.get(name.strip())
    rate_hz = _whole(_first(said, "sampleRate", "sample_rate") or given.get("rate") or 8_000)
    is_big = "big" in {given.get("endian"), said.get("endian"), said.get("byte_order"), said.get("endianness")}
    if format_ is None or is_big or rate_hz not in RATES_HZ or _whole(said.get("channels", 1)) != 1:
        raise MalformedMessage(
            f"{name[:40]!r} cannot be read so; send mu-law, A-law or 16 bits (little-endian), one channel a track."
        )
    return format_, rate_hz


def _metadata(start: _Object) -> Sequence[tuple[str, str]]:
    """Return the call's ids and the custom parameters, as far as a fragment may carry them."""
    found = [(tag, str(value)) for tag, names in _IDS.items() if (value := _first(start, *names)) is not None]
    custom = _first(start, "customParameters", "custom_parameters", "streamParams")
    if isinstance(custom, dict):
        found += [(name, str(value)) for name, value in custom.items()]
    return kept_tags(found)


def _first(described: _Object, *names: str) -> object:
    return next((described[name] for name in names if described.get(name) is not None), None)


def _whole(value: object) -> int:
    """Return a number that may be written as text; -1 for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= len(str(_MAX_MS)) else -1
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _milliseconds(timestamp: _Number) -> int | None:
    if timestamp is None:
        return None
    at_ms = _whole(timestamp)
    if not 0 <= at_ms < _MAX_MS:
        raise MalformedMessage("media.timestamp must be milliseconds.")
    return at_ms
