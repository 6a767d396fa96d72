"""`carillon eval speaker`: does the product know people apart, and does its confidence mean what it says?

Everybody's speech, silence dropped by the gate that live calls use, is cut into stretches of equal length, and compared
under every condition: as recorded, through a telephone, and across the two, with and without noise. `pieces.py` embeds,
`trials.py` says who is compared with whom, `figures.py` measures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carillon.analysis.speech import VadModel
from carillon.evaluation.conditions import Compared, conditions, listen
from carillon.evaluation.figures import Curves, Decision, Identifying, OpenSet, Verifying, figures_of
from carillon.evaluation.manifest import Recording, read_manifest
from carillon.evaluation.pieces import Embedder
from carillon.inference import CalibrationEntry, Models, Settings, line_of


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerFigures:
    """How well people were known under one condition."""

    band: Compared
    noisy: bool
    """With noise at 10 dB on both sides."""
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


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerReport:
    """All conditions of one folder."""

    directory: str
    chosen: Mapping[str, str]
    """Only lines of the manifest with these values in these columns."""
    model: str
    speakers: int
    recordings: int
    decision: Decision
    figures: Sequence[SpeakerFigures]
    left_out: Sequence[str]
    """Conditions for which there is nobody to compare."""


def evaluate_speaker(
    directory: Path,
    settings: Settings,
    decision: Decision,
    *,
    chosen: Mapping[str, str] | None = None,
    threads: int = 2,
) -> SpeakerReport:
    """Measure the speaker model on a folder of recordings with speaker names.

    Args:
        directory: holds `manifest.csv`: path, speaker, perhaps session.
        settings: which models are used.
        decision: how the product decides.
        chosen: only lines of the manifest with these values in these columns.
        threads: people that are listened to at the same time.

    Raises:
        BadManifest: no usable manifest, or too little speech to compare anybody.
    """
    recordings = read_manifest(directory, (), chosen)
    models = Models(settings)
    figures, left_out = measure(
        recordings, models.speaker, models.vad, models.speaker.calibration, decision, threads=threads
    )
    return SpeakerReport(
        directory=str(directory),
        chosen=chosen or {},
        model=models.speaker.id,
        speakers=len({recording.speaker for recording in recordings}),
        recordings=len(recordings),
        decision=decision,
        figures=figures,
        left_out=left_out,
    )


def measure(
    recordings: Sequence[Recording],
    embedder: Embedder,
    vad: VadModel,
    calibration: Sequence[CalibrationEntry],
    decision: Decision,
    *,
    threads: int,
) -> tuple[list[SpeakerFigures], list[str]]:
    """Measure any embedder under every condition; return the figures, and what there is nobody to compare for.

    Raises:
        BadManifest: a recording cannot be read, or there is too little speech to compare anybody.
    """
    wanted = conditions(noisy=(False, True))
    listened = listen(recordings, embedder, vad, wanted, threads)
    found, left_out = [], []
    for condition in wanted:
        comparison = listened.compared(condition)
        line = line_of(calibration, condition.seconds, condition.channel) if condition.channel else None
        figures = figures_of(comparison, line, decision) if comparison else None
        if comparison is None or figures is None:
            left_out.append(f"{condition.compared}{', noise' if condition.noisy else ''}, {condition.seconds} s")
            continue
        found.append(
            SpeakerFigures(
                band=condition.compared,
                noisy=condition.noisy,
                seconds=condition.seconds,
                speakers=len(set(comparison.searched.tolist())),
                stretches=len(comparison.searched),
                verifying=figures.verifying,
                identifying=figures.identifying,
                open_set=figures.open_set,
                curves=figures.curves,
            )
        )
    return found, left_out
