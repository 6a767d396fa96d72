"""`carillon eval` and `carillon calibrate`: how right the models are on labeled speech, and what scores mean there."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carillon.commands.options import DataDir, Json, LabeledOption, Threads, Where, Without

if TYPE_CHECKING:
    from carillon.inference import ModelSettings as InferenceSettings

evaluate = typer.Typer(help="Measure how right the models are on a folder of labeled speech.", no_args_is_help=True)

ReportOption = Annotated[
    Path | None,
    typer.Option(
        help="A folder to write figures and plots to, of calls a page each. Needs carillon-voice[evaluation].",
        file_okay=False,
    ),
]
Across = Annotated[
    str, typer.Option(help="Compare a person's speech only across values of this column: emotion.", metavar="COLUMN")
]
LinesOption = Annotated[
    bool, typer.Option("--lines", help="Also hear GSM-FR, AMR-NB, Opus at 8 kb/s and lost packets.")
]
ToneHeadOption = Annotated[
    str | None, typer.Option("--model", help="Id of the tone model. Default: that of the settings.")
]
WordsOption = Annotated[bool, typer.Option(help="Listen to what is said too, as far as the settings do.")]


@evaluate.command("speaker")
def evaluate_speaker(
    directory: LabeledOption,
    where: Where = None,
    without: Without = None,
    across: Across = "session",
    lines: LinesOption = False,
    report: ReportOption = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Errors of speaker search, and of its confidence, on DIR/manifest.csv (path, speaker, perhaps session)."""
    from carillon import config
    from carillon.evaluation import Decision, chosen_lines, require_pages, show, write_report
    from carillon.evaluation import evaluate_speaker as run

    if report is not None:
        require_pages("--report")
    settings = config.load()
    tasks = settings.tasks
    decision = Decision(tasks.match_confidence, tasks.known_callers, tasks.match_limit)
    chosen, left_out = chosen_lines(where or ()), without or ()
    found = run(
        directory,
        settings.inference,
        decision,
        chosen=chosen,
        without=left_out,
        across=across,
        lines=lines,
        threads=threads,
    )
    show(found, as_json=as_json)
    if report is not None:
        write_report(found, report)


@evaluate.command("tone")
def evaluate_tone(
    directory: LabeledOption,
    where: Where = None,
    without: Without = None,
    report: ReportOption = None,
    model: ToneHeadOption = None,
    words: WordsOption = True,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Unweighted recall, confusions and calibration of tone on DIR/manifest.csv (path, speaker, valence, corpus).

    Perhaps also session and language: words are heard only in English, and
    without that column all is English. What is measured are the weights that
    ship. If they were trained on a corpus of DIR, the report warns: figures on
    speakers who were held out come from the cross-validation in training/tone.
    """
    from carillon.evaluation import chosen_lines, require_pages, show_tone, write_tone_report
    from carillon.evaluation import evaluate_tone as run

    if report is not None:
        require_pages("--report")
    lines = chosen_lines(where or ())
    found = run(directory, _hearing(model, words), chosen=lines, without=without or (), threads=threads)
    show_tone(found, as_json=as_json)
    if report is not None:
        write_tone_report(found, report)


@evaluate.command("calls")
def evaluate_calls(
    directory: LabeledOption,
    report: ReportOption = None,
    model: ToneHeadOption = None,
    words: WordsOption = True,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """How both parties of every call in DIR sound over time: wav or flac, one party on each channel, in English.

    Words that people wrote down are shown beside: NAME.turns.csv with start,
    end, channel (left, right) and text. The pages of --report hold what was
    said.
    """
    from carillon.evaluation import follow_calls, require_pages, show_calls, write_pages

    if report is not None:
        require_pages("--report")
    found = follow_calls(directory, _hearing(model, words), threads=threads)
    show_calls(found, as_json=as_json)
    if report is not None:
        write_pages(found, report)


def calibrate(
    directory: LabeledOption,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: calibration.toml in the data folder.")
    ] = None,
    where: Where = None,
    threads: Threads = 2,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Fit what a score means to your own calls, DIR/manifest.csv (path, speaker, perhaps session)."""
    from carillon import config
    from carillon.calibrate import calibrate as run
    from carillon.evaluation import chosen_lines

    run(directory, config.load(data_dir), out, chosen=chosen_lines(where or ()), as_json=as_json, threads=threads)


def _hearing(model: str | None, words: bool) -> "InferenceSettings":
    """Return the settings of the models, with what was asked for on the command line."""
    from carillon import config

    settings = config.load().inference
    return replace(settings, tone=model or settings.tone, words=settings.words if words else "off")
