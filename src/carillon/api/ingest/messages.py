"""What a format makes of messages: the audio that they announce, the audio itself, and that it is over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from carillon.media.splicer import Layout


@dataclass(frozen=True, slots=True)
class MediaOpened:
    """What will come. Once, and before any audio."""

    layout: Layout
    """Of the stream."""
    tracks: int = 1
    """How many come separately: 2 become the left and the right channel."""
    metadata: Sequence[tuple[str, str]] = field(default=(), repr=False)
    """To keep with the audio: (name, text)."""


@dataclass(frozen=True, slots=True)
class MediaAudio:
    """Some of a track."""

    track: int
    data: bytes = field(repr=False)
    at_ms: int | None = None
    """When it begins, on the sender's clock; None if it does not say."""


@dataclass(frozen=True, slots=True)
class MediaEnded:
    """Nothing more will come."""


IngestMessage: TypeAlias = MediaOpened | MediaAudio | MediaEnded


class MessageFormat(Protocol):
    """Understands the messages of one connection."""

    answers: bool
    """Whether the sender may be sent anything; it can turn out that it may not."""

    def begin(self) -> Sequence[IngestMessage]:
        """Return what is known before the first message."""
        ...

    def read(self, message: str | bytes) -> Sequence[IngestMessage]:
        """Return what a message says; nothing if it is about other things.

        Raises:
            FormatUnknown: audio, and it was not said yet what it is. It can be read again once it was.
            MalformedMessage: not a message of this format, or not now.
        """
        ...
