"""The models by role, each loaded once a process and shared by every task."""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from carillon.inference.calibration import read_calibration
from carillon.inference.catalog import CalibrationEntry, Catalog, ModelUnsupported, Weights
from carillon.inference.speaker import SpeakerEncoder
from carillon.inference.tone import SpeechFeatures, ToneClassifier
from carillon.inference.vad import SileroVad


@dataclass(frozen=True, slots=True)
class Settings:
    """Which models are used."""

    directory: str = ""
    """A folder of manifests (*.toml) and weights to choose from besides those that travel in the package."""
    vad: str = "silero-vad-6-16k"
    """Id of the model that tells speech from everything else."""
    speaker: str = "wespeaker-resnet34-lm-centered"
    """Id of the model that embeds voices. Profiles made with another one are not searched until they are made anew."""
    calibration: str = ""
    """File of `carillon calibrate` that stands in for the speaker model's own tables; it is bound to that model."""
    tone: str = "tone-head-clean-1"
    """Id of the model that judges tone."""


class Models:
    """The models that the settings name. Reads manifests at once, weights when a model is first asked for.

    Loading takes a few tenths of a second, so a server calls `load()` in a thread before it says that it is ready.
    May be used from several threads.

    Raises:
        ModelNotFound, ModelBroken, DuplicateModel: see `Catalog`; a model's own property may raise them too. The file
            of the calibration may be broken likewise.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self.catalog = Catalog(Path(self._settings.directory) if self._settings.directory else None)
        self._loading = threading.RLock()
        self._vad_weights = self.catalog.find(self._settings.vad, "vad")
        self._speaker_weights = self.catalog.find(self._settings.speaker, "speaker")
        self._tone_weights = self.catalog.find(self._settings.tone, "tone")
        self._calibration = self._own_calibration()

    @property
    def vad(self) -> SileroVad:
        """Speech or not, a window at a time."""
        with self._loading:
            return self._vad

    @property
    def speaker(self) -> SpeakerEncoder:
        """Speech to embedding, and cosine to evidence."""
        with self._loading:
            return self._speaker

    @property
    def tone(self) -> ToneClassifier:
        """Speech to the probabilities of the three tones."""
        with self._loading:
            return self._tone

    def load(self) -> None:
        """Load every model now, so that the first call does not wait for it."""
        for model in (self.vad, self.speaker, self.tone):
            assert model.id

    @cached_property
    def _vad(self) -> SileroVad:
        return SileroVad(self._vad_weights)

    @cached_property
    def _speaker(self) -> SpeakerEncoder:
        return SpeakerEncoder(self._speaker_weights, self._calibration)

    @cached_property
    def _tone(self) -> ToneClassifier:
        return ToneClassifier(self._tone_weights, SpeechFeatures(self._encoder_of(self._tone_weights)))

    def _own_calibration(self) -> tuple[CalibrationEntry, ...]:
        if not self._settings.calibration:
            return ()
        path = Path(self._settings.calibration).expanduser()
        return read_calibration(path, self._settings.speaker).calibration

    def _encoder_of(self, head: Weights) -> Weights:
        source = head.manifest.inputs[0]
        if source.what != "hidden_stats":
            raise ModelUnsupported(head.manifest.id, f"the front end {source.what!r}")
        return self.catalog.find(source.of, "encoder")
