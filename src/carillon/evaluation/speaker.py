"""`carillon eval speaker`: does the product know people apart, and does its confidence mean what it says?

Everybody's speech, silence dropped by the gate that live calls use, is cut into stretches of equal length, and compared
under every condition: as recorded, through a telephone, and across the two, with and without noise. `pieces.py` embeds,
`trials.py` says who is compared with whom, `figures.py` measures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from carillon.analysis.speaker import Embedder
from carillon.analysis.speech import VadModel
from carillon.audio import BandPair
from carillon.evaluation.conditions import Compared, Condition, EmbeddedSpeech, conditions, listen
from carillon.evaluation.figures import Curves, Decision, Identifying, OpenSet, Verifying, figures_of, log_ratios
from carillon.evaluation.lines import LINES, PhoneLine
from carillon.evaluation.manifest import ManifestRecording, read_manifest
from carillon.evaluation.pieces import Hearing
from carillon.inference import CalibrationEntry, LineCompensation, Models, ModelSettings, line_of

_ALL_SECONDS: Final = 20
_HEARD_BEST: Final[tuple[tuple[Hearing, BandPair], ...]] = ((Hearing("wideband"), "wb"), (Hearing("telephone"), "tel"))


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerFigures:
    """How well people were known under one condition."""

    band: Compared
    noisy: bool
    """With noise at 10 dB on both sides."""
    line: PhoneLine | None
    """What the searched side came over, beyond a telephone."""
    seconds: int
    """Of speech on each side."""
    speakers: int
    stretches: int
    """Of speech that were searched."""
    verifying: Verifying
    identifying: Identifying
    open_set: OpenSet | None
    """None if the model has no table for the channel, or too few people can be found again."""
    curves: Curves = field(repr=False)


@dataclass(frozen=True, slots=True)
class Alike:
    """Two names that sound like one person over everything they say. If they are, the figures look worse than true."""

    names: tuple[str, str]
    score: float
    """Cosine in [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one embedder was found to do."""

    figures: Sequence[SpeakerFigures]
    left_out: Sequence[str]
    alike: Sequence[Alike]


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerReport:
    """All conditions of one folder."""

    directory: str
    chosen: Mapping[str, str]
    """Only lines of the manifest with these values in these columns."""
    across: str
    """People are compared with themselves only across the values of this column."""
    model: str
    speakers: int
    recordings: int
    decision: Decision
    figures: Sequence[SpeakerFigures]
    left_out: Sequence[str]
    """Conditions for which there is nobody to compare."""
    alike: Sequence[Alike]


def evaluate_speaker(
    directory: Path,
    settings: ModelSettings,
    decision: Decision,
    *,
    chosen: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    across: str = "session",
    lines: bool = False,
    threads: int = 2,
) -> SpeakerReport:
    """Measure the speaker model on a folder of recordings with speaker names.

    Args:
        directory: holds `manifest.csv`: path, speaker, perhaps session.
        settings: which models are used.
        decision: how the product decides.
        chosen: only lines of the manifest with these values in these columns.
        without: speakers to leave out.
        across: a column; of somebody with several values in it, only stretches with different ones are compared.
        lines: also what codecs of mobile networks and lost packets do.
        threads: people that are listened to at the same time.

    Raises:
        BadManifest: no usable manifest, or too little speech to compare anybody.
    """
    columns = () if across == "session" else (across,)
    found = [row for row in read_manifest(directory, columns, chosen) if row.speaker not in without]
    recordings = [replace(row, labels={**row.labels, "session": row.labels.get(across, "")}) for row in found]
    models = Models(settings)
    wanted = conditions(noisy=(False, True), lines=LINES if lines else ())
    speaker = models.speaker
    measured = measure(
        recordings,
        speaker,
        models.vad,
        speaker.calibration,
        decision,
        wanted,
        threads=threads,
        lines=speaker.compensation,
    )
    return SpeakerReport(
        directory=str(directory),
        chosen=chosen or {},
        across=across,
        model=models.speaker.id,
        speakers=len({recording.speaker for recording in recordings}),
        recordings=len(recordings),
        decision=decision,
        figures=measured.figures,
        left_out=measured.left_out,
        alike=measured.alike,
    )


def measure(
    recordings: Sequence[ManifestRecording],
    embedder: Embedder,
    vad: VadModel,
    calibration: Sequence[CalibrationEntry],
    decision: Decision,
    wanted: Sequence[Condition],
    *,
    threads: int,
    lines: LineCompensation | None = None,
) -> Measured:
    """Measure any embedder under some conditions.

    Raises:
        BadManifest: a recording cannot be read, or there is too little speech to compare anybody.
    """
    listened = listen(recordings, embedder, vad, wanted, threads, lines)
    found, left_out = [], []
    for condition in wanted:
        comparison = listened.compared(condition)
        line = line_of(calibration, condition.seconds, condition.channel) if condition.channel else None
        figures = figures_of(comparison, line, decision) if comparison else None
        if comparison is None or figures is None:
            how = f", {condition.line}" if condition.line else ", noise" if condition.noisy else ""
            left_out.append(f"{condition.compared}{how}, {condition.seconds} s")
            continue
        found.append(
            SpeakerFigures(
                band=condition.compared,
                noisy=condition.noisy,
                line=condition.line,
                seconds=condition.seconds,
                speakers=len(set(comparison.searched.tolist())),
                stretches=len(comparison.searched),
                verifying=figures.verifying,
                identifying=figures.identifying,
                open_set=figures.open_set,
                curves=figures.curves,
            )
        )
    return Measured(found, left_out, _alike(listened, calibration))


def _alike(listened: EmbeddedSpeech, calibration: Sequence[CalibrationEntry]) -> list[Alike]:
    """Return pairs of names that are a thousand times likelier to be one person than two, the likeliest first."""
    for hearing, channel in _HEARD_BEST:
        names, voices = listened.voices(hearing)
        line = line_of(calibration, _ALL_SECONDS, channel)
        if len(names) and line is not None:
            scores = np.triu(voices @ voices.T, k=1)
            is_alike = log_ratios(line, scores.astype(np.float64)) > math.log(1_000)
            pairs = zip(*np.nonzero(is_alike), strict=True)
            found = [Alike((names[one], names[other]), round(float(scores[one, other]), 2)) for one, other in pairs]
            return sorted(found, key=lambda pair: -pair.score)
    return []
