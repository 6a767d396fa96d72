"""What the commands on voices leave in the audit trail: every use of a voice, before its result is shown."""

import getpass
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.access import COMMAND, AuditRow, add_to_trail, explanation_row, write_trail
from carillon.arns import AwsAccount
from carillon.clock import Clock
from carillon.profiles import Profile
from carillon.storage import Database
from carillon.tasks import Identification


class CommandAuditTrail:
    """Writes rows whose source is `cli`, with the user of this machine in their details.

    Args:
        is_on: whether there is an audit trail; if not, nothing is written.
    """

    def __init__(self, database: Database, account: AwsAccount, clock: Clock, *, is_on: bool) -> None:
        self._database = database
        self._account = account
        self._clock = clock
        self._is_on = is_on

    async def note(self, operation: str, domain_id: str, **details: object) -> None:
        """Write down what is about to be done with the voices of a domain."""
        await self._write(self._row(operation, f"voice-profile-domain/{domain_id}", details))

    async def explain(self, found: Identification) -> None:
        """Write down whose voice one was found to be."""
        row = explanation_row(self._account, self._clock.now(), str(uuid.uuid4()), found, source=COMMAND, user=_user())
        await self._write(row)

    async def enrolled(self, connection: AsyncConnection, profile: Profile) -> None:
        """Write down, in the transaction that does it, that a profile was made or given a voice."""
        if self._is_on:
            details = {"voice_profile_domain_id": profile.domain_id}
            await add_to_trail(connection, [self._row("EnrollVoice", f"voice-profile/{profile.id}", details)])

    async def _write(self, row: AuditRow) -> None:
        if self._is_on:
            await write_trail(self._database, [row])

    def _row(self, operation: str, resource: str, details: Mapping[str, Any]) -> AuditRow:
        return AuditRow(
            at=self._clock.now(),
            access_key_id="",
            action=f"carillon:{operation}",
            resource=self._account.arn("chime", resource),
            source=COMMAND,
            status=200,
            error=None,
            request_id=str(uuid.uuid4()),
            details={"user": _user(), **details},
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
