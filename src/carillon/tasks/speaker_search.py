"""Speaker search: what the findings about a voice mean, in plain words.

10 s of speech are compared with the profiles of the domain; 20 s become a voiceprint, whatever the comparison said, so
that a new caller can be enrolled and a known one refreshed; then the task is done. A call that ends earlier fails the
stages that it did not reach. Nobody is ever enrolled by this: enrollment is an explicit CreateVoiceProfile.

Source: Amazon Chime SDK Developer Guide, "Understanding the speaker search workflow", "Understanding notifications".
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from carillon.analysis.speaker import (
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerFinding,
    TooLittleSpeech,
    VoiceprintReady,
)
from carillon.audio import Embedding, Pcm
from carillon.clock import Clock
from carillon.notifications import Event, EventContext, ProfileMatch, SpeakerSearchStatus, speaker_search_event
from carillon.profiles import Match, Profiles, Voiceprint
from carillon.tasks.model import Task
from carillon.tasks.settings import Settings
from carillon.tasks.store import Outcome
from carillon.tasks.timeline import Timeline

TELEPHONE_RATE_HZ: Final = 8_000

Channel = Literal["wb", "tel", "cross"]
Stage = Literal["identification", "voiceprint"]

_FAILED: Final[Mapping[Stage, SpeakerSearchStatus]] = {
    "identification": SpeakerSearchStatus.IDENTIFICATION_FAILED,
    "voiceprint": SpeakerSearchStatus.VOICEPRINT_FAILED,
}
_NEEDED_SECONDS: Final[Mapping[Stage, int]] = {"identification": 10, "voiceprint": 20}


class SpeakerModel(Protocol):
    """What a speaker model must tell beside the embedding itself."""

    @property
    def id(self) -> str:
        """Return the name that every embedding of this model is kept under."""
        ...

    def confidence(self, score: float, speech_seconds: float, channel: Channel) -> float:
        """Turn a cosine into the confidence, in [0, 1], that two voices are one."""
        ...


class SpeakerSearch:
    """One speaker search: an analyzer, and the decisions on what it finds."""

    def __init__(
        self,
        task: Task,
        context: EventContext,
        analyzer: SpeakerAnalyzer,
        model: SpeakerModel,
        profiles: Profiles,
        clock: Clock,
        settings: Settings,
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
        self._settings = settings
        self._concluded: set[Stage] = {"identification"} if analyzer.state.is_identified else set()
        self._told: frozenset[Stage] = frozenset(self._concluded)

    @property
    def state(self) -> bytes:
        """Return all that the analyzer remembers."""
        return self._analyzer.state.to_bytes()

    async def prepare(self) -> None:
        """Read the domain into memory: a large one takes seconds, which the answer should not wait for."""
        await self._profiles.warm(self._domain_id)

    def push(self, samples: Pcm) -> Sequence[SpeakerFinding]:
        """Analyze (n,) samples at the leg's rate."""
        return self._analyzer.push(samples)

    def end(self) -> Sequence[SpeakerFinding]:
        """Say which stages will never be reached."""
        return self._analyzer.end()

    async def conclude(
        self,
        findings: Sequence[SpeakerFinding],
        timeline: Timeline | None,  # noqa: ARG002 - a speaker search tells no times
        reason: str | None = None,
    ) -> Outcome:
        """Decide what findings mean.

        Args:
            findings: what the analyzer returned.
            timeline: what was heard so far.
            reason: why the audio ended early, told with the failures.
        """
        events: list[Event] = []
        voiceprint = None
        for finding in findings:
            match finding:
                case IdentificationReady():
                    events.append(await self._identify(finding.embedding, finding.speech_seconds))
                    self._concluded.add("identification")
                case VoiceprintReady():
                    voiceprint = self._voiceprint(finding)
                    events.append(self._event(SpeakerSearchStatus.VOICEPRINT_READY))
                case TooLittleSpeech():
                    events.append(self._too_little(finding, reason))
        return Outcome(tuple(events), voiceprint, is_final=voiceprint is not None)

    def committed(self) -> None:
        """Take note that what was last concluded is told for good."""
        self._told = frozenset(self._concluded)

    def failures(self, reason: str) -> tuple[Event, ...]:
        """Return the failure events of the stages that nothing was told of, for a task that cannot go on."""
        return tuple(
            self._event(status, message=reason) for stage, status in _FAILED.items() if stage not in self._told
        )

    async def _identify(self, embedding: Embedding, speech_seconds: float) -> Event:
        limit = self._settings.match_limit
        candidates = await self._profiles.search(self._domain_id, embedding, self._model.id, limit)
        matches = tuple(self._match(candidate, speech_seconds) for candidate in candidates)
        matches = tuple(match for match in matches if match.confidence >= self._settings.match_confidence)
        if not matches:
            return self._event(SpeakerSearchStatus.NO_MATCHES)
        return self._event(SpeakerSearchStatus.IDENTIFIED, matches)

    def _match(self, candidate: Match, speech_seconds: float) -> ProfileMatch:
        channel: Channel = "tel" if self._task.leg.rate_hz <= TELEPHONE_RATE_HZ else "wb"
        return ProfileMatch(candidate.profile_id, self._model.confidence(candidate.score, speech_seconds, channel))

    def _voiceprint(self, finding: VoiceprintReady) -> Voiceprint:
        return Voiceprint(
            task_id=self._task.id,
            domain_id=self._domain_id,
            embedding=finding.embedding,
            speech=finding.speech,
            model_id=self._model.id,
            made_at=self._clock.now(),
        )

    def _too_little(self, finding: TooLittleSpeech, reason: str | None) -> Event:
        message = f"Less than {_NEEDED_SECONDS[finding.stage]} seconds of speech were available."
        return self._event(_FAILED[finding.stage], message=f"{reason} {message}" if reason else message)

    def _event(
        self, status: SpeakerSearchStatus, matches: tuple[ProfileMatch, ...] = (), message: str | None = None
    ) -> Event:
        return speaker_search_event(self._context, status, self._clock.now(), matches=matches, message=message)
