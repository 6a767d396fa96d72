"""How right the models are, measured on labeled recordings: the figures behind every claim about voices.

Uses exactly what a live call uses, the speech gate and the models, on files instead of a stream; knows no tasks and no
domains. A folder has a `manifest.csv`; see `manifest.py` for its columns. Start reading at `speaker.py` or at `tone/`;
`calls/` shows whole calls to people, without labels.
"""

from carillon.evaluation.calibrating import Calibrated, CalibrationRefused, calibrate, write_calibration
from carillon.evaluation.calls import CallAnalysis, follow_calls, show_calls, write_pages
from carillon.evaluation.figures import Decision
from carillon.evaluation.fitting import Fitted, Needed
from carillon.evaluation.histogram import histogram
from carillon.evaluation.manifest import chosen_lines, read_manifest
from carillon.evaluation.pages import require_pages
from carillon.evaluation.report import write_report
from carillon.evaluation.show import show
from carillon.evaluation.speaker import SpeakerReport, evaluate_speaker
from carillon.evaluation.tone import evaluate_tone, show_tone, write_tone_report

__all__ = [
    "Calibrated",
    "CalibrationRefused",
    "CallAnalysis",
    "Decision",
    "Fitted",
    "Needed",
    "SpeakerReport",
    "calibrate",
    "chosen_lines",
    "evaluate_speaker",
    "evaluate_tone",
    "follow_calls",
    "histogram",
    "read_manifest",
    "require_pages",
    "show",
    "show_calls",
    "show_tone",
    "write_calibration",
    "write_pages",
    "write_report",
    "write_tone_report",
]
