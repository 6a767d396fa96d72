"""The tags that a producer gives to its stream and to fragments, and what is not its to give."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from carillon.streams.settings import StreamSettings

ProducerTags: TypeAlias = Sequence[tuple[str, str]]

END_OF_FRAGMENT: Final = "AWS_KINESISVIDEO_END_OF_FRAGMENT"
"""AWS's producer SDKs close a fragment with it when no other follows soon: at a pause and before they leave. They then
wait for PERSISTED, with the body still open."""

_RESERVED_PREFIX: Final = "AWS"
_ALLOWED: Final = frozenset(
    {
        END_OF_FRAGMENT,
        "AWS_KINESISVIDEO_IMAGE_GENERATION",  # Developer Guide, "Adding image generation tags to fragments"
        "AWS_KINESISVIDEO_IMAGE_PREFIX",
        "AWS_KINESISVIDEO_NOTIFICATION",
    }
)
"""Names that begin as ours do, and yet are the producer's to give."""


def are_ours(tags: ProducerTags) -> bool:
    """Return whether a name would pass for one that the service gives."""
    return any(name.startswith(_RESERVED_PREFIX) and name not in _ALLOWED for name, _ in tags)


def end_fragment(tags: ProducerTags) -> bool:
    """Return whether the producer says with them that the fragment is complete."""
    return any(name == END_OF_FRAGMENT for name, _ in tags)


def counted(tags: ProducerTags) -> int:
    """Return how many of them count against the limit."""
    return sum(name != END_OF_FRAGMENT for name, _ in tags)


def exceed(tags: ProducerTags, count: int, limits: StreamSettings) -> bool:
    """Return whether a fragment may not have tags: these, which came last, or so many as there are with them."""
    return count > limits.max_fragment_tags or any(
        len(name.encode()) > limits.max_tag_name_bytes or len(value.encode()) > limits.max_tag_value_bytes
        for name, value in tags
    )
