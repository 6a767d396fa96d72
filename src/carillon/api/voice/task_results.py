"""GetSpeakerSearchTask and GetVoiceToneAnalysisTask of chime-sdk-voice: an extension, so that results can be polled.

AWS: these name a Voice Connector; the media-pipelines API gives no results at all by polling. Here the id of an
insights pipeline stands in the place of VoiceConnectorId, so a stock SDK can ask for what notifications published.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from carillon.api.protocol import operation
from carillon.notifications import Event, Outbox, SpeakerSearchStatus
from carillon.tasks import Task, TaskKind, Tasks, TaskState

STATUSES: Final[Mapping[TaskState, str]] = {
    TaskState.QUEUED: "IN_QUEUE",
    TaskState.OPENING: "IN_QUEUE",
    TaskState.RUNNING: "IN_PROGRESS",
    TaskState.STOPPING: "IN_PROGRESS",
    TaskState.STOPPED: "SUCCEEDED",
    TaskState.FAILED: "FAILED",
}

_IDENTIFICATIONS: Final = frozenset(
    status.value
    for status in (
        SpeakerSearchStatus.IDENTIFIED,
        SpeakerSearchStatus.NO_MATCHES,
        SpeakerSearchStatus.IDENTIFICATION_FAILED,
    )
)


class TaskResultOperations:
    """What a task has published so far, for seven days."""

    def __init__(self, tasks: Tasks, outbox: Outbox) -> None:
        self._tasks = tasks
        self._outbox = outbox

    @operation("GetSpeakerSearchTask")
    async def get_speaker_search_task(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a speaker search with its matches and what became of its voiceprint."""
        task_id = request["SpeakerSearchTaskId"]
        task = await self._tasks.find(TaskKind.SPEAKER_SEARCH, request["VoiceConnectorId"], task_id)
        events = await self._outbox.of_task(task.id)
        return {
            "SpeakerSearchTask": {
                "SpeakerSearchTaskId": task.id,
                "SpeakerSearchTaskStatus": STATUSES[task.state],
                "SpeakerSearchDetails": _search_details(events),
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


def _search_details(events: Sequence[Event]) -> Mapping[str, object] | None:
    """Return SpeakerSearchDetails, None before there is anything to tell."""
    if not events:
        return None
    matches = [
        match for event in events for match in event.body["detail"].get("speakerSearchDetails", {}).get("results", [])
    ]
    return {
        "Results": [
            {"ConfidenceScore": match["confidenceScore"], "VoiceProfileId": match["voiceProfileId"]}
            for match in matches
        ],
        "VoiceprintGenerationStatus": _voiceprint_status(events),
    }


def _voiceprint_status(events: Sequence[Event]) -> str | None:
    """Return what became of the voiceprint in the model's words, however notifications are set to spell them."""
    event = next((event for event in events if event.status not in _IDENTIFICATIONS), None)
    if event is None:
        return None
    outcome = SpeakerSearchStatus.VOICEPRINT_FAILED if event.is_failure else SpeakerSearchStatus.VOICEPRINT_READY
    return outcome.value
