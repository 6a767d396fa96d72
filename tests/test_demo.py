"""The demonstration, as `make demo ARGS=--json` runs it."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from carillon.demo.display import Display, show_summary
from carillon.demo.report import AnalyzedCall, Report, expectations
from carillon.demo.story import CallResult
from carillon.notifications import ProfileMatch, ToneWindow

AT = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
PROFILE = "vp-7d1f1c58-1111-4222-8333-444455556666"


@pytest.mark.timeout(600)
def test_the_demonstration_shows_what_it_promises(carillon: Any) -> None:
    done = carillon("demo", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert all(expectation["holds"] for expectation in report["expectations"])
    first, again, other = report["calls"]
    assert again["matches"][0]["profile_id"] == first["seen"]["profile_id"]
    assert other["matches"] == []
    assert report["real_time_factor"] < 0.5


def _analyzed(name: str, profile_id: str | None = None, matches: Sequence[ProfileMatch] = ()) -> AnalyzedCall:
    window = ToneWindow(0, 30_000, AT, AT + timedelta(seconds=30), "neutral", 0.2, 0.6, 0.2)
    return AnalyzedCall(CallResult(name, profile_id=profile_id), matches, [(window, window)] * 13)


def test_the_summary_cuts_no_id_at_80_columns_and_has_one_name_for_a_call() -> None:
    matches = [ProfileMatch(PROFILE, 0.991)]
    calls = [_analyzed("call-1", PROFILE), _analyzed("call-2", matches=matches), _analyzed("call-3")]
    said = io.StringIO()
    show_summary(Console(file=said, width=80), Report(calls, 1.0, 1.0, 1.0, expectations(calls, 0.7)))
    assert said.getvalue().count(PROFILE) >= 2
    assert "…" not in said.getvalue()
    assert "call 1" not in said.getvalue()


def test_a_bar_that_is_full_says_that_analysis_goes_on() -> None:
    said = io.StringIO()
    console = Console(file=said, width=80, force_terminal=True)
    with Display(console, quiet=False) as display:
        display.advance("call-1", 0.5)
        assert "still being analyzed" not in said.getvalue()
        display.advance("call-1", 1.0)
    assert "call-1, played: its last words are still being analyzed" in said.getvalue()
    with Display(console, quiet=False) as display:
        display.advance("call-1", 1.0)
        display.finish("call-1")
    assert "call-1, played and analyzed" in said.getvalue()
