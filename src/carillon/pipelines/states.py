"""The life of a pipeline, as one table that code, tests and docs all read.

Source: Amazon Chime SDK Developer Guide, "Understanding the call analytics statuses" and "Managing call analytics
pipelines". The voice analytics processor is the only element that we run, so the pipeline and it share their state.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from carillon.errors import StateConflict


class PipelineState(Enum):
    """Where a pipeline stands."""

    NOT_STARTED = "not_started"
    """Created; no task was ever started."""
    INITIALIZING = "initializing"
    """A task was started; no audio decoded yet."""
    IN_PROGRESS = "in_progress"
    """Audio was decoded for a task; stays so even after tasks end."""
    PAUSED = "paused"
    """Reads nothing until it is resumed."""
    STOPPING = "stopping"
    """A stop condition was met; tasks send their last events."""
    STOPPED = "stopped"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[PipelineState, frozenset[PipelineState]]] = {
    PipelineState.NOT_STARTED: frozenset(
        {PipelineState.INITIALIZING, PipelineState.PAUSED, PipelineState.STOPPING, PipelineState.STOPPED}
    ),
    PipelineState.INITIALIZING: frozenset(
        {PipelineState.IN_PROGRESS, PipelineState.PAUSED, PipelineState.STOPPING, PipelineState.FAILED}
    ),
    PipelineState.IN_PROGRESS: frozenset({PipelineState.PAUSED, PipelineState.STOPPING, PipelineState.FAILED}),
    PipelineState.PAUSED: frozenset(
        {PipelineState.NOT_STARTED, PipelineState.INITIALIZING, PipelineState.IN_PROGRESS, PipelineState.STOPPING}
    ),
    PipelineState.STOPPING: frozenset({PipelineState.STOPPED, PipelineState.FAILED}),
    PipelineState.STOPPED: frozenset(),
    PipelineState.FAILED: frozenset(),
}

TERMINAL: Final = frozenset({PipelineState.STOPPED, PipelineState.FAILED})
ACTIVE: Final = frozenset(PipelineState) - TERMINAL
ACCEPTS_TASKS: Final = frozenset({PipelineState.NOT_STARTED, PipelineState.INITIALIZING, PipelineState.IN_PROGRESS})


class WrongPipelineState(StateConflict):
    """A pipeline exists, but is not in a state that allows the request."""

    def __init__(self, pipeline_id: str, state: PipelineState, wanted: str) -> None:
        super().__init__(f"Media insights pipeline {pipeline_id} is {state.value}: {wanted}")
        self.pipeline_id = pipeline_id
        self.state = state


def check_transition(pipeline_id: str, old: PipelineState, new: PipelineState) -> None:
    """Raise unless a pipeline may go from `old` to `new`.

    Raises:
        WrongPipelineState: the table has no such edge.
    """
    if new not in TRANSITIONS[old]:
        raise WrongPipelineState(pipeline_id, old, f"it cannot become {new.value}.")
