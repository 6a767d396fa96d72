"""StartVoiceToneAnalysisTask, GetVoiceToneAnalysisTask, StopVoiceToneAnalysisTask."""

from collections.abc import Mapping
from typing import Final, TypedDict

from carillon.access.request_counter import RequestCounter
from carillon.api.media_pipelines.wire import TASK_STATUSES, StartRequest, read_start
from carillon.api.protocol import operation
from carillon.tasks import Task, TaskKind, Tasks

TONE_LANGUAGES: Final = "VoiceAnalyticsLanguageCode"
"""The shape of LanguageCode in the model."""


class StartVoiceToneAnalysisRequest(StartRequest):
    """StartVoiceToneAnalysisTaskRequest; the model admits no language but en-US, `tasks.tone_languages` more."""

    LanguageCode: str


class VoiceToneAnalysisTaskRequest(TypedDict):
    """GetVoiceToneAnalysisTaskRequest and StopVoiceToneAnalysisTaskRequest."""

    Identifier: str
    VoiceToneAnalysisTaskId: str


class VoiceToneAnalysisOperations:
    """The three operations on voice tone analysis tasks."""

    def __init__(self, tasks: Tasks, calls: RequestCounter) -> None:
        self._tasks = tasks
        self._calls = calls

    @operation("StartVoiceToneAnalysisTask")
    async def start_voice_tone_analysis_task(self, request: StartVoiceToneAnalysisRequest) -> Mapping[str, object]:
        """Start to analyze the tone of the voice on one channel."""
        start = read_start("StartVoiceToneAnalysisTask", request)
        task = await self._tasks.start_voice_tone(start, request["LanguageCode"])
        return {"VoiceToneAnalysisTask": _render(task)}

    @operation("GetVoiceToneAnalysisTask")
    async def get_voice_tone_analysis_task(self, request: VoiceToneAnalysisTaskRequest) -> Mapping[str, object]:
        """Return how far a task got. AWS: tone comes by notification only."""
        task = await self._tasks.find(TaskKind.VOICE_TONE, request["Identifier"], request["VoiceToneAnalysisTaskId"])
        return {"VoiceToneAnalysisTask": _render(task)}

    @operation("StopVoiceToneAnalysisTask")
    async def stop_voice_tone_analysis_task(self, request: VoiceToneAnalysisTaskRequest) -> None:
        """Stop a task; it answers at once and ends soon after."""
        task_id = request["VoiceToneAnalysisTaskId"]
        with self._calls.about(task_id):
            await self._tasks.stop(TaskKind.VOICE_TONE, request["Identifier"], task_id)


def _render(task: Task) -> Mapping[str, object]:
    return {
        "VoiceToneAnalysisTaskId": task.id,
        "VoiceToneAnalysisTaskStatus": TASK_STATUSES[task.state],
        "CreatedTimestamp": task.created_at,
        "UpdatedTimestamp": task.updated_at,
    }
