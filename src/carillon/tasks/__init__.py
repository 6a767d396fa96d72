"""What was asked for and how far it got: speaker search and voice tone analysis, from Start to the last event.

The only room that sees every stage of a call. `speaker_search.py` and `voice_tone.py` hold the product's decisions;
`worker.py` is the life of a chunk; `runner.py` reads each stream of a pipeline once and fans out to its workers;
`store.py` commits result, checkpoint and outgoing event as one. Start reading at `model.py`, then `worker.py`.
"""

from carillon.tasks.analyses import Analyses
from carillon.tasks.decision import ENROLLED_SECONDS, Candidate, decide
from carillon.tasks.enrollment import Enrollment, VoiceKnown
from carillon.tasks.identification import Identification, Identifier
from carillon.tasks.leases import Leases, Owner
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Task, TaskConflict, TaskKind, TaskNotFound, TaskState, VoiceprintPending
from carillon.tasks.results import SearchResult, TaskResult, TaskResults, ToneResult
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskStore, tasks_of
from carillon.tasks.supervisor import Supervisor
from carillon.tasks.tasks import DomainInUse, StartTask, Tasks

__all__ = [
    "ENROLLED_SECONDS",
    "Analyses",
    "Candidate",
    "DomainInUse",
    "Enrollment",
    "Identification",
    "Identifier",
    "Leases",
    "Lifecycle",
    "Owner",
    "SearchResult",
    "StartTask",
    "Supervisor",
    "Task",
    "TaskConflict",
    "TaskKind",
    "TaskNotFound",
    "TaskResult",
    "TaskResults",
    "TaskSettings",
    "TaskState",
    "TaskStore",
    "Tasks",
    "ToneResult",
    "VoiceKnown",
    "VoiceprintPending",
    "decide",
    "tasks_of",
]
