"""The command line: one thin function for each command, each saying what it does and nothing of how."""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from carillon import __version__, config
from carillon.errors import CarillonError
from carillon.inference import Settings as InferenceSettings
from carillon.keys import keys
from carillon.media.splicer import SampleFormat
from carillon.telemetry import configure_logging
from carillon.voices.commands import enroll, identify, profiles

app = typer.Typer(
    name="carillon",
    help="Amazon Chime SDK voice analytics that you run yourself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
evaluate = typer.Typer(help="Measure how right the models are on a folder of labelled speech.", no_args_is_help=True)
app.add_typer(evaluate, name="eval")
app.add_typer(keys, name="keys")
app.add_typer(profiles, name="profiles")
app.command("identify")(identify)
app.command("enrol")(enroll)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the database, streams and keys. Default: CARILLON_DATA_DIR or ~/.carillon."),
]
ToneHead = Annotated[str | None, typer.Option("--model", help="Id of the tone model. Default: that of the settings.")]
Words = Annotated[bool, typer.Option(help="Listen to what is said too, as far as the settings do.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable object instead of a table.")]


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535)] = None,
    tls_cert: Annotated[str | None, typer.Option(help="Certificate to serve https with, PEM.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its private key, PEM.")] = None,
    tls: Annotated[str | None, typer.Option(help="`self-signed` makes a certificate and serves https with it.")] = None,
) -> None:
    """Run the server until SIGTERM; prints one line when it is ready."""
    from carillon.server import serve as run
    from carillon.tls import authorities

    given = {"host": host, "port": port, "tls_cert": tls_cert, "tls_key": tls_key, "tls": tls}
    settings = config.load(data_dir, {"server": {name: value for name, value in given.items() if value is not None}})
    configure_logging(settings.server.log_level, "json" if settings.server.log_style == "json" else "console")

    def say_ready(base_url: str) -> None:
        said = f"carillon is ready at {base_url} (data in {settings.data_dir})\n"
        bundle = authorities(settings, base_url)
        if bundle is not None:
            said += f"Clients trust it with AWS_CA_BUNDLE={bundle.absolute()} (carillon env prints it)\n"
        sys.stdout.write(said)  # at once: who waits for the first line may close the pipe after it
        sys.stdout.flush()

    anyio.run(run, settings, say_ready, backend_options={"use_uvloop": True})


@app.command()
def env(
    data_dir: DataDir = None,
    endpoint: Annotated[str | None, typer.Option(help="Base URL of the server. Default: from its settings.")] = None,
) -> None:
    """Print the AWS_* variables that point any AWS SDK and CLI here: eval "$(carillon env)"."""
    from carillon.environment import exports

    for name, value in exports(config.load(data_dir), endpoint).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.write("unset AWS_SESSION_TOKEN\n")  # one of another account's would be refused with our key


@app.command()
def events(
    data_dir: DataDir = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new ones come.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each notification as one line of JSON.")] = False,
) -> None:
    """Show the notifications in the outbox, delivered or not, oldest first."""
    from carillon.events import show

    anyio.run(show, config.load(data_dir), follow, as_json)


@app.command()
def audit(
    data_dir: DataDir = None,
    since: Annotated[str | None, typer.Option(help="From when: 2026-11-22T10:00 (UTC), or 90m, 24h, 7d ago.")] = None,
    action: Annotated[str, typer.Option(help="Only actions that contain this: Delete, chime:StartSpeaker.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print each row as one line of JSON.")] = False,
) -> None:
    """Show the audit trail: who did what, when, from where, with what result; oldest first."""
    from carillon.audit import show

    anyio.run(show, config.load(data_dir), since, action, as_json)


@app.command()
def doctor(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say what this installation is made of, and what stands in its way; it changes nothing."""
    from carillon.doctor import show

    if not anyio.run(show, config.load(data_dir), as_json):
        raise typer.Exit(1)


@app.command()
def push(
    file: Annotated[
        Path,
        typer.Argument(
            help="A recording: wav, flac, mp3 or ogg. Or - for a live pipe: wav, Matroska, or raw samples.",
            dir_okay=False,
        ),
    ],
    stream: Annotated[str, typer.Option(help="Name of the Kinesis video stream.")],
    speed: Annotated[
        float | None,
        typer.Option(help="Of a file: 1 (the default) is natural speed, 8 eight times as fast, 0 as fast as it goes."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(help="Sample rate in Hz: to send a file at, by default its own; or of raw samples.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of raw samples. Default: 1.", min=1, max=2)] = None,
    encoding: Annotated[SampleFormat | None, typer.Option(help="How raw samples are written. Default: s16le.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Any KVS endpoint. Default: AWS_ENDPOINT_URL or this server's.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Stream a recording, or what comes through a pipe, with PutMedia, as a telephone system would.

    ffmpeg -i rtsp://camera/ -vn -ac 1 -ar 8000 -f wav - | carillon push - --stream door
    """
    from carillon import push as run

    settings = config.load(data_dir)
    if file == run.STDIN:
        if speed is not None:
            raise run.BadOptions("A pipe is sent as it comes: leave out --speed.")
        anyio.run(run.push_pipe, settings, stream, run.raw_layout(rate, channels, encoding), endpoint)
        return
    if not file.exists():
        raise run.BadOptions(f"There is no file {file}.")
    if channels is not None or encoding is not None:
        raise run.BadOptions("A file says what it is: leave out --channels and --encoding.")
    anyio.run(run.push, settings, file, stream, 1.0 if speed is None else speed, rate, endpoint)


@app.command("ingest-url")
def ingest_url(
    stream: Annotated[str, typer.Option(help="Name of the Kinesis video stream that the audio goes to.")],
    target_format: Annotated[
        str, typer.Option("--format", help="twilio: Media Streams of telephony platforms. pcm: plain 16-bit samples.")
    ],
    expires: Annotated[str | None, typer.Option(help="After how long: 90m, 24h, 365d. Default: never.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Id of the access key on whose behalf; disabling it withdraws the URL.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Base URL of the server. Default: from its settings.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a secret WebSocket URL to which a telephony platform or a browser may send audio, and nothing else."""
    from carillon.ingest_url import ingest_url as run

    sys.stdout.write(run(config.load(data_dir), stream, target_format, expires, key, endpoint) + "\n")


@app.command()
def demo(
    realtime: Annotated[bool, typer.Option("--realtime", help="Play the calls at natural speed.")] = False,
    as_json: Json = False,
) -> None:
    """The main job on real speech: three calls, two people, who is speaking and how they sound."""
    from carillon.demo import run

    if not anyio.run(run, realtime, as_json):
        raise typer.Exit(1)


@evaluate.command("speaker")
def evaluate_speaker(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    where: Annotated[
        list[str] | None, typer.Option(help="Only lines with this value in this column: source=speechocean762.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="A speaker to leave out; may be repeated.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="A folder to write the figures, DET and calibration plots to.", file_okay=False)
    ] = None,
    threads: Annotated[int, typer.Option(help="People that are listened to at the same time.", min=1)] = 2,
    as_json: Json = False,
) -> None:
    """Errors of speaker search, and of its confidence, on DIR/manifest.csv (path, speaker, perhaps session)."""
    from carillon.evaluation import Decision, chosen_lines, show, write_report
    from carillon.evaluation import evaluate_speaker as run

    settings = config.load()
    tasks = settings.tasks
    decision = Decision(tasks.match_confidence, tasks.known_callers, tasks.match_limit)
    lines = chosen_lines(where or ())
    found = run(directory, settings.inference, decision, chosen=lines, without=without or (), threads=threads)
    show(found, as_json=as_json)
    if report is not None:
        write_report(found, report)


@evaluate.command("tone")
def evaluate_tone(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    where: Annotated[
        list[str] | None, typer.Option(help="Only lines with this value in this column: language=en.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="A speaker to leave out; may be repeated.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="A folder to write figures, confusions and reliability plots to.", file_okay=False),
    ] = None,
    model: ToneHead = None,
    words: Words = True,
    threads: Annotated[int, typer.Option(help="People that are listened to at the same time.", min=1)] = 2,
    as_json: Json = False,
) -> None:
    """Unweighted recall, confusions and calibration of tone on DIR/manifest.csv (path, speaker, valence, corpus).

    Perhaps also session and language: words are heard only in English, and without that column all is English. What
    is measured are the weights that ship. If they were trained on a corpus of DIR, the report warns: figures on
    speakers who were held out come from the cross-validation in training/tone.
    """
    from carillon.evaluation import chosen_lines, show_tone, write_tone_report
    from carillon.evaluation import evaluate_tone as run

    lines = chosen_lines(where or ())
    found = run(directory, _hearing(model, words), chosen=lines, without=without or (), threads=threads)
    show_tone(found, as_json=as_json)
    if report is not None:
        write_tone_report(found, report)


@evaluate.command("calls")
def evaluate_calls(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    report: Annotated[
        Path | None,
        typer.Option(help="A folder to write a page for each call to. The pages hold what was said.", file_okay=False),
    ] = None,
    model: ToneHead = None,
    words: Words = True,
    threads: Annotated[int, typer.Option(help="Calls that are listened to at the same time.", min=1)] = 2,
    as_json: Json = False,
) -> None:
    """How both parties of every call in DIR sound over time: wav or flac, one party on each channel, in English.

    Words that people wrote down are shown beside: NAME.turns.csv with start, end, channel (left, right) and text.
    """
    from carillon.evaluation import follow_calls, show_calls, write_pages

    found = follow_calls(directory, _hearing(model, words), threads=threads)
    show_calls(found, as_json=as_json)
    if report is not None:
        write_pages(found, report)


def _hearing(model: str | None, words: bool) -> InferenceSettings:
    """Return the settings of the models, with what was asked for on the command line."""
    settings = config.load().inference
    return replace(settings, tone=model or settings.tone, words=settings.words if words else "off")


@app.command()
def calibrate(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: calibration.toml in the data folder.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only lines with this value in this column: team=3.")] = None,
    threads: Annotated[int, typer.Option(help="People that are listened to at the same time.", min=1)] = 2,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Fit what a score means to your own calls, DIR/manifest.csv (path, speaker, perhaps session)."""
    from carillon.calibrate import calibrate as run
    from carillon.evaluation import chosen_lines

    settings = config.load(data_dir)
    run(directory, settings, out, chosen=chosen_lines(where or ()), as_json=as_json, threads=threads)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"carillon {__version__}\n")
        raise typer.Exit


def main() -> int:
    """Run a command; what we foresaw ends with one line and status 1, not with a trace."""
    try:
        app()
    except* CarillonError as group:
        for error in _leaves(group):
            Console(stderr=True).print(f"carillon: {error}", highlight=False, markup=False, soft_wrap=True)
    return 1


def _leaves(group: BaseExceptionGroup[CarillonError]) -> Iterator[CarillonError]:
    """Yield the errors of a group, and of the groups in it: whatever task group they came through."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
