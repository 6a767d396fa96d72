"""How right the models are, measured on labelled recordings: the figures behind every claim about voices.

Uses exactly what a live call uses, the speech gate and the models, on files instead of a stream; knows no tasks and no
domains. A folder has a `manifest.csv`; see `manifest.py` for its columns. Start reading at `speaker.py`.
"""

from carillon.evaluation.manifest import BadManifest
from carillon.evaluation.show import show
from carillon.evaluation.speaker import SpeakerReport, evaluate_speaker
from carillon.evaluation.tone import ToneReport, evaluate_tone

__all__ = ["BadManifest", "SpeakerReport", "ToneReport", "evaluate_speaker", "evaluate_tone", "show"]
