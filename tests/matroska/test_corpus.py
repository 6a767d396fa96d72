"""The corpus of the fuzz target: every body gives one answer; the good ones give what other readers find in them."""

import os
import subprocess
import sys
from pathlib import Path
from struct import unpack_from

import ebmlite
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodies import ffmpeg
from carillon.matroska import BlockRead, TagsRead, TracksRead
from invariants import check, demux

FOLDER = Path(__file__).parent
CORPUS = sorted((FOLDER / "corpus").iterdir())
GOOD = [path for path in CORPUS if not path.stem.startswith("hostile-")]
WHOLE = [path for path in GOOD if "laced" not in path.stem and "unknown" not in path.stem and "error" not in path.stem]
CORPUS_BAR_BYTES = 200_000
RUNS = 1_500


def test_the_corpus_is_small_and_has_every_kind() -> None:
    assert sum(path.stat().st_size for path in CORPUS) < CORPUS_BAR_BYTES
    assert {path.stem.partition("-")[0] for path in CORPUS} == {"ffmpeg", "kinesis", "laced", "hostile"}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_every_body_gives_one_answer_and_no_error_but_ours(path: Path) -> None:
    data = path.read_bytes()
    check(data)
    for size in (1, 2, 13, 100):
        assert demux(data[at : at + size] for at in range(0, len(data), size)) == demux([data])


@given(st.sampled_from(CORPUS), st.data())
def test_a_body_bent_anywhere_gives_one_answer_and_no_error_but_ours(path: Path, data: st.DataObject) -> None:
    body = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
    check(bytes(body))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_bodies_are_read_to_their_end(path: Path) -> None:
    events, error = demux([path.read_bytes()])
    assert not error
    assert any(isinstance(event, TracksRead) for event in events)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_pyav_finds_the_same_blocks(path: Path) -> None:
    events, _ = demux([path.read_bytes()])
    assert ffmpeg.presented(events) == ffmpeg.read(path.read_bytes()).frames


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_ebmlite_finds_the_same_blocks_and_tags(path: Path) -> None:
    events, _ = demux([path.read_bytes()])
    blocks = [(event.track, event.data) for event in events if isinstance(event, BlockRead)]
    tags = [pair for event in events if isinstance(event, TagsRead) for pair in event.tags]
    assert (blocks, tags) == read_by_ebmlite(path)


def read_by_ebmlite(path: Path) -> tuple[list[tuple[int, bytes]], list[tuple[str, str]]]:
    """Return (track, data) of each block and (name, text) of each tag."""
    blocks, tags = [], []
    with ebmlite.loadSchema("matroska.xml").load(str(path)) as document:
        for element in (element for root in document if root.name == "Segment" for element in root):
            if element.name == "Cluster":
                found = [child for child in element if child.name == "SimpleBlock"]
                found += [child for group in element if group.name == "BlockGroup" for child in group]
                blocks += [bytes(child.value) for child in found if child.name in {"SimpleBlock", "Block"}]
            elif element.name == "Tags":
                simple_tags = [part for tag in element for part in tag if part.name == "SimpleTag"]
                tags += [{part.name: part.value for part in it} for it in simple_tags]
    pairs = [(tag["TagName"], tag["TagString"]) for tag in tags]
    return [(unpack_from("B", block)[0] & 0x7F, block[4:]) for block in blocks], pairs


def test_the_fuzz_target_finds_nothing_in_a_short_run(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is built for Linux on x86-64 only")
    target = FOLDER.parent / "helpers/fuzz_demuxer.py"
    command = [sys.executable, str(target), str(tmp_path / "kept"), f"-runs={RUNS}", "-seed=1"]
    # Through a small process in between: Linux counts the memory of whoever starts a program as the program's own peak,
    # and this one may hold models.
    command = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command]
    ran = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=250)
    assert ran.returncode == 0, ran.stderr[-3_000:]
    assert f"Done {RUNS} runs" in ran.stderr
