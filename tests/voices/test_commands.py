"""The commands on real speech: a domain filled from recordings, searched, copied, and made anew for another model."""

import json
import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from carillon import config
from carillon.cli import app
from carillon.commands.voices import PASSPHRASE_VARIABLE, PassphraseWeak
from carillon.data_folder import prepare
from carillon.voices.archive import ArchiveBroken
from carillon.voices.tools import open_tools

pytestmark = pytest.mark.usefixtures("embeds_once")

CALLS = Path(str(files("carillon.demo") / "recordings"))
CALL_1, CALL_2, CALL_3 = (str(CALLS / f"call_{number}.flac") for number in (1, 2, 3))
KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/5f8a"
PASSPHRASE = "correct horse battery"

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def new_domain(data_dir: Path) -> Callable[[], str]:
    def make() -> str:
        async def create() -> str:
            prepare(data_dir)
            async with open_tools(config.load(data_dir, environment={})) as opened:
                return (await opened.profiles.create_domain("callers", None, KEY_ARN)).id

        return anyio.run(create)

    return make


@pytest.fixture(scope="module")
def command(data_dir: Path) -> Callable[..., Result]:
    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)], env=environment)

    return run


@pytest.fixture(scope="module")
def run(command: Callable[..., Result]) -> Run:
    def lines(*arguments: str) -> list[dict[str, Any]]:
        result = command(*arguments, "--json")
        return [json.loads(line) for line in result.stdout.splitlines()]

    return lines


@pytest.fixture(scope="module")
def enrolled(new_domain: Callable[[], str], run: Run) -> tuple[str, str]:
    """A domain, and the profile of the customer of call 1 in it."""
    domain_id = new_domain()
    (made,) = run("enroll", CALL_1, "--domain", domain_id)
    assert made["fault"] is None
    return domain_id, made["voice_profile_id"]


def test_who_was_enrolled_is_identified_in_another_recording_and_a_stranger_is_not(
    enrolled: tuple[str, str], run: Run
) -> None:
    domain_id, profile_id = enrolled
    same, other = run("identify", CALL_2, CALL_3, "--domain", domain_id)
    (match,) = same["candidates"]
    assert match["profile_id"] == profile_id
    assert match["confidence"] > 0.7
    assert match["log_ratio"] > 0
    assert 0.5 < match["score"] <= 1
    assert match["channel"] == "tel"
    assert other["candidates"][0]["confidence"] < 0.1


def test_a_recording_without_enough_speech_says_so_and_does_not_keep_the_others_back(
    enrolled: tuple[str, str], command: Callable[..., Result], tmp_path: Path
) -> None:
    import soundfile

    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(8_000, np.float32), 8_000)
    result = command("identify", str(short), CALL_2, "--domain", enrolled[0], "--json")
    assert result.exit_code == 1
    failed, found = map(json.loads, result.stdout.splitlines())
    assert "0.0 seconds of speech" in failed["fault"]
    assert found["candidates"]


@pytest.mark.parametrize("act", ["identify", "enroll"])
def test_what_is_no_recording_does_not_keep_the_others_back(
    new_domain: Callable[[], str], command: Callable[..., Result], tmp_path: Path, act: str
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a recording")
    result = command(act, CALL_1, str(text), CALL_3, "--domain", new_domain())
    assert result.exit_code == 1
    assert result.stderr.startswith(f"carillon: {text} is not a wav")
    _, first, other = result.stdout.splitlines()
    assert (first.split()[0], other.split()[0]) == ("call_1.flac", "call_3.flac")


def test_an_export_that_did_not_happen_leaves_no_row(
    new_domain: Callable[[], str], command: Callable[..., Result], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("")
    domain = new_domain()
    result = command("profiles", "export", "--domain", domain, str(there), ARCHIVE_PASSPHRASE=PASSPHRASE)
    assert "exists already" in str(result.exception)
    assert domain not in command("audit", "--action", "ExportVoices").stdout


@pytest.mark.parametrize(("rate_hz", "format_", "subtype"), [(96_000, "FLAC", "PCM_24"), (8_000, "WAV", "ULAW")])
def test_a_voice_is_known_whatever_the_recording_is_like(
    enrolled: tuple[str, str], run: Run, tmp_path: Path, rate_hz: int, format_: str, subtype: str
) -> None:
    import soundfile
    import soxr

    samples, own_hz = soundfile.read(CALL_2)
    path = tmp_path / "call"
    soundfile.write(path, soxr.resample(samples[:, 0], own_hz, rate_hz), rate_hz, subtype, format=format_)
    if format_ == "WAV":  # as of a recorder that died
        data = bytearray(path.read_bytes())
        at = data.index(b"data") + 4
        data[at : at + 4] = data[4:8] = bytes(4)
        path.write_bytes(data)
    (found,) = run("identify", str(path), "--domain", enrolled[0])
    assert found["candidates"][0]["confidence"] > 0.7


def test_what_is_no_recording_or_has_no_such_channel_is_refused(
    enrolled: tuple[str, str], command: Callable[..., Result], tmp_path: Path
) -> None:
    import soundfile

    text, mono = tmp_path / "notes.txt", tmp_path / "mono.wav"
    text.write_text("hello")
    soundfile.write(mono, np.zeros(8_000, np.float32), 8_000)
    for arguments, says in (([str(text)], "not a wav"), ([str(mono), "--channel", "1"], "there is no channel 1")):
        result = command("identify", *arguments, "--domain", enrolled[0])
        assert (result.exit_code, result.stdout) == (1, "")
        assert says in result.stderr


def test_a_profile_is_known_by_every_voice_it_was_given(new_domain: Callable[[], str], run: Run) -> None:
    domain_id = new_domain()
    (made,) = run("enroll", CALL_1, "--domain", domain_id)
    profile_id = made["voice_profile_id"]
    (added,) = run("enroll", CALL_3, "--domain", domain_id, "--profile", profile_id, "--label", "headset")
    assert added["voice_profile_id"] == profile_id
    for call in (CALL_2, CALL_3):
        (found,) = run("identify", call, "--domain", domain_id)
        assert [match["profile_id"] for match in found["candidates"]] == [profile_id]
        assert found["candidates"][0]["confidence"] > 0.7


def test_one_person_enrolled_twice_is_reported_and_two_people_are_not(new_domain: Callable[[], str], run: Run) -> None:
    domain_id = new_domain()
    first, second, _ = run("enroll", CALL_1, CALL_2, CALL_3, "--domain", domain_id)
    (pair,) = run("profiles", "duplicates", "--domain", domain_id)
    assert {pair["one"], pair["other"]} == {first["voice_profile_id"], second["voice_profile_id"]}
    assert pair["confidence"] > 0.5


def test_somebody_who_was_enrolled_twice_is_identified_as_both(new_domain: Callable[[], str], run: Run) -> None:
    domain_id = new_domain()
    first, again, other = run("enroll", CALL_1, CALL_1, CALL_3, "--domain", domain_id)
    (found,) = run("identify", CALL_2, "--domain", domain_id)
    twice, stranger = found["candidates"][:2], found["candidates"][2]
    assert {match["profile_id"] for match in twice} == {first["voice_profile_id"], again["voice_profile_id"]}
    assert twice[0]["confidence"] == twice[1]["confidence"] > 0.7
    assert {match["person"] for match in twice} == {0}
    assert stranger["profile_id"] == other["voice_profile_id"]
    assert (stranger["person"], stranger["confidence"] < 0.1) == (1, True)


def test_enrolling_a_voice_that_is_known_says_so_before_it_adds_another(
    new_domain: Callable[[], str], command: Callable[..., Result], run: Run
) -> None:
    domain_id = new_domain()
    (first,) = run("enroll", CALL_1, "--domain", domain_id)
    assert first["known_as"] == []
    again = command("enroll", CALL_2, CALL_3, "--domain", domain_id)
    assert f"{CALL_2}: this voice is known already as {first['voice_profile_id']} (0." in again.stderr
    assert CALL_3 not in again.stderr
    assert again.exit_code == 0
    (third,) = run("enroll", CALL_1, "--domain", domain_id)
    assert len(third["known_as"]) == 2  # both of the one person


def test_enrolling_a_voice_that_is_known_can_be_refused(
    new_domain: Callable[[], str], command: Callable[..., Result], run: Run
) -> None:
    domain_id = new_domain()
    (first,) = run("enroll", CALL_1, "--domain", domain_id)
    profile_id = first["voice_profile_id"]
    refusing = ("enroll", CALL_2, CALL_3, "--domain", domain_id, "--refuse-known", "--json")
    result = command(*refusing)
    assert result.exit_code == 1
    known, stranger = map(json.loads, result.stdout.splitlines())
    assert known["voice_profile_id"] is None
    assert profile_id in known["fault"]
    assert stranger["voice_profile_id"] is not None
    own = ("enroll", CALL_2, "--domain", domain_id, "--profile", profile_id, "--label", "again", "--refuse-known")
    (added,) = run(*own)  # of the same profile it is known, and more of it is welcome
    assert (added["voice_profile_id"], added["known_as"]) == (profile_id, [])


def test_every_use_of_a_voice_by_command_is_in_the_audit_trail(
    new_domain: Callable[[], str], command: Callable[..., Result], run: Run, tmp_path: Path
) -> None:
    domain_id = new_domain()
    archive, given = str(tmp_path / "voices"), {PASSPHRASE_VARIABLE: PASSPHRASE}
    (made,) = run("enroll", CALL_1, "--domain", domain_id)
    run("identify", CALL_2, "--domain", domain_id)
    command("profiles", "export", archive, "--domain", domain_id, **given)
    command("profiles", "import", archive, "--domain", domain_id, **given)
    run("profiles", "duplicates", "--domain", domain_id)
    run("profiles", "re-embed", "--domain", domain_id)
    profile_id = made["voice_profile_id"]
    rows = [row for row in run("audit") if domain_id in row["resource"] or profile_id in row["resource"]]
    assert [row["action"].removeprefix("carillon:") for row in rows] == [
        "IdentifySpeaker",  # before anything is enrolled
        "EnrollVoice",
        "IdentifySpeaker",
        "ExportVoices",
        "ImportVoices",
        "FindDuplicateVoices",
        "EmbedVoicesAnew",
    ]
    assert {row["source"] for row in rows} == {"cli"}
    assert all(row["details"]["user"] for row in rows)
    assert rows[2]["details"]["candidates"][0]["voice_profile_id"] == profile_id
    assert rows[1]["resource"].endswith(f":voice-profile/{profile_id}")
    shown = command("audit", "--action", "Identify").stdout
    assert f"is {profile_id}: confidence" in shown
    assert "stranger" not in shown


def test_a_domain_survives_an_archive_and_nothing_in_it_can_be_read(
    enrolled: tuple[str, str], new_domain: Callable[[], str], command: Callable[..., Result], run: Run, tmp_path: Path
) -> None:
    domain_id, profile_id = enrolled
    archive = tmp_path / "voices.bin"
    given = {PASSPHRASE_VARIABLE: PASSPHRASE}
    made = command("profiles", "export", str(archive), "--domain", domain_id, **given)
    assert made.exit_code == 0, made.exception
    assert archive.stat().st_mode & 0o077 == 0
    assert profile_id.encode() not in archive.read_bytes()
    again = command("profiles", "export", str(archive), "--domain", domain_id, **given)
    assert "exists already" in str(again.exception)
    there = command("profiles", "import", str(archive), "--domain", domain_id, **given)
    assert "0 voice(s) came in; 1 were there already" in there.stdout
    elsewhere = command("profiles", "import", str(archive), "--domain", new_domain(), **given)
    assert f"is in domain {domain_id}" in str(elsewhere.exception)  # an id names one profile of a server


def test_an_archive_comes_back_after_its_domain_is_gone(
    new_domain: Callable[[], str], command: Callable[..., Result], run: Run, data_dir: Path, tmp_path: Path
) -> None:
    domain_id, archive = new_domain(), tmp_path / "voices.bin"
    given = {PASSPHRASE_VARIABLE: PASSPHRASE}
    (made,) = run("enroll", CALL_1, "--domain", domain_id)
    command("profiles", "export", str(archive), "--domain", domain_id, **given)

    async def delete() -> None:
        async with open_tools(config.load(data_dir, environment={})) as opened:
            await opened.profiles.delete_domain(domain_id)

    anyio.run(delete)
    other = new_domain()
    assert "1 voice(s) came in" in command("profiles", "import", str(archive), "--domain", other, **given).stdout
    (found,) = run("identify", CALL_2, "--domain", other)
    assert found["candidates"][0]["profile_id"] == made["voice_profile_id"]
    assert found["candidates"][0]["confidence"] > 0.7


@pytest.mark.parametrize("harm", ["passphrase", "flip", "cut", "swap", "text"])
def test_an_archive_that_is_not_whole_changes_nothing(
    harm: str, enrolled: tuple[str, str], new_domain: Callable[[], str], command: Callable[..., Result], tmp_path: Path
) -> None:
    archive = tmp_path / "voices.bin"
    given = {PASSPHRASE_VARIABLE: PASSPHRASE}
    command("profiles", "export", str(archive), "--domain", enrolled[0], **given)
    data = bytearray(archive.read_bytes())
    head = data.index(b"\n") + 1
    match harm:
        case "passphrase":
            given = {PASSPHRASE_VARIABLE: "another passphrase"}
        case "flip":
            data[len(data) // 2] ^= 1
        case "cut":
            data = data[: head + 4 + int.from_bytes(data[head : head + 4], "big")]  # the end record is gone
        case "swap":
            data = data[:head] + data[head + 4 + int.from_bytes(data[head : head + 4], "big") :]
        case "text":
            data = bytearray(b"hello\n")
    archive.write_bytes(data)
    result = command("profiles", "import", str(archive), "--domain", new_domain(), **given)
    assert isinstance(result.exception, ArchiveBroken)


def test_a_passphrase_that_can_be_guessed_is_refused(
    enrolled: tuple[str, str], command: Callable[..., Result], tmp_path: Path
) -> None:
    given = {PASSPHRASE_VARIABLE: "short"}
    result = command("profiles", "export", str(tmp_path / "x"), "--domain", enrolled[0], **given)
    assert isinstance(result.exception, PassphraseWeak)
    assert not (tmp_path / "x").exists()


def test_voices_of_another_model_are_embedded_anew_from_their_speech(
    new_domain: Callable[[], str], command: Callable[..., Result], run: Run, data_dir: Path
) -> None:
    domain_id = new_domain()
    run("enroll", CALL_1, "--domain", domain_id)
    with sqlite3.connect(data_dir / "carillon.db") as connection:
        connection.execute("UPDATE enrolled_voices SET model_id = 'older' WHERE domain_id = ?", (domain_id,))
    (before,) = run("identify", CALL_2, "--domain", domain_id)
    assert before["candidates"] == []
    assert "1 voice(s) embedded anew" in command("profiles", "re-embed", "--domain", domain_id).stdout
    (after,) = run("identify", CALL_2, "--domain", domain_id)
    assert after["candidates"][0]["confidence"] > 0.7
    assert "0 voice(s)" in command("profiles", "re-embed", "--domain", domain_id).stdout
