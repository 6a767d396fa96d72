"""What the tests found to work, kept for docs/compatibility.py: operation x client."""

import json
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parents[2] / "compatibility/results.json"
"""Git-ignored: made by a test run, read by docs/compatibility.py."""

REFUSED: Final = "refused"
CLIENTS: Final = ("boto3", "AWS CLI", "JavaScript SDK v3")


class Results:
    """Operations that a client called and got the right answer for."""

    def __init__(self) -> None:
        self._passed: dict[str, set[str]] = {client: set() for client in CLIENTS}
        self._broken: dict[str, int] = {}

    def passed(self, client: str, service: str, operation: str) -> None:
        """Note that an operation works for a client."""
        self._passed[client].add(f"{service} {operation}")

    def refused(self, service: str, operation: str, requests: int) -> None:
        """Note that so many requests, each breaking one constraint of an operation, were refused as modeled."""
        self._broken[f"{service} {operation}"] = requests

    def write(self) -> None:
        """Add to what earlier runs found; a run of everything first removes the file."""
        known = json.loads(FILE.read_text()) if FILE.exists() else {}
        merged: dict[str, object] = {
            client: sorted({*known.get(client, ()), *found}) for client, found in self._passed.items()
        }
        merged[REFUSED] = {**known.get(REFUSED, {}), **self._broken}
        FILE.write_text(json.dumps(merged, indent=1) + "\n")
