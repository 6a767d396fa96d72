"""What can be set about reading and sending streams."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from carillon.bounds import Bytes, Count, OptionalSeconds, Seconds


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Deadlines and limits towards a Kinesis Video Streams endpoint."""

    connect_seconds: Seconds = 3.0
    """Deadline for opening a connection."""
    answer_seconds: Seconds = 15.0
    """Deadline for an answer: for the whole of a short one, for the start of one that streams."""
    read_seconds: Seconds = 15.0
    """Longest silence of an open connection. A GetMedia body without fragments ends by itself after 3 s."""
    acknowledgement_seconds: Seconds = 30.0
    """Longest time without an acknowledgement while media is sent. AWS says IDLE when there is none to send."""
    retry_first_seconds: OptionalSeconds = 0.2
    """Pause after the first failure of a connection; doubles with each."""
    retry_last_seconds: Seconds = 1.0
    """Longest such pause."""
    resume_seconds: OptionalSeconds = 300.0
    """How long `push` tries to connect again where a connection ended early, before it gives up. 0 gives up at once."""
    unreadable_tries: Annotated[int, Meta(ge=1, le=100)] = 3
    """How often a fragment that the endpoint cannot read is asked for before it is left out."""
    quiet_seconds: OptionalSeconds = 1.0
    """A connection that ends sooner than this without a fragment counts as a failure. AWS ends it after 3 s."""
    endpoint_minutes: Annotated[float, Meta(gt=0, le=10_080)] = 45.0
    """How long a data endpoint is remembered. AWS's own producers: 45."""
    most_endpoints: Count = 32
    """Endpoints with a client kept ready; beyond it, the one that was unused for longest is closed."""
    max_fragment_bytes: Bytes = 52_428_800
    """A fragment larger than this ends the reading. AWS: 50 MB."""
    fragment_seconds: Annotated[float, Meta(ge=0.02, le=20)] = 1.0
    """How much of a recording is sent as one fragment. AWS advises 1 to 10."""
