"""Looks for bytes that break the demuxer, guided by what they make it do (atheris, hence libFuzzer).

It begins with `tests/matroska/corpus/`, keeps what leads further in `build/fuzz_demuxer`, and stops at the first
finding, which it writes to the current folder. libFuzzer's flags are passed on.

    python tests/helpers/fuzz_demuxer.py [FOLDER] [-max_total_time=300] [-runs=100000] [-seed=1]
"""

import sys
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["carillon.matroska"]):
    from carillon.matroska import elements
    from invariants import check

CORPUS: Final = Path(__file__).parents[1] / "matroska/corpus"
KEPT: Final = Path(__file__).parents[2] / "build/fuzz_demuxer"
LONGEST_INPUT: Final = 2_048


def main(arguments: list[str]) -> None:
    """Fuzz until a limit or a finding; never returns."""
    flags = [it for it in arguments if it.startswith("-")]
    folder = Path(next((it for it in arguments if not it.startswith("-")), KEPT))
    folder.mkdir(parents=True, exist_ok=True)
    words = folder.with_suffix(".dict")
    words.write_text(dictionary())
    defaults = [f"-dict={words}", f"-max_len={LONGEST_INPUT}", "-timeout=10", "-rss_limit_mb=1024"]
    atheris.Setup([sys.argv[0], *defaults, *flags, str(folder), str(CORPUS)], check)
    atheris.Fuzz()


def dictionary() -> str:
    """Return every element id that we know, as libFuzzer wants its words."""
    ids = {value for value in vars(elements).values() if isinstance(value, int) and value > 0x7F}
    written = sorted(elements.write_id(value) for value in ids)
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in written)


if __name__ == "__main__":
    main(sys.argv[1:])
