"""How right tone is, on recordings of which it is known what people were asked to express.

Start reading at `evaluation.py`. `clips.py` and `windows.py` listen, with the models and the analyzer of live calls;
`figures.py` and `measures.py` count; `show.py` and `report.py` tell.
"""

from carillon.evaluation.tone.evaluation import ToneReport, evaluate_tone
from carillon.evaluation.tone.report import write_tone_report
from carillon.evaluation.tone.show import show_tone

__all__ = ["ToneReport", "evaluate_tone", "show_tone", "write_tone_report"]
