"""The tags that GetMedia puts around a fragment: `streams` writes them, `media` reads them.

Source: Kinesis Video Streams Developer Guide, "GetMedia".
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

from carillon.clock import to_millis

FragmentTags: TypeAlias = Sequence[tuple[str, str]]

PREFIX: Final = "AWS_KINESISVIDEO_"
NUMBER: Final = f"{PREFIX}FRAGMENT_NUMBER"
SERVER_AT: Final = f"{PREFIX}SERVER_TIMESTAMP"
PRODUCER_AT: Final = f"{PREFIX}PRODUCER_TIMESTAMP"
BEHIND: Final = f"{PREFIX}MILLIS_BEHIND_NOW"
TOKEN: Final = f"{PREFIX}CONTINUATION_TOKEN"
ERROR_CODE: Final = f"{PREFIX}ERROR_CODE"
"""A word, where there is a fragment's place and no fragment;"""
ERROR_ID: Final = f"{PREFIX}ERROR_ID"
"""and the number that goes with it."""


def before(number: str, server_at: datetime, producer_at: datetime) -> FragmentTags:
    """Return what stands before the Cluster."""
    return (NUMBER, number), (SERVER_AT, seconds_text(server_at)), (PRODUCER_AT, seconds_text(producer_at))


def behind(number: str, behind_ms: int) -> FragmentTags:
    """Return what stands behind it, and so says that the fragment is complete.

    Args:
        number: of the fragment.
        behind_ms: how much newer the newest fragment of its stream is.
    """
    return (BEHIND, str(behind_ms)), (TOKEN, number)


def seconds_text(at: datetime) -> str:
    """Return epoch seconds with exactly three decimals."""
    seconds, millis = divmod(to_millis(at), 1000)
    return f"{seconds}.{millis:03d}"
