"""`carillon audit`."""

from typing import Annotated

import typer

from carillon.commands.options import DataDir, JsonLines
from carillon.commands.times import Since, read_since


def audit(
    data_dir: DataDir = None,
    since: Since = None,
    action: Annotated[str, typer.Option(help="Only actions that contain this: Delete, chime:StartSpeaker.")] = "",
    as_json: JsonLines = False,
) -> None:
    """Show the audit trail: who did what, when, from where, with what result; oldest first."""
    import anyio

    from carillon import config
    from carillon.audit import show

    anyio.run(show, config.load(data_dir), read_since(since), action, as_json)
