"""`carillon audit`."""

from typing import Annotated

import typer

from carillon.commands.options import DataDir, JsonLines


def audit(
    data_dir: DataDir = None,
    since: Annotated[str | None, typer.Option(help="From when: 2026-11-22T10:00 (UTC), or 90m, 24h, 7d ago.")] = None,
    action: Annotated[str, typer.Option(help="Only actions that contain this: Delete, chime:StartSpeaker.")] = "",
    as_json: JsonLines = False,
) -> None:
    """Show the audit trail: who did what, when, from where, with what result; oldest first."""
    import anyio

    from carillon import config
    from carillon.audit import show

    anyio.run(show, config.load(data_dir), since, action, as_json)
