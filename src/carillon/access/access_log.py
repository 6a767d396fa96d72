"""What is known of a request when its response begins: for the access log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(slots=True)  # frozen would cost every request some microseconds
class AccessLogRecord:
    """One request and how it was answered."""

    request_id: str
    caller: str
    """The access key id that it names and that is known here; empty if there is none."""
    is_proven: bool
    """Whether the signature was that key's."""
    family: str
    """`chime` or `kinesisvideo`."""
    operation: str
    """Empty if nothing is served at its path."""
    source: str
    """Address that the connection came from."""
    status: int
    error: str | None
    """The error's shape, None if there was none."""
    request: Mapping[str, Any] | None = field(repr=False)
    """The parsed request, None if it did not come to that."""
    answer: Mapping[str, Any] | None = field(repr=False)
    """What the operation returned."""


class Auditor(Protocol):
    """Keeps records of requests."""

    async def note(self, record: AccessLogRecord) -> None:
        """Keep a record; quick, except while more happens than can be written."""
        ...
