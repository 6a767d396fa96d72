"""What can go wrong with streams, in this room's own words."""

from carillon.errors import AlreadyExists, CarillonError, InvalidRequest, LimitExceeded, NotFound, StateConflict


class StreamNotFound(NotFound):
    """No stream has this name or ARN, or it was deleted.

    Attributes:
        identifier: the name or ARN asked for.
    """

    def __init__(self, identifier: str) -> None:
        super().__init__(f"The stream {identifier[:300]} does not exist. Create it, or list the streams for its name.")
        self.identifier = identifier


class StreamNameTaken(AlreadyExists):
    """A stream of this name exists.

    Attributes:
        name: the name asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"A stream named {name} exists already. Choose another name, or delete that stream first.")
        self.name = name


class StaleVersion(StateConflict):
    """The stream was changed since the caller looked at it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The version given is not the current version of stream {name}. Describe it and try again.")


class StreamNotNamed(InvalidRequest):
    """Neither a name nor an ARN was given, or both were."""

    def __init__(self) -> None:
        super().__init__("Give either the stream's name or its ARN, and not both.")


class InvalidRetention(InvalidRequest):
    """A retention outside of what is possible."""

    def __init__(self, hours: int, limit: int) -> None:
        super().__init__(f"A data retention of {hours} hours is not possible; choose 0 to {limit}.")


class InvalidPage(InvalidRequest):
    """A page token that this server did not make."""

    def __init__(self) -> None:
        super().__init__("The page token is not one of this server's. Start again without it.")


class TooManyTags(LimitExceeded):
    """A stream would carry more tags than it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A stream carries at most {limit} tags. Remove some first.")


class InvalidStartSelector(InvalidRequest):
    """A place to start reading that is no place: a missing companion value, or digits that are no fragment number."""


class NotAFragmentNumber(InvalidStartSelector):
    """Digits that no Kinesis video stream gives to a fragment."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:128]!r} is not a fragment number; take it from an acknowledgement or a fragment's tags."
        )


class FragmentUnreadable(CarillonError):
    """A stored fragment cannot be read back.

    Attributes:
        number: of the fragment.
    """

    def __init__(self, number: str) -> None:
        super().__init__(f"Fragment {number} cannot be read back. Check the disk or the bucket that it is on.")
        self.number = number


class StreamThrottled(LimitExceeded):
    """A stream is called, or written to, more often than its rates allow."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Stream {name} is used faster than its rates allow. Wait a second, then try again.")


class ProducerConnected(LimitExceeded):
    """Another PutMedia connection is writing to the stream."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Stream {name} is being written to by another connection. Close that one first.")


class TooManyReaders(LimitExceeded):
    """As many GetMedia connections as allowed are reading the stream."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"Stream {name} is being read by {limit} connections, which is the limit. Close one first.")


class TooManyReplays(LimitExceeded):
    """As many connections as allowed are reading fragments of the stream by number."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(
            f"Fragments of stream {name} are being fetched by {limit} connections, which is the limit. Close one first."
        )
