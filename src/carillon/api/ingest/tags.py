"""What a platform says of a call, as far as a fragment can carry it: Kinesis's limits on tags."""

from collections.abc import Iterable
from typing import Final

_MAX_TAGS: Final = 10
_MAX_NAME_BYTES: Final = 128
_MAX_VALUE_BYTES: Final = 256
_RESERVED_PREFIX: Final = "AWS"


def kept_tags(said: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the first (name, text) that may be kept with the audio; what is empty, too long or reserved may not."""
    return tuple(tag for tag in said if _may_be_kept(*tag))[:_MAX_TAGS]


def _may_be_kept(name: str, text: str) -> bool:
    is_short = len(name.encode()) <= _MAX_NAME_BYTES and len(text.encode()) <= _MAX_VALUE_BYTES
    return is_short and name != "" and text != "" and not name.startswith(_RESERVED_PREFIX)
