import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from carillon.bounds import checked, described, meta_of
from carillon.config import BadSettings, Settings, load, rooms


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


KINDS = {
    (room, name): kind
    for room, group in rooms().items()
    for name, kind in get_type_hints(group, include_extras=True).items()
}


def _wrong(kind: Any) -> Iterator[object]:
    """Values that a setting of a kind cannot have, as TOML would give them."""
    bare, meta = _bare(kind), meta_of(kind)
    if bare is bool:
        yield from (1, "maybe", 0.5)
    elif bare in (int, float):
        yield from (True, "high", "", [1], math.nan, math.inf, -math.inf)
        yield meta.le + 1 if meta.le is not None else meta.lt
        yield meta.ge - 1 if meta.ge is not None else meta.gt
        if bare is int:
            yield 1.5
    elif get_origin(bare) is Literal:
        yield from ("no such", 1)
    elif get_origin(bare) is Mapping:
        yield from ("text", {"vip": 7.0}, {"vip": math.nan})
    else:
        yield from (1, True, ["text"])
        if meta.pattern:
            yield " \n"


@pytest.mark.parametrize(("room", "name"), KINDS, ids=".".join)
def test_a_value_that_cannot_be_is_told_in_one_line_with_what_may_be_and_where_it_was_set(
    room: str, name: str, tmp_path: Path
) -> None:
    kind = KINDS[room, name]
    for value in _wrong(kind):
        with pytest.raises(BadSettings) as caught:
            load(tmp_path, {room: {name: value}}, {})
        said = str(caught.value)
        assert f"{room}.{name} = " in said
        assert f"by --{name.replace('_', '-')}" in said
        assert described(kind) in said
        assert "\n" not in said
    variable = f"CARILLON_{room}_{name}".upper()
    for value in _wrong(kind):
        if isinstance(value, str):
            with pytest.raises(BadSettings, match=f"by {variable}"):
                load(tmp_path, None, {variable: value})


def test_every_number_is_bounded_above_and_below() -> None:
    for where, kind in KINDS.items():
        if _bare(kind) in (int, float):
            meta = meta_of(kind)
            assert (meta.ge is None) != (meta.gt is None), where
            assert (meta.le is None) != (meta.lt is None), where


def test_every_default_is_one_that_could_be_set() -> None:
    settings = Settings()
    for (room, name), kind in KINDS.items():
        value = getattr(getattr(settings, room), name)
        assert checked(value, kind) == value, (room, name)
    assert {field.name for field in dataclasses.fields(Settings)} == {"data_dir", *rooms()}


def test_later_sources_win_defaults_file_variables_command_line(tmp_path: Path) -> None:
    (tmp_path / "carillon.toml").write_text("[tasks]\nmatch_confidence = 0.8\nmatch_limit = 5\n[server]\nport = 1\n")
    environment = {"CARILLON_TASKS_MATCH_CONFIDENCE": "0.9", "CARILLON_SERVER_PORT": "2", "HOME": "/nowhere"}
    settings = load(tmp_path, {"server": {"port": 3}}, environment)
    assert settings.tasks.match_limit == 5
    assert settings.tasks.match_confidence == 0.9
    assert settings.server.port == 3
    assert settings.tasks.silence_seconds == 15.0
    assert settings.data_dir == tmp_path


def test_variables_name_the_data_folder_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[account]\nregion = "eu-west-1"\n')
    settings = load(None, None, {"CARILLON_DATA_DIR": "/somewhere", "CARILLON_CONFIG": str(tmp_path / "other.toml")})
    assert settings.data_dir == Path("/somewhere")
    assert settings.account.region == "eu-west-1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[tasks]\nmatch_confidense = 1\n", "match_confidense"),
        ("[task]\nmatch_confidence = 1\n", "'task'"),
        ("tasks = 1\n", "tasks"),
        ('[tasks]\nmatch_confidence = "high"\n', "match_confidence"),
        ("[tasks\n", "TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "carillon.toml").write_text(text)
    with pytest.raises(BadSettings, match=named):
        load(tmp_path, None, {})


@pytest.mark.parametrize("name", ["CARILLON_TASK_MATCH_LIMIT", "CARILLON_TASKS_MATCH_LIMITS", "CARILLON_NONSENSE"])
def test_a_variable_that_sets_nothing_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSettings, match=r"task|limits|nonsense"):
        load(tmp_path, None, {name: "1"})


def test_the_aws_preset_fills_in_quotas_that_nobody_set(tmp_path: Path) -> None:
    preset = {"CARILLON_QUOTAS_PRESET": "aws", "CARILLON_PROFILES_MAX_DOMAINS": "7"}
    settings = load(tmp_path, None, preset)
    assert (settings.rates.configurations, settings.rates.concurrent_calls) == (5, 1)
    assert (settings.pipelines.max_configurations, settings.pipelines.max_active) == (100, 20)
    assert (settings.profiles.max_domains, settings.profiles.max_profiles_per_domain) == (7, 20)
    assert (settings.tasks.max_speaker_searches, settings.tasks.max_voice_tones) == (25, 25)
    assert (settings.streams.calls_per_second, settings.streams.written_bytes_per_second) == (5, 12_500_000)
    assert settings.putmedia.max_connection_seconds == 45 * 60
    assert load(tmp_path, None, {}).pipelines.max_active == 0


def test_a_variable_may_write_a_number_a_switch_and_a_text(tmp_path: Path) -> None:
    variables = {"CARILLON_TASKS_MATCH_LIMIT": "3", "CARILLON_AUDIT_IS_ON": "false", "CARILLON_ACCOUNT_ID": "0" * 12}
    settings = load(tmp_path, None, variables)
    assert (settings.tasks.match_limit, settings.audit.is_on, settings.account.id) == (3, False, "0" * 12)


def test_a_table_of_confidences_is_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "carillon.toml").write_text("[tasks]\nmatch_confidence_of = {vip = 0.9}\n")
    assert load(tmp_path, None, {}).tasks.match_confidence_of == {"vip": 0.9}


def test_a_mistake_in_the_file_says_which_file(tmp_path: Path) -> None:
    file = tmp_path / "carillon.toml"
    file.write_text("[account]\nid = 12\n")
    with pytest.raises(BadSettings, match=rf"account\.id = 12 \(in {file}\) cannot be: it must be 12 digits\."):
        load(tmp_path, None, {})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"[tasks]\n# \xff\n"), "is not UTF-8"),
        (lambda path: path.write_text("tasks = ["), "is not TOML"),
        (lambda path: path.write_text("tasks = " + "[" * 100_000), "is not TOML"),
        (lambda path: path.symlink_to("/dev/zero"), "is no file of settings"),
    ],
)
def test_a_file_of_settings_that_cannot_be_used_is_told_in_one_line(made: Any, said: str, tmp_path: Path) -> None:
    made(tmp_path / "named.toml")
    with pytest.raises(BadSettings, match=said) as caught:
        load(tmp_path, None, {"CARILLON_CONFIG": str(tmp_path / "named.toml")})
    assert "named.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_settings_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "carillon.toml").write_bytes(b"\xef\xbb\xbf[server]\nport = 1234\n")
    assert load(tmp_path, None, {}).server.port == 1234


def test_a_home_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="CARILLON_DATA_DIR"):
        load(None, None, {"CARILLON_DATA_DIR": "~nobody-of-this-name/data"})


def test_an_empty_variable_does_not_name_a_folder() -> None:
    assert (
        load(None, None, {"CARILLON_DATA_DIR": "", "CARILLON_CONFIG": ""}).data_dir == Path("~/.carillon").expanduser()
    )
