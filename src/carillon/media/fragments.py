"""GetMedia's bytes in, complete fragments out. No I/O.

Each fragment comes as a Matroska document of its own: tags that name it, its Cluster, and after that the tags which say
that it is complete. What was cut off before those is not a fragment; whoever reads connects again and gets it whole.

Source: Kinesis Video Streams Developer Guide, "GetMedia"; `isComplete` in AWS's parser library.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from carillon.clock import from_millis
from carillon.errors import CarillonError, InvalidRequest, LimitExceeded, NotFound, Transient
from carillon.fragment_tags import BEHIND, ERROR_CODE, ERROR_ID, NUMBER, PREFIX, PRODUCER_AT, SERVER_AT, TOKEN
from carillon.matroska import (
    BlockRead,
    ClusterTimecode,
    Demuxer,
    DocumentStarted,
    Limits,
    MatroskaEvent,
    TagsRead,
    Track,
    TracksRead,
)

# AWS: the guide says 4000; real answers of the media operations say 3000 and FRAGMENT_NOT_FOUND (aws-sdk-js #3217).
_FRAGMENT_NOT_FOUND: Final = frozenset({3000, 4000})
_FRAGMENT_NOT_FOUND_CODE: Final = "FRAGMENT_NOT_FOUND"
_KEY_PROBLEMS: Final = range(4500, 4600)

_DIGITS: Final = re.compile(r"[0-9]{1,128}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")
_MILLIS: Final = re.compile(r"[0-9]{1,15}")
_VIDEO: Final = 1
_OBJECT_BYTES: Final = 200  # what a block or a tag costs besides its content, so that a million empty ones are not free
_MIN_PLAUSIBLE_YEAR: Final = 2000
_LONGEST_MS: Final = 60_000  # Kinesis allows 20 s
_MAX_FRAGMENT_BYTES: Final = 50 * 1024 * 1024


class FragmentNotFound(NotFound):
    """The stream no longer has the fragment that was asked for, or never had it."""

    def __init__(self, number: str) -> None:
        super().__init__(f"The stream has no fragment {number}: its retention is over. Start with the newest instead.")


class MediaEncrypted(CarillonError):
    """The stream is encrypted with a key that the endpoint may not, or cannot, use."""

    def __init__(self, code: str, error_id: int) -> None:
        super().__init__(f"The stream's encryption key cannot be used ({code}, {error_id}). Check the key's policy.")


class MediaInterrupted(Transient):
    """The endpoint gave up in the middle of a stream."""

    def __init__(self, code: str, error_id: int) -> None:
        super().__init__(f"The endpoint could not go on with the stream ({code}, {error_id}).")


@dataclass(frozen=True, slots=True)
class UnreadableFragment:
    """In place of a fragment: the endpoint says that it cannot read one."""

    number: str | None
    """Which; None if it does not say."""
    code: str
    error_id: int


class MalformedFragment(InvalidRequest):
    """The endpoint sent a fragment without the tags that it must have, or with some that cannot be read."""


class FragmentTooLarge(LimitExceeded):
    """A fragment would take more memory than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A fragment is over {limit} bytes. Let the producer send shorter ones, or raise the limit.")


@dataclass(frozen=True, slots=True)
class Fragment:
    """One complete fragment of a stream."""

    number: str
    server_at: datetime
    """When the endpoint began to receive it."""
    producer_at: datetime
    """What the producer says was the time at the Cluster's timecode; 1970 if it counts from zero."""
    tracks: tuple[Track, ...]
    blocks: tuple[BlockRead, ...] = field(repr=False)
    """In the order of the stream; video is left out."""
    tags: dict[str, str]
    """The producer's own."""
    timecode_ms: int = 0
    """The Cluster's."""
    behind_ms: int = 0
    """How much newer the stream's newest fragment was."""

    @property
    def length(self) -> timedelta:
        """Return how long it is, all but its last block."""
        last_ms = max((block.timecode_ms for block in self.blocks), default=self.timecode_ms)
        return timedelta(milliseconds=max(0, min(last_ms - self.timecode_ms, _LONGEST_MS)))

    @property
    def has_real_time(self) -> bool:
        """Return whether the producer has a clock, and does not only count from zero."""
        return self.producer_at.year >= _MIN_PLAUSIBLE_YEAR

    @property
    def wall_at(self) -> datetime:
        """Return the wall time at the Cluster's timecode: the producer's, or the server's if the producer has none."""
        return self.producer_at if self.has_real_time else self.server_at


@dataclass(slots=True)
class _Document:
    """One document while it is read."""

    tracks: tuple[Track, ...] = ()
    videos: frozenset[int] = frozenset()
    blocks: list[BlockRead] = field(default_factory=list, repr=False)
    tags: dict[str, str] = field(default_factory=dict)
    timecode_ms: int | None = None
    weight: int = 0


class FragmentParser:
    """Puts the fragments of one GetMedia body together.

    Args:
        max_fragment_bytes: the most memory that one may take, video left out; also the largest block.
    """

    def __init__(self, max_fragment_bytes: int = _MAX_FRAGMENT_BYTES) -> None:
        self._limit = max_fragment_bytes
        self._demuxer = Demuxer(Limits(max_element_bytes=max_fragment_bytes))
        self._document = _Document()

    def feed(self, data: bytes) -> Iterator[Fragment | UnreadableFragment]:
        """Take the next bytes of the body, any number; yield the fragments that they complete.

        It is a generator: what precedes an error comes out before the error is raised. An endpoint may go on after a
        fragment that it cannot read, and so may the caller.

        Raises:
            FragmentNotFound: the endpoint does not have the fragment to start after.
            MediaEncrypted: the endpoint cannot decrypt the stream.
            MalformedFragment: its tags are missing or unreadable.
            FragmentTooLarge: over the limit.
            MatroskaError: the body is not Matroska.
        """
        for event in self._demuxer.feed(data):
            fragment = self._take(event)
            if fragment is not None:
                yield fragment
        if self._demuxer.error:
            raise self._demuxer.error

    def _take(self, event: MatroskaEvent) -> Fragment | UnreadableFragment | None:
        document = self._document
        match event:
            case BlockRead(track=track, data=data):
                if track not in document.videos:
                    self._weigh(len(data))
                    document.blocks.append(event)
            case DocumentStarted():
                self._document = _Document()
            case TracksRead(tracks=tracks):
                document.tracks = tracks
                document.videos = frozenset(track.number for track in tracks if track.kind == _VIDEO)
            case ClusterTimecode(timecode_ms=timecode_ms) if document.timecode_ms is None:
                document.timecode_ms = timecode_ms
            case TagsRead(tags=tags):
                return self._take_tags(tags)
        return None

    def _take_tags(self, tags: tuple[tuple[str, str], ...]) -> Fragment | UnreadableFragment | None:
        known = self._document.tags
        for name, text in tags:
            self._weigh(len(name) + len(text))
            known[name] = text
        if ERROR_ID in known or ERROR_CODE in known:
            self._document = _Document()
            return _reported(known)
        if self._document.timecode_ms is None or BEHIND not in known or TOKEN not in known:
            return None
        fragment = _fragment(self._document, self._document.timecode_ms)
        self._document = _Document()
        return fragment

    def _weigh(self, content_bytes: int) -> None:
        self._document.weight += content_bytes + _OBJECT_BYTES
        if self._document.weight > self._limit:
            raise FragmentTooLarge(self._limit)


def _fragment(document: _Document, timecode_ms: int) -> Fragment:
    tags = document.tags
    return Fragment(
        number=_tag(tags, NUMBER, _DIGITS),
        server_at=_time(tags, SERVER_AT),
        producer_at=_time(tags, PRODUCER_AT),
        tracks=document.tracks,
        blocks=tuple(document.blocks),
        tags={name: text for name, text in tags.items() if not name.startswith(PREFIX)},
        timecode_ms=timecode_ms,
        behind_ms=int(_tag(tags, BEHIND, _MILLIS)),
    )


def _time(tags: dict[str, str], name: str) -> datetime:
    return from_millis(round(Decimal(_tag(tags, name, _SECONDS)) * 1000))


def _tag(tags: dict[str, str], name: str, pattern: re.Pattern[str]) -> str:
    text = tags.get(name, "")
    if not pattern.fullmatch(text):
        raise MalformedFragment(f"The endpoint sent a fragment whose {name} is {text[:80]!r}; it is no KVS endpoint.")
    return text


def _reported(tags: dict[str, str]) -> UnreadableFragment:
    """Return what the endpoint says about a fragment that it cannot give.

    Raises:
        FragmentNotFound, MediaEncrypted: nothing that follows can be given either.

    Source: Kinesis Video Streams Developer Guide, "GetMedia": error codes that are embedded in the output.
    """
    number, error_id, code = tags.get(NUMBER, ""), tags.get(ERROR_ID, ""), tags.get(ERROR_CODE, "no code")[:80]
    known_id = int(error_id) if _MILLIS.fullmatch(error_id) else 0
    if known_id in _FRAGMENT_NOT_FOUND or code == _FRAGMENT_NOT_FOUND_CODE:
        raise FragmentNotFound(number[:128] or "that it was asked for")
    if known_id in _KEY_PROBLEMS:
        raise MediaEncrypted(code, known_id)
    return UnreadableFragment(number if _DIGITS.fullmatch(number) else None, code, known_id)
