"""Figures of the source itself, as far as its syntax trees tell: how long, how alike, how many ways to do one thing.

Nothing is imported or run, so it measures any checkout, and several side by side: before and after a change.

    python bench/house.py [CHECKOUT ...] [--list]
"""

import argparse
import ast
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final, TypeAlias, cast

HERE: Final = Path(__file__).parents[1]
MOST_POSITIONAL: Final = 6
PASSAGE_LINES: Final = 6
PAUSES: Final = frozenset({"sleep", "pause"})

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Loop: TypeAlias = ast.For | ast.AsyncFor | ast.While


@dataclass(frozen=True, slots=True)
class Module:
    """One source file."""

    path: str
    lines: Sequence[str]
    tree: ast.Module = field(repr=False)
    nodes: Sequence[ast.AST] = field(repr=False)

    def functions(self) -> Iterator[Function]:
        """Yield every function and method, inner ones too."""
        return (node for node in self.nodes if isinstance(node, Function))

    def classes(self) -> Iterator[ast.ClassDef]:
        """Yield every class."""
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    def place(self, node: Function | ast.ClassDef | Loop) -> str:
        """Return where something stands."""
        return f"{self.path}:{node.lineno} {getattr(node, 'name', '')}".strip()


def read(folder: Path) -> list[Module]:
    """Return the modules under a folder; migrations, which nobody reads, are left out."""
    paths = [path for path in sorted(folder.rglob("*.py")) if not {"migrations", "node_modules"} & set(path.parts)]
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    return [Module(path, texts[path].splitlines(), tree, tuple(ast.walk(tree))) for path, tree in trees.items()]


def length(function: Function) -> int:
    """Return the lines of a function without its docstring and decorators."""
    end = function.end_lineno or function.lineno
    first = function.body[0]
    has_docstring = ast.get_docstring(function, clean=False) is not None
    return end - function.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0)


def names_used_twice(modules: Sequence[Module]) -> list[str]:
    """Return the public classes that two modules have."""
    places = defaultdict(set)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(module.path)
    return [f"{name}: {', '.join(sorted(found))}" for name, found in sorted(places.items()) if len(found) > 1]


def members(node: ast.ClassDef) -> set[str]:
    """Return the names that a class itself defines: methods, fields, and what its methods set on `self`."""
    names = {inner.name for inner in node.body if isinstance(inner, Function)}
    for inner in [*node.body, *(inner for inner in ast.walk(node) if isinstance(inner, ast.Attribute))]:
        match inner:
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                names.add(name)
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                names.add(name)
    return names


def bases(node: ast.ClassDef) -> set[str]:
    """Return the last names of the classes that one derives from."""
    plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in plain}


def interfaces(modules: Sequence[Module], *, are_protocols: bool) -> Mapping[str, set[str]]:
    """Return what each Protocol, or each other class, has, of its own or by inheritance."""
    own = {node.name: (members(node), bases(node)) for module in modules for node in module.classes()}

    def everything(name: str) -> set[str]:
        there, inherited = own[name]
        return there.union(*(everything(base) for base in inherited if base in own and base != name))

    return {
        name: everything(name) for name, (_, inherited) in own.items() if ("Protocol" in inherited) is are_protocols
    }


def protocols(modules: Sequence[Module]) -> Mapping[str, set[str]]:
    """Return the Protocols that classes implement, with what they ask for; `__call__` is what functions have too."""
    found = interfaces(modules, are_protocols=True)
    return {name: needed for name, needed in found.items() if needed and "__call__" not in needed}


def lonely_protocols(modules: Sequence[Module], tests: Sequence[Module]) -> list[str]:
    """Return the Protocols that fewer than two classes implement, fakes in tests counted."""
    there = [item for some in (modules, tests) for item in interfaces(some, are_protocols=False).items()]
    found = {name: [other for other, has in there if needed <= has] for name, needed in protocols(modules).items()}
    return [f"{name}: {', '.join(others) or 'nothing'}" for name, others in found.items() if len(others) < 2]


def wide_constructors(modules: Sequence[Module]) -> list[str]:
    """Return the constructors that take more arguments by position than anybody can keep apart."""
    return [
        f"{module.place(node)}: {len(inner.args.posonlyargs + inner.args.args) - 1}"
        for module in modules
        for node in module.classes()
        for inner in node.body
        if isinstance(inner, Function) and inner.name == "__init__"
        if len(inner.args.posonlyargs + inner.args.args) - 1 > MOST_POSITIONAL
    ]


def own_nodes(loop: Loop) -> Iterator[ast.AST]:
    """Yield what a loop does itself: not what functions and loops inside it do."""
    waiting: list[ast.AST] = [*loop.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.For | ast.AsyncFor | ast.While | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def called(node: ast.AST) -> str:
    """Return the last name of what a node calls; empty if it calls nothing."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def loops(modules: Sequence[Module]) -> tuple[list[str], list[str]]:
    """Return the loops that pause and try again after an error, and those that only pause: work done now and then."""
    retrying: list[str] = []
    periodic: list[str] = []
    for module in modules:
        for node in module.nodes:
            if isinstance(node, Loop) and any(called(inner).strip("_") in PAUSES for inner in own_nodes(node)):
                tries = any(isinstance(inner, ast.ExceptHandler) for inner in own_nodes(node))
                (retrying if tries else periodic).append(module.place(node))
    return retrying, periodic


def code_lines(module: Module) -> list[tuple[int, str]]:
    """Return the lines that say something, each with its number: no imports, docstrings, comments, lone brackets."""
    silent = set()
    for node in module.nodes:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            statement = cast("ast.stmt", node)
            silent |= set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    stripped = ((number, line.strip()) for number, line in enumerate(module.lines, 1) if number not in silent)
    return [(number, line) for number, line in stripped if any(map(str.isalnum, line)) and not line.startswith("#")]


def repeated_passages(modules: Sequence[Module]) -> list[str]:
    """Return the pairs of places where the same lines stand: as long as they are, but PASSAGE_LINES at least."""
    texts = {module.path: code_lines(module) for module in modules}
    places = defaultdict(list)
    for path, lines in texts.items():
        for at in range(len(lines) - PASSAGE_LINES + 1):
            places[tuple(line for _, line in lines[at : at + PASSAGE_LINES])].append((path, at))
    alike = {pair for found in places.values() for pair in combinations(found, 2)}
    begins = [(a, b) for a, b in alike if ((a[0], a[1] - 1), (b[0], b[1] - 1)) not in alike]
    return sorted(" = ".join(f"{path}:{texts[path][at][0]}" for path, at in pair) for pair in begins)


def measure(checkout: Path) -> Mapping[str, object]:
    """Return the figures of a checkout by name; a list counts."""
    modules, tests = read(checkout / "src/carillon"), read(checkout / "tests")
    lengths = sorted(
        (length(function), module.place(function)) for module in modules for function in module.functions()
    )
    sizes = [len(module.lines) for module in modules]
    deciles = statistics.quantiles([lines for lines, _ in lengths], n=10)
    retrying, periodic = loops(modules)
    return {
        "modules": len(modules),
        "lines": sum(sizes),
        "lines that say something": sum(len(code_lines(module)) for module in modules),
        "lines of a module, median": int(statistics.median(sizes)),
        "lines of a module, most": max(sizes),
        "functions": len(lengths),
        "lines of a function, median": int(statistics.median(lines for lines, _ in lengths)),
        "lines of a function, nine of ten": int(deciles[-1]),
        "lines of a function, most": lengths[-1][0],
        "functions of more than 40 lines": [f"{place}: {lines}" for lines, place in lengths if lines > 40],
        "public classes whose name two modules use": names_used_twice(modules),
        "Protocols": len(protocols(modules)),
        "Protocols with one implementation, and no fake": lonely_protocols(modules, tests),
        "constructors with more than 6 positional arguments": wide_constructors(modules),
        "loops that try again": retrying,
        "loops that do something now and then": periodic,
        "passages of 6 lines or more that stand twice": repeated_passages(modules),
        "the same in tests": repeated_passages(tests),
        "lines of tests": sum(len(module.lines) for module in tests),
    }


def main() -> int:
    """Print a table with a column for each checkout; and with --list, what was counted in the last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[HERE], metavar="CHECKOUT")
    parser.add_argument("--list", action="store_true", help="also print what was counted in the last checkout")
    given = parser.parse_args()
    columns = [measure(checkout) for checkout in given.checkouts]
    for name, last in columns[-1].items():
        figures = [len(value) if isinstance(value := column[name], list) else value for column in columns]
        print(f"{name:52}" + "".join(f"{figure!s:>9}" for figure in figures))
        if given.list and isinstance(last, list):
            print(*(f"    {line}" for line in last), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
