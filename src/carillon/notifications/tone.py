"""What a report of tone looks like: the two averages as AWS tells them, and beside them our own extensions, if any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from carillon.clock import to_iso_millis

_SCORE_UNITS: Final = 10**8
"""Scores have 8 decimals, as the guide's examples print confidences."""
_DECIMALS: Final = 3
"""Of what is only measured."""


@dataclass(frozen=True, slots=True)
class ToneWindow:
    """The average tone over a stretch of a call."""

    begin_ms: int  # media time since the task's first fragment
    end_ms: int
    started_at: datetime  # the same two as wall time
    ended_at: datetime
    label: str  # negative, neutral or positive
    negative: float  # probabilities, in [0, 1], together 1
    neutral: float
    positive: float

    def score_of(self, label: str) -> float:
        """Return the probability of a label."""
        return {"negative": self.negative, "neutral": self.neutral, "positive": self.positive}[label]


@dataclass(frozen=True, slots=True)
class VoiceMeasures:
    """One participant in a window. What is None is left out, here and below."""

    speech_ratio: float
    loudness_dbfs: float | None = None
    syllables_per_second: float | None = None
    words_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class WindowMeasures:
    """What the extensions tell of a window."""

    arousal: float | None = None
    valence: float | None = None
    speech_seconds: float | None = None
    """That the tone rests on."""
    speaker: VoiceMeasures | None = None
    other: VoiceMeasures | None = None
    talk_over_ratio: float | None = None
    silence_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """What was said between two moments of media time."""

    begin_ms: int
    end_ms: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToneExtension:
    """What the extensions add to a report."""

    current: WindowMeasures = WindowMeasures()
    overall: WindowMeasures = WindowMeasures()
    spoken: Sequence[SpokenWords] | None = None
    """None where the words stay inside."""


def tone_details(current: ToneWindow, overall: ToneWindow, extension: ToneExtension | None) -> dict[str, Any]:
    """Return the `voiceToneAnalysisDetails` of a report."""
    details = {"currentAverageVoiceTone": _average(current), "overallAverageVoiceTone": _average(overall)}
    if extension is not None:
        details["carillon"] = _extension(extension)
    return details


def _average(window: ToneWindow) -> dict[str, Any]:
    return {
        "startTime": to_iso_millis(window.started_at),
        "endTime": to_iso_millis(window.ended_at),
        "beginOffsetMillis": window.begin_ms,
        "endOffsetMillis": window.end_ms,
        "voiceToneLabel": window.label,
        "voiceToneScore": _scores(
            {"neutral": window.neutral, "positive": window.positive, "negative": window.negative}
        ),
    }


def _scores(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Round probabilities such that the printed numbers still sum to 1: the highest one makes up for the others."""
    units = {name: round(probability * _SCORE_UNITS) for name, probability in probabilities.items()}
    highest = max(units, key=lambda name: units[name])
    units[highest] += _SCORE_UNITS - sum(units.values())
    return {name: count / _SCORE_UNITS for name, count in units.items()}


def _extension(extension: ToneExtension) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    for name, measures in (("current", extension.current), ("overall", extension.overall)):
        if window := _window(measures):
            detail[name] = window
    if extension.spoken is not None:
        detail["transcript"] = [
            {"beginOffsetMillis": spoken.begin_ms, "endOffsetMillis": spoken.end_ms, "text": spoken.text}
            for spoken in extension.spoken
        ]
    return detail


def _window(measures: WindowMeasures) -> dict[str, Any]:
    voices = {"speaker": measures.speaker, "otherSpeaker": measures.other}
    return {
        **_rounded(
            {"arousal": measures.arousal, "valence": measures.valence, "speechSeconds": measures.speech_seconds}
        ),
        **{name: _voice(voice) for name, voice in voices.items() if voice is not None},
        **_rounded({"talkOverRatio": measures.talk_over_ratio, "silenceRatio": measures.silence_ratio}),
    }


def _voice(voice: VoiceMeasures) -> dict[str, float]:
    return _rounded(
        {
            "speechRatio": voice.speech_ratio,
            "loudnessDbfs": voice.loudness_dbfs,
            "syllablesPerSecond": voice.syllables_per_second,
            "wordsPerMinute": voice.words_per_minute,
        }
    )


def _rounded(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {name: round(number, _DECIMALS) for name, number in numbers.items() if number is not None}
