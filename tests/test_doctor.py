"""`carillon doctor` finds what is wrong, and changes nothing."""

import importlib.util
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from carillon import config
from carillon.config import Settings
from carillon.data_folder import CREDENTIALS_FILE, DATABASE_FILE, ROOT_KEY_FILE, opened
from carillon.doctor import CheckResult, examine, show
from carillon.inference import ModelSettings as InferenceSettings
from carillon.storage import Database, NewerDatabase

pytestmark = pytest.mark.anyio


def settings(folder: Path, **server: object) -> Settings:
    return config.load(folder, {"server": server}, environment={})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def of(found: list[CheckResult], what: str) -> list[CheckResult]:
    return [item for item in found if item.what == what]


async def test_a_folder_that_does_not_exist_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    found = await examine(settings(tmp_path / "new", port=_free_port()))
    assert {item.state for item in found} == {"ok"}
    assert not (tmp_path / "new").exists()


async def test_a_folder_that_was_used_is_fine_and_left_as_it_is(tmp_path: Path) -> None:
    chosen = settings(tmp_path, port=_free_port())
    async with opened(chosen):
        pass
    before = contents(tmp_path)
    found = await examine(chosen)
    assert {item.state for item in found} == {"ok"}
    assert len(of(found, "permissions")) == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [ROOT_KEY_FILE, CREDENTIALS_FILE])
async def test_a_secret_that_others_may_read_is_a_fault(tmp_path: Path, name: str) -> None:
    async with opened(settings(tmp_path)):
        pass
    (tmp_path / name).chmod(0o640)
    faults = [item for item in await examine(settings(tmp_path)) if item.state == "fault"]
    assert faults[0].what == "permissions"
    assert name in faults[0].said
    assert "rotate" in faults[0].said


async def test_a_folder_that_others_may_write_to_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    (found,) = of(await examine(settings(tmp_path / "data")), "permissions")
    assert found.state == "fault"


async def test_a_root_key_that_is_not_the_databases_is_a_fault(tmp_path: Path) -> None:
    async with opened(settings(tmp_path)):
        pass
    (tmp_path / ROOT_KEY_FILE).write_bytes(bytes(32))
    (found,) = of(await examine(settings(tmp_path)), "database")
    assert found.state == "fault"
    assert "backup" in found.said


async def test_a_database_that_is_damaged_inside_is_a_fault(tmp_path: Path) -> None:
    async with opened(settings(tmp_path)):
        pass
    file = tmp_path / DATABASE_FILE
    data = bytearray(file.read_bytes())
    data[-8_192:] = bytes(8_192)  # a page that no start looks at
    file.write_bytes(data)
    (found,) = of(await examine(settings(tmp_path)), "database")
    assert found.state == "fault"
    assert "damaged" in found.said


async def test_a_database_that_lost_a_table_is_a_fault(tmp_path: Path) -> None:
    async with opened(settings(tmp_path)) as data_folder, data_folder.database.transaction() as connection:
        await connection.exec_driver_sql("DROP TABLE resource_tags")
    (found,) = of(await examine(settings(tmp_path)), "database")
    assert found.state == "fault"
    assert "resource_tags" in found.said


async def test_a_database_without_our_tables_will_be_brought_up_to_date(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / DATABASE_FILE}")
    async with database.transaction():
        pass
    await database.close()
    (found,) = of(await examine(settings(tmp_path)), "database")
    assert found.state == "note"


async def test_a_database_of_a_newer_version_is_a_fault_and_is_not_opened(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / DATABASE_FILE}")
    async with database.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        await connection.execute(sa.text("INSERT INTO alembic_version VALUES ('9999')"))
    await database.close()
    (found,) = of(await examine(settings(tmp_path)), "database")
    assert found.state == "fault"
    with pytest.raises(NewerDatabase, match="9999"):
        async with opened(settings(tmp_path)):
            pass


async def test_a_database_that_is_none_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"this is no database" * 1000)
    (found,) = of(await examine(settings(tmp_path)), "database")
    assert found.state == "fault"


@pytest.mark.parametrize(
    ("host", "state"), [("127.0.0.1", "ok"), ("::1", "ok"), ("localhost", "ok"), ("0.0.0.0", "note")]
)
async def test_an_address_beyond_this_machine_wants_tls(tmp_path: Path, host: str, state: str) -> None:
    (found,) = of(await examine(settings(tmp_path, host=host, port=_free_port())), "address")
    assert found.state == state


async def test_weights_that_are_not_those_of_the_manifest_are_a_fault(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    packaged = Path(config.__file__).parent / "inference/weights/silero_vad_16k.toml"
    (models / "mine.toml").write_text(packaged.read_text().replace('id = "silero-vad-6-16k"', 'id = "mine"'))
    (models / "silero_vad_16k.onnx").write_bytes(b"other weights")
    chosen = replace(settings(tmp_path), inference=InferenceSettings(directory=str(models), vad="mine"))
    (found,) = of(await examine(chosen), "model: vad")
    assert found.state == "fault"
    assert not await show(chosen, as_json=True)


async def test_words_that_are_switched_off_are_told(tmp_path: Path) -> None:
    chosen = replace(settings(tmp_path), inference=InferenceSettings(words="off"))
    (found,) = of(await examine(chosen), "words")
    assert found.state == "ok"
    assert 'words = "off"' in found.said


async def test_every_file_of_a_model_is_looked_at(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    packaged = Path(config.__file__).parent / "inference/weights"
    manifest = (packaged / "all_minilm_l6_v2.toml").read_text()
    (models / "mine.toml").write_text(manifest.replace('id = "all-minilm-l6-v2-int8"', 'id = "mine"'))
    (models / "all_minilm_l6_v2.onnx").write_bytes((packaged / "all_minilm_l6_v2.onnx").read_bytes())
    (models / "all_minilm_l6_v2_vocabulary.txt").write_text("other words")
    text = (packaged / "call_words.toml").read_text().replace('of = "all-minilm-l6-v2-int8"', 'of = "mine"')
    (models / "text.toml").write_text(text.replace('id = "call-words-1"', 'id = "my-words"'))
    (models / "call_words.onnx").write_bytes((packaged / "call_words.onnx").read_bytes())
    chosen = replace(settings(tmp_path), inference=InferenceSettings(directory=str(models), text="my-words"))
    faults = [item for item in await examine(chosen) if item.state == "fault"]
    assert [item.said.partition(":")[0] for item in faults] == [str(models / "all_minilm_l6_v2_vocabulary.txt")]


async def test_a_model_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    chosen = replace(settings(tmp_path), inference=InferenceSettings(tone="no-such-head"))
    (found,) = of(await examine(chosen), "models")
    assert "no-such-head" in found.said


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def test_what_is_in_brackets_is_printed_and_no_model_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else found_spec(name))
    assert await show(settings(tmp_path, port=_free_port()), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert any("pip install 'carillon-voice[codecs]'" in line for line in lines)
    models = [line for line in lines if "model: " in line]
    assert len(set(models)) == len(models) > 5
    assert len({line.split(",")[0] for line in models}) == len(models)


@pytest.mark.parametrize("folder", ["/proc", "/proc/nowhere", "/etc/passwd", "/etc/passwd/below"])
async def test_a_folder_that_cannot_be_written_is_a_fault(folder: str) -> None:
    (found,) = of(await examine(settings(Path(folder), port=_free_port())), "data folder")
    assert found.state == "fault"
