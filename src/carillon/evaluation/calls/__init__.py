"""How the product hears whole calls, one party on each channel, for people to read: no labels, no score.

Start reading at `follow.py`, which runs the analyzers of live calls over a file; `page.py` draws what they said.
"""

from carillon.evaluation.calls.follow import CallAnalysis, follow_calls
from carillon.evaluation.calls.page import write_pages
from carillon.evaluation.calls.show import show_calls

__all__ = ["CallAnalysis", "follow_calls", "show_calls", "write_pages"]
