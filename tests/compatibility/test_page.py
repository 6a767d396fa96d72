"""docs/compatibility.md says what is so: the operations of the registry, and nothing but good results."""

import re
from pathlib import Path

from referee import registry
from referee.results import CLIENTS

PAGE = (Path(__file__).parents[2] / "docs/compatibility.md").read_text()
AGAIN = "run: python -m pytest tests/compatibility && python docs/compatibility.py"


def rows() -> dict[tuple[str, str], list[str]]:
    """The cells of each operation."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        service = section.partition("\n")[0]
        for line in re.findall(r"^\| ([A-Z]\w+) \| (.*) \|$", section, re.MULTILINE):
            found[service, line[0]] = line[1].split(" | ")
    return found


def test_the_page_has_exactly_the_operations_of_the_registry() -> None:
    assert sorted(rows()) == sorted(registry.operations()), AGAIN


def test_every_operation_works_for_every_client() -> None:
    for operation, (modeled, *cells) in rows().items():
        assert re.fullmatch(r"\d+ refused", modeled), (operation, AGAIN)
        assert cells == ["passed"] * len(CLIENTS), (operation, AGAIN)
