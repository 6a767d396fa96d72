"""`carillon demo`."""

from typing import Annotated

import typer

from carillon.commands.options import Json


def demo(
    realtime: Annotated[bool, typer.Option("--realtime", help="Play the calls at natural speed.")] = False,
    as_json: Json = False,
) -> None:
    """The main job on real speech: three calls, two people, who is speaking and how they sound."""
    import anyio

    from carillon.demo import run

    if not anyio.run(run, realtime, as_json):
        raise typer.Exit(1)
