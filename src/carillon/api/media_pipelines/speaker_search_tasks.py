"""StartSpeakerSearchTask, GetSpeakerSearchTask, StopSpeakerSearchTask."""

from collections.abc import Mapping
from typing import TypedDict

from carillon.access.request_counter import RequestCounter
from carillon.api.media_pipelines.wire import TASK_STATUSES, StartRequest, read_start
from carillon.api.protocol import operation
from carillon.tasks import Task, TaskKind, Tasks


class StartSpeakerSearchRequest(StartRequest):
    """StartSpeakerSearchTaskRequest."""

    VoiceProfileDomainArn: str


class SpeakerSearchTaskRequest(TypedDict):
    """GetSpeakerSearchTaskRequest and StopSpeakerSearchTaskRequest."""

    Identifier: str
    SpeakerSearchTaskId: str


class SpeakerSearchOperations:
    """The three operations on speaker search tasks."""

    def __init__(self, tasks: Tasks, calls: RequestCounter) -> None:
        self._tasks = tasks
        self._calls = calls

    @operation("StartSpeakerSearchTask")
    async def start_speaker_search_task(self, request: StartSpeakerSearchRequest) -> Mapping[str, object]:
        """Start to search a domain for the voice on one channel."""
        start = read_start("StartSpeakerSearchTask", request)
        task = await self._tasks.start_speaker_search(start, request["VoiceProfileDomainArn"])
        return {"SpeakerSearchTask": _render(task)}

    @operation("GetSpeakerSearchTask")
    async def get_speaker_search_task(self, request: SpeakerSearchTaskRequest) -> Mapping[str, object]:
        """Return how far a task got. AWS: matches come by notification only."""
        task = await self._tasks.find(TaskKind.SPEAKER_SEARCH, request["Identifier"], request["SpeakerSearchTaskId"])
        return {"SpeakerSearchTask": _render(task)}

    @operation("StopSpeakerSearchTask")
    async def stop_speaker_search_task(self, request: SpeakerSearchTaskRequest) -> None:
        """Stop a task; it answers at once and ends soon after."""
        task_id = request["SpeakerSearchTaskId"]
        with self._calls.about(task_id):
            await self._tasks.stop(TaskKind.SPEAKER_SEARCH, request["Identifier"], task_id)


def _render(task: Task) -> Mapping[str, object]:
    return {
        "SpeakerSearchTaskId": task.id,
        "SpeakerSearchTaskStatus": TASK_STATUSES[task.state],
        "CreatedTimestamp": task.created_at,
        "UpdatedTimestamp": task.updated_at,
    }
