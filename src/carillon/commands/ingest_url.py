"""`carillon ingest-url`."""

import sys
from typing import Annotated

import typer

from carillon.commands.options import DataDir, EndpointOption, Json
from carillon.terminal import print_json


def ingest_url(
    stream: Annotated[str, typer.Option(help="Name of the Kinesis video stream that the audio goes to.")],
    target_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="twilio: JSON of Twilio, Telnyx, Plivo, Bandwidth. pcm: samples of browsers, jambonz, Asterisk.",
        ),
    ],
    expires: Annotated[str | None, typer.Option(help="After how long: 90m, 24h, 365d. Default: never.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Id of the access key on whose behalf; disabling it withdraws the URL.")
    ] = None,
    endpoint: EndpointOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Print a secret WebSocket URL to which a telephony platform or a browser may send audio, and nothing else."""
    import anyio

    from carillon import config
    from carillon.ingest_url import ingest_url as run

    url = anyio.run(run, config.load(data_dir), stream, target_format, expires, key, endpoint)
    if as_json:
        print_json({"url": url})
    else:
        sys.stdout.write(url + "\n")
