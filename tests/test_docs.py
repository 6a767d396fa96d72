"""What the docs say is so."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from carillon.config import rooms

ROOT = Path(__file__).parents[1]


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_settings_is_that_of_the_code() -> None:
    page = _script(ROOT / "docs/settings.py").page()
    assert page == (ROOT / "docs/settings.md").read_text(), "run: python docs/settings.py"
    assert "|  |" not in page, "a field without a docstring"
    assert all(f"## [{room}]" in page for room in rooms())


def test_the_diagrams_of_both_lives_are_those_of_the_tables() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    script = _script(ROOT / "docs/diagrams.py")
    assert script.drawn(page) == page, "run: python docs/diagrams.py"
    assert len(script.BLOCK.findall(page)) == page.count("```mermaid") == 2


def test_every_metric_is_in_the_docs() -> None:
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    metrics = set(re.findall(r'"(carillon_[a-z_]+(?:_seconds|_total|_bytes))"', code))
    docs = (ROOT / "docs/operating.md").read_text()
    assert metrics
    assert all(metric in docs for metric in metrics), metrics


def test_every_file_that_the_docs_name_exists() -> None:
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")):
        for name in re.findall(r"`((?:src|tests|docs|bench|training)/[\w/.-]+)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_every_packaged_weight_is_credited() -> None:
    notice = (ROOT / "NOTICE").read_text()
    weights = list((ROOT / "src/carillon/inference/weights").glob("*.onnx"))
    assert weights
    assert all(path.name in notice for path in weights)
