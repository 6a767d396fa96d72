"""Options that several commands have, spelled once."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the database, streams and keys. Default: CARILLON_DATA_DIR or ~/.carillon."),
]
Endpoint = Annotated[str | None, typer.Option(help="Base URL of the server. Default: from its settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]

Labelled = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, metavar="DIR", help="Folder of the recordings.")
]
Where = Annotated[
    list[str] | None, typer.Option(help="Only lines of the manifest with this value in this column: language=en.")
]
Without = Annotated[list[str] | None, typer.Option(help="A speaker to leave out; may be repeated.")]
Threads = Annotated[int, typer.Option(help="People, or calls, that are listened to at the same time.", min=1)]
