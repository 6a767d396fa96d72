"""Joins a task with the models that analyze it."""

from typing import Any, Final
from weakref import WeakValueDictionary

from carillon.analysis import AnalysisSettings
from carillon.analysis.speaker import SpeakerAnalyzer, SpeakerState
from carillon.analysis.speech import SharedDetector
from carillon.analysis.tone import ToneAnalyzer, ToneState
from carillon.arns import AwsAccount
from carillon.clock import Clock
from carillon.inference import Models
from carillon.notifications import EventContext, SpeakerSearchStatus
from carillon.pipelines import Pipeline
from carillon.profiles import Profiles
from carillon.tasks.model import Checkpoint, Task, TaskKind
from carillon.tasks.settings import TaskSettings
from carillon.tasks.speaker_search import SpeakerSearch
from carillon.tasks.voice_tone import VoiceTone
from carillon.tasks.worker import Analysis
from carillon.telemetry import get_logger

log = get_logger()

_ENGLISH: Final = "en"


class Analyses:
    """Makes the analysis of a task, fresh or as a checkpoint left it."""

    def __init__(
        self,
        *,
        models: Models,
        profiles: Profiles,
        account: AwsAccount,
        clock: Clock,
        settings: TaskSettings,
        analysis: AnalysisSettings | None = None,
        voiceprint_ready: str = SpeakerSearchStatus.VOICEPRINT_READY.value,
    ) -> None:
        self._models = models
        self._profiles = profiles
        self._account = account
        self._clock = clock
        self._settings = settings
        self._analysis = analysis or AnalysisSettings()
        self._voiceprint_ready = voiceprint_ready
        self._detectors: WeakValueDictionary[tuple[str, str], SharedDetector] = WeakValueDictionary()
        """By pipeline and stream, as long as an analyzer holds them."""

    def make(self, task: Task, pipeline: Pipeline, checkpoint: Checkpoint | None) -> Analysis[Any]:
        """Return a speaker search or a voice tone analysis that goes on where the checkpoint stands."""
        context = EventContext(
            account=self._account,
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
            self._detector(task),
            model,
            task.leg.rate_hz,
            state=SpeakerState.from_bytes(remembered) if remembered else None,
            settings=self._analysis,
        )
        early_confidence = self._analysis.early_confidence
        return SpeakerSearch(
            task=task,
            context=context,
            analyzer=analyzer,
            model=model,
            profiles=self._profiles,
            clock=self._clock,
            settings=self._settings,
            early_confidence=early_confidence,
        )

    def _voice_tone(self, task: Task, context: EventContext, remembered: bytes | None) -> VoiceTone:
        missing = self._words_missing(task)
        if missing and remembered is None:  # once, not at every restart
            log.info("tone.acoustics_only", task_id=task.id, pipeline_id=task.pipeline_id, reason=missing)
        analyzer = ToneAnalyzer(
            self._detector(task),
            self._models.tone,
            task.leg.rate_hz,
            state=ToneState.from_bytes(remembered) if remembered else None,
            settings=self._analysis,
            words=None if missing else self._models.words,
            has_other=task.leg.channel_count > 1,
        )
        return VoiceTone(context, analyzer, self._clock, self._analysis)

    def _detector(self, task: Task) -> SharedDetector:
        """Return what tells speech for all tasks on a stream of a pipeline."""
        of = (task.pipeline_id, task.leg.stream_arn)
        detector = self._detectors.get(of)
        if detector is None:
            detector = self._detectors[of] = SharedDetector(self._models.vad)
        return detector

    def _words_missing(self, task: Task) -> str:
        """Return why a task cannot listen to words, empty if it can."""
        language = task.language or _ENGLISH  # older tasks have none, and could have no other
        if language.partition("-")[0] != _ENGLISH:
            return f"Words are understood in English only, not in {language}."
        return self._models.words_missing
