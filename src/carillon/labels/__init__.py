"""`carillon label`: people say how their own calls sound, so that a head can be trained and measured on these.

Start reading at `serving.py`, which shows the pages that `eval calls` makes; `marks.py` keeps what was said of them.
"""

from carillon.labels.serving import label_calls

__all__ = ["label_calls"]
