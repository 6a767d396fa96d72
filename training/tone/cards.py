"""The model cards of the packaged heads."""

from pathlib import Path
from typing import Final

from carillon.training.tone import Name, Trained, table

_HEARS: Final = {
    "hidden": "Whisper tiny.en, layers 2 and 3, mean and deviation over time (1536 numbers)",
    "layer_2": "Whisper tiny.en, layer 2, mean and deviation over time (768 numbers)",
    "prosody": "prosody (141)",
    "voice": "CAM++: its embedding, and what its first convolutions hear (256)",
}

_CARD: Final = """\
# Model card: {id}

**In short: of corpora that it never heard, it tells the three tones apart in six or seven of ten clips.** It calls
plain reading neutral in nine of ten if it knows people who read like that, else in about eight. It was trained on
actors and on vocal bursts, never on calls. Its figures on people of corpora that it was trained on flatter it; those on
corpora that it never heard come first. Do not decide anything about a person by it.

| | |
|---|---|
| Hears | 0.5 to 5 s of speech: {hears}; and their means before |
| Says | probabilities of negative, neutral and positive, summing to 1; probability of excitement |
| Is | a linear map, fitted by penalized least squares; {calibration} |
| Learned from | EmoDB (CC0 1.0): six German actors in five moods and none |
| | EmoGator (Apache-2.0): 602 vocal bursts of 257 people |
| | speechocean762 and LibriSpeech (both CC BY 4.0): 134 people reading English aloud, taken for neutral |
| | all of it also in rooms, before other microphones, with noise (ESC-10, CC BY 3.0), at other speeds, by telephone |
| License | Apache-2.0 |
| Made by | `training/tone/train.py` |

How to read the figures: UAR is the mean recall of the tones that occur (three: guessing gives 33 %); each clip is heard
after the person's earlier ones, in an order that no label has a say in. *Not heard: corpus* is a head that was trained
without that corpus; *people* one that was trained without these people. Telephone is 8 kHz, 300 to 3400 Hz, mu-law.
RAVDESS (English) and nEMO (Polish) may not be learned from commercially, and were never learned from; but parts,
penalties and shares were chosen with them in view, which flatters their figures somewhat.

{figures}

The same at the start of a call, when nothing is known of how the person usually sounds:

{at_the_start}

Limits: three classes only; surprise and boredom were never heard; single acted sentences, and laughs and sobs for most
of what is positive; language, age, accent and recording shift it; people whose kind of reading it never heard are
called negative more often (see the rows of speechocean762 and LibriSpeech, corpus not heard). A baseline is the mean of
what was heard of a person: treat stored states as biometric data, as carillon does.
"""


def write_card(name: Name, trained: Trained, folder: Path) -> None:
    """Write the card of a head beside it."""
    calibration = trained.calibration
    card = _CARD.format(
        id=name.id,
        hears=", ".join(_HEARS[part] for part in trained.head.recipe.parts),
        calibration=f"lean to neutral {calibration.lean:+.2f}, temperature {calibration.temperature:.3f}",
        figures=table(trained.figures),
        at_the_start=table(trained.figures, "none"),
    )
    (folder / f"{name.file}.md").write_text(card, encoding="utf-8")
