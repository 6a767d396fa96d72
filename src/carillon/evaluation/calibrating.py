"""`carillon calibrate`: what cosines mean on an operator's own calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from carillon.audio import BandPair
from carillon.errors import InvalidRequest
from carillon.evaluation.conditions import Condition, conditions, listen
from carillon.evaluation.fitting import Fitted, Needed, fit_condition
from carillon.evaluation.manifest import ManifestRecording
from carillon.evaluation.tables import as_toml, entries_of
from carillon.evaluation.trials import Pairs, pairs_of
from carillon.inference import CalibrationEntry, Models, line_of, read_calibration
from carillon.storage.files import replace_file


class CalibrationRefused(InvalidRequest):
    """Nothing can be learned from these recordings that would be better than what is in force."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(f"No calibration was written. {'; '.join(reasons)}.")


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What was fitted, and the scores that it was fitted to."""

    model: str
    people: int
    fits: Sequence[Fitted]
    scores: Sequence[tuple[Condition, Pairs]]
    """Of each channel, at the length nearest to what a search uses."""
    in_force: Sequence[CalibrationEntry]


def calibrate(
    recordings: Sequence[ManifestRecording], models: Models, needed: Needed, search_seconds: float, *, threads: int = 2
) -> Calibrated:
    """Fit every length and channel that the recordings have enough of.

    Args:
        recordings: of people whose names are known.
        models: the speaker model, with the tables that are in force.
        needed: how much must be there before a line is fitted.
        search_seconds: of speech that the product searches with.
        threads: people that are listened to at the same time.

    Raises:
        BadManifest: a recording cannot be read, or there is too little speech to compare anybody.
    """
    speaker = models.speaker
    wanted = [condition for condition in conditions(noisy=(False,)) if condition.channel]
    listened = listen(recordings, speaker, models.vad, wanted, threads, speaker.compensation)
    fits = []
    scores: dict[BandPair, tuple[Condition, Pairs]] = {}
    for condition in sorted(wanted, key=lambda condition: -abs(condition.seconds - search_seconds)):
        assert condition.channel is not None  # or it would not be wanted
        in_force = line_of(speaker.calibration, condition.seconds, condition.channel)
        fits.append(fit_condition(listened, condition, in_force, needed))
        comparison = listened.compared(condition)
        if comparison is not None and (pairs := pairs_of(comparison)) is not None:
            scores[condition.channel] = condition, pairs
    return Calibrated(
        model=speaker.id,
        people=len(listened.people),
        fits=sorted(fits, key=lambda fit: wanted.index(fit.condition)),
        scores=list(scores.values()),
        in_force=speaker.calibration,
    )


def write_calibration(calibrated: Calibrated, file: Path, made_on: date) -> None:
    """Write the file that `inference.calibration` may name, and read it back.

    Raises:
        CalibrationRefused: no line was fitted: says for each channel why.
    """
    if not any(fit.line for fit in calibrated.fits):
        raise CalibrationRefused([reason_of(fit) for fit in calibrated.fits])
    fitted = {fit.condition.channel for fit in calibrated.fits if fit.line or fit.verdict == "overlap"}
    fits = [fit for fit in calibrated.fits if fit.condition.channel in fitted]
    head = (
        "# Made by carillon calibrate; inference.calibration names it. It replaces the model's own tables for its\n"
        f'# channels.\nmodel = "{calibrated.model}"\nmade_on = "{made_on:%Y-%m-%d}"\npeople = {calibrated.people}\n\n'
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, (head + as_toml(entries_of(fits, calibrated.in_force))).encode())
    read_calibration(file, calibrated.model)


def reason_of(fit: Fitted) -> str:
    """Return why there is no line, for people."""
    where = f"{fit.condition.compared}, {fit.condition.seconds} s"
    match fit.verdict:
        case "fitted":
            return f"{where}: fitted"
        case "too little":
            return f"{where}: {fit.people} people and {fit.genuine_pairs} pairs of one person are too few"
        case "overlap":
            return f"{where}: the classes overlap too far, equal error rate {fit.equal_error_rate:.1%}"
        case "no better":
            return f"{where}: worse on held-out people than the tables in force"
