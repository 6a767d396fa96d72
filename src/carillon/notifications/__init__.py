"""Findings to the outside world: events, the outbox, the dispatcher and its sinks.

Knows what Amazon Chime SDK's notifications look like and how to get each to where it belongs, at least once. Knows
nothing of how a finding came about, and never carries anything of a voice, words only if
an operator asks for them. Start reading at `events.py` for what is
said, at `outbox.py` for how it is kept, and at `dispatcher.py` for how it leaves.
"""

from carillon.notifications.deliveries import DeliveryReport, SinkTarget
from carillon.notifications.dispatcher import Dispatcher
from carillon.notifications.events import (
    ElementStatus,
    Event,
    EventContext,
    PipelineEventType,
    ProfileMatch,
    SpeakerSearchStatus,
    VoiceToneStatus,
    pipeline_event,
    speaker_search_event,
    voice_tone_event,
)
from carillon.notifications.outbox import EventFilter, Outbox
from carillon.notifications.sending import EventRefused, Sender, SendFailed
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks import SINKS, open_senders
from carillon.notifications.tone import SpokenWords, ToneExtension, ToneWindow, VoiceMeasures, WindowMeasures

__all__ = [
    "SINKS",
    "DeliveryReport",
    "Dispatcher",
    "ElementStatus",
    "Event",
    "EventContext",
    "EventFilter",
    "EventRefused",
    "NotificationSettings",
    "Outbox",
    "PipelineEventType",
    "ProfileMatch",
    "SendFailed",
    "Sender",
    "SinkTarget",
    "SpeakerSearchStatus",
    "SpokenWords",
    "ToneExtension",
    "ToneWindow",
    "VoiceMeasures",
    "VoiceToneStatus",
    "WindowMeasures",
    "open_senders",
    "pipeline_event",
    "speaker_search_event",
    "voice_tone_event",
]
