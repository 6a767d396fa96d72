"""What an operator may decide about WebSockets that bring call audio."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """WebSockets that bring call audio, from telephony platforms and browsers."""

    is_on: bool = True
    """Whether there are any. Nobody can connect without a URL from `carillon ingest-url`, or a signature."""
    generation: int = 1
    """Raise it to make every URL that was made before worthless."""
    creates_streams: bool = False
    """Whether a connection makes the stream that it names, if there is none. Its key must be allowed to, too."""
    retention_hours: int = 0
    """The data retention of a stream made so."""
    fragment_seconds: float = 1.0
    """How much audio becomes one fragment; 0.02 to 20."""
    late_seconds: float = 0.2
    """How long a fragment waits for audio that is missing in it, after more recent audio has come."""
    silence_seconds: float = 2.0
    """How far a stream may lag behind the clock before what does not come is made silent."""
    most_ahead_seconds: float = 60.0
    """How far audio may be ahead of the clock, by being sent faster than spoken; beyond it the connection is closed."""
    start_seconds: float = 10.0
    """How long a connection may take to say what it will send."""
    idle_seconds: float = 60.0
    """A connection that sends nothing for so long is closed."""
    write_seconds: float = 10.0
    """How long a connection may take to accept one message."""
    max_message_bytes: int = 262_144
    """The largest message; a larger one closes the connection."""
