"""What can be set about the analyses."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from carillon.bounds import Share


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """How speech is detected, and how much of it each stage needs. The times are those of Amazon Chime SDK."""

    speech_start_probability: Share = 0.5
    """Speech begins with a frame that the detector is at least so sure of."""
    speech_keep_probability: Share = 0.35
    """Speech goes on through frames that the detector is at least so sure of."""
    speech_hangover_ms: Annotated[int, Meta(ge=0, le=10_000)] = 96
    """How long speech goes on after the last such frame."""
    identification_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 10.0
    """Speech that is needed to search for the caller."""
    voiceprint_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 20.0
    """Speech that is needed for a voiceprint, that of the identification included. At most 30."""
    most_clipped_share: Share = 0.02
    """Of the samples of speech, how many may be cut off at full scale before nobody is known by them."""
    least_signal_to_noise_db: Annotated[float, Meta(ge=-100, le=100)] = 3.0
    """How much louder than the noise between the words speech must be to know somebody by it."""
    least_agreement: Annotated[float, Meta(ge=-1, le=1)] = 0.25
    """How alike, as a cosine, any two pieces of 5 s must sound to be of one voice (docs/speaker-search.md)."""
    early_confidence: Share = 0.0
    """From 2 s of speech on, before there is enough to identify the caller, an event tells voice profiles of at least
    this confidence: an extension. 0 means never (docs/speaker-search.md has what values do)."""
    speaker_change_confidence: Share = 0.0
    """Once the caller was identified, an event tells when somebody else speaks, at least so surely: an extension, for
    which the task goes on to the end of the call. 0 means never (docs/speaker-search.md)."""
    tone_seconds: Annotated[float, Meta(ge=0.5, le=600)] = 10.0
    """Speech that is needed before tone is reported at all."""
    tone_every_seconds: Annotated[int, Meta(ge=1, le=3_600)] = 5
    """Media time between two reports of tone."""
    tone_window_seconds: Annotated[int, Meta(ge=1, le=3_600)] = 30
    """Media time that the current tone is averaged over."""
    tone_expression: bool = False
    """Whether reports of tone also tell arousal and valence: an extension."""
    tone_conversation: bool = False
    """Whether they tell talk speed, loudness, silence and who talks over whom, of both channels: an extension."""
    tone_transcript: bool = False
    """Whether they tell the words that were understood, which else leave this process nowhere: an extension."""
    tone_drift_negative: Share = 0.0
    """An event tells when the overall probability of negative rises to this, in (0, 1]: an extension. 0 means never."""
    tone_drift_hysteresis: Share = 0.1
    """How far it must fall below that before the event can be published again."""
