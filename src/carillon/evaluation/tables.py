"""A calibration as TOML: the `[[calibration]]` tables of a manifest, or of an operator's own file, with figures."""

from collections.abc import Iterator, Sequence
from typing import Final

from carillon.evaluation.fitting import MOST_OVERLAP, Fitted
from carillon.inference import CalibrationEntry

_DECIMALS: Final = 2


def entries_of(fits: Sequence[Fitted], in_force: Sequence[CalibrationEntry]) -> list[tuple[CalibrationEntry, str]]:
    """Return what is to be written, each with the words to stand above it.

    Where there was too little to fit to, or nothing better was found, what is in force stays. Where the classes overlap
    too far, a line says that a cosine tells nothing: odds of one to one, whatever it is.
    """
    kept = {(entry.channel, entry.min_seconds): entry for entry in in_force}
    found = []
    for fit in fits:
        channel, seconds = fit.condition.channel, float(fit.condition.seconds)
        if channel is None:
            continue
        if fit.line is not None:
            entry = CalibrationEntry(min_seconds=seconds, channel=channel, **_rounded(fit.line.a, fit.line.b))
            found.append((entry, _figures(fit)))
        elif fit.verdict == "overlap":
            words = f"equal error rate over {MOST_OVERLAP:.0%}: no number is given"
            found.append((CalibrationEntry(min_seconds=seconds, channel=channel, a=0.0, b=0.0), words))
        elif (channel, seconds) in kept:
            found.append((kept[channel, seconds], f"as it was: {fit.verdict}"))
    return found


def as_toml(entries: Sequence[tuple[CalibrationEntry, str]]) -> str:
    """Return `[[calibration]]` tables, each with a comment above it."""
    return "\n".join("\n".join(_table(entry, words)) for entry, words in entries)


def _table(entry: CalibrationEntry, words: str) -> Iterator[str]:
    yield f"# {words}"
    yield "[[calibration]]"
    yield f"min_seconds = {entry.min_seconds:g}"
    yield f'channel = "{entry.channel}"'
    yield f"a = {entry.a}"
    yield f"b = {entry.b}"
    yield ""


def _figures(fit: Fitted) -> str:
    held_out = ""
    if fit.held_out is not None:
        held_out = f"; held out: Cllr {fit.held_out.cllr:.3f}, ECE {fit.held_out.ece:.3f}"
    return (
        f"{fit.people} people, {fit.genuine_pairs} pairs of one and {fit.impostor_pairs} of two, equal error rate "
        f"{fit.equal_error_rate:.2%}{held_out}"
    )


def _rounded(a: float, b: float) -> dict[str, float]:
    return {"a": round(a, _DECIMALS), "b": round(b, _DECIMALS)}
