"""`carillon doctor`: what this installation is made of and what stands in its way. It looks, and changes nothing."""

import importlib.util
import ipaddress
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from textwrap import fill
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import typer

from carillon import __version__
from carillon.config import FILE_NAME, Settings
from carillon.data_folder import CREDENTIALS_FILE, DATABASE_FILE, ROOT_KEY_FILE, STREAMS_FOLDER
from carillon.errors import CarillonError
from carillon.inference import Manifest, Models
from carillon.server.running import ADDRESS_FILE, LOCK_FILE, running
from carillon.server.tls import FOLDER as TLS_FOLDER
from carillon.storage import Database, check_root_key, check_tables, known_revisions, revision_of
from carillon.storage.permissions import MOST_EXPOSED, exposed
from carillon.telemetry import shows_colors
from carillon.terminal import print_json, terminal_width

CheckState: TypeAlias = Literal["ok", "note", "fault"]

_OURS: Final = (
    ROOT_KEY_FILE,
    CREDENTIALS_FILE,
    *(f"{DATABASE_FILE}{beside}" for beside in ("", "-wal", "-shm")),
    STREAMS_FOLDER,
    TLS_FOLDER,
    "calibration.toml",
    LOCK_FILE,
    ADDRESS_FILE,
)
"""What we write into the data folder."""

_LEAST_FREE_BYTES: Final = 1_000_000_000
_CONNECT_SECONDS: Final = 1.0
_STATE_WIDTH: Final = 5
_COLORS: Final[dict[CheckState, str]] = {"ok": "green", "note": "yellow", "fault": "red"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found about one thing."""

    what: str
    state: CheckState
    """`note`: works, but somebody should know. `fault`: the server would not start, or not be safe."""
    said: str
    """What was found; of a note or fault, also what to do."""


async def examine(settings: Settings) -> list[CheckResult]:
    """Look at everything that the server stands on."""
    return [
        CheckResult("version", "ok", f"carillon {__version__}, Python {sys.version.split()[0]}"),
        *_folder(settings.data_dir),
        await _database(settings),
        _address(settings),
        *_models(settings),
        _codecs(),
    ]


async def show(settings: Settings, as_json: bool) -> bool:
    """Print what was found; return whether nothing is at fault."""
    found = await examine(settings)
    if as_json:
        print_json([asdict(item) for item in found])
    else:
        _print(found)
    return all(item.state != "fault" for item in found)


def _print(found: Sequence[CheckResult]) -> None:
    width = max(len(item.what) for item in found)
    for item in found:
        color = _COLORS[item.state] if shows_colors(sys.stdout) else None
        typer.secho(f"{item.state:<{_STATE_WIDTH}}", nl=False, fg=color)
        indent = " " * (_STATE_WIDTH + width + 4)
        said = f"{indent}{item.said}"
        if (columns := terminal_width()) is not None:
            said = fill(said, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        typer.echo(f"  {item.what:<{width}}  {said.removeprefix(indent)}")


def _folder(folder: Path) -> Iterator[CheckResult]:
    if fault := _unwritable(folder):
        yield CheckResult("data folder", "fault", f"{folder} cannot be written: {fault}; name another with --data-dir")
        return
    if not folder.exists():
        yield CheckResult("data folder", "ok", f"{folder} does not exist yet; the first start makes it")
        return
    free_bytes = shutil.disk_usage(folder).free
    room = f"{free_bytes / 1e9:.1f} GB free"
    if free_bytes < _LEAST_FREE_BYTES:
        yield CheckResult("data folder", "note", f"{folder}, only {room}: make room, or shorten what streams keep")
    else:
        yield CheckResult("data folder", "ok", f"{folder}, {room}")
    settings_file = folder / FILE_NAME
    if settings_file.exists():
        yield CheckResult("settings", "ok", str(settings_file))
    yield _permissions(folder)


def _unwritable(folder: Path) -> str | None:
    """Return why nothing can be written in a folder, or the one it would be made in; nothing stays of the attempt."""
    try:
        with TemporaryFile(dir=next(path for path in (folder, *folder.absolute().parents) if path.exists())):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def _permissions(folder: Path) -> CheckResult:
    if folder.stat().st_mode & 0o022:
        return CheckResult("permissions", "fault", f"others may put files into {folder}: chmod 700 {folder}")
    found = exposed(folder / name for name in _OURS)
    if not found:
        return CheckResult("permissions", "ok", f"what is kept in {folder} is for this user alone")
    count = f"{MOST_EXPOSED} or more" if len(found) == MOST_EXPOSED else str(len(found))
    said = f"{count} open to others, such as {found[0]}: chmod -R go= {found[0]}"
    if secrets := [path.name for path in found if path.name in (ROOT_KEY_FILE, CREDENTIALS_FILE)]:
        said += f", and rotate what others may have read in {' and '.join(secrets)}"
    return CheckResult("permissions", "fault", said)


async def _database(settings: Settings) -> CheckResult:
    file = settings.data_dir / DATABASE_FILE
    if not settings.storage.url and not file.exists():
        return CheckResult("database", "ok", f"{file} does not exist yet; the first start makes it")
    where = "of storage.url" if settings.storage.url else str(file)
    database = Database(settings.storage.url or f"sqlite:///{file}", settings.storage)
    known = known_revisions()
    try:
        found = await revision_of(database)
        faults = await database.integrity_faults()
        if found == known[-1] and not faults:
            await check_tables(database)
            await check_root_key(database, settings.data_dir / ROOT_KEY_FILE)
    except CarillonError as error:
        return CheckResult("database", "fault", str(error))
    except Exception as error:  # whatever the driver has to say: the URL may hold a password, so only the kind is shown
        return CheckResult("database", "fault", f"the one {where} cannot be read: {type(error).__name__}")
    finally:
        await database.close()
    if faults:
        said = f"{where} is damaged: put a backup in its place, and remove the -wal and -shm beside it ({faults[0]})"
        return CheckResult("database", "fault", said)
    if found == known[-1]:
        return CheckResult("database", "ok", f"{where}, at revision {found}")
    if found is None or found in known:
        said = f"{where} is at revision {found or 0}; the next start brings it to {known[-1]}: back it up before"
        return CheckResult("database", "note", said)
    return CheckResult("database", "fault", f"{where} is at revision {found}, of a newer carillon: install that one")


def _address(settings: Settings) -> CheckResult:
    server = settings.server
    has_tls = bool(server.tls or server.tls_cert)
    if not (has_tls or _is_loopback(server.host)):
        said = f"{server.host} is beyond this machine and has no TLS: set server.tls, or put TLS in front"
        return CheckResult("address", "note", said)
    if (ours := running(settings.data_dir)) is not None:
        return CheckResult("address", "ok", f"{ours.url}: carillon serves there, pid {ours.pid}")
    split = urlsplit(server.url)
    try:
        with socket.create_connection((split.hostname or "", split.port or 443), _CONNECT_SECONDS):
            said = f"{server.url}: something else answers there, no server of this data folder; set server.port"
            return CheckResult("address", "note", said)
    except OSError:
        return CheckResult("address", "ok", f"{server.url}: nothing answers there; `carillon serve` would")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _models(settings: Settings) -> Iterator[CheckResult]:
    try:
        models = Models(settings.inference)
    except CarillonError as error:
        yield CheckResult("models", "fault", str(error))
        return
    for weights in models.chosen:
        what = f"model: {weights.manifest.kind}"
        try:
            for file in weights.files():
                file.read()
        except CarillonError as error:
            yield CheckResult(what, "fault", str(error))
            continue
        yield _licensed(what, weights.manifest)
    if models.words_missing:
        state: CheckState = "ok" if settings.inference.words == "off" else "note"
        yield CheckResult("words", state, f"voice tone goes by the sound alone: {models.words_missing}")


def _licensed(what: str, manifest: Manifest) -> CheckResult:
    said = f"{manifest.id}, {manifest.license}"
    if manifest.commercial_use:
        return CheckResult(what, "ok", said)
    return CheckResult(what, "note", f"{said}: not for commercial use")


def _codecs() -> CheckResult:
    if importlib.util.find_spec("av") is not None:
        return CheckResult("codecs", "ok", "PCM, G.711, AAC and Opus")
    return CheckResult("codecs", "note", "PCM and G.711; for AAC and Opus: pip install 'carillon-voice[codecs]'")
