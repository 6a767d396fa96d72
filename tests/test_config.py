from pathlib import Path

import pytest

from carillon.config import BadSettings, load


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
    (tmp_path / "other.toml").write_text('[place]\nregion = "eu-west-1"\n')
    settings = load(None, None, {"CARILLON_DATA_DIR": "/somewhere", "CARILLON_CONFIG": str(tmp_path / "other.toml")})
    assert settings.data_dir == Path("/somewhere")
    assert settings.place.region == "eu-west-1"


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
