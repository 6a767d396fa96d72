"""`carillon identify`, `carillon enroll` and `carillon profiles`."""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from carillon.commands.options import DataDir
from carillon.commands.options import JsonLines as Json
from carillon.errors import InvalidRequest
from carillon.terminal import Table, print_json, progress

if TYPE_CHECKING:
    from carillon.tasks import Candidate
    from carillon.voices.tools import VoiceTools

profiles = typer.Typer(help="Show and look after the voices of a domain.", no_args_is_help=True)

PASSPHRASE_VARIABLE: Final = "ARCHIVE_PASSPHRASE"  # noqa: S105 - its name only; CARILLON_... are settings
_LEAST_PASSPHRASE: Final = 12

Files = Annotated[
    list[Path], typer.Argument(help="Recordings: wav, flac, mp3, ogg, ...", exists=True, dir_okay=False, metavar="FILE")
]
DomainOption = Annotated[str, typer.Option(help="Id or ARN of the voice profile domain.")]
ChannelOption = Annotated[int, typer.Option(help="Which channel of each recording to listen to.", min=0, max=1)]


class PassphraseWeak(InvalidRequest):
    """An archive of voices needs a passphrase that cannot be guessed."""

    def __init__(self) -> None:
        super().__init__(f"Give a passphrase of at least {_LEAST_PASSPHRASE} characters.")


def identify(
    files: Files, domain: DomainOption, channel: ChannelOption = 0, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Show whose voice is in recordings: every candidate, with the cosine and what was made of it."""
    from carillon.voices import work

    async def work_in(opened: "VoiceTools") -> bool:
        found = await opened.domain(domain)
        table = Table("recording", "voice profile", "channel", "cosine", "log ratio", "confidence")
        went_well = True
        with _printed(table, as_json), progress("listening", len(files)) as advance:
            async for one in work.identify(opened, found.id, files, channel):
                advance()
                went_well = _say_fault(one.fault) and went_well
                if as_json:
                    candidates = [asdict(row) for row in one.candidates]
                    print_json({"path": str(one.path), "fault": one.fault, "candidates": candidates})
                for row in one.candidates:
                    numbers = (f"{row.score:.3f}", f"{row.log_ratio:.1f}", f"{row.confidence:.3f}")
                    table.add_row(one.path.name, row.profile_id, row.channel, *numbers)
                if not (one.candidates or one.fault):
                    table.add_row(one.path.name, "nobody is enrolled", "", "", "", "")
        return went_well

    _run(data_dir, work_in)


def enroll(
    files: Files,
    domain: DomainOption,
    profile: Annotated[str | None, typer.Option(help="Add to this profile instead of making one for each.")] = None,
    label: Annotated[
        str, typer.Option(help="With --profile: what it was recorded with, such as headset or meeting.")
    ] = "",
    refuse_known: Annotated[
        bool, typer.Option("--refuse-known", help="Add no voice that the domain knows already, as another profile.")
    ] = False,
    channel: ChannelOption = 0,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a voice profile of each recording, or let one profile be recognized by more recordings."""
    from carillon.voices import work

    if label and profile is None:
        raise InvalidRequest("A label tells the voices of one profile apart: give --profile too.")

    async def work_in(opened: "VoiceTools") -> bool:
        found = await opened.domain(domain)
        table = Table("recording", "voice profile", "known already as")
        went_well = True
        with _printed(table, as_json), progress("listening", len(files)) as advance:
            enrolled = work.enroll(
                opened, found.id, files, channel, profile, label, refuse_known=refuse_known, on_known=_say_known
            )
            async for one in enrolled:
                advance()
                went_well = _say_fault(one.fault) and went_well
                made = one.profile.id if one.profile else None
                if as_json:
                    known_as = [asdict(known) for known in one.known_as]
                    said = {"path": str(one.path), "fault": one.fault, "voice_profile_id": made, "known_as": known_as}
                    print_json(said)
                if made:
                    table.add_row(one.path.name, made, _ids(one.known_as))
        return went_well

    _run(data_dir, work_in)


@profiles.command("list")
def show_all(domain: DomainOption, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show the voice profiles of a domain."""
    import anyio

    from carillon import config
    from carillon.lists import show_profiles

    anyio.run(show_profiles, config.load(data_dir), domain, as_json)


@profiles.command("re-embed")
def re_embed(domain: DomainOption, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Make embeddings anew from the encrypted enrollment audio, after another speaker model was chosen."""
    from carillon.voices import work

    async def work_in(opened: "VoiceTools") -> bool:
        found = await opened.domain(domain)
        with progress("embedding") as advance:
            changed = await work.re_embed(opened, found.id, advance)
        model = opened.models.speaker.id
        _say(f"{changed} voice(s) embedded anew with {model}.", {"changed": changed, "model": model}, as_json)
        return True

    _run(data_dir, work_in)


@profiles.command("export")
def export(
    domain: DomainOption,
    file: Annotated[Path, typer.Argument(help="A new file.", metavar="FILE")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write the voices of a domain into an encrypted archive.

    The passphrase is that in ARCHIVE_PASSPHRASE, or is asked for.
    """
    from carillon.voices import work

    passphrase = _passphrase(confirm=True)

    async def work_in(opened: "VoiceTools") -> bool:
        count = await work.export(opened, (await opened.domain(domain)).id, file, passphrase)
        _say(f"{count} voice(s) written to {file}.", {"written": count, "path": str(file)}, as_json)
        return True

    _run(data_dir, work_in)


@profiles.command("import")
def take_in(
    domain: DomainOption,
    file: Annotated[Path, typer.Argument(help="An archive.", exists=True, dir_okay=False, metavar="FILE")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Read an encrypted archive into a domain; profiles keep their ids.

    The passphrase is that in ARCHIVE_PASSPHRASE, or is asked for.
    """
    from carillon.voices import work

    passphrase = _passphrase(confirm=False)

    async def work_in(opened: "VoiceTools") -> bool:
        came, present = await work.take_in(opened, (await opened.domain(domain)).id, file, passphrase)
        said = f"{came} voice(s) came in; {present} were there already."
        _say(said, {"came": came, "present": present}, as_json)
        return True

    _run(data_dir, work_in)


@profiles.command("duplicates")
def duplicates(
    domain: DomainOption,
    least: Annotated[float, typer.Option(help="Show pairs from this confidence on.", min=0.0, max=1.0)] = 0.5,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show pairs of profiles that may be one person, surest first."""
    from carillon.voices import work

    async def work_in(opened: "VoiceTools") -> bool:
        pairs = await work.duplicates(opened, (await opened.domain(domain)).id, least)
        table = Table("voice profile", "and", "cosine", "confidence")
        for pair in pairs:
            if as_json:
                print_json(asdict(pair))
            table.add_row(pair.one, pair.other, f"{pair.score:.3f}", f"{pair.confidence:.3f}")
        if not as_json:
            table.print()
        return True

    _run(data_dir, work_in)


@contextmanager
def _printed(table: Table, as_json: bool) -> Iterator[None]:
    """Print what was found out, also where something ends the command before its time."""
    try:
        yield
    finally:
        if len(table) and not as_json:
            table.print()


def _say_fault(fault: str | None) -> bool:
    """Write what is wrong with a recording, if anything is; return whether nothing is."""
    if fault is not None:
        sys.stderr.write(f"carillon: {fault}\n")
    return fault is None


def _say_known(path: Path, known: "Sequence[Candidate]") -> None:
    sys.stderr.write(f"{path}: this voice is known already as {_ids(known)}; another is added.\n")


def _ids(known: "Sequence[Candidate]") -> str:
    return ", ".join(f"{one.profile_id} ({one.confidence:.2f})" for one in known)


def _run(data_dir: Path | None, work_in: "Callable[[VoiceTools], Awaitable[bool]]") -> None:
    import anyio

    from carillon import config
    from carillon.voices.tools import open_tools

    async def run() -> bool:
        async with open_tools(config.load(data_dir)) as opened:
            return await work_in(opened)

    if not anyio.run(run):
        raise typer.Exit(1)


def _passphrase(*, confirm: bool) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None:
        given = str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
    if len(given) < _LEAST_PASSPHRASE:
        raise PassphraseWeak
    return given


def _say(text: str, values: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        print_json(values)
    else:
        sys.stdout.write(text + "\n")
