"""Draws in ARCHITECTURE.md the lives of pipelines and tasks, from the tables that decide them.

A block that begins with a comment is drawn anew; the comment names the module whose table it is.

    python docs/diagrams.py
"""

import importlib
import re
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "ARCHITECTURE.md"
BLOCK: Final = re.compile(r"```mermaid\n%% (carillon[\w.]+)\n.*?```", re.DOTALL)


def drawn(text: str) -> str:
    """Return a page with every diagram as the tables have it now."""
    return BLOCK.sub(lambda block: _block(block[1]), text)


def _block(module: str) -> str:
    table = importlib.import_module(module).TRANSITIONS
    return "\n".join(["```mermaid", f"%% {module}", *diagram(table), "```"])


def diagram(table: Mapping[Enum, Collection[Enum]]) -> list[str]:
    """Return the lines of a state diagram: states in the order of the table, of which the first begins."""
    order = list(table)
    arrows = [(state.value, after.value) for state in order for after in order if after in table[state]]
    ends = [(state.value, "[*]") for state in order if not table[state]]
    return ["stateDiagram-v2", *(f"    {one} --> {other}" for one, other in [("[*]", order[0].value), *arrows, *ends])]


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
