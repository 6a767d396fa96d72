"""What can be set about the analyses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How speech is told from silence, and how much of it each stage needs. The times are those of Amazon Chime SDK."""

    speech_start_probability: float = 0.5
    """Speech begins with a frame that the detector is at least so sure of."""
    speech_keep_probability: float = 0.35
    """Speech goes on through frames that the detector is at least so sure of."""
    speech_hangover_ms: int = 96
    """How long speech goes on after the last such frame."""
    identification_seconds: float = 10.0
    """Speech that is needed to search for the caller."""
    voiceprint_seconds: float = 20.0
    """Speech that is needed for a voiceprint, that of the identification included. At most 30."""
    tone_seconds: float = 10.0
    """Speech that is needed before tone is reported at all."""
    tone_every_seconds: int = 5
    """Media time between two reports of tone."""
    tone_window_seconds: int = 30
    """Media time that the current tone is averaged over."""
