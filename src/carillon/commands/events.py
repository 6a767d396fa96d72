"""`carillon events`."""

from typing import Annotated

import typer

from carillon.commands.options import DataDir
from carillon.commands.times import Since, read_since


def events(
    data_dir: DataDir = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new ones come.")] = False,
    undelivered: Annotated[bool, typer.Option("--undelivered", help="Only those that some target lacks.")] = False,
    task: Annotated[str | None, typer.Option(help="Only those of this task.")] = None,
    since: Since = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each as a line of JSON: what is sent, and `deliveries`.")
    ] = False,
) -> None:
    """Show the notifications in the outbox and which target has them, oldest first."""
    import anyio

    from carillon import config
    from carillon.events import show
    from carillon.notifications import EventFilter

    wanted = EventFilter(task, read_since(since), undelivered)
    anyio.run(show, config.load(data_dir), wanted, follow, as_json)
