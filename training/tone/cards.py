"""What the heads are called, on which terms they may be used, and their model cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from export import Name
from figures import HISTORIES, Figures, table
from heads import Calibration

CLEAN: Final = Name(
    id="tone-head-clean-2",
    file="tone_head_clean",
    about="Labels from EmoDB alone, which permits commercial use.",
    licence="Apache-2.0",
    commercial_use=True,
    trained_on=("emodb",),
    attribution="Trained for carillon on EmoDB (CC0 1.0) with sounds of ESC-10 (CC BY 3.0); calibrated with "
    "speechocean762 and LibriSpeech (CC BY 4.0)",
)
RESEARCH: Final = Name(
    id="tone-head-research-1",
    file="tone_head_research",
    about="Not for commercial use: learned from RAVDESS and nEMO.",
    licence="CC-BY-NC-SA-4.0 (non-commercial)",
    commercial_use=False,
    trained_on=("emodb", "nemo", "ravdess"),
    attribution="Trained for carillon on RAVDESS (S. R. Livingstone, F. A. Russo, 2018; CC BY-NC-SA 4.0), nEMO "
    "(I. Christop, 2024; CC BY-NC-SA 4.0) and EmoDB (F. Burkhardt et al., 2005; CC0 1.0), with sounds of ESC-10 "
    "(CC BY 3.0)",
)

_READING: Final = """\
How to read the figures: every speaker was held out. UAR is the mean recall of the three classes; guessing gives 33.3 %.
It is told after several histories of the same speaker, none of which knows a label, except the last:

{histories}

Log loss (balanced over the classes; knowing nothing gives 1.10), ECE (expected calibration error, ten bins), recalls
and arousal (mean recall of excited and calm) are those of *earlier*, which is what a call gives. Telephone is 8 kHz,
300 to 3400 Hz, mu-law. A clip is one acted sentence of 0.6 to 5 s after the speech gate; clips with less speech in
either band are left out."""

_CLEAN: Final = """\
# Model card: tone-head-clean-2

**In short: better than guessing on English, and not much more.** Trained on six German actors, it hears how excited a
voice is far better than whether that is anger or joy. Its probabilities are as sure as right once it knows a speaker,
also in languages and on lines that it does not know; before that they are too sure. Do not decide anything about a
person by it.

| | |
|---|---|
| Hears | 0.5 to 5 s of speech: prosody (141 numbers), speaker embedding (256, not centered), and their means before |
| Says | probabilities of negative, neutral and positive, summing to 1; probability of excitement |
| Is | a linear map, {calibration} |
| Labels from | EmoDB, CC0 1.0: six German actors, 195 clips; also with noise, at other speeds, by telephone |
| Calibrated with | EmoDB speakers left out of training; speechocean762 and LibriSpeech, read, taken for neutral |
| Licence | Apache-2.0; made from CC0, CC BY 3.0 (ESC-10 sounds) and CC BY 4.0 material, see `LICENSES.md` |
| Made by | `training/tone/train.py` |

{reading}

{figures}

- `emodb`: German, held-out speakers of the corpus that it was trained on: the best that can be said of it. It is less
  sure of them than it could be: its temperature is that of the speaker, of these six, whom it knew least, since nobody
  who is heard later will be better known than that.
- `ravdess` (English) and `nemo` (Polish): corpora that it was not trained or calibrated on. This is what to expect of a
  call, or less: they are actors in studios, and real calls are milder. What it hears, and that it leans to neutral, was
  decided with these figures in view, which flatters them somewhat.

The lean to neutral costs recall on acted speech, and is needed: of plain read English, clips of people whom it does not
know, without it the head calls {without}; with it, {with_it} negative / neutral / positive.

Why it is not better: labels. UAR on held-out English speakers, after their earlier clips, by how many other English
speakers are added to EmoDB in training (*all*: with Whisper's layers, as the research head; *few*: without, as this):

{curve}

A dozen English actors would do; CREMA-D (91 actors, ODbL) is the corpus to add. Until then words are the better way to
hear tone in English, or, where the licence permits, the research head.

Limits: three classes only; surprise and boredom were never heard; trained on single acted sentences; language, age,
accent and recording shift it; a cold or a bad line sounds like a tone to it. It uses the speaker embedding, and a
habit holds the mean of that: treat stored states as biometric data, as carillon does.
"""

_RESEARCH: Final = """\
# Model card: tone-head-research-1

**Not for commercial use.** It learned from RAVDESS and nEMO, whose licence is CC BY-NC-SA 4.0. Whether weights are an
adaptation of what they learned from is unsettled; we treat them as one, so they are under the same licence
(`LICENSE.md`) and carry its notice. They are in the repository and not in the package: who ships carillon in a product
would else pass on non-commercial material without noticing. Switch them on by name:

```toml
[inference]
directory = "training/tone/research"
tone = "tone-head-research-1"
```

The log then says once, when the server starts, that a model is not for commercial use.

| | |
|---|---|
| Hears | 0.5 to 5 s of speech: Whisper tiny.en, layers 2 and 3, mean and deviation over time (1536 numbers) |
| | prosody (141), speaker embedding (256, not centered), and the means of all before |
| Says | probabilities of negative, neutral and positive, summing to 1; probability of excitement |
| Is | a linear map, {calibration} |
| Labels from | RAVDESS (16 English actors), nEMO (6 Polish), EmoDB (6 German): 1018 clips |
| | also with noise, at other speeds, by telephone |
| Calibrated with | held-out speakers of the same; for the figures, each fold by the others |
| Made by | `training/tone/train.py` |

{reading}

{figures}

The same with Whisper's layers alone:

{whisper}

And the baseline, our own prosodic functionals and a linear classifier:

{baseline}

Limits: acted speech, single sentences, two sentences only in RAVDESS; on a corpus that it does not know it does worse,
as everything does that was trained on so few people. In the telephone band nEMO stays below what we wanted (71 %).
A history of one tone costs about ten points against none: half of a habit at most is taken away for that reason.
It uses the speaker embedding, and a habit holds the mean of that: treat stored states as biometric data.
"""


@dataclass(frozen=True, slots=True)
class Leaning:
    """Which share of plain read English is judged negative, neutral and positive, without the lean and with it."""

    without: Sequence[float]
    with_it: Sequence[float]


def write_clean_card(
    figures: Sequence[Figures], leaning: Leaning, curve: str, calibration: Calibration, folder: Path
) -> None:
    """Write the card of the clean head."""
    card = _CLEAN.format(
        reading=_reading(),
        figures=table(figures),
        curve=curve,
        calibration=_told(calibration),
        without=_in_percent(leaning.without),
        with_it=_in_percent(leaning.with_it),
    )
    (folder / f"{CLEAN.file}.md").write_text(card, encoding="utf-8")


def write_research_card(
    figures: Sequence[Figures],
    baseline: Sequence[Figures],
    whisper: Sequence[Figures],
    calibration: Calibration,
    folder: Path,
) -> None:
    """Write the card of the research head."""
    card = _RESEARCH.format(
        reading=_reading(),
        figures=table(figures),
        baseline=table(baseline),
        whisper=table(whisper),
        calibration=_told(calibration),
    )
    (folder / f"{RESEARCH.file}.md").write_text(card, encoding="utf-8")


def _reading() -> str:
    return _READING.format(histories="\n".join(f"- *{name}*: {meaning}" for name, meaning in HISTORIES.items()))


def _in_percent(shares: Sequence[float]) -> str:
    return " / ".join(f"{share:.0%}" for share in shares)


def _told(calibration: Calibration) -> str:
    lean = f", {calibration.neutral:.2f} added to neutral" if calibration.neutral else ""
    return f"temperature {calibration.temperature:.2f}{lean}; arousal {calibration.arousal_temperature:.2f}"
