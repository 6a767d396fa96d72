"""`carillon label` and `carillon corpus`: labelled speech to train a tone head with, and to measure it on."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from carillon.commands.options import Json, Labelled, Threads

label = typer.Typer(help="Say how your own recordings sound, to train on and to measure by.", no_args_is_help=True)


class CorpusName(StrEnum):
    """A published corpus whose file names are understood."""

    CREMA_D = "crema-d"
    RAVDESS = "ravdess"
    EMODB = "emodb"
    TESS = "tess"
    MELD = "meld"


@label.command("calls")
def label_calls(
    directory: Labelled,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes one that is free.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
    threads: Threads = 2,
) -> None:
    """Show every call in DIR in the browser, to be marked by keys; kept in DIR/labels/manifest.csv.

    Calls are wav or flac, one party on each channel. `train tone` and
    `eval tone` take DIR/labels as it is.
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
    """Write DIR/manifest.csv for a published corpus of emotional speech, with what its licence allows."""
    from carillon.corpora import write_corpus

    write_corpus(name.value, directory, as_json=as_json)
