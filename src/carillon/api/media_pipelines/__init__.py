"""chime-sdk-media-pipelines: one module per resource, each an AWS shape in and an AWS shape out.

An operation translates; it decides nothing. `wire.py` holds the translations that several resources share.
"""

from carillon.api.media_pipelines.configurations import ConfigurationOperations
from carillon.api.media_pipelines.pipelines import PipelineOperations
from carillon.api.media_pipelines.speaker_search_tasks import SpeakerSearchOperations
from carillon.api.media_pipelines.voice_tone_analysis_tasks import TONE_LANGUAGES, VoiceToneAnalysisOperations

__all__ = [
    "TONE_LANGUAGES",
    "ConfigurationOperations",
    "PipelineOperations",
    "SpeakerSearchOperations",
    "VoiceToneAnalysisOperations",
]
