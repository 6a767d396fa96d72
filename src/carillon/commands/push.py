"""`carillon push`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from carillon.commands.options import DataDir, Json, base_url
from carillon.terminal import print_json


def push(
    file: Annotated[
        Path,
        typer.Argument(
            help="A recording: wav, flac, mp3, ogg, Matroska, ... Or - for a live pipe: the same, or raw samples.",
            dir_okay=False,
            metavar="FILE",
        ),
    ],
    stream: Annotated[str, typer.Option(help="Name of the Kinesis video stream.")],
    speed: Annotated[
        float | None,
        typer.Option(
            help="Of a file: 1 (the default) is natural speed, 8 eight times that, 0 as fast as it goes; at most 10000."
        ),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(help="Sample rate in Hz: to send a file at, by default its own; or of raw samples.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of raw samples. Default: 1.", min=1, max=2)] = None,
    encoding: Annotated[
        Literal["s16le", "mulaw", "alaw"] | None, typer.Option(help="How raw samples are written. Default: s16le.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Any KVS endpoint. Default: AWS_ENDPOINT_URL or this server's.", callback=base_url),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Stream a recording, or what comes through a pipe, with PutMedia, as a telephone system would.

    ffmpeg -i call.mp4 -vn -f wav - | carillon push - --stream support
    """
    import anyio

    from carillon import config
    from carillon import push as run

    settings = config.load(data_dir)
    if file == run.STDIN or file.is_fifo():
        if speed is not None:
            raise run.BadOptions("A pipe is sent as it comes: leave out --speed.")
        sent = anyio.run(run.push_pipe, settings, stream, run.raw_layout(rate, channels, encoding), endpoint, file)
    elif not file.exists():
        raise run.BadOptions(f"There is no file {file}.")
    elif channels is not None or encoding is not None:
        raise run.BadOptions("A file says what it is: leave out --channels and --encoding.")
    else:
        sent = anyio.run(run.push, settings, file, stream, run.checked_speed(speed), rate, endpoint)
    if as_json:
        print_json(asdict(sent))
    else:
        sys.stderr.write(f"{sent.received} fragments received, {sent.persisted} persisted.\n")
