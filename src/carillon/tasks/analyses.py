"""Joins a task with the models that analyze it."""

from typing import Any

from carillon.analysis.speaker import SpeakerAnalyzer, SpeakerState
from carillon.analysis.tone import ToneAnalyzer, ToneState
from carillon.arns import Place
from carillon.clock import Clock
from carillon.inference import Models
from carillon.notifications import EventContext, SpeakerSearchStatus
from carillon.pipelines import Pipeline
from carillon.profiles import Profiles
from carillon.tasks.model import Checkpoint, Task, TaskKind
from carillon.tasks.settings import Settings
from carillon.tasks.speaker_search import SpeakerSearch
from carillon.tasks.voice_tone import VoiceTone
from carillon.tasks.worker import Analysis


class Analyses:
    """Makes the analysis of a task, fresh or as a checkpoint left it."""

    def __init__(
        self,
        models: Models,
        profiles: Profiles,
        place: Place,
        clock: Clock,
        settings: Settings,
        voiceprint_ready: str = SpeakerSearchStatus.VOICEPRINT_READY.value,
    ) -> None:
        self._models = models
        self._profiles = profiles
        self._place = place
        self._clock = clock
        self._settings = settings
        self._voiceprint_ready = voiceprint_ready

    def make(self, task: Task, pipeline: Pipeline, checkpoint: Checkpoint | None) -> Analysis[Any]:
        """Return a speaker search or a voice tone analysis that goes on where the checkpoint stands."""
        context = EventContext(
            place=self._place,
            pipeline_id=pipeline.id,
            pipeline_arn=pipeline.arn,
            task_id=task.id,
            stream_arn=task.leg.stream_arn,
            channel_id=task.leg.channel_id,
            role=task.leg.role.value if task.leg.role else None,
            voiceprint_ready=self._voiceprint_ready,
        )
        remembered = checkpoint.analyzer_state if checkpoint else None
        if task.kind is TaskKind.SPEAKER_SEARCH:
            return self._speaker_search(task, context, remembered)
        return self._voice_tone(task, context, remembered)

    def _speaker_search(self, task: Task, context: EventContext, remembered: bytes | None) -> SpeakerSearch:
        model = self._models.speaker
        analyzer = SpeakerAnalyzer(
            self._models.vad,
            model,
            task.leg.rate_hz,
            state=SpeakerState.from_bytes(remembered) if remembered else None,
        )
        return SpeakerSearch(task, context, analyzer, model, self._profiles, self._clock, self._settings)

    def _voice_tone(self, task: Task, context: EventContext, remembered: bytes | None) -> VoiceTone:
        analyzer = ToneAnalyzer(
            self._models.vad,
            self._models.tone,
            task.leg.rate_hz,
            state=ToneState.from_bytes(remembered) if remembered else None,
        )
        return VoiceTone(context, analyzer, self._clock)
