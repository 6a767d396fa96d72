"""Heads that judge tone by its sound: recordings and labels in; a head, figures on people it never heard, a card out.

Start reading at `training.py`. `listening.py` hears recordings as live calls are heard, and through rooms, noise and
telephones; `histories.py` is what was heard of a speaker before; `heads.py` fits; `figures.py` measures; `export.py`
writes the graph and its manifest.
"""

from carillon.training.tone.clips import Clips, LabeledRecording, extract
from carillon.training.tone.export import Name, write_head
from carillon.training.tone.figures import table
from carillon.training.tone.heads import DEFAULT, LIGHT, Recipe
from carillon.training.tone.listening import CHANGES, FeatureExtractor
from carillon.training.tone.training import Trained, train

__all__ = [
    "CHANGES",
    "DEFAULT",
    "LIGHT",
    "Clips",
    "FeatureExtractor",
    "LabeledRecording",
    "Name",
    "Recipe",
    "Trained",
    "extract",
    "table",
    "train",
    "write_head",
]
