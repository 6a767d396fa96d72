"""The demonstration, as `make demo ARGS=--json` runs it."""

import json
from typing import Any

import pytest


@pytest.mark.timeout(240)
def test_the_demonstration_shows_what_it_promises(carillon: Any) -> None:
    done = carillon("demo", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert all(expectation["holds"] for expectation in report["expectations"])
    first, again, other = report["calls"]
    assert again["matches"][0]["voiceProfileId"] == first["profile_id"]
    assert other["matches"] == []
    assert report["real_time_factor"] < 0.5
