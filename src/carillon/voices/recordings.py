"""What a recording says of the voice in it: the same gate, the same limits and the same embedding as on a call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from carillon.analysis import (
    AnalysisSettings,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerFinding,
    TooLittleSpeech,
    VoiceprintReady,
)
from carillon.analysis.speech.resample import within_reach
from carillon.errors import InvalidRequest
from carillon.inference import Models
from carillon.media import channel_of, opened, resampled


class NoSuchChannel(InvalidRequest):
    """A recording has fewer channels."""

    def __init__(self, path: Path, channels: int, channel: int) -> None:
        super().__init__(f"{path} has {channels} channel(s), counted from 0; there is no channel {channel}.")


class UnfitRecording(InvalidRequest):
    """A recording holds no speech that a person could be known by."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


@dataclass(frozen=True, slots=True)
class RecordingEmbedder:
    """Listens to recordings, as far as is needed."""

    models: Models
    settings: AnalysisSettings

    def identification(self, path: Path, channel: int) -> IdentificationReady:
        """Return what to search with.

        Raises:
            UnreadableRecording, NoSuchChannel: the file cannot be read.
            UnfitRecording: too little speech, or none that is fit; says which.
        """
        for finding in self._findings(path, channel):
            if isinstance(finding, IdentificationReady):
                return finding
            if getattr(finding, "stage", "") == "identification":
                raise UnfitRecording(path, self._reason(finding))
        raise AssertionError("an analyzer that ended has reported both stages")

    def voiceprint(self, path: Path, channel: int) -> VoiceprintReady:
        """Return what to enroll.

        Raises:
            UnreadableRecording, NoSuchChannel: the file cannot be read.
            UnfitRecording: too little speech, or none that is fit; says which.
        """
        for finding in self._findings(path, channel):
            if isinstance(finding, VoiceprintReady):
                return finding
            if getattr(finding, "stage", "") == "voiceprint":
                raise UnfitRecording(path, self._reason(finding))
        raise AssertionError("an analyzer that ended has reported both stages")

    def _findings(self, path: Path, channel: int) -> Sequence[SpeakerFinding]:
        findings: list[SpeakerFinding] = []
        with opened(path) as sound:
            if channel >= sound.channels:
                raise NoSuchChannel(path, sound.channels, channel)
            rate_hz = within_reach(sound.rate_hz)
            settings = replace(self.settings, early_confidence=0.0, speaker_change_confidence=0.0)
            analyzer = SpeakerAnalyzer(self.models.vad, self.models.speaker, rate_hz, settings=settings)
            for block in resampled(sound, rate_hz):
                findings += analyzer.push(channel_of(block, channel))
                if analyzer.is_done:
                    return findings
        return [*findings, *analyzer.end()]

    def _reason(self, finding: SpeakerFinding) -> str:
        if isinstance(finding, TooLittleSpeech):
            needed = {
                "identification": self.settings.identification_seconds,
                "voiceprint": self.settings.voiceprint_seconds,
            }[finding.stage]
            return f"{finding.speech_seconds:.1f} seconds of speech were found; {needed:g} are needed."
        return str(getattr(finding, "message", ""))
