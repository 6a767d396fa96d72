"""Speech in, a voice out: the embedding to search with and the one to remember.

Start reading at `analyzer.py`. Must not know who is enrolled, nor what a match is.
"""

from carillon.analysis.speaker.analyzer import (
    Embedder,
    IdentificationReady,
    SpeakerAnalyzer,
    SpeakerFinding,
    SpeakerModel,
    SpeakerState,
    TooLittleSpeech,
    UnfitSpeech,
    VoiceprintReady,
    embed_piece,
    embed_speech,
    twin_embedding,
)

__all__ = [
    "Embedder",
    "IdentificationReady",
    "SpeakerAnalyzer",
    "SpeakerFinding",
    "SpeakerModel",
    "SpeakerState",
    "TooLittleSpeech",
    "UnfitSpeech",
    "VoiceprintReady",
    "embed_piece",
    "embed_speech",
    "twin_embedding",
]
