"""Writes docs/compatibility.md from what the last test run found: operation x client x result.

python -m pytest tests/compatibility && python docs/compatibility.py
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from referee import registry  # noqa: E402 - found by the line above
from referee.results import CLIENTS, FILE, REFUSED  # noqa: E402

PAGE: Final = Path(__file__).with_name("compatibility.md")
MODELLED: Final = "botocore model"
HEAD: Final = """\
# Compatibility

Every operation that carillon answers, and the unmodified clients that called it and got the right answer. Made by
`docs/compatibility.py` from a run of `tests/compatibility`; the operations come from the assembled application.

- **botocore model**: so many requests were sent, each of which breaks one constraint of the operation's model (a member
  missing, too long, of another JSON type, ...) and is valid otherwise. Each was answered with the modeled error that
  names the member, and changed nothing. Answers to valid requests are held against the model of the output.
- **boto3**, **AWS CLI** and **JavaScript SDK v3** run the worked session: a domain, a configuration, a stream, a
  pipeline, tasks on a real call, enrollment, and the end of it all, asserted one operation after the other.

PutMedia is in no SDK for these languages; `carillon push` signs it with botocore's signer. All other operations of the
models are refused with an error that says which ones are answered.
"""


def page(results: Mapping[str, Any]) -> str:
    """Return the text of the page for the results of a run."""
    return HEAD + "".join(_group(service, names, results) for service, names in registry.covered().items())


def _group(service: str, names: Sequence[str], results: Mapping[str, Any]) -> str:
    clients = [MODELLED, *CLIENTS]
    rows = [
        f"| {name} | " + " | ".join(_cell(client, f"{service} {name}", results) for client in clients) + " |"
        for name in names
    ]
    heading = f"| operation | {' | '.join(clients)} |"
    return "\n".join([f"\n## {service}\n", heading, "|---|" + "---|" * len(clients), *rows, ""])


def _cell(client: str, operation: str, results: Mapping[str, Any]) -> str:
    if client == MODELLED:
        refused = results.get(REFUSED, {}).get(operation)
        return "not tested" if refused is None else f"{refused} refused"
    return "passed" if operation in results.get(client, ()) else "not tested"


if __name__ == "__main__":
    if not FILE.exists():
        sys.exit("There are no results yet. Run: python -m pytest tests/compatibility")
    PAGE.write_text(page(json.loads(FILE.read_text())))
