"""What an operator may change about voice profiles."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from carillon.bounds import Days, Hours, Limit


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """Quotas and how long things are kept."""

    max_domains: Limit = 0
    """Voice profile domains; 0 means as many as wanted (AWS: 3)."""
    max_profiles_per_domain: Limit = 0
    """Voice profiles in one domain, expired ones included; 0 means as many as wanted (AWS: 20)."""
    voiceprint_hours: Hours = 24.0
    """How long after the end of a call a voiceprint may still be enrolled."""
    longest_call_hours: Hours = 24.0
    """A call whose end nobody reported counts as ended this long after its voiceprint was made."""
    voiceprint_record_days: Days = 7.0
    """How long after the end of a call we still know that its voiceprint expired; afterwards it never existed."""
    profile_years: Annotated[int, Meta(ge=1, le=100)] = 3
    """Calendar years after creation or refresh in which a profile can be found."""
    search_threads: Annotated[int, Meta(ge=1, le=1_024)] = 2
    """Searches that may run at the same time; each uses one thread."""
    resident_profiles: Limit = 2_000_000
    """Embeddings kept in memory over all domains, 512 bytes each; beyond, the least used domain is read again."""
    int8_above: Limit = 100_000
    """Embeddings of one kind in a domain; more than these are kept in 256 bytes each. Answers stay the same."""
