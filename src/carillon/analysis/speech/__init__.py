"""A call at any rate in, frames judged speech or not at 16 kHz out.

Start reading at `gate.py`; `resample.py` makes the rate right. Must not know what the speech is wanted for.
"""

from carillon.analysis.speech.band import band_of
from carillon.analysis.speech.gate import (
    FRAME_SAMPLES,
    FRAME_SECONDS,
    GateState,
    JudgedFrames,
    SpeechGate,
    VadModel,
    speech_of,
)
from carillon.analysis.speech.resample import Resampler, ResamplerState, UnsupportedRate
from carillon.analysis.speech.shared import SharedDetector
from carillon.analysis.speech.telephone import narrowband_of

__all__ = [
    "FRAME_SAMPLES",
    "FRAME_SECONDS",
    "GateState",
    "JudgedFrames",
    "Resampler",
    "ResamplerState",
    "SharedDetector",
    "SpeechGate",
    "UnsupportedRate",
    "VadModel",
    "band_of",
    "narrowband_of",
    "speech_of",
]
