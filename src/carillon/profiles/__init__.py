"""Who is known: voice profile domains, voiceprints of calls, voice profiles, and the search among them.

Knows nothing of how an embedding is made, what score is enough, or who asks: those belong to inference, tasks and api.
Everything of a voice is sealed with its domain's key; deleting the domain deletes the key. Start reading at
`profiles.py`, the way in; `index/resident.py` tells how searches see every committed change.
"""

from carillon.audio import Band
from carillon.profiles.bulk import BulkProfiles, KnownVoice, OpenVoice, ProfileExists, VoiceChanged
from carillon.profiles.domains import (
    Domain,
    DomainNotFound,
    ForeignDomain,
    InvalidDomain,
    TooManyDomains,
)
from carillon.profiles.index.resident import Channel, Match
from carillon.profiles.likeness import Likeness
from carillon.profiles.profiles import Guard, Profiles
from carillon.profiles.settings import Settings
from carillon.profiles.sweeper import Swept
from carillon.profiles.voice_profiles import Profile, ProfileNotFound, TooManyProfiles, WrongDomain
from carillon.profiles.voiceprints import EnrollableVoice, Voiceprint, VoiceprintExpired, VoiceprintNotFound

__all__ = [
    "Band",
    "BulkProfiles",
    "Channel",
    "Domain",
    "DomainNotFound",
    "EnrollableVoice",
    "ForeignDomain",
    "Guard",
    "InvalidDomain",
    "KnownVoice",
    "Likeness",
    "Match",
    "OpenVoice",
    "Profile",
    "ProfileExists",
    "ProfileNotFound",
    "Profiles",
    "Settings",
    "Swept",
    "TooManyDomains",
    "TooManyProfiles",
    "VoiceChanged",
    "Voiceprint",
    "VoiceprintExpired",
    "VoiceprintNotFound",
    "WrongDomain",
]
