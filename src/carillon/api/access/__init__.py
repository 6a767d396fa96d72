"""Who may do what to which resource, and the record of what was done.

Knows IAM's policy language and how a request names its resources; knows nothing of HTTP, and decides nothing about the
resources themselves. Start reading at `policies.py`, then `authorizer.py`; `trail.py` is the record, and
`explanations.py` adds to it what answers were made from.
"""

from carillon.api.access.authorizer import PolicyAuthorizer
from carillon.api.access.explanations import Explanations, explanation_row
from carillon.api.access.names import StoredNames
from carillon.api.access.policies import Policy, PolicyDecision, PolicyInvalid
from carillon.api.access.resources import Names
from carillon.api.access.trail import (
    COMMAND,
    TASK,
    AuditRow,
    AuditSettings,
    AuditTrail,
    add_to_trail,
    read_trail,
    recording,
    write_trail,
)
from carillon.api.access.visibility import is_visible

__all__ = [
    "COMMAND",
    "TASK",
    "AuditRow",
    "AuditSettings",
    "AuditTrail",
    "Explanations",
    "Names",
    "Policy",
    "PolicyAuthorizer",
    "PolicyDecision",
    "PolicyInvalid",
    "StoredNames",
    "add_to_trail",
    "explanation_row",
    "is_visible",
    "read_trail",
    "recording",
    "write_trail",
]
