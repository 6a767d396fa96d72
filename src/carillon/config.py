"""Settings, read once when a process starts: defaults, then `carillon.toml`, then `CARILLON_*` variables.

A table of the file is a room: `[tasks] match_confidence = 0.8`; the variable is CARILLON_TASKS_MATCH_CONFIDENCE.
A name or value that is wrong is an error that says which one: a typing mistake must not leave a default in force.
"""

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from carillon.analysis import Settings as AnalysisSettings
from carillon.api.access import Settings as AuditSettings
from carillon.api.ingest import Settings as IngestSettings
from carillon.api.kinesis_video import Settings as PutMediaSettings
from carillon.api.protocol import Settings as ApiSettings
from carillon.api.throttle import Settings as RateSettings
from carillon.arns import Place
from carillon.errors import CarillonError
from carillon.inference import Settings as InferenceSettings
from carillon.media import Settings as MediaSettings
from carillon.notifications import Settings as NotificationSettings
from carillon.pipelines import Settings as PipelineSettings
from carillon.profiles import Settings as ProfileSettings
from carillon.storage import Settings as StorageSettings
from carillon.streams import Settings as StreamSettings
from carillon.tasks import Settings as TaskSettings

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
_OWN_VARIABLES: Final = frozenset({_DATA_DIR, _CONFIG, _TRACEBACK})


class BadSettings(CarillonError):
    """A setting has a name or a value that cannot be."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and how it says so."""

    host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback, serve with TLS, or put it in front."""
    port: int = 8650
    """Port to listen on; 0 picks a free one, which the ready line tells."""
    public_url: str = ""
    """What GetDataEndpoint answers; empty means the address that is listened on."""
    tls_cert: str = ""
    """File of the certificate to serve https with, PEM, intermediates after it; empty means plain HTTP."""
    tls_key: str = ""
    """File of its private key, PEM, without a password."""
    tls: str = ""
    """`self-signed` makes a certificate in the data folder and serves https with it."""
    tls_ca: str = ""
    """File of the authorities that signed `tls_cert`, PEM, where the system does not trust them."""
    max_head_bytes: int = 32_768
    """Largest request line and headers that are taken in at all; beyond it the connection is closed."""
    head_seconds: float = 10.0
    """How long they may take to arrive."""
    stop_seconds: float = 5.0
    """How long open connections may go on after SIGTERM."""
    metrics_port: int = 0
    """Port of Prometheus metrics, at /metrics, without TLS or keys: they hold numbers only. 0 serves none."""
    metrics_host: str = "127.0.0.1"
    """Address that the metrics are served on."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_style: str = "console"
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

    endpoint_url: str = ""
    """Empty means the embedded streams; `aws` means the real service; else any KVS-compatible endpoint."""
    region: str = ""
    """Region of that endpoint; empty means our own."""
    data_endpoint_url: str = ""
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
    place: Place = field(default_factory=Place)
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
        BadSettings: an unknown room or field, or a value of the wrong kind; names it.
    """
    environment = os.environ if environment is None else environment
    folder = (data_dir or Path(environment.get(_DATA_DIR, "~/.carillon"))).expanduser()
    file = Path(environment.get(_CONFIG, folder / FILE_NAME)).expanduser()
    given: dict[str, dict[str, Any]] = {}
    for source in (_from_file(file), _from_environment(environment), overrides or {}):
        _check_names(source)
        for room, values in source.items():
            given.setdefault(room, {}).update(values)
    try:
        settings = msgspec.convert({**given, "data_dir": str(folder)}, Settings, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise BadSettings(f"A setting has a value that cannot be: {error}.") from error
    return _preset(settings)


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


def _from_file(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{file} is not TOML: {error}.") from error


def _from_environment(environment: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """Return CARILLON_<ROOM>_<FIELD> variables by room and field."""
    found: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if name.startswith(_PREFIX) and name not in _OWN_VARIABLES:
            room, _, key = name.removeprefix(_PREFIX).lower().partition("_")
            found.setdefault(room, {})[key] = value
    return found


def _check_names(given: Mapping[str, Any]) -> None:
    known = rooms()
    for room, values in given.items():
        if room not in known:
            raise BadSettings(f"There is no group of settings {room!r}. There are: {', '.join(known)}.")
        if not isinstance(values, Mapping):
            raise BadSettings(f"{room!r} is a group of settings; write [{room}] and its fields below.")
        fields = [f.name for f in dataclasses.fields(known[room])]
        for name in values:
            if name not in fields:
                raise BadSettings(f"There is no setting {name!r} in {room!r}. There are: {', '.join(fields)}.")


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise TypeError(f"{value!r} is not a {kind.__name__}")
