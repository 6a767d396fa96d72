"""How a document begins, remembered.

In a GetMedia body every fragment is a document of its own, whose EBML header, Info and Tracks are byte for byte those
of the fragment before. Reading them takes longer than reading a second of audio; comparing them does not.
"""

from dataclasses import dataclass
from typing import Final, Self

from carillon.matroska.events import DocumentStarted, InfoRead, MatroskaEvent, SegmentStarted, TracksRead

_EVENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Opening:
    """From an EBML header to the Tracks: the bytes, and the events that they gave."""

    data: bytes
    document: DocumentStarted
    segment: SegmentStarted
    info: InfoRead
    tracks: TracksRead

    @classmethod
    def find(cls, data: bytes, offset: int, events: list[MatroskaEvent]) -> Self | None:
        """Return the opening that the last event completes, if all of it lies in `data`, which begins at `offset`."""
        if len(events) < _EVENTS:
            return None
        document, segment, info, tracks = events[-_EVENTS:]
        if (
            isinstance(document, DocumentStarted)
            and isinstance(segment, SegmentStarted)
            and isinstance(info, InfoRead)
            and isinstance(tracks, TracksRead)
            and document.start >= offset
        ):
            return cls(data[document.start - offset : tracks.end - offset], document, segment, info, tracks)
        return None

    def again(self, start: int) -> list[MatroskaEvent]:
        """Return the same events for the same bytes at `start` of the stream."""
        by = start - self.document.start
        return [
            DocumentStarted(start, self.document.end + by, self.document.doc_type),
            SegmentStarted(self.segment.start + by, self.segment.end + by),
            InfoRead(self.info.start + by, self.info.end + by, self.info.timecode_scale_ns),
            TracksRead(self.tracks.start + by, self.tracks.end + by, self.tracks.tracks),
        ]
