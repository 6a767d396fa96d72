"""Why a stream cannot be read on. All are the sender's doing, and all say at which byte."""

from carillon.errors import InvalidRequest


class MatroskaError(InvalidRequest):
    """The stream is not Matroska that we can read.

    Attributes:
        offset: of the byte where reading stopped, counted from the first byte ever fed.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} (at byte {offset} of the stream)")
        self.offset = offset


class InvalidElement(MatroskaError):
    """An element is malformed, or stands where it may not."""


class ElementTooLarge(MatroskaError):
    """An element that must be held in memory is larger than the limit."""


class TruncatedElement(MatroskaError):
    """The stream ended inside an element of known size."""


class NestedTooDeep(MatroskaError):
    """Elements lie within elements more levels deep than the limit."""
