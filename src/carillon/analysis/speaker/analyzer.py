"""Who is speaking: gather speech, embed it at 10 s to search with and at 20 s to remember.

Speech is embedded in pieces of 5 s, each as soon as it is complete, and a longer stretch is the mean of its pieces.
That knows people apart as well as embedding the whole does (docs/speaker-search.md), but when the tenth second arrives
only the last five have to be computed, and the voiceprint reuses what the identification computed.

Two extensions, off by default: from 2 s of speech on, what there is is embedded to look who it may be; and once the
caller is identified, later speech is compared with that of the identification: is it still the same person? Whatever
is due, it is done at the frame that completes its speech, so it does not matter how the call was cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

import numpy as np

from carillon.analysis.packing import pack, unpack
from carillon.analysis.settings import AnalysisSettings
from carillon.analysis.speaker.continuity import CHECKED_SAMPLES, CYCLE_SAMPLES, Continuity, LogLikelihoodRatio
from carillon.analysis.speaker.embedding import (
    PIECE_SAMPLES,
    Embedder,
    embed_pieces,
    embed_speech,
    mean_of,
    narrowband_embedding,
)
from carillon.analysis.speaker.findings import (
    EarlyIdentificationReady,
    IdentificationReady,
    SpeakerChanged,
    SpeakerFinding,
    Stage,
    TooLittleSpeech,
    UnfitSpeech,
    VoiceprintReady,
)
from carillon.analysis.speaker.quality import NoiseState, quality_of
from carillon.analysis.speech import (
    FRAME_SAMPLES,
    GateState,
    JudgedFrames,
    SpeechGate,
    VadModel,
    band_of,
    narrowband_of,
)
from carillon.audio import MODEL_RATE_HZ, Band, Embedding, Pcm, Pcm16, from_pcm16

EARLY_SECONDS: Final = (2, 3, 4, 5, 7)
"""Speech after which to look who it may be, where that is asked for before the identification."""

_STATE_VERSION: Final = 3


class SpeakerModel(Embedder, LogLikelihoodRatio, Protocol):
    """One with a name: embeddings of models with other names do not compare."""

    def embed_once(self, speech: Pcm, band: Band, /) -> Embedding:
        """Embed likewise for half the cost, and a little worse, where `embed` would hear short speech twice."""
        ...

    @property
    def id(self) -> str:
        """Return the name."""
        ...


def _nothing() -> Pcm16:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerState:
    """All that a SpeakerAnalyzer remembers across a restart: at most 20 s of speech. Replaced, never mutated."""

    gate: GateState = field(default_factory=GateState)
    speech: Pcm16 = field(default_factory=_nothing, repr=False)  # (n,) from the start of the task, oldest first
    pieces: tuple[Embedding, ...] = field(default=(), repr=False)  # of each whole piece of it
    noise: NoiseState = field(default_factory=NoiseState)
    early_count: int = 0  # how many looks there were before the identification
    is_identified: bool = False
    is_remembered: bool = False  # the voiceprint's stage is over; from then on `speech` is what was not yet compared
    continuity: Continuity | None = None  # once somebody was identified, if that is asked for
    watched_samples: int = 0  # of speech since somebody was first heard, what waits in `speech` left out
    is_done: bool = False
    speaker_id: str = ""  # of the model whose embeddings the pieces are

    def to_bytes(self) -> bytes:
        """Return the state as bytes, to be sealed and stored: it holds a voice."""
        return pack(self, _STATE_VERSION)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            StateUnreadable: the bytes are damaged, or of another version.
        """
        return unpack(cls, data, _STATE_VERSION)


class SpeakerAnalyzer:
    """Turns one participant's audio into one finding for each of the two stages.

    Args:
        vad: tells speech from everything else.
        speaker: embeds speech.
        rate_hz: of the samples that will be pushed, 8000 to 48000.
        state: where an earlier analyzer of the same task stopped; if that had another speaker model, the speech is
            embedded anew.
        settings: how much speech each stage needs, and how good it must be.

    Raises:
        UnsupportedRate: the rate is out of range.

    Source: Amazon Chime SDK Developer Guide, "Understanding the speaker search workflow".
    """

    def __init__(
        self,
        vad: VadModel,
        speaker: SpeakerModel,
        rate_hz: int,
        state: SpeakerState | None = None,
        settings: AnalysisSettings | None = None,
    ) -> None:
        state = state or SpeakerState()
        state = state if state.speaker_id == speaker.id else _anew(state, speaker.id)
        self._settings = settings = settings or AnalysisSettings()
        self.state = state if settings.speaker_change_confidence else _unwatched(state)
        self._speaker = speaker
        self._gate = SpeechGate(vad, rate_hz, self.state.gate, settings)
        self._to_identify = round(settings.identification_seconds * MODEL_RATE_HZ)
        self._to_remember = round(settings.voiceprint_seconds * MODEL_RATE_HZ)
        looks = EARLY_SECONDS if settings.early_confidence else ()
        self._looks = [n for n in (seconds * MODEL_RATE_HZ for seconds in looks) if n < self._to_identify]

    @property
    def is_done(self) -> bool:
        """Return whether nothing more can be found: a voiceprint, with no change looked for, or the end."""
        return self.state.is_done

    def stop_looking(self) -> None:
        """Stop looking for early answers: who it is was found, and nothing more is needed until the identification."""
        self.state = replace(self.state, early_count=len(EARLY_SECONDS))

    def interrupt(self, rate_hz: int) -> list[SpeakerFinding]:
        """Mark a gap: the samples that come next do not adjoin those that came, or have another rate.

        Raises:
            UnsupportedRate: the rate is out of range.
        """
        return [] if self.is_done else self._gathered(self._gate.interrupt(rate_hz))

    def push(self, samples: Pcm) -> list[SpeakerFinding]:
        """Take (n,) samples in [-1, 1], any n; return what they completed. Once done, samples are ignored."""
        if self.is_done:
            return []
        return self._gathered(self._gate.push(samples))

    def end(self) -> list[SpeakerFinding]:
        """Return what the last samples completed, and TooLittleSpeech for each stage that will never be."""
        if self.is_done:
            return []
        findings = self._gathered(self._gate.end())
        seconds = len(self.state.speech) / MODEL_RATE_HZ
        if not self.state.is_identified:
            findings.append(TooLittleSpeech("identification", seconds))
        if not self.state.is_remembered:
            findings.append(TooLittleSpeech("voiceprint", seconds))
        self._forget(is_done=True)
        return findings

    def _gathered(self, judged: JudgedFrames) -> list[SpeakerFinding]:
        """Take frames, up to each that completes the speech that something waits for, and see to that."""
        findings: list[SpeakerFinding] = []
        while len(judged.is_speech) and not self.is_done:
            frames = -(-(self._next - len(self.state.speech)) // FRAME_SAMPLES)
            speech = np.flatnonzero(judged.is_speech)
            end = int(speech[frames - 1]) + 1 if len(speech) >= frames else len(judged.is_speech)
            part, judged = judged.part(0, end), judged.part(end, len(judged.is_speech))
            findings += self._watched(part.speech) if self.state.is_remembered else self._staged(part)
        self.state = replace(self.state, gate=self._gate.state)
        return findings

    @property
    def _next(self) -> int:
        """Return the samples of speech, those at hand included, at which something is next to be done."""
        state, have = self.state, len(self.state.speech)
        if state.is_remembered:
            is_known = state.continuity is not None and state.continuity.voice is not None
            return CYCLE_SAMPLES if is_known else self._to_identify
        whole_piece = (have // PIECE_SAMPLES + 1) * PIECE_SAMPLES
        return min(n for n in (*self._looks, self._to_identify, self._to_remember, whole_piece) if n > have)

    def _staged(self, judged: JudgedFrames) -> list[SpeakerFinding]:
        """Take frames before the voiceprint is made."""
        state = self.state
        speech = np.concatenate([state.speech, judged.speech])[: self._to_remember]
        new = embed_pieces(self._speaker, speech[len(state.pieces) * PIECE_SAMPLES :])
        noise = state.noise.after(judged)
        self.state = replace(state, speech=speech, pieces=state.pieces + new, noise=noise)
        findings: list[SpeakerFinding] = []
        if self._due_look is not None:
            findings += self._looked(speech[: self._due_look])
        for number, piece in enumerate(new, start=len(state.pieces) + 1):
            end = number * PIECE_SAMPLES
            findings += self._compared(piece, band_of(speech[end - PIECE_SAMPLES : end]), end)
        if not state.is_identified and len(speech) >= self._to_identify:
            findings.append(found := self._judged("identification", speech[: self._to_identify]))
            self.state = replace(self.state, is_identified=True, continuity=self._begun(found))
        if len(speech) == self._to_remember:
            findings.append(remembered := self._judged("voiceprint", speech))
            if isinstance(remembered, VoiceprintReady) and self.state.continuity is not None:
                continuity = replace(self.state.continuity, narrowband=remembered.narrowband)
                self.state = replace(self.state, continuity=continuity)
            self._forget(is_done=self.state.continuity is None)
        return findings

    @property
    def _due_look(self) -> int | None:
        """Return how much speech to look at before the identification, None if there is no such look now."""
        due = self._looks[self.state.early_count :][:1]
        return due[0] if due and len(self.state.speech) >= due[0] else None

    def _looked(self, speech: Pcm16) -> list[SpeakerFinding]:
        state = self.state = replace(self.state, early_count=self.state.early_count + 1)
        if quality_of(speech, state.pieces, state.noise).fault(self._settings):
            return []
        embedding = self._embedding(speech, state.pieces)
        return [EarlyIdentificationReady(embedding, len(speech) / MODEL_RATE_HZ, band_of(speech))]

    def _begun(self, found: SpeakerFinding) -> Continuity | None:
        """Return whom to compare later speech with, None if that is not asked for or nobody could be heard."""
        if not self._settings.speaker_change_confidence or not isinstance(found, IdentificationReady):
            return None
        return Continuity(found.embedding * np.float32(self._to_identify / PIECE_SAMPLES), found.band)

    def _watched(self, judged: Pcm16) -> list[SpeakerFinding]:
        """Take speech after the voiceprint was made."""
        assert self.state.continuity is not None
        continuity, speech = self.state.continuity, np.concatenate([self.state.speech, judged])
        self.state = replace(self.state, speech=speech)
        if len(speech) < self._next:
            return []
        whole, rest = speech[: self._next], speech[self._next :]
        self.state = replace(self.state, speech=rest, watched_samples=self.state.watched_samples + len(whole))
        if continuity.voice is None:
            voice = embed_speech(self._speaker, whole) * np.float32(len(whole) / PIECE_SAMPLES)
            narrowband = narrowband_embedding(self._speaker, whole, band_of(whole))
            self.state = replace(self.state, continuity=Continuity(voice, band_of(whole), narrowband))
            return []
        piece, band = whole[-CHECKED_SAMPLES:], band_of(whole)
        if continuity.band == "tel" and band == "wb":
            piece, band = narrowband_of(piece), "tel"
        embedding = self._speaker.embed_once(from_pcm16(piece), band)
        return self._compared(embedding, band, self.state.watched_samples)

    def _compared(self, piece: Embedding, band: Band, heard_samples: int) -> list[SpeakerFinding]:
        """Compare speech with that of the caller, if there is any."""
        if self.state.continuity is None:
            return []
        now = self.state.continuity.after(piece, band, self._speaker)
        if now.change < self._settings.speaker_change_confidence:
            self.state = replace(self.state, continuity=now)
            return []
        self.state = replace(self.state, continuity=Continuity(), watched_samples=0)
        return [SpeakerChanged(now.change, heard_samples / MODEL_RATE_HZ)]

    def _forget(self, *, is_done: bool) -> None:
        """Drop the speech of the voiceprint, and all else if there is nothing more to be heard."""
        state = self.state
        self.state = SpeakerState(
            self._gate.state,
            is_identified=state.is_identified,
            is_remembered=True,
            continuity=None if is_done else state.continuity,
            watched_samples=len(state.speech),
            is_done=is_done,
            speaker_id=state.speaker_id,
        )

    def _judged(self, stage: Stage, speech: Pcm16) -> IdentificationReady | VoiceprintReady | UnfitSpeech:
        pieces = self.state.pieces[: len(speech) // PIECE_SAMPLES]
        if fault := quality_of(speech, pieces, self.state.noise).fault(self._settings):
            return UnfitSpeech(stage, *fault)
        embedding = self._embedding(speech, pieces)
        seconds, band = len(speech) / MODEL_RATE_HZ, band_of(speech)
        if stage == "identification":
            return IdentificationReady(embedding, seconds, band)
        return VoiceprintReady(embedding, speech, seconds, band, narrowband_embedding(self._speaker, speech, band))

    def _embedding(self, speech: Pcm16, pieces: Sequence[Embedding]) -> Embedding:
        whole = len(speech) // PIECE_SAMPLES
        return mean_of(self._speaker, pieces[:whole], speech[whole * PIECE_SAMPLES :])


def _unwatched(state: SpeakerState) -> SpeakerState:
    """Return a state in which no change of speaker is looked for any more: somebody switched that off."""
    return replace(state, continuity=None, is_done=state.is_done or state.is_remembered)


def _anew(state: SpeakerState, speaker_id: str) -> SpeakerState:
    """Return a state without what another model made."""
    continuity = None if state.continuity is None else Continuity()
    return replace(state, pieces=(), continuity=continuity, speaker_id=speaker_id)
