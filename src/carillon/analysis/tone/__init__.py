"""Speech in, tone out: a report every 5 s of media time, averaged over 30 s and over the call.

Start reading at `analyzer.py`; `averages.py` says what is averaged and how. Must not know wall time.
"""

from carillon.analysis.tone.analyzer import (
    ToneAnalyzer,
    ToneFinding,
    ToneModel,
    ToneReported,
    ToneState,
    ToneTooLittleSpeech,
)
from carillon.analysis.tone.averages import Label, Probabilities, ToneAverage

__all__ = [
    "Label",
    "Probabilities",
    "ToneAnalyzer",
    "ToneAverage",
    "ToneFinding",
    "ToneModel",
    "ToneReported",
    "ToneState",
    "ToneTooLittleSpeech",
]
