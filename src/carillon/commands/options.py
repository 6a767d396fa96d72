"""Options that several commands have, spelled once."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer


def base_url(text: str | None) -> str | None:
    """Return the value of an option that is a base URL, as it was given.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        parts = urlsplit(text or "http://none")
        is_url = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url or any(character.isspace() or character in "@?#" for character in text or ""):
        raise typer.BadParameter(f"{text!r} is no base URL; write http://HOST:PORT or https://HOST.")
    return text


DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the database, streams and keys. Default: CARILLON_DATA_DIR or ~/.carillon."),
]
EndpointOption = Annotated[
    str | None, typer.Option(help="Base URL of the server. Default: from its settings.", callback=base_url)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]

LabeledOption = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, metavar="DIR", help="Folder of the recordings.")
]
Where = Annotated[
    list[str] | None, typer.Option(help="Only lines of the manifest with this value in this column: language=en.")
]
Without = Annotated[list[str] | None, typer.Option(help="A speaker to leave out; may be repeated.")]
Threads = Annotated[int, typer.Option(help="People, or calls, that are listened to at the same time.", min=1)]
