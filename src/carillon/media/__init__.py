"""Bytes to audio, and audio to bytes: clients of Kinesis Video Streams, codecs, tracks and channels.

Knows how a stream is read (GetMedia) and sent (PutMedia), whoever serves it, and how its blocks become samples. Does
not know tasks, nor how streams are kept. Start reading at `reader.py` for what comes in, `decoder.py` for what comes
out, `producer.py` for the way back, and `sound.py` for recordings.
"""

from carillon.media.acknowledgements import Acknowledgement, AcknowledgementType, PutMediaRefused
from carillon.media.channels import ChannelSource
from carillon.media.codecs import UnsupportedMedia
from carillon.media.decoder import ChannelDecoder, Chunk, DecoderState, RateMismatch
from carillon.media.files import BadFragmentLength, Recording, as_live, read_recording
from carillon.media.fragments import (
    Fragment,
    FragmentNotFound,
    FragmentParser,
    FragmentTooLarge,
    MalformedFragment,
    MediaEncrypted,
    MediaInterrupted,
    UnreadableFragment,
)
from carillon.media.kinesis_video import KinesisVideoClient
from carillon.media.other_channel import OtherChannel
from carillon.media.producer import put_media
from carillon.media.reader import After, Connect, FragmentReader, Newest, Oldest, Position
from carillon.media.refusals import NotAuthorized, RemoteStreamNotFound, RequestRefused, StreamUnavailable, refusal
from carillon.media.resuming import send_media
from carillon.media.settings import MediaSettings
from carillon.media.sound import UnreadableRecording, channel_of, opened, resampled

__all__ = [
    "Acknowledgement",
    "AcknowledgementType",
    "After",
    "BadFragmentLength",
    "ChannelDecoder",
    "ChannelSource",
    "Chunk",
    "Connect",
    "DecoderState",
    "Fragment",
    "FragmentNotFound",
    "FragmentParser",
    "FragmentReader",
    "FragmentTooLarge",
    "KinesisVideoClient",
    "MalformedFragment",
    "MediaEncrypted",
    "MediaInterrupted",
    "MediaSettings",
    "Newest",
    "NotAuthorized",
    "Oldest",
    "OtherChannel",
    "Position",
    "PutMediaRefused",
    "RateMismatch",
    "Recording",
    "RemoteStreamNotFound",
    "RequestRefused",
    "StreamUnavailable",
    "UnreadableFragment",
    "UnreadableRecording",
    "UnsupportedMedia",
    "as_live",
    "channel_of",
    "opened",
    "put_media",
    "read_recording",
    "refusal",
    "resampled",
    "send_media",
]
