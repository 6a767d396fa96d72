"""Labeled recordings, heard in every way that training needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ
from carillon.evaluation.manifest import ManifestRecording
from carillon.inference.tone import LABELS
from carillon.training.tone.listening import BANDS, FeatureExtractor, Features, long_enough, name_of

EXCITED: Final = {"angry": 1, "happy": 1, "fearful": 1, "sad": 0, "calm": 0, "neutral": 0, "read": 0}
"""Arousal by emotion. Others are acted both ways, and are left out."""

UNKNOWN: Final = -1

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabeledRecording:
    """A recording of which it is known how it sounds."""

    recording: ManifestRecording
    corpus: str
    tone: int
    """Place in `LABELS`."""
    emotion: str
    """Empty where nobody says: then it teaches tone alone, and no arousal."""

    @classmethod
    def of(cls, recording: ManifestRecording) -> "LabeledRecording":
        """Read a manifest's line: its columns corpus, valence and perhaps emotion."""
        labels = recording.labels
        return cls(recording, labels["corpus"], LABELS.index(labels["valence"]), labels.get("emotion") or "")


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """n labeled recordings, heard."""

    features: Mapping[str, Features]
    """(n, d) by condition: the two bands, and what training adds."""
    tones: Labels
    excited: Labels
    """1, 0, or -1 where it is not known."""
    speakers: npt.NDArray[np.str_]
    corpora: npt.NDArray[np.str_]
    emotions: npt.NDArray[np.str_]
    names: npt.NDArray[np.str_]
    seconds: Array

    def where(self, chosen: Mask) -> "Clips":
        """Return only some of them."""
        return Clips(
            {condition: features[chosen] for condition, features in self.features.items()},
            self.tones[chosen],
            self.excited[chosen],
            self.speakers[chosen],
            self.corpora[chosen],
            self.emotions[chosen],
            self.names[chosen],
            self.seconds[chosen],
        )


def extract(listener: FeatureExtractor, labeled: Sequence[LabeledRecording], changes: Sequence[str]) -> Clips:
    """Compute features in both bands and after changes, of those with half a second of speech in both bands."""
    recordings = [item.recording for item in labeled]
    speech = {band: listener.speech(recordings, band) for band in BANDS}
    places = np.flatnonzero(np.logical_and(*(long_enough(speech[band]) for band in BANDS))).tolist()
    kept = [labeled[place] for place in places]
    chosen = [item.recording for item in kept]
    features: dict[str, Features] = {
        band: listener.features(chosen, [speech[band][place] for place in places], band) for band in BANDS
    }
    wideband = [speech["wideband"][place] for place in places]
    features |= {change: listener.features(chosen, wideband, change) for change in changes}
    return Clips(
        features,
        np.array([item.tone for item in kept]),
        np.array([EXCITED.get(item.emotion, UNKNOWN) for item in kept]),
        np.array([f"{item.corpus}/{item.recording.speaker}" for item in kept]),
        np.array([item.corpus for item in kept]),
        np.array([item.emotion for item in kept]),
        np.array([name_of(item.recording) for item in kept]),
        np.array([len(item) / MODEL_RATE_HZ for item in wideband]),
    )
