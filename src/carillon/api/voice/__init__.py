"""chime-sdk-voice: voice profile domains and voice profiles. An operation translates; it decides nothing."""

from carillon.api.voice.task_results import TaskResultOperations
from carillon.api.voice.voice_profile_domains import VoiceProfileDomainOperations
from carillon.api.voice.voice_profiles import VoiceProfileOperations

__all__ = ["TaskResultOperations", "VoiceProfileDomainOperations", "VoiceProfileOperations"]
