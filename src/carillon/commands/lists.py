"""`carillon calls` and `carillon domains`."""

from typing import Annotated

import typer

from carillon.commands.options import DataDir, JsonLines


def calls(
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
    data_dir: DataDir = None,
    as_json: JsonLines = False,
) -> None:
    """Show the pipelines that were not deleted, each a call, and the tasks on it, oldest first."""
    import anyio

    from carillon import config
    from carillon.lists import show_calls

    anyio.run(show_calls, config.load(data_dir), active, as_json)


def domains(data_dir: DataDir = None, as_json: JsonLines = False) -> None:
    """Show the voice profile domains."""
    import anyio

    from carillon import config
    from carillon.lists import show_domains

    anyio.run(show_domains, config.load(data_dir), as_json)
