"""`carillon corpus`, `label` and `train`: labeled speech, and a tone head that learns from it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from carillon.commands.options import Json, LabeledOption, Threads

label = typer.Typer(help="Say how your own recordings sound, to train on and to measure by.", no_args_is_help=True)
train = typer.Typer(help="Train a model on your own labeled recordings.", no_args_is_help=True)


class CorpusName(StrEnum):
    """A published corpus whose file names are understood."""

    CREMA_D = "crema-d"
    RAVDESS = "ravdess"
    EMODB = "emodb"
    TESS = "tess"
    MELD = "meld"


@label.command("calls")
def label_calls(
    directory: LabeledOption,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes one that is free.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
    threads: Threads = 2,
) -> None:
    """Show every call in DIR in the browser, to be marked by keys; kept in DIR/labels/manifest.csv.

    Calls are wav or flac, one party on each channel. `train tone` and
    `eval tone` take DIR/labels as it is. Needs carillon-voice[evaluation].
    """
    from carillon import config
    from carillon.labels import label_calls as run

    run(directory, config.load().inference, port=port, opens_browser=browser, threads=threads)


def corpus(
    name: Annotated[CorpusName, typer.Argument(help="Which corpus it is.")],
    directory: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, metavar="DIR", help="Where its archive was unpacked.")
    ],
    as_json: Json = False,
) -> None:
    """Write DIR/manifest.csv for a published corpus of emotional speech, with what its license allows."""
    from carillon.corpora import write_corpus

    write_corpus(name.value, directory, as_json=as_json)


@train.command("tone")
def train_tone(
    directory: LabeledOption,
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder to write the head, its card and figures to.")],
    name: Annotated[str, typer.Option(help="Id of the head.")] = "own-tone-head",
    light: Annotated[bool, typer.Option(help="Hear less: judging tone costs a quarter of it.")] = False,
    noise: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folders of sounds to mix in. Default: noise that is made."),
    ] = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Train a tone head on DIR/manifest.csv (path, speaker, corpus, valence), and measure it on people held out.

    Perhaps also emotion, license and commercial_use, as `carillon corpus`
    writes them. Needs carillon-voice[training] and takes minutes.
    """
    from carillon.training import require

    require()
    from carillon.training.tone.own import HeadRequest
    from carillon.training.tone.own import train_tone as run

    run(directory, out, HeadRequest(name, light), noises=noise, threads=threads, as_json=as_json)
