"""Voice tone analysis: what the findings about a tone mean, in plain words.

Every 5 s of media time a report tells the tone of the last 30 s and of the whole call; the last one is marked as
completed. A call with less than 10 s of speech fails instead.

Source: Amazon Chime SDK Developer Guide, "Sample voice tone analysis workflow", "Understanding notifications".
"""

from collections.abc import Sequence

from carillon.analysis.tone import ToneAnalyzer, ToneAverage, ToneFinding, ToneReported, ToneTooLittleSpeech
from carillon.audio import Pcm
from carillon.clock import Clock
from carillon.notifications import Event, EventContext, ToneWindow, VoiceToneStatus, voice_tone_event
from carillon.tasks.store import Outcome
from carillon.tasks.timeline import Timeline


class VoiceTone:
    """One voice tone analysis: an analyzer, and the decisions on what it finds."""

    def __init__(self, context: EventContext, analyzer: ToneAnalyzer, clock: Clock) -> None:
        self._context = context
        self._analyzer = analyzer
        self._clock = clock

    @property
    def state(self) -> bytes:
        """Return all that the analyzer remembers."""
        return self._analyzer.state.to_bytes()

    async def prepare(self) -> None:
        """Nothing to get ready."""

    def interrupt(self, rate_hz: int) -> Sequence[ToneFinding]:
        """Take note that the samples that come next do not adjoin those that came, or have another rate."""
        return self._analyzer.interrupt(rate_hz)

    def push(self, samples: Pcm) -> Sequence[ToneFinding]:
        """Analyze (n,) samples."""
        return self._analyzer.push(samples)

    def end(self) -> Sequence[ToneFinding]:
        """Say how the whole call sounded, or that there was too little speech."""
        return self._analyzer.end()

    async def conclude(
        self, findings: Sequence[ToneFinding], timeline: Timeline | None, reason: str | None = None
    ) -> Outcome:
        """Decide what findings mean.

        Args:
            findings: what the analyzer returned.
            timeline: what was heard so far; None only if nothing was.
            reason: why the audio ended early, told with a failure.
        """
        return Outcome(tuple(self._event(finding, timeline, reason) for finding in findings))

    def committed(self) -> None:
        """Nothing to note: a failure is told whatever was reported before."""

    def failures(self, reason: str) -> tuple[Event, ...]:
        """Return the failure event of a task that cannot go on."""
        return (voice_tone_event(self._context, VoiceToneStatus.FAILED, self._clock.now(), message=reason),)

    def _event(self, finding: ToneFinding, timeline: Timeline | None, reason: str | None) -> Event:
        if isinstance(finding, ToneTooLittleSpeech) or timeline is None:
            message = "Less than 10 seconds of speech were available."
            return self.failures(f"{reason} {message}" if reason else message)[0]
        return self._report(finding, timeline)

    def _report(self, finding: ToneReported, timeline: Timeline) -> Event:
        return voice_tone_event(
            self._context,
            VoiceToneStatus.COMPLETED if finding.final else VoiceToneStatus.REPORTED,
            self._clock.now(),
            current=_window(finding.current, timeline),
            overall=_window(finding.overall, timeline),
            start_fragment=timeline.start_fragment,
        )


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
