"""GetSpeakerSearchTask and GetVoiceToneAnalysisTask of chime-sdk-voice: an extension, so that results can be polled.

AWS: these name a Voice Connector; the media-pipelines API gives no results at all by polling. Here the id of an
insights pipeline stands in the place of VoiceConnectorId, so a stock SDK can ask for what notifications told.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from carillon.api.protocol import operation
from carillon.notifications import SpeakerSearchStatus
from carillon.tasks import SearchResult, Task, TaskKind, TaskResults, Tasks, TaskState

STATUSES: Final[Mapping[TaskState, str]] = {
    TaskState.QUEUED: "IN_QUEUE",
    TaskState.OPENING: "IN_QUEUE",
    TaskState.RUNNING: "IN_PROGRESS",
    TaskState.STOPPING: "IN_PROGRESS",
    TaskState.STOPPED: "SUCCEEDED",
    TaskState.FAILED: "FAILED",
}

_IDENTIFICATIONS: Final = (
    SpeakerSearchStatus.LIKELY,
    SpeakerSearchStatus.IDENTIFIED,
    SpeakerSearchStatus.NO_MATCHES,
    SpeakerSearchStatus.IDENTIFICATION_FAILED,
)
_VOICEPRINTS: Final = (SpeakerSearchStatus.VOICEPRINT_READY, SpeakerSearchStatus.VOICEPRINT_FAILED)


class TaskResultOperations:
    """What a task has found out so far, for as long as the task is kept."""

    def __init__(self, tasks: Tasks, results: TaskResults) -> None:
        self._tasks = tasks
        self._results = results

    @operation("GetSpeakerSearchTask")
    async def get_speaker_search_task(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a speaker search with its matches and what became of its voiceprint."""
        task_id = request["SpeakerSearchTaskId"]
        task = await self._tasks.find(TaskKind.SPEAKER_SEARCH, request["VoiceConnectorId"], task_id)
        results = await self._results.of_task(task.id, SearchResult)
        return {
            "SpeakerSearchTask": {
                "SpeakerSearchTaskId": task.id,
                "SpeakerSearchTaskStatus": STATUSES[task.state],
                "SpeakerSearchDetails": _search_details(results),
                **_common(task),
            }
        }

    @operation("GetVoiceToneAnalysisTask")
    async def get_voice_tone_analysis_task(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return how far a tone analysis got; AWS: its results come by notification only."""
        task_id = request["VoiceToneAnalysisTaskId"]
        task = await self._tasks.find(TaskKind.VOICE_TONE, request["VoiceConnectorId"], task_id)
        return {
            "VoiceToneAnalysisTask": {
                "VoiceToneAnalysisTaskId": task.id,
                "VoiceToneAnalysisTaskStatus": STATUSES[task.state],
                **_common(task),
            }
        }


def _common(task: Task) -> Mapping[str, object]:
    return {
        "CreatedTimestamp": task.created_at,
        "UpdatedTimestamp": task.updated_at,
        "StartedTimestamp": task.created_at,
        "StatusMessage": task.message,
    }


def _search_details(results: Sequence[SearchResult]) -> Mapping[str, object] | None:
    """Return SpeakerSearchDetails, None before there is anything to tell: the latest answer is the one that counts."""
    if not results:
        return None
    matches = next((result.matches for result in reversed(results) if result.status in _IDENTIFICATIONS), ())
    voiceprint = next((result.status.value for result in results if result.status in _VOICEPRINTS), None)
    return {
        "Results": [{"ConfidenceScore": match.score, "VoiceProfileId": match.profile_id} for match in matches],
        "VoiceprintGenerationStatus": voiceprint,
    }
