"""What the other participant's channel holds while one is listened to: the same stretch of time, sample beside sample.

Only measurements of a conversation need it, so it never stands in the way: what cannot be read is silence.
"""

import numpy as np

from carillon.audio import Pcm
from carillon.media.channels import ChannelSource
from carillon.media.codecs import UnsupportedMedia
from carillon.media.decoder import ChannelDecoder, Chunk, DecoderState
from carillon.media.fragments import Fragment


class OtherChannel:
    """Turns the fragments that a ChannelDecoder has decoded into the other channel's samples.

    Args:
        source: of the participant who is listened to, one of two channels.
        state: where an earlier one stopped.
        tolerance_seconds: as the ChannelDecoder has it.
    """

    def __init__(
        self, source: ChannelSource, state: DecoderState | None = None, *, tolerance_seconds: float = 0.2
    ) -> None:
        other = ChannelSource(source.count, 1 - source.index, source.rate_hz)
        self._decoder = ChannelDecoder(
            other, state, is_lenient=True, counts_losses=False, tolerance_seconds=tolerance_seconds
        )

    @property
    def state(self) -> DecoderState:
        """Return all that must be remembered across a restart."""
        return self._decoder.state

    def beside(self, fragment: Fragment, chunk: Chunk) -> Pcm:
        """Return (n,) what the other channel holds during the n samples of a fragment's chunk."""
        samples = np.zeros(len(chunk.samples), np.float32)
        try:
            other = self._decoder.decode(fragment)
        except UnsupportedMedia:
            return samples
        if other.rate_hz != chunk.rate_hz:
            return samples
        later = round((other.started_at - chunk.started_at).total_seconds() * chunk.rate_hz)
        begin, end = max(0, later), min(len(samples), later + len(other.samples))
        if begin < end:
            samples[begin:end] = other.samples[begin - later : end - later]
        return samples
