"""Speaker search: what the findings about a voice mean, in plain words.

10 s of speech are compared with the profiles of the domain; 20 s become a voiceprint, whatever the comparison said, so
that a new caller can be enrolled and a known one refreshed; then the task is done. A call that ends earlier fails the
stages that it did not reach. Nobody is ever enrolled by this: enrollment is an explicit CreateVoiceProfile.

Two extensions, off by default: whom less speech speaks for strongly is published early, and confirmed or not by the
answer after 10 s; and the task goes on to the end of the call, to tell when somebody else speaks.

Source: Amazon Chime SDK Developer Guide, "Understanding the speaker search workflow", "Understanding notifications".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from carillon.analysis.speaker import (
    EarlyIdentificationReady,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerChanged,
    SpeakerFinding,
    TooLittleSpeech,
    UnfitSpeech,
    VoiceprintReady,
)
from carillon.analysis.speaker.findings import Stage
from carillon.audio import Pcm
from carillon.clock import Clock
from carillon.notifications import EventContext, ProfileMatch, SpeakerSearchStatus, speaker_search_event
from carillon.profiles import Profiles, Voiceprint
from carillon.tasks.identification import Identification, Identifier, NamedSpeakerModel
from carillon.tasks.model import Task
from carillon.tasks.results import PublishedResult, SearchResult
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskOutcome
from carillon.tasks.timeline import Timeline
from carillon.telemetry import get_logger

log = get_logger()

_FAILED: Final[Mapping[Stage, SpeakerSearchStatus]] = {
    "identification": SpeakerSearchStatus.IDENTIFICATION_FAILED,
    "voiceprint": SpeakerSearchStatus.VOICEPRINT_FAILED,
}
_NEEDED_SECONDS: Final[Mapping[Stage, int]] = {"identification": 10, "voiceprint": 20}


class SpeakerSearch:
    """One speaker search: an analyzer, and the decisions on what it finds.

    Args:
        task: names the domain that is searched.
        context: of its events.
        analyzer: of the leg's samples.
        model: the analyzer's, and what its cosines say.
        profiles: who is known.
        clock: of the results.
        settings: what is a match.
        early_confidence: of what is published before there is speech enough to identify the caller.
    """

    def __init__(
        self,
        *,
        task: Task,
        context: EventContext,
        analyzer: SpeakerAnalyzer,
        model: NamedSpeakerModel,
        profiles: Profiles,
        clock: Clock,
        settings: TaskSettings,
        early_confidence: float = 0.0,
    ) -> None:
        if task.domain_id is None:
            raise ValueError(f"Speaker search task {task.id} names no domain.")
        self._task = task
        self._domain_id = task.domain_id
        self._context = context
        self._analyzer = analyzer
        self._model = model
        self._profiles = profiles
        self._clock = clock
        self._identifier = Identifier(profiles, model, settings)
        self._early_confidence = early_confidence
        reached = {"identification": analyzer.state.is_identified, "voiceprint": analyzer.state.is_remembered}
        self._concluded = {stage for stage in _FAILED if reached[stage]}
        self._told: frozenset[Stage] = frozenset(self._concluded)

    @property
    def state(self) -> bytes:
        """Return all that the analyzer remembers."""
        return self._analyzer.state.to_bytes()

    @property
    def hears_other(self) -> bool:
        """Return False: one channel is enough."""
        return False

    async def prepare(self) -> None:
        """Read the domain into memory: a large one takes seconds, which the answer should not wait for."""
        await self._profiles.warm(self._domain_id)

    def interrupt(self, rate_hz: int) -> Sequence[SpeakerFinding]:
        """Mark a gap: the samples that come next do not adjoin those that came, or have another rate."""
        return self._analyzer.interrupt(rate_hz)

    def push(self, samples: Pcm, _other: Pcm | None = None, /) -> Sequence[SpeakerFinding]:
        """Analyze (n,) samples."""
        return self._analyzer.push(samples)

    def end(self) -> Sequence[SpeakerFinding]:
        """Return the failures of stages that will never be reached."""
        return self._analyzer.end()

    async def conclude(
        self,
        findings: Sequence[SpeakerFinding],
        timeline: Timeline | None,  # noqa: ARG002 - a speaker search tells no times
        reason: str | None = None,
    ) -> TaskOutcome:
        """Decide what findings mean.

        Args:
            findings: what the analyzer returned.
            timeline: of the audio so far.
            reason: why the audio ended early, published with the failures.
        """
        results: list[PublishedResult] = []
        identifications: list[Identification] = []
        changes: list[SpeakerChanged] = []
        voiceprint, is_likely = None, False
        for finding in findings:
            match finding:
                case EarlyIdentificationReady() if not is_likely:
                    identifications.append(found := await self._looked(finding))
                    is_likely = bool(found.matches)
                    results += [self._likely(found)] if is_likely else []
                case IdentificationReady():
                    identifications.append(await self._identify(finding))
                    results.append(self._answer(identifications[-1]))
                    self._concluded.add("identification")
                case VoiceprintReady():
                    voiceprint = self._voiceprint(finding)
                    results.append(self._published(SpeakerSearchStatus.VOICEPRINT_READY))
                    self._concluded.add("voiceprint")
                case TooLittleSpeech():
                    results.append(self._too_little(finding, reason))
                case UnfitSpeech():
                    results.append(self._published(_FAILED[finding.stage], message=finding.message))
                    self._concluded.add(finding.stage)
                case SpeakerChanged():
                    changes.append(finding)
                    results.append(self._changed(finding))
        if is_likely:
            self._analyzer.stop_looking()
        is_final = "voiceprint" in self._concluded and self._analyzer.is_done
        return TaskOutcome(tuple(results), voiceprint, tuple(identifications), tuple(changes), is_final)

    def committed(self) -> None:
        """Confirm that what was last concluded is committed."""
        self._told = frozenset(self._concluded)

    def failures(self, reason: str) -> tuple[PublishedResult, ...]:
        """Return the failures of the stages of which nothing was published, for a task that cannot go on."""
        return tuple(
            self._published(status, message=reason) for stage, status in _FAILED.items() if stage not in self._told
        )

    async def _identify(self, ready: IdentificationReady) -> Identification:
        return await self._identifier.identify(self._domain_id, ready.embedding, ready.band, ready.speech_seconds)

    async def _looked(self, ready: EarlyIdentificationReady) -> Identification:
        found = await self._identifier.identify(self._domain_id, ready.embedding, ready.band, ready.speech_seconds)
        return replace(found, threshold=max(found.threshold, self._early_confidence))

    def _likely(self, found: Identification) -> PublishedResult:
        return self._published(SpeakerSearchStatus.LIKELY, _told(found))

    def _changed(self, finding: SpeakerChanged) -> PublishedResult:
        seconds = round(finding.speech_seconds, 1)
        log.info("speaker_search.changed", task_id=self._task.id, confidence=finding.confidence, speech_seconds=seconds)
        return self._published(
            SpeakerSearchStatus.CHANGED, change=finding.confidence, message="Somebody else speaks than before."
        )

    def _answer(self, found: Identification) -> PublishedResult:
        """Return what is published, and log what it was made from: scores give nothing of a voice away."""
        known: dict[str, float | str] = {}
        for place, candidate in zip(("best", "second"), found.candidates, strict=False):
            known[f"{place}_voice_profile_id"] = candidate.profile_id
            known[f"{place}_channel"] = candidate.channel
            known[f"{place}_cosine"] = round(candidate.score, 4)
            known[f"{place}_log_ratio"] = round(candidate.log_ratio, 2)
            known[f"{place}_confidence"] = round(candidate.confidence, 4)
        matches = _told(found)
        about = {"task_id": self._task.id, "band": found.band, "threshold": found.threshold}
        log.info("speaker_search.decided", **about, matches=len(matches), **known)
        if not matches:
            return self._published(SpeakerSearchStatus.NO_MATCHES)
        return self._published(SpeakerSearchStatus.IDENTIFIED, matches)

    def _voiceprint(self, finding: VoiceprintReady) -> Voiceprint:
        return Voiceprint(
            task_id=self._task.id,
            domain_id=self._domain_id,
            embedding=finding.embedding,
            speech=finding.speech,
            model_id=self._model.id,
            made_at=self._clock.now(),
            band=finding.band,
            narrowband=finding.narrowband,
        )

    def _too_little(self, finding: TooLittleSpeech, reason: str | None) -> PublishedResult:
        message = f"Less than {_NEEDED_SECONDS[finding.stage]} seconds of speech were available."
        return self._published(_FAILED[finding.stage], message=f"{reason} {message}" if reason else message)

    def _published(
        self,
        status: SpeakerSearchStatus,
        matches: tuple[ProfileMatch, ...] = (),
        change: float | None = None,
        message: str | None = None,
    ) -> PublishedResult:
        found = SearchResult(self._clock.now(), status, matches, change, message)
        event = speaker_search_event(self._context, status, found.at, matches=matches, change=change, message=message)
        return PublishedResult(found, event)


def _told(found: Identification) -> tuple[ProfileMatch, ...]:
    return tuple(ProfileMatch(match.profile_id, match.confidence) for match in found.matches)
