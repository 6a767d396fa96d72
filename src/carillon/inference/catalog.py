"""What a model is, in a manifest that people can read: a TOML file beside the weights.

Two folders are read: the weights that travel in the package, and the operator's own. A manifest says where the weights
are, what their SHA-256 must be, who must be credited, which front end they were trained with, and what a score is
evidence of. Weights are read only when a model is first needed, and only if their hash is right.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from carillon.audio import MODEL_RATE_HZ
from carillon.errors import CarillonError, NotFound

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


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of the graph, and how it is computed from (n,) samples at 16 kHz in [-1, 1]."""

    name: str
    what: Literal["fbank", "wave", "nemo_mel", "log_mel_whisper", "mel_windows", "ones_mask", "hidden_stats"]
    mels: int = 80
    window: Literal["povey", "hamming", "hann"] = "povey"
    scale: float = 1.0
    """What samples are multiplied by first: 1 or 32768."""
    dither: float = 0.0
    cmn: Literal["mean", "mean_var", "none"] = "none"
    """What is normalized over time, for each mel band."""
    preemphasis: float = 0.97
    layout: Literal["BTC", "BCT"] = "BTC"
    of: str = ""
    """For `hidden_stats`: the id of the encoder whose layers are averaged."""


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The output that is read."""

    name: str
    dim: int
    l2: bool = False
    """Divide by the L2 norm, since the graph does not."""
    center: bytes = b""
    """What is then subtracted from every embedding before its norm is made 1 again: `dim` float32, little-endian, in
    base64. Empty for nothing."""
    layers: tuple[int, ...] = ()
    """For encoders: which of the stacked layers, counted from 0, are used."""


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
    """Name of the weights, in the manifest's folder."""
    format: Literal["onnx", "ort"]
    sha256: str
    licence: str
    attribution: str
    version: str
    inputs: tuple[Input, ...] = ()
    output: Output
    sample_rate: int = MODEL_RATE_HZ
    max_seconds: float = 0.0
    """The longest audio the model takes at once; 0 means that it is a stream."""
    calibration: tuple[CalibrationEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """A manifest and where its weights are."""

    manifest: Manifest
    path: Path

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


class Catalog:
    """Every model that can be had, by id.

    Args:
        extra: the operator's folder of manifests and weights, read after the package's own; None for none.

    Raises:
        ModelBroken: a manifest cannot be read or breaks a rule; the message names the field.
        DuplicateModel: two manifests have the same id.
    """

    def __init__(self, extra: Path | None = None) -> None:
        self._weights: dict[str, Weights] = {}
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
        """
        found = self._weights.get(model_id)
        if found is None or found.manifest.kind != kind:
            same_kind = [item.id for item in self.manifests() if item.kind == kind]
            raise ModelNotFound(model_id, kind, same_kind)
        return found


def read_manifest(path: Path) -> Manifest:
    """Read one manifest.

    Raises:
        ModelBroken: it is not TOML, a field is missing, unknown or of a wrong type, or the file is not a plain name.
    """
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelBroken(path, f"the manifest cannot be used: {error}.") from error
    if Path(manifest.file).name != manifest.file:
        raise ModelBroken(path, "`file` must be a name in the same folder.")
    if manifest.output.center and len(manifest.output.center) != 4 * manifest.output.dim:
        raise ModelBroken(path, f"`center` must be {manifest.output.dim} float32 numbers.")
    if manifest.sample_rate != MODEL_RATE_HZ:
        raise ModelBroken(path, f"`sample_rate` must be {MODEL_RATE_HZ}: every model hears the same audio.")
    return manifest
