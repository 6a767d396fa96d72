"""Strings that a model's pattern admits, at the length one wants, and strings that it does not."""

import re
import re._parser as sre  # type: ignore[import-not-found]  # The one parser of patterns there is; a test of tests may lean on it.
import warnings
from functools import cache
from typing import Any, Final

_MAX_REPEAT: Final = 1 << 20
_LETTERS_FOR: Final = (
    r"^[-_a-zA-Z0-9]*${2,64}$",  # A slip in the voice model: evidently 2..64 of that alphabet.
    "[-_a-zA-Z0-9]*",
)
_WRONG_TAILS: Final = ("!", " ", "\n", "#", "é", "\x00")


def matches(pattern: str, text: str) -> bool:
    """Tell whether the model's pattern describes the whole text, as a service judges it."""
    if pattern in _LETTERS_FOR:
        return re.fullmatch("[-_a-zA-Z0-9]*", text) is not None
    if r"\p{" in pattern:
        return all(letter.isalnum() or letter in "_.:/=+-@ " for letter in text)
    return _compiled(pattern).fullmatch(text) is not None


def of_length(pattern: str | None, length: int | None = None, least: int = 0) -> str | None:
    """Return a string that the pattern admits, or a short one of `least` at least; None if there is none."""
    if pattern is None or pattern in _LETTERS_FOR or r"\p{" in pattern:
        return "a" * (max(least, 2) if length is None else length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = sre.parse(pattern)
    shortest = _write(parsed, 0)
    missing = max(0, least - len(shortest)) if length is None else length - len(shortest)
    text = _write(parsed, missing) if missing >= 0 else shortest
    fits = matches(pattern, text) and (len(text) >= least if length is None else len(text) == length)
    return text if fits else None


def against(pattern: str, base: str, least: int, most: int) -> str | None:
    """Return a string of an allowed length that the pattern does not admit, or None: `.*` admits nearly everything."""
    for tail in _WRONG_TAILS:
        for text in (base[:-1] + tail, base + tail, tail * max(least, 1)):
            if least <= len(text) <= most and not matches(pattern, text):
                return text
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(pattern, re.ASCII)


def _write(parsed: Any, missing: int) -> str:
    """Write the shortest text, with `missing` more characters in the first repeat that can take them."""
    written: list[str] = []
    for kind, what in parsed:
        text = _write_one(str(kind), what, missing)
        missing -= max(0, len(text) - len(_write_one(str(kind), what, 0)))
        written.append(text)
    return "".join(written)


def _write_one(kind: str, what: Any, missing: int) -> str:
    if kind == "LITERAL":
        return chr(what)
    if kind in {"ANY", "NOT_LITERAL"}:
        return "a"
    if kind == "IN":
        return _member(what)
    if kind == "BRANCH":
        return _write(what[1][-1], missing)
    if kind == "SUBPATTERN":
        return _write(what[3], missing)
    if kind == "MAX_REPEAT":
        least, most, inner = what
        once = _write(inner, 0)
        more = min(int(most) - least, missing // len(once), _MAX_REPEAT) if once else 0
        return once * (least + more)
    return ""  # Anchors and look-arounds write nothing; the result is judged as a whole.


def _member(members: Any) -> str:
    """Return one character of a class, a small letter or a digit where there is one."""
    if str(members[0][0]) == "NEGATE":
        return "a"
    admitted = []
    for kind, what in members:
        if str(kind) == "RANGE":
            admitted.append("a" if what[0] <= ord("a") <= what[1] else chr(what[0] + (what[0] == ord("0"))))
        elif str(kind) == "CATEGORY":
            admitted.append("1" if "DIGIT" in str(what) else "a" if "NOT" in str(what) or "WORD" in str(what) else " ")
        else:
            admitted.append(chr(what))
    return max(admitted, key=lambda letter: (letter.isalpha() and letter.islower(), letter.isalnum()))
