"""Settings, read once when a process starts: defaults, then `carillon.toml`, then `CARILLON_*` variables.

A table of the file is a room: `[tasks] match_confidence = 0.8`; the variable is CARILLON_TASKS_MATCH_CONFIDENCE.
A name or value that is wrong is an error that says which one: a typing mistake must not leave a default in force.
"""

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_type_hints

from msgspec import Meta

from carillon.access import AuditSettings
from carillon.access.throttle import ThrottleSettings as RateSettings
from carillon.analysis import AnalysisSettings
from carillon.api.ingest import IngestSettings
from carillon.api.kinesis_video import PutMediaSettings
from carillon.api.protocol import RequestSettings as ApiSettings
from carillon.arns import AwsAccount
from carillon.bounds import OptionalSeconds, OutOfBounds, Port, Seconds, Url, checked, described
from carillon.errors import CarillonError
from carillon.inference import ModelSettings as InferenceSettings
from carillon.media import MediaSettings
from carillon.notifications import NotificationSettings
from carillon.pipelines import PipelineSettings
from carillon.profiles import ProfileSettings
from carillon.storage import DatabaseSettings as StorageSettings
from carillon.streams import StreamSettings
from carillon.tasks import TaskSettings

FILE_NAME: Final = "carillon.toml"
_PREFIX: Final = "CARILLON_"
_DATA_DIR: Final = f"{_PREFIX}DATA_DIR"
_CONFIG: Final = f"{_PREFIX}CONFIG"
_TRACEBACK: Final = f"{_PREFIX}TRACEBACK"  # of the command line: show where something failed
AWS_QUOTAS: Final[Mapping[str, Mapping[str, int]]] = {
    "pipelines": {"max_configurations": 100, "max_active": 20},
    "profiles": {"max_domains": 3, "max_profiles_per_domain": 20},
    "tasks": {"max_speaker_searches": 25, "max_voice_tones": 25},
    "rates": {"configurations": 5, "concurrent_calls": 1},  # AWS: the other rates are 0 until a customer asks for more
    "streams": {
        "calls_per_second": 5,
        "written_bytes_per_second": 12_500_000,
        "written_fragments_per_second": 5,
        "read_bytes_per_second": 25_000_000,
        "read_fragments_per_second": 5,
    },
    "putmedia": {"max_connection_seconds": 2_700},
}
"""Source: Amazon Chime SDK Developer Guide, "Call analytics service quotas"; Kinesis Video Streams Developer Guide,
"Quotas"."""
_SHOWN_CHARACTERS: Final = 60
_MOST_CHARACTERS: Final = 1_000_000
_OWN_VARIABLES: Final = frozenset({_DATA_DIR, _CONFIG, _TRACEBACK})

_Where: TypeAlias = Callable[[str, str], str]
"""Says of a group and a name where it was set."""
_Source: TypeAlias = tuple[Mapping[str, Any], _Where]


class BadSettings(CarillonError):
    """A setting has a name or a value that cannot be."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and how it says so."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` means every IPv4 address, `::` every one of both families. Beyond loopback, serve
    with TLS, or put it in front."""
    port: Port = 8650
    """Port to listen on; 0 picks a free one, which the ready line tells."""
    public_url: Url = ""
    """What GetDataEndpoint answers; empty means the address by which each client came to us (its Host header)."""
    tls_cert: str = ""
    """File of the certificate to serve https with, PEM, intermediates after it; empty means plain HTTP."""
    tls_key: str = ""
    """File of its private key, PEM, without a password."""
    tls: Literal["", "self-signed"] = ""
    """`self-signed` makes a certificate in the data folder and serves https with it."""
    tls_ca: str = ""
    """File of the authorities that signed `tls_cert`, PEM, where the system does not trust them."""
    max_head_bytes: Annotated[int, Meta(ge=1_024, le=16_777_216)] = 32_768
    """Largest request line and headers that are taken in at all; beyond it the connection is closed."""
    head_seconds: Seconds = 10.0
    """How long they may take to arrive."""
    keep_alive_seconds: Seconds = 75.0
    """How long a connection may be idle between two requests. Longer than AWS's SDKs keep theirs."""
    max_strangers: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    """Connections from one address that have not proven a key yet; beyond it the oldest of them is closed."""
    stop_seconds: OptionalSeconds = 10.0
    """How long after SIGTERM producers may take to finish their fragments, and what they sent to be stored."""
    metrics_port: Port = 0
    """Port of Prometheus metrics, at /metrics, without TLS or keys: they hold numbers only. 0 serves none."""
    metrics_host: str = "127.0.0.1"
    """Address that the metrics are served on."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """debug, info, warning or error."""
    log_style: Literal["console", "json"] = "console"
    """console, or json: one object a line."""

    @property
    def url(self) -> str:
        """Return where clients on this machine reach the server, as far as settings can tell."""
        scheme = "https" if self.tls or self.tls_cert else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"{scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Which Kinesis Video Streams the audio comes from."""

    endpoint_url: Annotated[
        str, Meta(pattern=r"^(aws|https?://[^\s/]+\S*)?\Z", description='empty, "aws", or a URL: https://...')
    ] = ""
    """Empty means the embedded streams; `aws` means the real service; else any KVS-compatible endpoint."""
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]*\Z", description="empty, or a Region")] = ""
    """Region of that endpoint; empty means our own."""
    data_endpoint_url: Url = ""
    """Where media is read there, whatever its GetDataEndpoint says: behind a proxy, say; empty means as it says."""


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """How many of each resource there may be. Each room has its own settings; this presets those that are 0."""

    preset: Literal["", "aws"] = ""
    """Empty means unlimited; `aws` means the default quotas of Amazon Chime SDK and of Kinesis Video Streams."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator may set, one field for each room."""

    data_dir: Path = Path("~/.carillon")
    """The folder of the database, the streams and the keys."""
    server: ServerSettings = field(default_factory=ServerSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    account: AwsAccount = field(default_factory=AwsAccount)
    quotas: QuotaSettings = field(default_factory=QuotaSettings)
    rates: RateSettings = field(default_factory=RateSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    putmedia: PutMediaSettings = field(default_factory=PutMediaSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    streams: StreamSettings = field(default_factory=StreamSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    pipelines: PipelineSettings = field(default_factory=PipelineSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    profiles: ProfileSettings = field(default_factory=ProfileSettings)
    notifications: NotificationSettings = field(default_factory=NotificationSettings)


def load(
    data_dir: Path | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read all settings.

    Args:
        data_dir: the data folder; None means CARILLON_DATA_DIR, else ~/.carillon. Its `carillon.toml` is read if it
            exists; CARILLON_CONFIG names another file.
        overrides: what the command line says, by room and field; wins over everything.
        environment: stands in for the process's own.

    Raises:
        BadSettings: an unknown room or field, a value of the wrong kind or out of range, or a file that cannot be read;
            names it, where it was set, and what may be.
    """
    environment = os.environ if environment is None else environment
    folder = _folder(data_dir, environment)
    named = environment.get(_CONFIG)
    file = _expanded(Path(named), _CONFIG) if named else folder / FILE_NAME
    sources: Sequence[_Source] = (
        (_from_file(file, must_exist=bool(named)), lambda *_: f"in {file}"),
        (_from_environment(environment), lambda room, name: f"by {_PREFIX}{room.upper()}_{name.upper()}"),
        (overrides or {}, lambda _, name: f"by --{name.replace('_', '-')}"),
    )
    given: dict[str, dict[str, Any]] = {}
    for values, where in sources:
        for room, fields in values.items():
            given.setdefault(room, {}).update(_checked(room, fields, where))
    known = rooms()
    return _preset(Settings(folder, **{room: known[room](**fields) for room, fields in given.items()}))


def _folder(data_dir: Path | None, environment: Mapping[str, str]) -> Path:
    if data_dir is not None:
        return _expanded(data_dir, "--data-dir")
    return _expanded(Path(environment.get(_DATA_DIR) or "~/.carillon"), _DATA_DIR)


def _expanded(path: Path, setting: str) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise BadSettings(f"{path} (by {setting}) is in the home of a user that does not exist.") from error


def _checked(room: str, fields: object, where: "_Where") -> Mapping[str, Any]:
    """Return the values of one group, each of its kind and in its range."""
    known = rooms()
    if room not in known:
        raise BadSettings(
            f"There is no group of settings {room!r} ({where(room, '...')}). There are: {', '.join(known)}."
        )
    if not isinstance(fields, Mapping):
        raise BadSettings(
            f"{room!r} is a group of settings ({where(room, '...')}); write [{room}] and its fields below."
        )
    kinds = get_type_hints(known[room], include_extras=True)
    found = {}
    for name, value in fields.items():
        if name not in kinds:
            names = ", ".join(kinds)
            raise BadSettings(f"There is no setting {name!r} in {room!r} ({where(room, name)}). There are: {names}.")
        try:
            found[name] = checked(value, kinds[name])
        except OutOfBounds as error:
            given = f"{room}.{name} = {_shown(value)} ({where(room, name)})"
            raise BadSettings(f"{given} cannot be: it must be {described(kinds[name])}.") from error
    return found


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _preset(settings: Settings) -> Settings:
    """Fill in AWS's default quotas wherever nothing else was asked for."""
    if settings.quotas.preset != "aws":
        return settings
    changed = {}
    for room, quotas in AWS_QUOTAS.items():
        group = getattr(settings, room)
        changed[room] = dataclasses.replace(
            group, **{name: most for name, most in quotas.items() if not getattr(group, name)}
        )
    return dataclasses.replace(settings, **changed)


def rooms() -> Mapping[str, type[Any]]:
    """Return every room that has settings, with the dataclass that describes them."""
    return {f.name: f.type for f in dataclasses.fields(Settings) if isinstance(f.type, type) and f.name != "data_dir"}


def _from_file(file: Path, *, must_exist: bool) -> Mapping[str, Any]:
    try:
        with file.open(encoding="utf-8-sig") as text:  # editors on Windows begin a file with a mark
            said = text.read(_MOST_CHARACTERS + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_exist:
            raise BadSettings(f"There is no file {file} (by {_CONFIG}).") from error
        return {}
    except OSError as error:
        raise BadSettings(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{file} is not UTF-8: {error}.") from error
    if len(said) > _MOST_CHARACTERS:
        raise BadSettings(f"{file} is no file of settings: it is longer than {_MOST_CHARACTERS} characters.")
    try:
        return tomllib.loads(said)
    except (ValueError, RecursionError) as error:
        raise BadSettings(f"{file} is not TOML: {error}.") from error


def _from_environment(environment: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """Return CARILLON_<ROOM>_<FIELD> variables by room and field."""
    found: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if name.startswith(_PREFIX) and name not in _OWN_VARIABLES:
            room, _, key = name.removeprefix(_PREFIX).lower().partition("_")
            found.setdefault(room, {})[key] = value
    return found
