"""The audit trail: what is written down, that it stays, and that no request waits for it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from carillon.access import AuditSettings, AuditTrail, read_trail, recording
from carillon.access.access_log import AccessLogRecord
from carillon.arns import AwsAccount
from carillon.audit import line
from carillon.clock import ManualClock
from carillon.commands.times import NotATime, read_time
from carillon.storage import Database

NOW = datetime.now(UTC)
DOMAIN = "arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-1"


def answered(operation: str = "DeleteVoiceProfileDomain", status: int = 204, **given: Any) -> AccessLogRecord:
    known: dict[str, Any] = {
        "request_id": "r-1",
        "caller": "CRLNTEST",
        "is_proven": True,
        "family": "chime",
        "source": "192.0.2.7",
        "error": None,
        "request": {"VoiceProfileDomainId": "vpd-1"},
        "answer": None,
    }
    return AccessLogRecord(operation=operation, status=status, **{**known, **given})


async def written(trail: AuditTrail, database: Database) -> list[Any]:
    await trail.write()
    return [row for _, row in await read_trail(database, 0, 10_000)]


@pytest.fixture
def trail(database: Database) -> AuditTrail:
    return AuditTrail(database, AwsAccount(), ManualClock(NOW), AuditSettings())


@pytest.mark.anyio
async def test_a_row_says_who_did_what_to_which_resource(trail: AuditTrail, database: Database) -> None:
    await trail.note(answered())
    (row,) = await written(trail, database)
    assert (row.access_key_id, row.action, row.resource) == ("CRLNTEST", "chime:DeleteVoiceProfileDomain", DOMAIN)
    assert (row.source, row.status, row.error, row.request_id) == ("192.0.2.7", 204, None, "r-1")
    assert row.at == NOW


@pytest.mark.anyio
async def test_what_was_made_is_named_by_its_arn(trail: AuditTrail, database: Database) -> None:
    made = {"VoiceProfileDomain": {"Name": "x", "VoiceProfileDomainArn": DOMAIN}}
    await trail.note(answered("CreateVoiceProfileDomain", 201, request={"Name": "x"}, answer=made))
    (row,) = await written(trail, database)
    assert row.resource == DOMAIN


@pytest.mark.anyio
async def test_changes_and_denials_are_written_and_reads_only_if_wanted(trail: AuditTrail, database: Database) -> None:
    await trail.note(answered("GetVoiceProfileDomain", 200))
    await trail.note(answered("ListVoiceProfileDomains", 200, request={}))
    await trail.note(answered("", 404, error="UnknownOperationException"))
    assert await written(trail, database) == []
    await trail.note(answered("GetVoiceProfileDomain", 403, error="AccessDeniedException"))
    await trail.note(answered("DeleteVoiceProfileDomain", 404, error="NotFoundException"))
    assert [row.error for row in await written(trail, database)] == ["AccessDeniedException", "NotFoundException"]
    everything = AuditTrail(database, AwsAccount(), ManualClock(NOW), AuditSettings(reads=True))
    await everything.note(answered("GetVoiceProfileDomain", 200))
    assert len(await written(everything, database)) == 3


@pytest.mark.anyio
async def test_strangers_cannot_fill_the_disk(database: Database) -> None:
    clock = ManualClock(NOW)
    trail = AuditTrail(database, AwsAccount(), clock, AuditSettings())
    for number in range(5000):
        source = f"192.0.2.{number % 10}"
        refused = answered(caller="", is_proven=False, status=403, error="UnrecognizedClientException", source=source)
        await trail.note(refused)
    assert len(await written(trail, database)) == 10
    for number in range(5000):
        await trail.note(answered(caller="", is_proven=False, status=403, error="X", source=str(number)))
    assert len(await written(trail, database)) == 1024
    clock.advance(timedelta(minutes=2))
    await trail.note(answered(caller="", is_proven=False, status=403, error="X", source="1"))
    assert len(await written(trail, database)) == 1025


@pytest.mark.anyio
async def test_the_database_refuses_changes_and_removals(
    trail: AuditTrail, database: Database, database_url: str
) -> None:
    await trail.note(answered())
    await trail.write()
    statements = ["UPDATE audit_trail SET action = 'x'", "DELETE FROM audit_trail"]
    if "postgresql" in database_url:
        statements.append("TRUNCATE audit_trail")
    for statement in statements:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            async with database.transaction() as connection:
                await connection.execute(sa.text(statement))
    assert len(await written(trail, database)) == 1


@pytest.mark.anyio
async def test_rows_go_when_they_are_old(database: Database) -> None:
    old = AuditTrail(database, AwsAccount(), ManualClock(NOW - timedelta(days=400)), AuditSettings())
    await old.note(answered())
    await old.write()
    trail = AuditTrail(database, AwsAccount(), ManualClock(NOW), AuditSettings(kept_days=365))
    await trail.note(answered())
    await trail.write()
    await AuditTrail(database, AwsAccount(), ManualClock(NOW), AuditSettings(kept_days=0)).sweep()
    assert len(await written(trail, database)) == 2
    await trail.sweep()
    assert [row.at for row in await written(trail, database)] == [NOW]


@pytest.mark.anyio
async def test_a_clean_stop_loses_nothing(database: Database) -> None:
    async with recording(database, AwsAccount(), ManualClock(NOW), AuditSettings(write_seconds=60)) as trail:
        for number in range(2500):
            await trail.note(answered(request_id=str(number)))
    assert [row.request_id for _, row in await read_trail(database, 0, 10_000)] == [str(n) for n in range(2500)]


@pytest.mark.anyio
async def test_when_more_happens_than_can_be_written_requests_wait(database: Database) -> None:
    async with recording(
        database, AwsAccount(), ManualClock(NOW), AuditSettings(write_seconds=0, most_waiting=3)
    ) as trail:
        with anyio.fail_after(120):
            for _ in range(20):
                await trail.note(answered())
                assert len(trail._waiting) <= 3
    assert len(await read_trail(database, 0, 100)) == 20


@pytest.mark.anyio
async def test_a_database_that_fails_for_a_while_loses_nothing(database: Database, trail: AuditTrail) -> None:
    await trail.note(answered())
    async with database.transaction() as connection:
        await connection.execute(sa.text("ALTER TABLE audit_trail RENAME TO away"))
    assert not await trail._write_if_possible()
    async with database.transaction() as connection:
        await connection.execute(sa.text("ALTER TABLE away RENAME TO audit_trail"))
    await trail.close()
    assert len(await read_trail(database, 0, 100)) == 1


def test_a_running_server_writes_and_the_command_shows(start_server: Any, carillon: Any, tmp_path: Any) -> None:
    server = start_server(tmp_path / "data")
    arn = server.client("kinesisvideo").create_stream(StreamName="audited")["StreamARN"]
    server.client("kinesisvideo").list_streams()
    wrong = server.client("chime-sdk-voice")
    wrong._request_signer._credentials.secret_key = "wrong"
    with pytest.raises(wrong.exceptions.ClientError):
        wrong.delete_voice_profile_domain(VoiceProfileDomainId="vpd-1")
    assert server.stop() == 0
    folder = ("--data-dir", str(tmp_path / "data"))
    rows = [json.loads(row) for row in carillon("audit", "--json", *folder).stdout.splitlines()]
    assert [(row["action"], row["resource"], row["status"], row["error"]) for row in rows] == [
        ("kinesisvideo:CreateStream", arn, 200, None),
        ("chime:DeleteVoiceProfileDomain", "", 403, "InvalidSignatureException"),
    ]
    assert {row["source"] for row in rows} == {"127.0.0.1"}
    assert {row["access_key_id"] for row in rows} == {server.environment["AWS_ACCESS_KEY_ID"]}
    shown = carillon("audit", "--since", "1h", "--action", "createstream", *folder).stdout
    assert shown.count("\n") == 1
    assert arn in shown
    assert carillon("audit", "--since", "2100-01-01", *folder).stdout == ""


@pytest.mark.anyio
async def test_a_line_has_no_markup_of_a_clients_making(trail: AuditTrail, database: Database) -> None:
    await trail.note(answered(request={"VoiceProfileDomainId": "[red]x"}))
    (row,) = await written(trail, database)
    assert r"\[red]x" in line(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-22T10:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00+02:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
    ],
)
def test_times_are_read(text: str, expected: datetime) -> None:
    assert read_time(text, NOW) == expected
    with pytest.raises(NotATime):
        read_time(text + "?", NOW)
