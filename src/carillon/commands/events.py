"""`carillon events`."""

from typing import Annotated

import typer

from carillon.commands.options import DataDir


def events(
    data_dir: DataDir = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new ones come.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each notification as one line of JSON.")] = False,
) -> None:
    """Show the notifications in the outbox, delivered or not, oldest first."""
    import anyio

    from carillon import config
    from carillon.events import show

    anyio.run(show, config.load(data_dir), follow, as_json)
