"""What a model is, in a manifest that people can read: a TOML file beside the weights.

Two folders are read: the weights that travel in the package, and the operator's own. A manifest says where the weights
are, what their SHA-256 must be, who must be credited, which front end they were trained with, and what a score is
evidence of. Weights are read only when a model is first needed, and only if their hash is right.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from carillon.audio import MODEL_RATE_HZ
from carillon.errors import CarillonError, NotFound
from carillon.inference.lines import LinesEntry

PACKAGED: Final = Path(__file__).parent / "weights"

Kind = Literal["speaker", "tone", "vad", "asr", "text", "encoder"]


class ModelNotFound(NotFound):
    """No manifest has this id and kind."""

    def __init__(self, model_id: str, kind: str, known: Iterable[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"There is no {kind} model {model_id!r}. The catalog has: {names}. Check the models folder.")


class DuplicateModel(CarillonError):
    """Two manifests claim one id; a profile remembers ids, so they must be told apart."""

    def __init__(self, model_id: str, first: Path, second: Path) -> None:
        super().__init__(f"{first} and {second} both describe the model {model_id!r}. Give one of them another id.")


class ModelBroken(CarillonError):
    """A manifest or its weights cannot be believed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class ModelUnsupported(CarillonError):
    """The manifest is right, but asks for something that we cannot do yet."""

    def __init__(self, model_id: str, what: str) -> None:
        super().__init__(f"Model {model_id!r} needs {what}, which this version cannot do.")


class NotInstalled(CarillonError):
    """A package that we can do without is not there."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package!r}: pip install 'carillon-voice[{extra}]'.")


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of the graph, and how it is computed from (n,) samples at 16 kHz in [-1, 1], or from words."""

    name: str
    what: Literal[
        "fbank",
        "wave",
        "nemo_mel",
        "log_mel_whisper",
        "mel_windows",
        "ones_mask",
        "hidden_stats",
        "voice_stats",
        "prosody",
        "embedding",
        "speaker_baseline",
        "baseline_seconds",
        "word_pieces",
        "sentence",
        "vader",
    ]
    mels: int = 80
    window: Literal["povey", "hamming", "hann"] = "povey"
    scale: float = 1.0
    """What samples are multiplied by first: 1 or 32768."""
    dither: float = 0.0
    cmn: Literal["mean", "mean_var", "none"] = "none"
    """What is normalized over time, for each mel band."""
    preemphasis: float = 0.97
    layout: Literal["BTC", "BCT"] = "BTC"
    telephone_hz: tuple[float, float] | None = None
    """For `fbank`: what a telephone surely carries, from and to. Of less than 5 s of telephone speech the embedding is
    the mean of two, the second with all bands beyond these at their mean. None: of one."""
    of: str = ""
    """For `hidden_stats`: the id of the encoder whose layers are averaged. For `embedding`: of the speaker model. For
    `sentence`: of its encoder."""


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The output that is read."""

    name: str
    dim: int
    l2: bool = False
    """Divide by the L2 norm, since the graph does not."""
    center: bytes = b""
    """What is then subtracted from every embedding before its norm is made 1 again: `dim` float32, little-endian, in
    base64. Empty for nothing."""
    telephone_center: bytes = b""
    """Of speech that a telephone carried, in the place of `center`. Empty for the same."""
    layers: tuple[int, ...] = ()
    """For encoders: which of the stacked layers, counted from 0, are used."""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another file of the same model, beside `file`."""

    file: str
    sha256: str
    output: str = ""
    """If it is a graph: the output that is read."""


class CalibrationEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log likelihood ratio = a * cosine + b, for so much speech on such a channel; see `calibration.py`."""

    min_seconds: float
    channel: Literal["wb", "tel", "cross"]
    a: float
    b: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that must be known of a model besides its weights. Unknown fields are refused: they are spelling mistakes."""

    id: str
    """Kept with every embedding. Other weights need another id: embeddings of two ids are never compared."""
    kind: Kind
    file: str
    """Name of the weights, in the manifest's folder or the package's."""
    package: str = ""
    """An installed package that carries the weights, and the folder in it: "moonshine_voice/assets/tiny-en". Never
    imported. Empty: the weights are in the manifest's folder."""
    extra: str = ""
    """For `package`: which extra of carillon-voice installs it."""
    parts: dict[str, ModelFile] = {}
    """Other files of the model, by what they are."""
    format: Literal["onnx", "ort"]
    sha256: str
    license: str
    commercial_use: bool = True
    """Whether the license permits it. Where it does not, the log and `carillon doctor` say so."""
    trained_on: tuple[str, ...] = ()
    """Names of the corpora that it learned from, as manifests of recordings spell them, so that figures on their
    speakers are not taken for figures on strangers. Empty: not known."""
    attribution: str
    version: str
    inputs: tuple[Input, ...] = ()
    output: Output
    sample_rate: int = MODEL_RATE_HZ
    max_seconds: float = 0.0
    """The longest audio the model takes at once; 0 means that it is a stream."""
    calibration: tuple[CalibrationEntry, ...] = ()
    lines: LinesEntry | None = None
    """What the lines of telephones do to voices; None if it is not known. See `lines.py`."""
    least_log_probability: float = -1.0
    """For speech to words: the mean log probability of a token below which nothing counts as understood."""


def installed_folder(package: str) -> Path | None:
    """Return where a top-level package is installed, without importing it; None if it is not."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@dataclass(frozen=True, slots=True)
class Weights:
    """A manifest and where its weights are."""

    manifest: Manifest
    path: Path

    def part(self, name: str) -> "Weights":
        """Return another file of the model, under the same manifest.

        Raises:
            ModelBroken: the manifest names none.
        """
        part = self.manifest.parts.get(name)
        if part is None:
            raise ModelBroken(self.path, f"the manifest has no [parts.{name}].")
        output = msgspec.structs.replace(self.manifest.output, name=part.output)
        manifest = msgspec.structs.replace(self.manifest, file=part.file, sha256=part.sha256, output=output)
        return Weights(manifest, self.path.with_name(part.file))

    def files(self) -> "Iterator[Weights]":
        """Yield these and all other files of the model."""
        yield self
        for name in self.manifest.parts:
            yield self.part(name)

    def read(self) -> bytes:
        """Return the weights.

        Raises:
            ModelBroken: the file cannot be read, or its SHA-256 is not the manifest's.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ModelBroken(self.path, f"the weights cannot be read: {error.strerror}.") from error
        if hashlib.sha256(data).hexdigest() != self.manifest.sha256:
            raise ModelBroken(self.path, "the SHA-256 is not the one in the manifest. Fetch the file again.")
        return data


class ModelCatalog:
    """Every model that can be had, by id.

    Args:
        extra: the operator's folder of manifests and weights, read after the package's own; None for none.
        locate: tells where a package is installed; None if it is not.

    Raises:
        ModelBroken: a manifest cannot be read or breaks a rule; the message names the field.
        DuplicateModel: two manifests have the same id.
    """

    def __init__(self, extra: Path | None = None, locate: Callable[[str], Path | None] = installed_folder) -> None:
        self._weights: dict[str, Weights] = {}
        self._locate = locate
        for folder in (PACKAGED, extra):
            if folder is not None:
                self._add(folder)

    def _add(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ModelBroken(folder, "there is no such folder of models.")
        for path in sorted(folder.glob("*.toml")):
            manifest = read_manifest(path)
            if manifest.id in self._weights:
                raise DuplicateModel(manifest.id, self._weights[manifest.id].path, path)
            self._weights[manifest.id] = Weights(manifest, folder / manifest.file)

    def manifests(self) -> list[Manifest]:
        """Return every manifest, by id."""
        return [self._weights[model_id].manifest for model_id in sorted(self._weights)]

    def find(self, model_id: str, kind: Kind) -> Weights:
        """Return a model of one kind.

        Raises:
            ModelNotFound: there is none.
            NotInstalled: there is one, but the package that carries its weights is not installed.
        """
        found = self._weights.get(model_id)
        if found is None or found.manifest.kind != kind:
            same_kind = [item.id for item in self.manifests() if item.kind == kind]
            raise ModelNotFound(model_id, kind, same_kind)
        return found if not found.manifest.package else self._in_package(found.manifest)

    def _in_package(self, manifest: Manifest) -> Weights:
        package, _, folder = manifest.package.partition("/")
        installed = self._locate(package)
        if installed is None:
            raise NotInstalled(f"Model {manifest.id!r}", package, manifest.extra)
        return Weights(manifest, installed / folder / manifest.file)


def read_manifest(path: Path) -> Manifest:
    """Read one manifest.

    Raises:
        ModelBroken: it is not TOML, a field is missing, unknown or of a wrong type, or the file is not a plain name.
    """
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelBroken(path, f"the manifest cannot be used: {error}.") from error
    for file in (manifest.file, *(part.file for part in manifest.parts.values())):
        if Path(file).name != file:
            raise ModelBroken(path, "`file` must be a name in the same folder.")
    if ".." in manifest.package.split("/") or bool(manifest.package) != bool(manifest.extra):
        raise ModelBroken(path, "`package` must be a package and a folder in it, and `extra` what installs it.")
    for name, center in (("center", manifest.output.center), ("telephone_center", manifest.output.telephone_center)):
        if center and len(center) != 4 * manifest.output.dim:
            raise ModelBroken(path, f"`{name}` must be {manifest.output.dim} float32 numbers.")
    if manifest.lines is not None:
        width = 4 * manifest.output.dim
        if len(manifest.lines.weights) != width or len(manifest.lines.directions) % width:
            raise ModelBroken(path, f"`weights` and each of the `directions` of [lines] must be {width // 4} float32.")
    for item in manifest.inputs:
        if item.telephone_hz and not 0 < item.telephone_hz[0] < item.telephone_hz[1] <= MODEL_RATE_HZ / 2:
            raise ModelBroken(path, f"`telephone_hz` must be two rising frequencies up to {MODEL_RATE_HZ // 2}.")
    if manifest.sample_rate != MODEL_RATE_HZ:
        raise ModelBroken(path, f"`sample_rate` must be {MODEL_RATE_HZ}: every model hears the same audio.")
    return manifest
