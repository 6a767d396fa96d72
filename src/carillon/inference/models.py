"""The models by role, each loaded once a process and shared by every task."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from carillon.inference.calibration import read_calibration
from carillon.inference.catalog import (
    CalibrationEntry,
    Input,
    ModelCatalog,
    ModelUnsupported,
    NotInstalled,
    Weights,
    installed_folder,
)
from carillon.inference.moonshine import Moonshine
from carillon.inference.prosody import prosody
from carillon.inference.sentences import SentenceEncoder
from carillon.inference.sentiment import Sentiment, Vader
from carillon.inference.speaker import SpeakerEncoder
from carillon.inference.tone import Source, SpeechFeatures, ToneClassifier, VoiceFeatures
from carillon.inference.vad import SileroVad
from carillon.inference.words import WordsClassifier
from carillon.telemetry import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which models are used."""

    directory: str = ""
    """A folder of manifests (*.toml) and weights to choose from besides those that travel in the package."""
    vad: str = "silero-vad-6-16k"
    """Id of the model that tells speech from everything else."""
    speaker: str = "wespeaker-resnet34-lm-by-band"
    """Id of the model that embeds voices. Profiles made with another one are not searched until they are made anew."""
    calibration: str = ""
    """File of `carillon calibrate` that stands in for the speaker model's own tables; it is bound to that model."""
    tone: str = "tone-head-clean-5"
    """Id of the model that judges tone by its sound. "tone-head-light-3" costs a quarter of it and is a little less
    right: see docs/models.md."""
    words: Literal["auto", "on", "off"] = "auto"
    """Whether tone also listens to what is said, which needs `carillon-voice[words]`: if that is installed; always, and
    do not start without it; never."""
    asr: str = "moonshine-tiny-en"
    """Id of the model that turns English speech into words."""
    text: str = "call-words-1"
    """Id of the model that judges the tone of words."""


class Models:
    """The models that the settings name. Reads manifests at once, weights when a model is first asked for.

    Loading takes a few tenths of a second: a server calls `load()` in a thread, and no call waits for it. May be used
    from several threads.

    Raises:
        ModelNotFound, ModelBroken, DuplicateModel: see `ModelCatalog`; a model's own property may raise them too. The
        file
            of the calibration may be broken likewise.
        ModelUnsupported: the tone model needs features that we cannot compute.
        NotInstalled: the settings insist on words, but what they need is not installed.
    """

    def __init__(
        self, settings: ModelSettings | None = None, locate: Callable[[str], Path | None] = installed_folder
    ) -> None:
        self._settings = settings or ModelSettings()
        self.catalog = ModelCatalog(Path(self._settings.directory) if self._settings.directory else None, locate)
        self._loading = threading.RLock()
        self._vad_weights = self.catalog.find(self._settings.vad, "vad")
        self._speaker_weights = self.catalog.find(self._settings.speaker, "speaker")
        self._tone_weights = self.catalog.find(self._settings.tone, "tone")
        self._tone_inputs = [
            item
            for item in self._tone_weights.manifest.inputs
            if not item.what.startswith(("speaker_baseline", "baseline_seconds"))
        ]
        self._tone_sources = [self._source_of(item) for item in self._tone_inputs]
        self.words_missing = ""
        """Why there are no words; empty if there are."""
        self._words_weights = self._find_words(locate)
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

    @property
    def words(self) -> WordsClassifier | None:
        """What is said and its tone; None if that is switched off or not installed, see `words_missing`.

        Loaded when somebody first speaks: many servers never analyze a tone.
        """
        with self._loading:
            return self._words

    @property
    def chosen(self) -> tuple[Weights, ...]:
        """The weights that the settings name, and those that these stand on, each once."""
        sources = (weights for weights in self._tone_sources if weights is not None)
        named = (self._vad_weights, self._speaker_weights, *sources, self._tone_weights, *(self._words_weights or ()))
        return tuple({weights.manifest.id: weights for weights in named}.values())

    def load(self) -> None:
        """Load every model now, so that no call waits; words only if the settings insist on them.

        Logs which may not be used commercially.
        """
        for weights in self.chosen:
            if not weights.manifest.commercial_use:
                log.warning("model.not_for_commercial_use", model=weights.manifest.id, license=weights.manifest.license)
        for model in (self.vad, self.speaker, self.tone):
            assert model.id
        if self._settings.words == "on" and self.words is not None:
            self.words.load()

    @cached_property
    def _vad(self) -> SileroVad:
        return SileroVad(self._vad_weights)

    @cached_property
    def _speaker(self) -> SpeakerEncoder:
        return SpeakerEncoder(self._speaker_weights, self._calibration)

    @cached_property
    def _tone(self) -> ToneClassifier:
        pairs = zip(self._tone_inputs, self._tone_sources, strict=True)
        return ToneClassifier(self._tone_weights, {item.name: self._describing(weights) for item, weights in pairs})

    def _describing(self, weights: Weights | None) -> Source:
        """Return what describes speech by a model, or by prosody if there is none."""
        if weights is None:
            return prosody
        if weights.manifest.kind == "encoder":
            is_voice = weights.manifest.inputs[0].what == "fbank"
            return VoiceFeatures(weights).of if is_voice else SpeechFeatures(weights).of
        same = weights.manifest.sha256 == self._speaker_weights.manifest.sha256
        return (self.speaker if same else SpeakerEncoder(weights)).uncentered

    def _source_of(self, described: Input) -> Weights | None:
        """Return the model that an input of the tone model is computed by; None for prosody."""
        if described.what == "prosody":
            return None
        if described.what in ("hidden_stats", "voice_stats"):
            return self.catalog.find(described.of, "encoder")
        if described.what == "embedding":
            return self.catalog.find(described.of, "speaker")
        raise ModelUnsupported(self._tone_weights.manifest.id, f"the front end {described.what!r}")

    @cached_property
    def _words(self) -> WordsClassifier | None:
        if self._words_weights is None:
            return None
        speech, sentences, text = self._words_weights

        def read() -> tuple[Moonshine, Sentiment]:
            return Moonshine(speech), Sentiment(text, SentenceEncoder(sentences), Vader())

        return WordsClassifier(f"{speech.manifest.id}+{text.manifest.id}", read)

    def _find_words(self, locate: Callable[[str], Path | None]) -> tuple[Weights, Weights, Weights] | None:
        if self._settings.words == "off":
            self.words_missing = 'words = "off" under [inference]'
            return None
        try:
            speech, text = self.catalog.find(self._settings.asr, "asr"), self.catalog.find(self._settings.text, "text")
            Vader.require(locate)
        except NotInstalled as error:
            if self._settings.words == "on":
                raise
            self.words_missing = str(error)
            return None
        return speech, self._encoder_of(text, "sentence"), text

    def _own_calibration(self) -> tuple[CalibrationEntry, ...]:
        if not self._settings.calibration:
            return ()
        path = Path(self._settings.calibration).expanduser()
        return read_calibration(path, self._settings.speaker).calibration

    def _encoder_of(self, head: Weights, what: str) -> Weights:
        source = head.manifest.inputs[0]
        if source.what != what:
            raise ModelUnsupported(head.manifest.id, f"the front end {source.what!r}")
        return self.catalog.find(source.of, "encoder")
