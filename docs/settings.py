"""Writes docs/settings.md from the settings themselves: names, defaults, and the docstring under each field.

python docs/settings.py
"""

import ast
import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_type_hints

from carillon.bounds import described
from carillon.config import rooms

PAGE: Final = Path(__file__).with_name("settings.md")
HEAD: Final = """\
# Settings

Read once at start: defaults, then `carillon.toml` in the data folder (or the file that `CARILLON_CONFIG` names), then
variables, then the command line. A group is a table of the file and a part of the variable's name:

```toml
[tasks]
match_confidence = 0.8      # or CARILLON_TASKS_MATCH_CONFIDENCE=0.8
```

A name that does not exist, or a value of the wrong kind or out of range, is an error that names it and where it was
set. Made by `docs/settings.py`.
"""


def page() -> str:
    """Return the text of the page."""
    return HEAD + "".join(_group(name, kind) for name, kind in rooms().items())


def _group(name: str, kind: type[Any]) -> str:
    kinds, docs = get_type_hints(kind, include_extras=True), _docs(kind)
    rows = [
        f"| `{field.name}` | `{_default(field)}` | {described(kinds[field.name])} | {docs.get(field.name, '')} |"
        for field in dataclasses.fields(kind)
    ]
    about = (inspect.getdoc(kind) or "").splitlines()[0]
    return "\n".join([f"\n## [{name}]\n", about, "", "| name | default | may be | |", "|---|---|---|---|", *rows, ""])


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        value = field.default_factory() if field.default_factory is not dataclasses.MISSING else None
    return "true" if value is True else "false" if value is False else repr(value).replace("'", '"')


def _docs(kind: type[Any]) -> Mapping[str, str]:
    """Return the string that stands under each field."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


if __name__ == "__main__":
    PAGE.write_text(page())
