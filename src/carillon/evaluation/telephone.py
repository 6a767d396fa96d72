"""What a telephone does to a voice."""

from carillon.analysis.speech.telephone import RATE_HZ, through_telephone, twin_of

__all__ = ["RATE_HZ", "through_telephone", "twin_of"]
