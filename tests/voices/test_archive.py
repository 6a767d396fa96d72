"""Any number of voices, one in memory at a time; and an archive that ends in the middle."""

import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carillon import config
from carillon.data_folder import opened
from carillon.errors import InvalidRequest
from carillon.profiles import KnownVoice, OpenVoice, Profile, TooManyProfiles
from carillon.voices import work
from carillon.voices.archive import ArchiveBroken, read_archive, writing_archive
from carillon.voices.tools import VoiceTools, open_tools

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("embeds_once")]

KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
PASSPHRASE = "correct horse battery"
AT = datetime(2040, 11, 22, tzinfo=UTC)
SPEECH_SAMPLES = 320_000  # 20 s


def voice(number: int) -> tuple[Profile, OpenVoice]:
    embedding = np.zeros(256, np.float32)
    embedding[number % 256] = 1
    speech = np.full(SPEECH_SAMPLES, number, np.int16)
    profile = Profile(f"vp-{number}", "", "", created_at=AT, updated_at=AT, expires_at=AT)
    return profile, OpenVoice("", "tel", "m", embedding, None, speech)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def nothing(*_: Any) -> None:
    pass


@pytest.fixture
async def a_room(tmp_path: Path, anyio_backend: str) -> AsyncIterator[VoiceTools]:
    chosen = config.load(tmp_path / "data", {"profiles": {"max_profiles_per_domain": 45}}, environment={})
    async with opened(chosen):
        pass
    async with open_tools(chosen) as made:
        yield made


async def new_domain(a_room: VoiceTools, voices: int = 0) -> str:
    domain_id = (await a_room.profiles.create_domain("callers", None, KMS_KEY)).id
    for number in range(voices):
        await a_room.bulk.enroll(domain_id, voice(number)[1], nothing)
    return domain_id


async def peak_bytes(doing: Callable[[], Awaitable[Any]]) -> int:
    tracemalloc.start()
    try:
        await doing()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_export_and_import_take_no_more_memory_for_more_voices(a_room: VoiceTools, tmp_path: Path) -> None:
    few, many = await new_domain(a_room, 10), await new_domain(a_room, 40)
    into = [await new_domain(a_room), await new_domain(a_room)]
    exporting, importing = [], []
    for name, domain_id, target in zip(("few", "many"), (few, many), into, strict=True):
        path = tmp_path / name
        exporting.append(await peak_bytes(partial(work.export, a_room, domain_id, path, PASSPHRASE)))
        await a_room.profiles.delete_domain(domain_id)
        importing.append(await peak_bytes(partial(work.take_in, a_room, target, path, PASSPHRASE)))
    assert exporting[1] < 1.2 * exporting[0] < 20_000_000
    assert importing[1] < 1.2 * importing[0] < 20_000_000
    assert len(await a_room.profiles.profiles(into[1])) == 40


async def test_what_came_in_before_an_import_broke_off_is_told_and_stays(a_room: VoiceTools, tmp_path: Path) -> None:
    path = tmp_path / "voices"
    with writing_archive(path, PASSPHRASE) as archive:
        for number in range(50):  # more than the domain may hold
            profile, heard = voice(number)
            archive.add(KnownVoice(number, profile, heard))
    domain_id = await new_domain(a_room)
    with pytest.raises(work.ImportInterrupted, match=r"45 voice\(s\) had come in and 0 were there") as caught:
        await work.take_in(a_room, domain_id, path, PASSPHRASE)
    assert isinstance(caught.value.__cause__, TooManyProfiles)
    assert len(await a_room.profiles.profiles(domain_id)) == 45


async def test_an_export_that_breaks_off_leaves_no_file(a_room: VoiceTools, tmp_path: Path) -> None:
    domain_id = await new_domain(a_room, 2)
    async with a_room.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE enrollment_speech SET speech = x'00' WHERE number = 2")
    before = names(tmp_path)
    with pytest.raises(Exception, match="cannot be opened"):
        await work.export(a_room, domain_id, tmp_path / "voices", PASSPHRASE)
    assert names(tmp_path) == before


async def test_an_archive_that_cannot_be_written_is_told_in_one_line(a_room: VoiceTools, tmp_path: Path) -> None:
    domain_id = await new_domain(a_room)
    with pytest.raises(InvalidRequest, match="cannot be written: No such file"):
        await work.export(a_room, domain_id, tmp_path / "nowhere" / "voices", PASSPHRASE)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "voices"
    with writing_archive(path, PASSPHRASE) as archive:
        for number in range(3):
            profile, heard = voice(number)
            archive.add(KnownVoice(number, profile, heard))
    assert archive.count == 3
    for number, (profile, heard) in enumerate(read_archive(path, PASSPHRASE)):
        assert profile.id == f"vp-{number}"
        assert heard.speech[0] == number


def test_an_archive_with_anything_behind_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "voices"
    with writing_archive(path, PASSPHRASE) as archive:
        archive.add(KnownVoice(0, *voice(0)))
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArchiveBroken, match="not whole"):
        list(read_archive(path, PASSPHRASE))


async def test_voices_that_another_domain_has_do_not_count_as_there_already(a_room: VoiceTools, tmp_path: Path) -> None:
    has_them, has_not = await new_domain(a_room, 2), await new_domain(a_room)
    path = tmp_path / "voices"
    await work.export(a_room, has_them, path, PASSPHRASE)
    assert await work.take_in(a_room, has_them, path, PASSPHRASE) == (0, 2)
    with pytest.raises(work.ImportInterrupted, match=f"is in domain {has_them}"):
        await work.take_in(a_room, has_not, path, PASSPHRASE)
