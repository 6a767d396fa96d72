"""Everything about tasks that an operator may set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from carillon.bounds import Count, Hours, Limit, OptionalSeconds, Seconds, Share


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """How tasks run and when they end."""

    match_confidence: Share = 0.7
    """A voice profile is reported as a match from this confidence on, in [0, 1]."""
    match_confidence_of: Mapping[str, Share] = field(default_factory=dict)
    """The same for single voice profile domains, by id or name, only in the file: `{vip = 0.9}`."""
    known_callers: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """How likely a caller is enrolled in the domain, in (0, 1), before any audio: the prior of a confidence."""
    match_limit: Annotated[int, Meta(ge=1, le=100)] = 10
    """Matches reported at most, best first. AWS: 10."""
    known_voices: Literal["add", "refuse"] = "add"
    """What enrolling does with a voice that its domain knows already, as another profile. `add` makes a second one, as
    AWS does, and the log says so; `refuse` answers CreateVoiceProfile with ConflictException."""
    rate_mismatch: Literal["strict", "lenient"] = "strict"
    """If a stream's rate is not the declared MediaSampleRate: `strict` fails the task, `lenient` takes the stream's."""
    timecode_tolerance_seconds: OptionalSeconds = 0.2
    """How much later a block may be than the audio before it lasts; beyond, it was silent in between, as where a
    producer suppresses silence within a fragment."""
    checkpoint_seconds: OptionalSeconds = 5.0
    """Media time between two checkpoints when nothing was found in between."""
    silence_seconds: Seconds = 15.0
    """Wall time without a new fragment after which a pipeline in progress stops. AWS: 15."""
    watch_unused_streams: bool = True
    """Whether that rule also watches declared streams that no task listens to. AWS: "any of the streams"."""
    longest_call_hours: Hours = 8.0
    """A pipeline is stopped this long after its creation. AWS: 8."""
    longest_pause_hours: Hours = 2.0
    """A paused pipeline is stopped after this long. AWS: 2."""
    commit_seconds: Seconds = 10.0
    """Deadline of one commit, also when the process is stopping."""
    queued_fragments: Count = 4
    """Fragments that may wait for one task before reading its stream is held back."""
    behind_seconds: Seconds = 15.0
    """The log tells once when a task is so far behind what its stream has received: there is too much to hear."""
    analysis_threads: Annotated[int, Meta(ge=1, le=1_024)] = 2
    """Chunks that are analyzed at the same time in this process: its capacity in cores."""
    housekeeping_seconds: Seconds = 60.0
    """Time between two rounds of expiry and limits."""
    lease_seconds: Annotated[float, Meta(ge=1, le=3_600)] = 10.0
    """A pipeline goes over to another process when the one that ran it has not been heard of for so long."""
    run_here: bool = True
    """Whether `carillon serve` runs tasks itself; else only the processes of `carillon worker` beside it do."""
    failure_events_on_stop: bool = True
    """Whether stopping a task sends the failure events of the stages that it did not reach."""
    max_speaker_searches: Limit = 0
    """Active speaker search tasks; 0 means as many as wanted (AWS: 25)."""
    max_voice_tones: Limit = 0
    """Active voice tone analysis tasks; 0 means as many as wanted (AWS: 25)."""
    tone_languages: str = ""
    """LanguageCodes that a voice tone analysis may have besides en-US, separated by commas: an extension. Outside of
    English tone is judged by sound alone."""
    kept_days: Annotated[int, Meta(ge=1, le=36_500)] = 7
    """How long an ended task can still be read. AWS: 7."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the admitted LanguageCodes besides en-US, one by one."""
        return tuple(name for part in self.tone_languages.split(",") if (name := part.strip()))
