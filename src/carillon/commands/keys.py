"""`carillon keys`: who may sign requests, and for what."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carillon.commands.options import DataDir, Json
from carillon.terminal import print_json

if TYPE_CHECKING:
    from carillon.access.credentials import AccessKey

keys = typer.Typer(help="Make, show, rotate and disable access keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The access key id.", metavar="KEY")]


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="What people call it.")],
    policy: Annotated[
        Path | None,
        typer.Option(help="An IAM policy document, JSON. Default: everything is allowed.", exists=True, dir_okay=False),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(help="Make a temporary key with a session token, for so long.", min=0.01, max=87_600),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make an access key and show its secret, this one time."""
    from carillon import config
    from carillon.keys import create as run

    _show_secret(run(config.load(data_dir), name, policy, hours), as_json=as_json)


@keys.command("list")
def show_all(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show every key, without secrets."""
    from carillon import config
    from carillon.keys import show

    show(config.load(data_dir), as_json=as_json)


@keys.command()
def rotate(
    access_key_id: KeyId,
    grace_minutes: Annotated[float, typer.Option(help="How long the old key goes on.", min=0, max=5_256_000)] = 60.0,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Replace a key by a new one with the same name and policy; the old one goes on for a while."""
    from carillon import config
    from carillon.keys import rotate as run

    _show_secret(run(config.load(data_dir), access_key_id, grace_minutes), as_json=as_json)


@keys.command()
def disable(access_key_id: KeyId, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Refuse a key from now on."""
    from carillon import config
    from carillon.keys import disable as run

    run(config.load(data_dir), access_key_id)
    if as_json:
        print_json({"access_key_id": access_key_id, "status": "disabled"})
    else:
        sys.stdout.write(f"{access_key_id} is disabled.\n")


def _show_secret(key: "AccessKey", *, as_json: bool) -> None:
    from carillon.keys import described

    secret = {"secret_access_key": key.secret_access_key}
    if key.session_token is not None:
        secret["session_token"] = key.session_token
    if as_json:
        print_json({**described(key), **secret})
        return
    sys.stdout.write(f"export AWS_ACCESS_KEY_ID={key.access_key_id}\n")
    for name, value in secret.items():
        sys.stdout.write(f"export AWS_{name.upper()}={value}\n")
    sys.stderr.write("Keep this secret: it is not shown again.\n")
