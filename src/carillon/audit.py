"""`carillon audit`: the audit trail as a table, read from the database while the server runs or not."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.markup import escape

from carillon.access import COMMAND, TASK, AuditRow, read_trail
from carillon.config import Settings
from carillon.data_folder import opened
from carillon.terminal import print_json

_WHO: Final = {TASK: "carillon", COMMAND: "a command"}
"""Who did it, of what signs nothing."""
_PAGE: Final = 1000


async def show(settings: Settings, since: datetime | None, action: str, as_json: bool) -> None:
    """Print rows, oldest first."""
    console = Console(highlight=False, soft_wrap=True)
    async with opened(settings, must_exist=True) as data_folder:
        after = 0
        while True:
            found = await read_trail(data_folder.database, after, _PAGE, since, action)
            for after, row in found:  # noqa: B007 - the last position is where the next page begins
                if as_json:
                    print_json(asdict(row))
                else:
                    console.print(line(row))
            if len(found) < _PAGE:
                return


def line(row: AuditRow) -> str:
    """Return one row as one line of rich markup."""
    result = f"[green]{row.status}[/]" if row.error is None else f"[red]{row.status} {escape(row.error)}[/]"
    who = row.access_key_id or _WHO.get(row.source, "stranger")
    if row.source == COMMAND and row.details:
        who = escape(str(row.details.get("user", who)))
    what = f"[bold]{escape(row.action)}[/] {escape(row.resource)}"
    asked = f"[dim]{row.at:%Y-%m-%d %H:%M:%S}[/] {who} {row.source} {what} {result} [dim]{row.request_id}[/]"
    return asked + _explained(row)


def _explained(row: AuditRow) -> str:
    """Return what an answer was made from, its best candidate only; empty for requests."""
    if row.details is None or "candidates" not in row.details:
        return ""
    candidates = row.details["candidates"]
    if not candidates:
        return " nobody is known"
    best = candidates[0]
    verdict = "is" if best["is_match"] else "nobody; nearest"
    return (
        f" {verdict} {escape(best['voice_profile_id'])}: confidence {best['confidence']} (cosine {best['cosine']} "
        f"{best['channel']}, log likelihood ratio {best['log_likelihood_ratio']})"
    )
