"""Who is known: voice profile domains, voiceprints of calls, voice profiles, and the search among them.

Knows nothing of how an embedding is made, what score is enough, or who asks: those belong to inference, tasks and api.
Everything of a voice is sealed with its domain's key; deleting the domain deletes the key. Start reading at
`profiles.py`, the way in; `index/resident.py` tells how searches see every committed change.
"""

from carillon.audio import Band
from carillon.profiles.bulk import BulkProfiles, KnownVoice, OpenVoice, ProfileExists
from carillon.profiles.domains import (
    Domain,
    DomainNotFound,
    ForeignDomain,
    InvalidDomain,
    TooManyDomains,
)
from carillon.profiles.index.resident import VoiceMatch
from carillon.profiles.likeness import Likeness
from carillon.profiles.profiles import Profiles
from carillon.profiles.settings import ProfileSettings
from carillon.profiles.sweeper import Swept
from carillon.profiles.voice_profiles import Profile, ProfileNotFound, TooManyProfiles, WrongDomain
from carillon.profiles.voiceprints import Voiceprint, VoiceprintExpired, VoiceprintNotFound

__all__ = [
    "Band",
    "BulkProfiles",
    "Domain",
    "DomainNotFound",
    "ForeignDomain",
    "InvalidDomain",
    "KnownVoice",
    "Likeness",
    "OpenVoice",
    "Profile",
    "ProfileExists",
    "ProfileNotFound",
    "ProfileSettings",
    "Profiles",
    "Swept",
    "TooManyDomains",
    "TooManyProfiles",
    "VoiceMatch",
    "Voiceprint",
    "VoiceprintExpired",
    "VoiceprintNotFound",
    "WrongDomain",
]
