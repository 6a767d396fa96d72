"""What a call tells beyond its identification: how soon a caller is known, and when somebody else takes the handset.

    python bench/speaker_extensions.py DIR [--where COLUMN=VALUE]... [--band telephone|wideband] [--without SPEAKER]...

DIR has a manifest.csv, as for `carillon eval speaker`. Everybody's speech is heard by the product's gate
and embedded as a call embeds it. Early: half of the people are enrolled, with 10 s each, and everybody's other pieces
of 10 s are looked at after 2, 3, 4, 5 and 7 s. Changes: with 10 s of somebody later pieces of 3 s are compared. An hour
without a change is 600 pieces of the same person, drawn from the others with replacement; a change is five such pieces,
and then somebody else's: the second of those ends at most 15 s after the change, the third at most 21 s.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from carillon.analysis.speaker import narrowband_embedding
from carillon.analysis.speaker.analyzer import EARLY_SECONDS
from carillon.analysis.speaker.continuity import CHECKED_SAMPLES, CYCLE_SAMPLES, Continuity
from carillon.analysis.speaker.embedding import PIECE_SAMPLES, embed_pieces, mean_of
from carillon.analysis.speech import band_of, narrowband_of, speech_of
from carillon.analysis.speech.telephone import RATE_HZ, through_telephone
from carillon.audio import MODEL_RATE_HZ, Band, Embedding, Pcm16, from_pcm16
from carillon.evaluation.manifest import ManifestRecording, chosen_lines, read_manifest
from carillon.inference import Models, SpeakerEncoder, posteriors
from carillon.tasks import TaskSettings

STRETCH: Final = 10 * MODEL_RATE_HZ
EARLY: Final = (0.9, 0.95, 0.97)
CHANGE: Final = 0.9
SPLITS, HOURS, CHECKS_AN_HOUR, CHANGES = 40, 500, 600, 4_000
MOST_STRETCHES: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A piece of 3 s."""

    session: str
    begin: int
    embeddings: dict[Band, Embedding] = field(repr=False)
    """As it was heard, the band first; of wideband also as a telephone would carry it."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """10 s of somebody's speech, and what could be heard of it earlier."""

    session: str
    begin: int
    band: Band
    embedding: Embedding = field(repr=False)
    narrowband: Embedding | None = field(repr=False)
    looks: dict[int, Embedding] = field(repr=False)
    """By seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """All that somebody said."""

    name: str
    stretches: list[Stretch]
    checks: list[Check]

    def apart(self, stretch: Stretch) -> list[Check]:
        """Return the pieces of the same sitting that share no speech with a stretch."""
        return [
            check
            for check in self.checks
            if check.session == stretch.session
            and not stretch.begin - CHECKED_SAMPLES < check.begin < stretch.begin + STRETCH
        ]


def main() -> None:
    """Listen, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("--where", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--band", choices=("telephone", "wideband"), default="telephone")
    arguments = parser.parse_args()
    if arguments.directory is None:
        print("nothing measured: name a folder of recordings (--help)")
        return
    lines = read_manifest(arguments.directory, (), chosen_lines(arguments.where))
    models = Models()
    people = [
        heard(
            name, [line for line in lines if line.speaker == name], models, by_telephone=arguments.band == "telephone"
        )
        for name in sorted({line.speaker for line in lines} - set(arguments.without))
    ]
    people = [person for person in people if person.stretches]
    print(f"{len(people)} people, {sum(len(person.stretches) for person in people)} stretches of 10 s")
    for threshold in EARLY:
        early(people, models.speaker, threshold)
    changes(people, models.speaker)


def heard(name: str, recordings: Sequence[ManifestRecording], models: Models, by_telephone: bool) -> Person:
    """Embed what somebody said, each sitting for itself."""
    person = Person(name, [], [])
    for session in dict.fromkeys(recording.session for recording in recordings):
        said = [_speech(line, models, by_telephone) for line in recordings if line.session == session]
        speech = np.concatenate(said)
        starts = range(0, len(speech) - STRETCH + 1, STRETCH)[: MOST_STRETCHES - len(person.stretches)]
        person.stretches.extend(_stretch(session, start, speech, models.speaker) for start in starts)
        limit = min(len(speech), MOST_STRETCHES * STRETCH)
        for start in range(0, limit - CHECKED_SAMPLES + 1, CHECKED_SAMPLES):
            piece = speech[start : start + CHECKED_SAMPLES]
            band = band_of(speech[max(0, start - CYCLE_SAMPLES + CHECKED_SAMPLES) : start + CHECKED_SAMPLES])
            embeddings = {band: models.speaker.embed_once(from_pcm16(piece), band)}
            if band == "wb":
                embeddings["tel"] = models.speaker.embed_once(from_pcm16(narrowband_of(piece)), "tel")
            person.checks.append(Check(session, start, embeddings))
    return person


def _speech(recording: ManifestRecording, models: Models, by_telephone: bool) -> Pcm16:
    samples, rate_hz = recording.read()
    if by_telephone and rate_hz > RATE_HZ:
        samples, rate_hz = through_telephone(samples, rate_hz), RATE_HZ
    return speech_of(samples, rate_hz, models.vad)


def _stretch(session: str, start: int, speech: Pcm16, speaker: SpeakerEncoder) -> Stretch:
    said = speech[start : start + STRETCH]
    pieces, looks = embed_pieces(speaker, said), {}
    for seconds in (*EARLY_SECONDS, 10):
        whole = seconds * MODEL_RATE_HZ // PIECE_SAMPLES
        looks[seconds] = mean_of(speaker, pieces[:whole], said[whole * PIECE_SAMPLES : seconds * MODEL_RATE_HZ])
    band = band_of(said)
    return Stretch(session, start, band, looks.pop(10), narrowband_embedding(speaker, said, band), looks)


def early(people: Sequence[Person], speaker: SpeakerEncoder, threshold: float) -> None:
    """Print how soon people of a domain are told, and how many strangers are, beside what 10 s say."""
    told_after, wrong, named, strangers, strangers_at_end = [], 0, 0, 0, 0
    for seed in range(SPLITS):
        generator = np.random.default_rng(seed)
        known = [people[i] for i in generator.permutation(len(people))[: len(people) // 2]]
        enrolled = [person.stretches[generator.integers(len(person.stretches))] for person in known]
        voices = np.stack([stretch.embedding for stretch in enrolled])
        for person in people:
            is_known = person in known
            for stretch in person.stretches:
                if stretch in enrolled:
                    continue
                found = [_who(voices, stretch.looks[n], n, stretch.band, speaker, threshold) for n in EARLY_SECONDS]
                first = next((number for number, who in enumerate(found) if who is not None), None)
                if not is_known:
                    strangers += 1
                    named += first is not None
                    at_end = TaskSettings().match_confidence
                    strangers_at_end += _who(voices, stretch.embedding, 10, stretch.band, speaker, at_end) is not None
                elif first is not None and known[found[first] or 0] is person:
                    told_after.append(EARLY_SECONDS[first])
                else:
                    wrong += first is not None
                    told_after.append(99)
    after = np.array(told_after)
    shares = ", ".join(f"{np.mean(after <= seconds):.0%} by {seconds} s" for seconds in EARLY_SECONDS)
    print(
        f"early at {threshold}: median {np.median(after):.0f} s; {shares} (of {len(after)}); told as somebody else "
        f"{wrong / len(after):.2%}; strangers named early {named / strangers:.2%}, after 10 s "
        f"{strangers_at_end / strangers:.2%} (of {strangers})"
    )


def _who(
    voices: np.ndarray, voice: Embedding, seconds: int, band: Band, speaker: SpeakerEncoder, threshold: float
) -> int | None:
    """Return the number of the voice that is told of, None for nobody."""
    heard = speaker.compensated(voice, band, seconds)
    scores = voices @ heard.embedding + heard.shift
    best = np.argsort(-scores)[:10]
    ratios = [speaker.log_likelihood_ratio(float(scores[i]), seconds, band) for i in best]
    confidence = posteriors(ratios, len(voices), TaskSettings().known_callers)[0]
    return int(best[0]) if confidence >= threshold else None


def changes(people: Sequence[Person], speaker: SpeakerEncoder) -> None:
    """Print how often a change is told where there is none, and how soon where there is one."""
    generator = np.random.default_rng(0)
    usable = [(person, stretch) for person in people for stretch in person.stretches if person.apart(stretch)]
    alarms = 0
    for hour in range(HOURS):
        person, stretch = usable[hour % len(usable)]
        own = person.apart(stretch)
        hour_of = (own[i] for i in generator.integers(len(own), size=CHECKS_AN_HOUR))
        alarms += any(now.change >= CHANGE for now in _followed(stretch, hour_of, speaker))
    after = []
    for _ in range(CHANGES):
        person, stretch = usable[generator.integers(len(usable))]
        own = person.apart(stretch)
        others = [other for other in people if other is not person]
        other = others[generator.integers(len(others))]
        before = [own[i] for i in generator.integers(len(own), size=5)]
        theirs = [other.checks[i] for i in generator.integers(len(other.checks), size=8)]
        now = list(_followed(stretch, [*before, *theirs], speaker))[5:]
        after.append(next((n for n, at in enumerate(now, start=1) if at.change >= CHANGE), 99))
    found = np.array(after)
    shares = ", ".join(f"within {seconds} s {np.mean(found <= n):.1%}" for n, seconds in ((2, 15), (3, 21), (8, 51)))
    print(f"changes: found {shares} (of {CHANGES}); a false one in {alarms} of {HOURS} hours of speech")


def _followed(stretch: Stretch, checks: Iterable[Check], speaker: SpeakerEncoder) -> Iterator[Continuity]:
    now = Continuity(stretch.embedding * np.float32(2), stretch.band, stretch.narrowband)
    for check in checks:
        band = "tel" if stretch.band == "tel" else next(iter(check.embeddings))
        now = now.after(check.embeddings[band], band, speaker)
        yield now


if __name__ == "__main__":
    main()
