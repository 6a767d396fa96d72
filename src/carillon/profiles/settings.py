"""What an operator may change about voice profiles."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Quotas and how long things are kept."""

    max_domains: int = 0
    """Voice profile domains; 0 means as many as wanted (AWS: 3)."""
    max_profiles_per_domain: int = 0
    """Voice profiles in one domain, expired ones included; 0 means as many as wanted (AWS: 20)."""
    voiceprint_hours: float = 24.0
    """How long after the end of a call a voiceprint may still be enrolled."""
    longest_call_hours: float = 24.0
    """A call whose end nobody reported counts as ended this long after its voiceprint was made."""
    voiceprint_record_days: float = 7.0
    """How long after the end of a call we still know that its voiceprint expired; afterwards it never existed."""
    profile_years: int = 3
    """Calendar years after creation or refresh in which a profile can be found."""
    search_threads: int = 2
    """Searches that may run at the same time; each uses one thread."""
    resident_profiles: int = 2_000_000
    """Embeddings kept in memory over all domains, 512 bytes each; beyond, the least used domain is read again."""
    int8_above: int = 100_000
    """Embeddings of one kind in a domain; more than these are kept in 256 bytes each. Answers stay the same."""
