"""A data folder of an earlier version opens with everybody in it still known."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from carillon import storage
from carillon.arns import AwsAccount
from carillon.clock import ManualClock
from carillon.profiles import Profiles
from carillon.profiles.sealing import seal
from carillon.storage import Database, Vault, migrate

pytestmark = pytest.mark.anyio

MODEL = "resnet34-lm/1"


def _up_to(connection: sa.Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(storage.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_profiles_of_one_voice_become_profiles_of_several(
    tmp_path: Path, vault: Vault, clock: ManualClock
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    embedding = np.full(256, 1 / 16, np.float32)
    key, micros = vault.new_key(), int(clock.now().timestamp() * 1_000_000)
    sealed = seal(vault, key, "voice_profile/vp-1", embedding, np.ones(1_600, np.int16))
    years = 94_608_000_000_000
    try:
        async with database.transaction() as connection:
            await connection.run_sync(_up_to, "0002")
            for statement, values in (
                (
                    "INSERT INTO voice_profile_domains VALUES ('vpd-1', 'callers', NULL, 'arn', :key, :at, :at, 7, 0)",
                    {"key": key, "at": micros},
                ),
                (
                    "INSERT INTO voice_profiles VALUES (5, 'vp-1', 'vpd-1', 'task-1', :at, :at, :over, 7, :model, :e)",
                    {"at": micros, "over": micros + years, "model": MODEL, "e": sealed.embedding},
                ),
                (
                    "INSERT INTO voice_profiles VALUES (6, 'vp-2', 'vpd-1', 'task-2', :at, :at, :at, 7, :model, NULL)",
                    {"at": micros, "model": MODEL},
                ),
                ("INSERT INTO enrollment_speech VALUES (5, :speech)", {"speech": sealed.speech}),
            ):
                await connection.execute(sa.text(statement), values)
        await migrate(database)
        profiles = Profiles(database, vault, AwsAccount(), clock)
        (found,) = await profiles.search("vpd-1", embedding, MODEL)
        assert (found.profile_id, found.channel) == ("vp-1", "tel")
        assert [profile.id for profile in await profiles.profiles("vpd-1")] == ["vp-1", "vp-2"]
        async with database.reading() as connection:
            speech = (await connection.exec_driver_sql("SELECT number, speech FROM enrollment_speech")).all()
        assert [tuple(row) for row in speech] == [(5, sealed.speech)]
        await profiles.delete_profile("vp-1")
        assert await profiles.search("vpd-1", embedding, MODEL) == []
    finally:
        await database.close()
