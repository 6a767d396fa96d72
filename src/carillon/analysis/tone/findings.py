"""What an analysis of tone finds out: reports, and with them what an operator may ask for beyond what AWS tells."""

from dataclasses import dataclass, field
from typing import TypeAlias

from carillon.analysis.tone.averages import ToneAverage


@dataclass(frozen=True, slots=True)
class VoiceDetails:
    """One participant in a window."""

    speech_ratio: float
    """In how much of the window's time there was speech, in [0, 1]."""
    loudness_dbfs: float | None
    """Root mean square of the speech, beside that of a full-scale square wave; None without speech."""
    syllables_per_second: float | None
    """Of speech, counted by their sound; None without speech."""


@dataclass(frozen=True, slots=True)
class ConversationMeasures:
    """Both participants in a window."""

    speaker: VoiceDetails
    """Whose tone is analyzed."""
    other: VoiceDetails | None
    """None if the stream has one channel."""
    talk_over_ratio: float | None
    """In how much of the window's time both speak, in [0, 1]; None likewise."""
    silence_ratio: float
    """In how much of it nobody speaks: in a stream of one channel, not the speaker."""


@dataclass(frozen=True, slots=True)
class UtteranceWords:
    """The words of one utterance."""

    begin_ms: int
    """Media time of its first frame."""
    end_ms: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToneDetails:
    """What the extensions add to a report, besides what its averages hold already."""

    current: ConversationMeasures | None = None
    """None also if nobody spoke in the last 30 s of the call: the final report then tells of an older window."""
    overall: ConversationMeasures | None = None
    spoken: tuple[UtteranceWords, ...] = ()
    """What was said since the report before, as far as it was understood by now."""


@dataclass(frozen=True, slots=True)
class ToneReported:
    """A report: the periodic one, or the final one."""

    current: ToneAverage
    """Of the last 30 s. In the final report, if nobody spoke so late, of the 30 s up to the last speech."""
    overall: ToneAverage
    final: bool
    details: ToneDetails | None = None
    """None where the extensions that it is for are off."""


@dataclass(frozen=True, slots=True)
class ToneDrifted:
    """The overall tone turned negative: an extension. Comes right before the report of the same moment."""

    current: ToneAverage
    overall: ToneAverage


@dataclass(frozen=True, slots=True)
class ToneTooLittleSpeech:
    """The audio ended before there was enough speech to report anything."""

    speech_seconds: float
    """What there was."""


ToneFinding: TypeAlias = ToneReported | ToneDrifted | ToneTooLittleSpeech
