"""Voice tone analysis: what the findings about a tone mean, in plain words.

Every 5 s of media time a report tells the tone of the last 30 s and of the whole call; the last one is marked as
completed. A call with less than 10 s of speech fails instead. What else is published is an extension, and off by
default.

Source: Amazon Chime SDK Developer Guide, "Sample voice tone analysis workflow", "Understanding notifications".
"""

from collections.abc import Sequence

from carillon.analysis import AnalysisSettings
from carillon.analysis.tone import (
    ConversationMeasures,
    ToneAnalyzer,
    ToneAverage,
    ToneDrifted,
    ToneFinding,
    ToneReported,
    ToneTooLittleSpeech,
    VoiceDetails,
)
from carillon.audio import Pcm
from carillon.clock import Clock
from carillon.notifications import (
    EventContext,
    SpokenWords,
    ToneExtension,
    ToneWindow,
    VoiceMeasures,
    VoiceToneStatus,
    WindowMeasures,
    voice_tone_event,
)
from carillon.tasks.results import PublishedResult, ToneResult
from carillon.tasks.store import TaskOutcome
from carillon.tasks.timeline import Timeline


class VoiceTone:
    """One voice tone analysis: an analyzer, and the decisions on what it finds.

    Args:
        context: of its events.
        analyzer: of the leg's samples.
        clock: of the results.
        settings: those that the analyzer was made with; they say which extensions are published.
    """

    def __init__(self, context: EventContext, analyzer: ToneAnalyzer, clock: Clock, settings: AnalysisSettings) -> None:
        self._context = context
        self._analyzer = analyzer
        self._clock = clock
        self._settings = settings

    @property
    def state(self) -> bytes:
        """Return all that the analyzer remembers."""
        return self._analyzer.state.to_bytes()

    @property
    def hears_other(self) -> bool:
        """Return whether the conversation is measured, and the stream has the other participant's channel."""
        return self._analyzer.hears_other

    async def prepare(self) -> None:
        """Nothing to get ready."""

    def interrupt(self, rate_hz: int) -> Sequence[ToneFinding]:
        """Mark a gap: the samples that come next do not adjoin those that came, or have another rate."""
        return self._analyzer.interrupt(rate_hz)

    def push(self, samples: Pcm, other: Pcm | None = None, /) -> Sequence[ToneFinding]:
        """Analyze (n,) samples, and what the other channel held meanwhile."""
        return self._analyzer.push(samples, other)

    def end(self) -> Sequence[ToneFinding]:
        """Return the event of how the whole call sounded, or that there was too little speech."""
        return self._analyzer.end()

    async def conclude(
        self, findings: Sequence[ToneFinding], timeline: Timeline | None, reason: str | None = None
    ) -> TaskOutcome:
        """Decide what findings mean.

        Args:
            findings: what the analyzer returned.
            timeline: of the audio so far; None only if there was none.
            reason: why the audio ended early, published with a failure.
        """
        return TaskOutcome(tuple(self._result(finding, timeline, reason) for finding in findings))

    def committed(self) -> None:
        """Do nothing: a failure is published whatever was reported before."""

    def failures(self, reason: str) -> tuple[PublishedResult, ...]:
        """Return the failure of a task that cannot go on."""
        failed = ToneResult(self._clock.now(), VoiceToneStatus.FAILED, message=reason)
        return (PublishedResult(failed, voice_tone_event(self._context, failed.status, failed.at, message=reason)),)

    def _result(self, finding: ToneFinding, timeline: Timeline | None, reason: str | None) -> PublishedResult:
        if isinstance(finding, ToneTooLittleSpeech) or timeline is None:
            message = "Less than 10 seconds of speech were available."
            return self.failures(f"{reason} {message}" if reason else message)[0]
        if isinstance(finding, ToneDrifted):
            return self._published(
                VoiceToneStatus.DRIFTED, finding, timeline, "The overall tone of the call turned negative."
            )
        status = VoiceToneStatus.COMPLETED if finding.final else VoiceToneStatus.REPORTED
        return self._published(status, finding, timeline)

    def _published(
        self,
        status: VoiceToneStatus,
        finding: ToneReported | ToneDrifted,
        timeline: Timeline,
        message: str | None = None,
    ) -> PublishedResult:
        current, overall = _window(finding.current, timeline), _window(finding.overall, timeline)
        found = ToneResult(self._clock.now(), status, current, overall, message)
        event = voice_tone_event(
            self._context,
            status,
            found.at,
            current=current,
            overall=overall,
            extension=self._extension(finding) if isinstance(finding, ToneReported) else None,
            start_fragment=timeline.start_fragment,
            message=message,
        )
        return PublishedResult(found, event)

    def _extension(self, report: ToneReported) -> ToneExtension | None:
        settings, details = self._settings, report.details
        if details is None and not settings.tone_expression:
            return None
        return ToneExtension(
            current=self._measures(report.current, details.current if details else None),
            overall=self._measures(report.overall, details.overall if details else None),
            spoken=_spoken(report) if settings.tone_transcript else None,
        )

    def _measures(self, average: ToneAverage, talk: ConversationMeasures | None) -> WindowMeasures:
        is_told = self._settings.tone_expression
        return WindowMeasures(
            arousal=average.arousal if is_told else None,
            valence=average.valence if is_told else None,
            speech_seconds=average.speech_seconds if is_told else None,
            speaker=_voice(talk.speaker, average.words_per_minute) if talk else None,
            other=_voice(talk.other) if talk and talk.other else None,
            talk_over_ratio=talk.talk_over_ratio if talk else None,
            silence_ratio=talk.silence_ratio if talk else None,
        )


def _voice(details: VoiceDetails, words_per_minute: float | None = None) -> VoiceMeasures:
    return VoiceMeasures(
        speech_ratio=details.speech_ratio,
        loudness_dbfs=details.loudness_dbfs,
        syllables_per_second=details.syllables_per_second,
        words_per_minute=words_per_minute,
    )


def _spoken(report: ToneReported) -> Sequence[SpokenWords]:
    spoken = report.details.spoken if report.details else ()
    return [SpokenWords(words.begin_ms, words.end_ms, words.text) for words in spoken]


def _window(average: ToneAverage, timeline: Timeline) -> ToneWindow:
    return ToneWindow(
        begin_ms=average.begin_ms,
        end_ms=average.end_ms,
        started_at=timeline.wall(average.begin_ms),
        ended_at=timeline.wall(average.end_ms),
        label=average.label,
        negative=average.negative,
        neutral=average.neutral,
        positive=average.positive,
    )
