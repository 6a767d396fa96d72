"""What was heard of calls, as a table for people or as JSON for programs. The words are on the pages alone."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from carillon.analysis import ToneAverage
from carillon.evaluation.calls.follow import CallAnalysis, Party
from carillon.evaluation.show import as_json_text
from carillon.terminal import Table


def show_calls(calls: Sequence[CallAnalysis], *, as_json: bool) -> None:
    """Print how each party of each call sounded to standard output: over the call, and in JSON also every 5 s."""
    if as_json:
        sys.stdout.write(as_json_text({"calls": [_flat(call) for call in calls]}) + "\n")
        return
    sys.stdout.write(f"{calls[0].model}, {calls[0].words or 'acoustics alone'}\n\n")
    numbers = ("speech", "utterances", "-", "0", "+")
    table = Table("call", "party", "speech", "utterances", "overall", "-", "0", "+", numbers=numbers)
    for call in calls:
        for party in call.parties:
            table.add_row(call.name, party.name, *_cells(party))
    table.print()


def _cells(party: Party) -> Iterator[str]:
    yield f"{party.speech_seconds:.0f} s"
    yield str(len(party.understood))
    if not party.reports:
        yield from ("too little speech", "", "", "")
        return
    overall = party.reports[-1].overall
    yield overall.label
    yield from (f"{share:.0%}" for share in (overall.negative, overall.neutral, overall.positive))


def _flat(call: CallAnalysis) -> dict[str, Any]:
    return {
        "name": call.name,
        "seconds": call.seconds,
        "model": call.model,
        "words": call.words,
        "parties": [
            {
                "name": party.name,
                "speech_seconds": party.speech_seconds,
                "reports": [
                    {"current": _average(report.current), "overall": _average(report.overall), "final": report.final}
                    for report in party.reports
                ],
                "current_by_sound": [_average(report.current) for report in party.by_sound],
            }
            for party in call.parties
        ],
    }


def _average(tone: ToneAverage) -> dict[str, Any]:
    return {
        "begin_ms": tone.begin_ms,
        "end_ms": tone.end_ms,
        "label": tone.label,
        "negative": tone.negative,
        "neutral": tone.neutral,
        "positive": tone.positive,
    }
