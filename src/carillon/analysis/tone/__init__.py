"""Speech in, tone out: a report every 5 s of media time, averaged over 30 s and over the call.

Start reading at `analyzer.py`; `utterance.py` says what is judged together, `averages.py` what is averaged and how.
`conversation.py` and `syllables.py` are extensions. Must not know wall time.
"""

from carillon.analysis.tone.analyzer import ToneAnalyzer, ToneModel, ToneState, WordsModel
from carillon.analysis.tone.averages import ToneAverage
from carillon.analysis.tone.findings import (
    ConversationMeasures,
    ToneDetails,
    ToneDrifted,
    ToneFinding,
    ToneReported,
    ToneTooLittleSpeech,
    VoiceDetails,
)

__all__ = [
    "ConversationMeasures",
    "ToneAnalyzer",
    "ToneAverage",
    "ToneDetails",
    "ToneDrifted",
    "ToneFinding",
    "ToneModel",
    "ToneReported",
    "ToneState",
    "ToneTooLittleSpeech",
    "VoiceDetails",
    "WordsModel",
]
