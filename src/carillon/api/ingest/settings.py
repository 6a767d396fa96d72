"""What an operator may decide about WebSockets that bring call audio."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from carillon.bounds import Bytes, OptionalSeconds, Seconds


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """WebSockets that bring call audio, from telephony platforms and browsers."""

    is_on: bool = True
    """Whether there are any. Nobody can connect without a URL from `carillon ingest-url`, or a signature."""
    generation: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 1
    """Raise it to make every URL that was made before worthless."""
    creates_streams: bool = False
    """Whether a connection makes the stream that it names, if there is none. Its key must be allowed to, too."""
    retention_hours: Annotated[int, Meta(ge=0, le=87_600)] = 0
    """The data retention of a stream made so."""
    fragment_seconds: Annotated[float, Meta(ge=0.02, le=20)] = 1.0
    """How much audio becomes one fragment."""
    late_seconds: OptionalSeconds = 0.2
    """How long a fragment waits for audio that is missing in it, after more recent audio has come."""
    silence_seconds: Seconds = 2.0
    """How far a stream may lag behind the clock before what does not come is made silent."""
    most_ahead_seconds: Seconds = 60.0
    """How far audio may be ahead of the clock, by being sent faster than spoken; beyond it the connection is closed."""
    start_seconds: Seconds = 10.0
    """How long a connection may take to say what it will send."""
    idle_seconds: Seconds = 60.0
    """A connection that sends nothing for so long is closed."""
    write_seconds: Seconds = 10.0
    """How long a connection may take to accept one message."""
    max_message_bytes: Bytes = 262_144
    """The largest message; a larger one closes the connection."""
    max_early_bytes: Bytes = 262_144
    """Messages with audio that are kept until it is said what the audio is, for `start_seconds` at most."""
