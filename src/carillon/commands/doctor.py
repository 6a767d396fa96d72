"""`carillon doctor`."""

import typer

from carillon.commands.options import DataDir, Json


def doctor(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show what this installation is made of, and what stands in its way; it changes nothing."""
    import anyio

    from carillon import config
    from carillon.doctor import show

    if not anyio.run(show, config.load(data_dir), as_json):
        raise typer.Exit(1)
