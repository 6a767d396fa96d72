r"""The models' patterns, which are Java's, as Python's: same language, whole string, linear time.

Java and Python differ where it shows: `\d`, `\s` and `\w` are ASCII in Java, `.` stops at every line terminator,
`\p{L}` is a Unicode category, and a service matches the whole value whether or not the pattern is anchored.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final

_AMENDED: Final = {
    # A slip in the voice model: `$` cannot be repeated. Evidently 2..64 of that alphabet is meant.
    r"^[-_a-zA-Z0-9]*${2,64}$": r"[-_a-zA-Z0-9]{2,64}",
    # The same strings without backtracking, which would be quadratic on long ones (Java also takes one exotic line
    # terminator as the visible character).
    r".*\S.*": "[ \\t\\f\\x0b]*[^\\s\x85\u2028\u2029].*",
}
_ASCII_CLASSES: Final = {"d": "0-9", "s": r" \t\n\x0b\f\r", "w": "a-zA-Z0-9_"}
_ANY: Final = r"[^\n\r\x85\u2028\u2029]"
_LAST_ASSIGNED: Final = 0x3FFFF  # No letter, number or separator lies beyond plane 3.
_TOKEN: Final = re.compile(r"\\p\{(?P<category>[A-Z])\}|\\(?P<escaped>.)|(?P<plain>.)", re.DOTALL)


@cache
def full_match(pattern: str) -> Callable[[str], object]:
    """Return a function that is truthy for strings that the model's pattern describes as a whole.

    Raises:
        re.error: the pattern uses something that we do not translate.
    """
    return re.compile(_translate(_AMENDED.get(pattern, pattern))).fullmatch


def _translate(pattern: str) -> str:
    translated: list[str] = []
    in_class = False
    for token in _TOKEN.finditer(pattern):
        translated.append(_translate_token(token, in_class=in_class))
        if token["plain"] == "[":
            in_class = True
        elif token["plain"] == "]":
            in_class = False
    return "".join(translated)


def _translate_token(token: re.Match[str], *, in_class: bool) -> str:
    if category := token["category"]:
        members = _members_of_categories()[category]
        return members if in_class else f"[{members}]"
    escaped = token["escaped"]
    if escaped is None:
        return _ANY if token["plain"] == "." and not in_class else token[0]
    if escaped in _ASCII_CLASSES:
        return _ASCII_CLASSES[escaped] if in_class else f"[{_ASCII_CLASSES[escaped]}]"
    if escaped.lower() in _ASCII_CLASSES and not in_class:
        return f"[^{_ASCII_CLASSES[escaped.lower()]}]"
    if escaped.isalnum() and escaped not in "nrtfx":
        raise re.error(f"we do not translate \\{escaped} here")
    return token[0]


@cache
def _members_of_categories() -> dict[str, str]:
    """Return the inside of a character class for each major Unicode category that the models name."""
    members: dict[str, list[str]] = {"L": [], "N": [], "Z": []}
    start, last_category = 0, ""
    for point in range(_LAST_ASSIGNED + 2):
        category = unicodedata.category(chr(point))[0]
        if category == last_category:
            continue
        if last_category in members:
            members[last_category].append(rf"\U{start:08x}-\U{point - 1:08x}")
        start, last_category = point, category
    return {category: "".join(ranges) for category, ranges in members.items()}
