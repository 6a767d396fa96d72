"""Audio in, findings out. No I/O, no clock: values in, values out, and all memory in one replaceable state.

Three rooms: `speech/` makes the rate right and judges what is speech, `speaker/` and `tone/` are the two analyses that
stand on it. Both have one shape, `push(samples)`, `end()`, `state`, and keep two promises to the bit: it does not
matter how the samples were split, nor whether the analyzer was stopped and went on from its state elsewhere.

Must not know tasks, profiles or what a notification looks like. Start reading at `speech/gate.py`.
"""

from carillon.analysis.packing import StateUnreadable
from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.speaker import (
    EarlyIdentificationReady,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerChanged,
    SpeakerFinding,
    SpeakerModel,
    SpeakerState,
    TooLittleSpeech,
    VoiceprintReady,
    embed_speech,
    narrowband_embedding,
)
from carillon.analysis.speech import SpeechGate, UnsupportedRate, VadModel, speech_of
from carillon.analysis.tone import (
    ToneAnalyzer,
    ToneAverage,
    ToneDrifted,
    ToneFinding,
    ToneModel,
    ToneReported,
    ToneState,
    ToneTooLittleSpeech,
    WordsModel,
)

__all__ = [
    "AnalysisSettings",
    "EarlyIdentificationReady",
    "IdentificationReady",
    "SpeakerAnalyzer",
    "SpeakerChanged",
    "SpeakerFinding",
    "SpeakerModel",
    "SpeakerState",
    "SpeechGate",
    "StateUnreadable",
    "ToneAnalyzer",
    "ToneAverage",
    "ToneDrifted",
    "ToneFinding",
    "ToneModel",
    "ToneReported",
    "ToneState",
    "ToneTooLittleSpeech",
    "TooLittleSpeech",
    "UnsupportedRate",
    "VadModel",
    "VoiceprintReady",
    "WordsModel",
    "embed_speech",
    "narrowband_embedding",
    "speech_of",
]
