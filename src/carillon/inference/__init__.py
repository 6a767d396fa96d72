"""ONNX models on the CPU, and the catalog that says what they are: audio in, numbers out.

Knows front ends, weights and calibration; must not know what a task, a call or a finding is, nor keep anything between
two calls (a stream's memory is handed in and out: `VadState`). Everything hears 16 kHz mono float32.

Start reading at `models.py`, the models by role; `catalog.py` tells how another one is plugged in. `onnxruntime`,
`kaldi_native_fbank` and the optional `vaderSentiment` are guests of this room alone.
"""

from carillon.inference.calibration import MOST_EVIDENCE, CalibrationLine, line_of, posteriors, read_calibration
from carillon.inference.catalog import (
    CalibrationEntry,
    DuplicateModel,
    Manifest,
    ModelBroken,
    ModelCatalog,
    ModelNotFound,
    ModelUnsupported,
    NotInstalled,
)
from carillon.inference.fusion import WORDS_PRIOR, fuse
from carillon.inference.lines import LEAST_SECONDS, Compensated, LineCompensation
from carillon.inference.models import Models, ModelSettings
from carillon.inference.speaker import SpeakerEncoder, centered
from carillon.inference.tone import AcousticJudgment, Probabilities, SpeakerBaseline
from carillon.inference.vad import VAD_WINDOW_SAMPLES, VadState
from carillon.inference.words import WordsClassifier, WordsJudgment

__all__ = [
    "LEAST_SECONDS",
    "MOST_EVIDENCE",
    "VAD_WINDOW_SAMPLES",
    "WORDS_PRIOR",
    "AcousticJudgment",
    "CalibrationEntry",
    "CalibrationLine",
    "Compensated",
    "DuplicateModel",
    "LineCompensation",
    "Manifest",
    "ModelBroken",
    "ModelCatalog",
    "ModelNotFound",
    "ModelSettings",
    "ModelUnsupported",
    "Models",
    "NotInstalled",
    "Probabilities",
    "SpeakerBaseline",
    "SpeakerEncoder",
    "VadState",
    "WordsClassifier",
    "WordsJudgment",
    "centered",
    "fuse",
    "line_of",
    "posteriors",
    "read_calibration",
]
