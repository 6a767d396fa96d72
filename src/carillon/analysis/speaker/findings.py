"""What a SpeakerAnalyzer finds."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from carillon.analysis.speaker.quality import QualityFault
from carillon.audio import Band, Embedding, Pcm16

Stage: TypeAlias = Literal["identification", "voiceprint"]


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationReady:
    """There is enough speech to search for the caller."""

    embedding: Embedding = field(repr=False)
    speech_seconds: float
    band: Band


@dataclass(frozen=True, slots=True, eq=False)
class EarlyIdentificationReady:
    """There is some speech, less than an identification needs: enough if the evidence is strong."""

    embedding: Embedding = field(repr=False)
    speech_seconds: float
    band: Band


@dataclass(frozen=True, slots=True, eq=False)
class VoiceprintReady:
    """There is enough speech to remember the caller by. The last finding of a task."""

    embedding: Embedding = field(repr=False)
    speech: Pcm16 = field(repr=False)
    """(n,) int16 at 16 kHz: what the embedding was made from, kept for the day the model changes."""
    speech_seconds: float
    band: Band
    narrowband: Embedding | None = field(repr=False)
    """Of the same speech as a telephone would carry it; None if a telephone did."""


@dataclass(frozen=True, slots=True)
class TooLittleSpeech:
    """The audio ended before a stage had the speech that it needs."""

    stage: Stage
    speech_seconds: float
    """What there was."""


@dataclass(frozen=True, slots=True)
class UnfitSpeech:
    """A stage had speech enough, but none that a person can be known by."""

    stage: Stage
    fault: QualityFault
    message: str
    """Says to people what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class SpeakerChanged:
    """Somebody else speaks than when the caller was identified."""

    confidence: float
    """How sure that is, in [0, 1]."""
    speech_seconds: float
    """Speech since the last change, or since the task began."""


SpeakerFinding: TypeAlias = (
    EarlyIdentificationReady | IdentificationReady | VoiceprintReady | TooLittleSpeech | UnfitSpeech | SpeakerChanged
)
