"""Speech in, a voice out: the embedding to search with and the one to remember.

Start reading at `analyzer.py`; `embedding.py` is how it embeds, `continuity.py` whether it is still the same person.
Must not know who is enrolled, nor what a match is.
"""

from carillon.analysis.speaker.analyzer import SpeakerAnalyzer, SpeakerModel, SpeakerState
from carillon.analysis.speaker.continuity import LogLikelihoodRatio
from carillon.analysis.speaker.embedding import Embedder, embed_piece, embed_speech, narrowband_embedding
from carillon.analysis.speaker.findings import (
    EarlyIdentificationReady,
    IdentificationReady,
    SpeakerChanged,
    SpeakerFinding,
    TooLittleSpeech,
    UnfitSpeech,
    VoiceprintReady,
)

__all__ = [
    "EarlyIdentificationReady",
    "Embedder",
    "IdentificationReady",
    "LogLikelihoodRatio",
    "SpeakerAnalyzer",
    "SpeakerChanged",
    "SpeakerFinding",
    "SpeakerModel",
    "SpeakerState",
    "TooLittleSpeech",
    "UnfitSpeech",
    "VoiceprintReady",
    "embed_piece",
    "embed_speech",
    "narrowband_embedding",
]
