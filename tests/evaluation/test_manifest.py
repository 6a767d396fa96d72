"""A line of a manifest may be about a part of a file."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from carillon.evaluation.manifest import BadManifest, ManifestRecording, read_manifest

RATE_HZ = 8_000


def _lines(folder: Path, columns: str, *rows: str) -> list[ManifestRecording]:
    """Lines on a file of 4 s, in which each second of a channel has a level of its own: 0.1 and up, left negative."""
    levels = np.repeat(np.arange(1, 5) / 10, RATE_HZ)
    soundfile.write(folder / "a.wav", np.stack([-levels, levels], axis=1), RATE_HZ, "FLOAT")
    (folder / "manifest.csv").write_text("\n".join([f"path,speaker{columns}", *(f"a.wav,x{row}" for row in rows)]))
    return read_manifest(folder, ())


@pytest.mark.parametrize(
    ("row", "levels"),
    [
        (",,,", [0.0] * 4),  # both channels, mixed
        (",1,3,left", [-0.2, -0.3]),
        (",2.5,,right", [0.3, 0.4]),
        (",,1,right", [0.1]),
        (",3,100,right", [0.4]),
    ],
)
def test_what_a_line_is_about_is_read(tmp_path: Path, row: str, levels: list[float]) -> None:
    (line,) = _lines(tmp_path, ",start,end,channel", row)
    samples, rate_hz = line.read()
    assert rate_hz == RATE_HZ
    assert np.unique(samples.round(2)).tolist() == pytest.approx(sorted(set(levels)))


def test_parts_of_one_file_have_names_of_their_own(tmp_path: Path) -> None:
    lines = _lines(tmp_path, ",start,end,channel", ",,,", ",0,1,left", ",0,1,right", ",1,2,left")
    assert lines[0].name == "a.wav"
    assert len({line.name for line in lines}) == 4


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",2,1,left", "cannot begin at 2.0 s and end at 1.0 s"),
        (",-1,1,left", "cannot begin at -1.0 s"),
        (",soon,1,left", "must be seconds"),
        (",nan,1,left", "cannot begin at nan s"),
        (",0,1,center", "must be left or right, not 'center'"),
    ],
)
def test_a_part_that_cannot_be_is_refused(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(BadManifest, match=said):
        _lines(tmp_path, ",start,end,channel", row)


def test_a_part_that_the_file_does_not_have_is_told(tmp_path: Path) -> None:
    (line,) = _lines(tmp_path, ",start,end,channel", ",4,5,left")
    with pytest.raises(BadManifest, match=r"ends at 4\.0 s"):
        line.read()


def test_a_channel_that_the_file_does_not_have_is_told(tmp_path: Path) -> None:
    (line,) = _lines(tmp_path, ",start,end,channel", ",0,1,right")
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE_HZ), RATE_HZ)
    with pytest.raises(BadManifest, match="has no channel right"):
        line.read()
