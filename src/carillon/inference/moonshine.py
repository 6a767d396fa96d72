"""Moonshine: English speech to words, with the encoder and the decoder that the package `moonshine-voice` carries.

The encoder hears any length, without padding; the decoder then names one token at a time, always the likeliest, and
remembers what it computed for the earlier ones (`past_key_values.*`). Models of other sizes differ only in how many of
these there are and how wide, which is read off the graph. The package is never imported: it would open sound devices.

Source: N. Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands", 2024.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.catalog import ModelBroken, ModelUnsupported, Weights
from carillon.inference.sessions import OnnxSession, Tensor

TOKENS_PER_SECOND: Final = 6.5
"""More than anybody says. Moonshine's own limit against words that nobody said."""

_START, _STOP = 1, 2
_SPACE: Final = "\u2581".encode()
_LONGEST_PERIOD: Final = 24
_REPEATED_TOKENS: Final = 9  # "no no no" is speech; the same thing said again for this long is a decoder that is stuck
_LETTER: Final = re.compile(r"[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was recognized."""

    text: str = field(repr=False)  # what people say is private
    log_probability: float
    """Mean over the tokens, the end included: 0 is certain."""
    is_believed: bool
    """False for noise, gibberish and foreign languages: too improbable, said over and over, or without a letter."""


class Moonshine:
    """A loaded transcriber. May be called from several threads at a time.

    Raises:
        ModelBroken: files are missing, changed, or not Moonshine's.
        ModelUnsupported: the manifest asks for another front end than the bare wave.
    """

    def __init__(self, weights: Weights) -> None:
        manifest = weights.manifest
        self.id = manifest.id
        if [item.what for item in manifest.inputs] != ["wave", "ones_mask"]:
            raise ModelUnsupported(manifest.id, f"other front ends than a wave and its mask of ones: {manifest.inputs}")
        self._wave, self._mask = (item.name for item in manifest.inputs)
        self._states = manifest.output.name
        self._most_samples = int(manifest.max_seconds * MODEL_RATE_HZ)
        self._least_log_probability = manifest.least_log_probability
        self._encoder, self._decoder = OnnxSession(weights), OnnxSession(weights.part("decoder"))
        self._tokens = read_tokens(weights.part("tokens"))
        self._memories = {
            name: np.zeros((1, int(shape[1]), 0, int(shape[3])), np.float32)
            for name, shape in self._decoder.inputs().items()
            if name.startswith("past_key_values.")
        }

    def transcribe(self, speech: Pcm) -> Transcript:
        """Write down (n,) speech at 16 kHz, 8_000 <= n and at most `max_seconds`."""
        if not MODEL_RATE_HZ // 2 <= len(speech) <= self._most_samples:
            raise ValueError(
                f"{self.id} hears {MODEL_RATE_HZ // 2} to {self._most_samples} samples, not {len(speech)}."
            )
        mask = np.ones((1, len(speech)), np.int64)
        (states,) = self._encoder.run([self._states], {self._wave: speech[None], self._mask: mask})
        most = int(len(speech) / MODEL_RATE_HZ * TOKENS_PER_SECOND) + 1
        return self._decode({"encoder_attention_mask": mask, "encoder_hidden_states": states}, most)

    def _decode(self, encoded: dict[str, npt.NDArray[Any]], most: int) -> Transcript:
        inputs = {**encoded, **self._memories}
        names = ["logits", *(_present(name) for name in self._memories)]
        said: list[int] = []
        total = 0.0
        while len(said) < most and not _stuck(said):
            inputs["input_ids"] = np.array([[said[-1] if said else _START]], np.int64)
            inputs["use_cache_branch"] = np.array([bool(said)])
            logits, *memories = self._decoder.run(names, inputs)
            inputs |= {_past(name): memory for name, memory in zip(names[1:], memories, strict=True)}
            if not said:  # the encoded audio stays the same, and the graph gives it back only once
                names = [name for name in names if ".encoder." not in name]
            token, log_probability = _likeliest(logits[0, -1])
            total += log_probability
            said.append(token)
            if token == _STOP:
                break
        text, mean = self._text(said), total / len(said)
        is_probable = mean >= self._least_log_probability and _LETTER.search(text) is not None
        return Transcript(text, mean, is_probable and not _stuck(said))

    def _text(self, said: list[int]) -> str:
        data = b"".join(self._tokens[token] for token in said if token not in (_START, _STOP))
        return data.replace(_SPACE, b" ").decode(errors="replace").strip()


def read_tokens(weights: Weights) -> list[bytes]:
    """Read the bytes of every token: for each a length (one byte, or two from 128 on), then that many bytes.

    Raises:
        ModelBroken: it is no such file.
    """
    data, tokens, at = weights.read(), [], 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128 and at < len(data):
            length, at = length - 128 + data[at] * 128, at + 1
        tokens.append(_bytes(data[at : at + length]))
        at += length
    if at != len(data) or len(tokens) <= _STOP:
        raise ModelBroken(weights.path, "this is no file of tokens.")
    return tokens


def _bytes(token: bytes) -> bytes:
    """Turn `<0x0A>` into the byte that it stands for."""
    if len(token) == 6 and token.startswith(b"<0x"):
        return bytes.fromhex(token[3:5].decode())
    return token


def _likeliest(logits: Tensor) -> tuple[int, float]:
    """Return the likeliest of (v,) tokens and its log probability."""
    token = int(logits.argmax())
    return token, -float(np.log(np.exp(logits - logits[token]).sum()))


def _stuck(said: list[int]) -> bool:
    """Return whether the last tokens were all said before, in this order, just before."""
    tail = said[-_REPEATED_TOKENS:]
    longest = min(_LONGEST_PERIOD, len(said) - _REPEATED_TOKENS)
    return any(said[-_REPEATED_TOKENS - period : -period] == tail for period in range(1, longest + 1))


def _present(past: str) -> str:
    return past.replace("past_key_values.", "present.")


def _past(present: str) -> str:
    return present.replace("present.", "past_key_values.")
