"""What the demonstration must show, held against what it saw and what was found out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from carillon.demo.story import LEAST_REPORTS, CallResult
from carillon.notifications import ProfileMatch, ToneWindow

_LIFE: Final = ["NotStarted", "Initializing", "InProgress", "Stopping", "Stopped"]


@dataclass(frozen=True, slots=True)
class AnalyzedCall:
    """One call: what the application saw of it, and what its tasks found out."""

    seen: CallResult
    matches: Sequence[ProfileMatch]
    """Who it may be, best first."""
    tones: Sequence[tuple[ToneWindow, ToneWindow]]
    """Of the last 30 s and of the whole call, in every report, the final one last."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that must be so."""

    says: str
    holds: bool
    saw: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that came of the demonstration."""

    calls: Sequence[AnalyzedCall]
    audio_seconds: float
    wall_seconds: float
    cpu_seconds: float
    """Of the server process, its start included."""
    expectations: Sequence[Expectation]

    @property
    def real_time_factor(self) -> float:
        """Return CPU seconds per second of call."""
        return self.cpu_seconds / self.audio_seconds

    @property
    def passed(self) -> bool:
        """Return whether every expectation holds."""
        return all(expectation.holds for expectation in self.expectations)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "real_time_factor": self.real_time_factor, "passed": self.passed}


def expectations(calls: Sequence[AnalyzedCall], threshold: float) -> list[Expectation]:
    """Hold three calls, the second by the first's customer and the third by another, against what must be."""
    first, again, other = seen = [call.seen for call in calls]
    best = next(iter(calls[1].matches), None)
    return [
        _equal(f"{first.name}: a new caller matches nobody", "IdentificationNoMatchesFound", first.identification),
        _equal(f"{first.name}: a voiceprint is generated", "VoiceprintGenerationSuccess", first.voiceprint),
        Expectation(f"{first.name}: the voiceprint is enrolled", bool(first.profile_id), str(first.profile_id)),
        _equal(f"{again.name}: the same person is found", "IdentificationSuccessful", again.identification),
        _equal(
            f"{again.name}: as the profile enrolled from {first.name}",
            first.profile_id,
            best.profile_id if best else None,
        ),
        Expectation(
            f"{again.name}: with a confidence of at least {threshold}",
            best is not None and best.confidence >= threshold,
            str(best.confidence if best else None),
        ),
        _equal(f"{other.name}: another person matches nobody", "IdentificationNoMatchesFound", other.identification),
        *(_reports_tone(call) for call in calls),
        *(_lives(call) for call in seen),
        *(_equal(f"{call.name}: the tone task can be stopped", "OK", call.first_stop) for call in seen),
        *(_equal(f"{call.name}: stopping twice is a conflict", "ConflictException", call.second_stop) for call in seen),
    ]


def _equal(says: str, wanted: object, saw: object) -> Expectation:
    return Expectation(says, wanted == saw and saw is not None, str(saw))


def _reports_tone(call: AnalyzedCall) -> Expectation:
    """At least five reports in a call of a minute, the last of the whole call, every score a probability."""
    sums = [overall.negative + overall.neutral + overall.positive for _, overall in call.tones]
    holds = len(call.tones) >= LEAST_REPORTS and all(abs(total - 1) < 1e-6 for total in sums)
    return Expectation(f"{call.seen.name}: tone is reported every 5 s", holds, f"{len(call.tones)} reports")


def _lives(call: CallResult) -> Expectation:
    """Polling may miss a short state, never see one out of order."""
    places = [_LIFE.index(status) if status in _LIFE else -1 for status in call.statuses]
    holds = places == sorted(places) and -1 not in places and {"InProgress", "Stopped"} <= set(call.statuses)
    return Expectation(f"{call.name}: NotStarted to Stopped, in order", holds, " -> ".join(call.statuses))
