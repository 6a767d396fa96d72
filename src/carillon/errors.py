"""The roots of every error that carillon raises on purpose.

Each room derives its own words from these: `StreamNotFound`, `TruncatedElement`, `TooLittleSpeech`. Attributes are for
programs, the message is for people and says what to do next. Messages hold ids and limits, never samples, embeddings
or secrets.
"""


class CarillonError(Exception):
    """Something that we foresaw went wrong; the message says what and what to do."""


class Transient(CarillonError):
    """Nobody's fault and likely over soon: the only kind that is tried again."""


class NotFound(CarillonError):
    """A named resource does not exist, or exists no more."""


class AlreadyExists(CarillonError):
    """A name that must be unique is taken."""


class StateConflict(CarillonError):
    """The resource exists, but its present state does not allow the request."""


class InvalidRequest(CarillonError):
    """The request is well-formed but breaks a rule of the service."""


class LimitExceeded(CarillonError):
    """A quota or a size limit is used up."""
