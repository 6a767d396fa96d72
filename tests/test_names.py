"""One vocabulary: a public name stands for one thing, docstrings use plain verbs, the glossary names what there is."""

import ast
import builtins
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import carillon

ROOT = Path(carillon.__file__).parent
DOCS = ROOT.parent.parent / "docs"
ALIAS = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")
"""What a type alias is called; constants are all capitals."""
ROUNDABOUT = re.compile(
    r"(Take note|Tell (whether|if|of|how|that|what|who)|Let go|Say (that|whether|how|what|who)|Note that)\b"
)
NAMED = re.compile(r"`(carillon(?:\.\w+)*)`")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def public_types(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name and the line of each public class and type alias."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        else:
            continue
        if not name.startswith("_") and (isinstance(node, ast.ClassDef) or ALIAS.fullmatch(name)):
            yield name, node.lineno


def test_no_public_class_or_alias_has_the_name_of_another() -> None:
    places = defaultdict(list)
    for path, module in modules():
        for name, line in public_types(module):
            places[name].append(f"{path}:{line}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_docstrings_begin_with_a_plain_verb() -> None:
    found = [
        f"{path}: {text.splitlines()[0]}"
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)
        if (text := ast.get_docstring(node)) and ROUNDABOUT.match(text)
    ]
    assert found == []


def test_docstrings_raise_what_there_is() -> None:
    found, known = [], set(dir(builtins))
    for path, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                known.add(node.name)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                section = (ast.get_docstring(node) or "").partition("Raises:\n")[2].partition("\n\n")[0]
                raised = re.findall(r"^    ((?:\w+, )*\w+): ", section, re.MULTILINE)
                found += [(name, path) for names in raised for name in names.split(", ")]
    assert [(name, path) for name, path in found if name not in known and name != "DBAPIError"] == []


def glossary() -> Iterator[tuple[str, str]]:
    """Yield the names in code and the module of each row: `A`, `b` | `carillon.room.module`."""
    for line in (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (module := NAMED.fullmatch(cells[-1])):
            yield from ((name, module[1]) for name in re.findall(r"`([^`]+)`", cells[1]))


@pytest.mark.parametrize(("name", "module"), list(glossary()))
def test_the_glossary_names_what_there_is(name: str, module: str) -> None:
    value: object = importlib.import_module(module)
    for part in name.split("."):
        fields = getattr(value, "__dataclass_fields__", {}) | getattr(value, "__annotations__", {})
        assert hasattr(value, part) or part in fields, f"{module} has no {name}"
        value = getattr(value, part, fields.get(part))


def test_the_glossary_has_each_word_once() -> None:
    words = [
        line.split("|")[1].strip() for line in (DOCS / "glossary.md").read_text().splitlines() if "| `carillon" in line
    ]
    assert len(words) >= 60
    assert sorted(words, key=str.lower) == words
    assert len(set(words)) == len(words)
