"""The words of this room: a task, its states as one table that code, tests and docs all read, its checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Self

import msgspec

from carillon.errors import CarillonError, NotFound, StateConflict
from carillon.media import DecoderState
from carillon.pipelines import Leg


class TaskKind(Enum):
    """Which of the two questions a task answers."""

    SPEAKER_SEARCH = "speaker_search"
    VOICE_TONE = "voice_tone"


class TaskState(Enum):
    """Where a task stands. AWS has no "succeeded": a task that finished its work is stopped."""

    QUEUED = "queued"
    OPENING = "opening"
    """A runner has it and waits for audio."""
    RUNNING = "running"
    """Audio was decoded."""
    STOPPING = "stopping"
    """No more audio is taken; what was received is still analyzed and the last events are sent."""
    STOPPED = "stopped"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[TaskState, frozenset[TaskState]]] = {
    TaskState.QUEUED: frozenset({TaskState.OPENING, TaskState.STOPPING, TaskState.FAILED}),
    TaskState.OPENING: frozenset({TaskState.RUNNING, TaskState.STOPPING, TaskState.FAILED}),
    TaskState.RUNNING: frozenset({TaskState.STOPPING, TaskState.STOPPED, TaskState.FAILED}),
    TaskState.STOPPING: frozenset({TaskState.STOPPED, TaskState.FAILED}),
    TaskState.STOPPED: frozenset(),
    TaskState.FAILED: frozenset(),
}
ENDED: Final = frozenset({TaskState.STOPPED, TaskState.FAILED})
ACTIVE: Final = frozenset(TaskState) - ENDED


class TaskNotFound(NotFound):
    """The pipeline has no task of this kind with this id."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"Task {task_id!r} does not exist in this media insights pipeline.")


class TaskConflict(StateConflict):
    """A task's state, or another task, stands against the request."""


class VoiceprintPending(StateConflict):
    """A profile was asked for before the task made its voiceprint."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"Speaker search task {task_id} has not generated a voiceprint yet. Wait for its "
            "VoiceprintGenerationSuccess notification."
        )


class CheckpointUnreadable(CarillonError):
    """A checkpoint is from another version of carillon."""

    def __init__(self) -> None:
        super().__init__("The task cannot be resumed: another version of carillon began it. Start a new task.")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place where audio began: what media time it is, and what wall time."""

    media_ms: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a task can resume: after which fragment, and with what in mind."""

    fragment_number: str
    fragment_at: datetime
    """Server time of that fragment."""
    heard_samples: int
    """Samples analyzed so far, in units of the rate of the last ones."""
    heard_ms: int
    """Media time analyzed so far, since the task's first sample."""
    heard_until: datetime
    """Wall time at which that media time ended: ties media time to the clock."""
    first_at: datetime
    """Wall time of the task's first sample."""
    analyzer_state: bytes = field(repr=False)
    decoder_state: DecoderState = field(default_factory=DecoderState, repr=False)
    anchors: tuple[Anchor, ...] = ()
    """Where audio began anew since then."""
    other_decoder_state: DecoderState | None = field(default=None, repr=False)
    """Of the other participant's channel, if the analysis hears it."""

    def to_bytes(self) -> bytes:
        """Encode for the database; holds speech, so it is sealed before it is stored."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode what `to_bytes` made.

        Raises:
            CheckpointUnreadable: another version made it.
        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise CheckpointUnreadable from error


@dataclass(frozen=True, slots=True)
class Task:
    """One analysis of one leg, as it stands."""

    id: str
    kind: TaskKind
    pipeline_id: str
    leg: Leg
    state: TaskState
    created_at: datetime
    updated_at: datetime
    domain_id: str | None = None
    """Where a speaker search looks."""
    language: str | None = None
    """What is spoken, as AWS writes it (en-US), if the task was started with one."""
    start_fragment: str | None = None
    """The fragment that the analysis started at."""
    message: str | None = None
    """Why it was stopped, or why it failed."""
