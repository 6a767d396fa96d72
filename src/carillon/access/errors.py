"""Why a caller is refused, whichever door it came to."""

from carillon.errors import CarillonError, LimitExceeded


class AccessRefused(CarillonError):
    """A caller may not do what it asks."""


class AccessKeyUnknown(AccessRefused):
    """There is no active key with the id that it names."""


class AccessDenied(AccessRefused):
    """The key's policy does not allow it; the message names the action and the resource."""


class RateExceeded(AccessRefused, LimitExceeded):
    """It asks too often."""
