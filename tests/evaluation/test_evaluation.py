"""The evaluation commands on a folder of real recordings."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

from carillon.evaluation import Decision, SpeakerReport, chosen_lines, evaluate_speaker, show
from carillon.evaluation.manifest import BadManifest, read_manifest
from carillon.evaluation.report import page, write_report
from carillon.inference import ModelSettings
from html_pages import Page

pytestmark = pytest.mark.usefixtures("embeds_once")

CUSTOMER, AGENT = 0, 1
CALLERS = (
    ("call_1", CUSTOMER, "19"),
    ("call_2", CUSTOMER, "19"),
    ("call_3", CUSTOMER, "26"),
    ("call_1", AGENT, "2414"),
    ("call_2", AGENT, "3331"),
)


def _write(folder: Path, rows: Iterable[tuple[str, ...]], *columns: str) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "speaker", *columns), *rows])
    return folder


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """Four people on three calls, one of them on two, cut into recordings of 12 s."""
    folder = tmp_path_factory.mktemp("people")
    rows = []
    for call, channel, speaker in CALLERS:
        samples, rate_hz = soundfile.read(recordings / f"{call}.flac")
        for part in range(2):
            name = f"{call}-{channel}-{part}.wav"
            soundfile.write(folder / name, samples[part * 12 * rate_hz : (part + 1) * 12 * rate_hz, channel], rate_hz)
            rows.append((name, speaker, call))
    return _write(folder, rows, "call")


@pytest.fixture(scope="session")
def wideband(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> SpeakerReport:
    """What is found on two people at 16 kHz, which is wideband by name."""
    folder = tmp_path_factory.mktemp("wideband")
    rows = []
    for call, channel, speaker in (("call_1", CUSTOMER, "19"), ("call_3", CUSTOMER, "26")):
        samples, rate_hz = soundfile.read(recordings / f"{call}.flac", dtype="float32")
        name = f"{speaker}.wav"
        soundfile.write(folder / name, soxr.resample(samples[: 20 * rate_hz, channel], rate_hz, 16_000), 16_000)
        rows.append((name, speaker))
    return evaluate_speaker(_write(folder, rows), ModelSettings(), Decision(0.7, 0.5, 10))


def test_people_are_known_apart_on_the_telephone(carillon: Any, people: Path, tmp_path: Path) -> None:
    command = ("eval", "speaker", str(people), "--across", "call")
    report = json.loads(carillon(*command, "--json", "--report", str(tmp_path)).stdout)
    rows = {(row["band"], row["noise"], row["seconds"]): row for row in report["figures"]}
    assert set(rows) >= {("telephone", noise, seconds) for noise in ("clean", "10 dB") for seconds in (3, 5)}
    assert {band for band, _, _ in rows} == {"telephone"}, "8 kHz is no wideband"
    assert report["across"] == "call"
    assert any("wideband" in left_out for left_out in report["left_out"])
    clean = rows["telephone", "clean", 3]
    assert clean["speakers"] == 4
    assert clean["equal_error_rate"] < 0.1
    assert clean["rank_1"] > 0.9
    assert clean["across_sessions"] > 0
    assert clean["open_set"]["enrolled"] >= 1
    assert clean["open_set"]["false_positives"] < 0.1
    written = json.loads((tmp_path / "speaker.json").read_text())
    assert [{k: v for k, v in row.items() if k != "curves"} for row in written["figures"]] == report["figures"]


def test_wideband_recordings_are_also_heard_by_telephone_and_across(wideband: SpeakerReport) -> None:
    rows = {(row.band, row.noisy): row for row in wideband.figures if row.seconds == 3}
    assert set(rows) == {(b, n) for b in ("wideband", "telephone", "cross", "cross, narrowband") for n in (False, True)}
    for row in rows.values():
        assert row.verifying.equal_error_rate < 0.35
    assert rows["wideband", False].verifying.equal_error_rate == 0
    assert rows["cross", False].open_set is None, "the product compares the narrowband embedding"


def test_the_same_folder_gives_the_same_figures(wideband: SpeakerReport) -> None:
    again = evaluate_speaker(Path(wideband.directory), ModelSettings(), Decision(0.7, 0.5, 10), threads=1)
    assert [row.verifying for row in again.figures] == [row.verifying for row in wideband.figures]


def test_the_report_is_one_page_that_fetches_nothing(wideband: SpeakerReport, tmp_path: Path) -> None:
    write_report(wideband, tmp_path / "new" / "report")
    text = (tmp_path / "new" / "report" / "speaker.html").read_text()
    assert text == page(wideband)
    read = Page(text)
    assert read.tags.count("img") >= 3 + 3
    assert read.fetched == []
    assert "script" not in read.tags
    assert json.loads((tmp_path / "new" / "report" / "speaker.json").read_text())["figures"][0]["curves"]["missed"]


def test_without_json_a_table_is_printed(wideband: SpeakerReport, capsys: pytest.CaptureFixture[str]) -> None:
    show(wideband, as_json=False)
    said = capsys.readouterr().out
    assert "wespeaker" in said
    assert "of two sessions" in " ".join(said.split())


def test_lines_are_chosen_by_a_column(people: Path) -> None:
    assert {r.speaker for r in read_manifest(people, (), chosen_lines(["call=call_1"]))} == {"19", "2414"}
    with pytest.raises(BadManifest, match="call=call_9"):
        read_manifest(people, (), {"call": "call_9"})
    with pytest.raises(BadManifest, match="channel"):
        read_manifest(people, (), {"channel": "1"})
    with pytest.raises(BadManifest, match="column=value"):
        chosen_lines(["call_1"])


def test_too_few_people_are_an_error_that_says_how_many(carillon: Any, people: Path) -> None:
    done = carillon("eval", "speaker", str(people), "--where", "speaker=26", check=False)
    assert done.returncode == 1
    assert "at most 1 of 1 have that" in " ".join(done.stderr.split())


def test_a_manifest_of_a_spreadsheet_is_read(tmp_path: Path, recordings: Path) -> None:
    audio = recordings / "call_1.flac"
    (tmp_path / "manifest.csv").write_text(f"path,speaker\n{audio},Zoë\n", encoding="utf-8-sig")
    assert [line.speaker for line in read_manifest(tmp_path, ())] == ["Zoë"]
    (tmp_path / "manifest.csv").write_text(f"path,speaker\n{audio},Zoë\n", encoding="latin-1")
    with pytest.raises(BadManifest, match="UTF-8"):
        read_manifest(tmp_path, ())


def test_a_file_that_is_no_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not audio")
    with pytest.raises(BadManifest, match=r"a\.wav"):
        read_manifest(_write(tmp_path, [("a.wav", "anna")]), ())[0].read()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "has no manifest.csv"),
        ("path,name\na.wav,anna\n", "speaker"),
        ("path,speaker\n", "at least one line"),
        ("path,speaker\nnowhere.wav,anna\n", r"nowhere\.wav"),
        ("path,speaker\na.wav\n", "names no speaker"),
    ],
)
def test_a_folder_that_cannot_be_evaluated_says_why(tmp_path: Path, text: str | None, named: str) -> None:
    if text is not None:
        (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(BadManifest, match=named):
        read_manifest(tmp_path, ())
