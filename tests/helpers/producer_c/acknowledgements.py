"""How the SDK reads acknowledgements: a parser of its own, which is not quite one of JSON.

It takes one piece of the answer at a time, of at most 1024 bytes, and goes on where the last piece stopped. Numbers may
be quoted. A key that it knows may come once, one that it does not know is passed over; an event type must be one of
five, in capitals; an ERROR must have its id. Strings have no escapes.
"""

from dataclasses import dataclass

MAX_PIECE = 1024
KINDS = frozenset({"BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"})
KNOWN = frozenset({"EventType", "FragmentNumber", "FragmentTimecode", "ErrorId"})
NUMBERS = frozenset({"FragmentTimecode", "ErrorId"})
SPACE = " \t\r\n"


class Unreadable(Exception):
    """The SDK would drop this, and forget what it had read of the present acknowledgement."""


@dataclass(frozen=True)
class Acknowledgement:
    """One, as the SDK understands it."""

    kind: str
    timecode: int | None = None
    number: str | None = None
    error_id: int | None = None


class Parser:
    """Remembers the acknowledgement that is not complete."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, piece: bytes) -> list[Acknowledgement]:
        """Take one piece of the answer; return what it completes."""
        if len(piece) > MAX_PIECE:
            raise Unreadable(f"a piece of {len(piece)} bytes")
        self._text += piece.decode("latin-1")
        found = []
        while (end := _end_of_object(self._text)) is not None:
            whole, self._text = self._text[:end], self._text[end:]
            found.append(_understood(_members(whole[whole.index("{") + 1 : -1])))
        return found


def _end_of_object(text: str) -> int | None:
    """Return where the first object ends; what stands before its brace is passed over."""
    depth, quoted = 0, False
    for at, letter in enumerate(text):
        if letter == '"' and depth:
            quoted = not quoted
        elif not quoted and letter == "{":
            depth += 1
        elif not quoted and letter == "}" and depth:
            depth -= 1
            if not depth:
                return at + 1
    return None


def _members(text: str) -> list[tuple[str, str]]:
    found = []
    while text := text.lstrip(SPACE + ","):
        if text[0] != '"':
            raise Unreadable(f"a key that begins with {text[0]!r}")
        name, _, text = text[1:].partition('"')
        text = text.partition(":")[2].lstrip(SPACE)
        value, text = _value(text)
        found.append((name, value))
    return found


def _value(text: str) -> tuple[str, str]:
    if text[:1] == '"':
        value, _, rest = text[1:].partition('"')
        return value, rest
    if text[:1] in {"{", "["}:
        return "", text[_skipped(text) :]
    if not (text[:1].isalnum() or text[:1] in {"-", "+", "."}):
        raise Unreadable(f"a value that begins with {text[:1]!r}")
    length = next((at for at, letter in enumerate(text) if letter in SPACE + ","), len(text))
    return text[:length], text[length:]


def _skipped(text: str) -> int:
    closing = {"{": "}", "[": "]"}[text[0]]
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == text[0]) - (letter == closing)
        if not depth:
            return at + 1
    raise Unreadable("a value without an end")


def _understood(members: list[tuple[str, str]]) -> Acknowledgement:
    known: dict[str, str] = {}
    for name, value in members:
        if name in KNOWN and name in known:
            raise Unreadable(f"{name} twice")
        if name in NUMBERS and not value.isdecimal():
            raise Unreadable(f"{name} is {value!r}")
        known[name] = value
    if known.get("EventType") not in KINDS:
        raise Unreadable(f"an event of type {known.get('EventType')!r}")
    if known["EventType"] == "ERROR" and "ErrorId" not in known:
        raise Unreadable("an ERROR without its id")
    return Acknowledgement(
        known["EventType"],
        int(known["FragmentTimecode"]) if "FragmentTimecode" in known else None,
        known.get("FragmentNumber"),
        int(known["ErrorId"]) if "ErrorId" in known else None,
    )
