"""Who may do what to which resource, and the record of what was done: for every door that a request may come by.

Knows access keys, IAM's policy language and how a request names its resources; knows nothing of HTTP, nor of how an API
spells a refusal, and decides nothing about the resources themselves. Start reading at `policies.py`, then
`authorizer.py`; `credentials.py` has the keys, `trail.py` is the record, and `explanations.py` adds to it what answers
were made from.
"""

from carillon.access.access_log import AccessLogRecord, Auditor
from carillon.access.authorizer import PolicyAuthorizer
from carillon.access.credentials import AccessKey, AccessKeys, KeyRing, WatchedKeys
from carillon.access.errors import AccessDenied, AccessKeyUnknown, AccessRefused, RateExceeded
from carillon.access.explanations import Explanations, explanation_row
from carillon.access.names import StoredNames
from carillon.access.policies import Policy, PolicyDecision, PolicyInvalid
from carillon.access.trail import (
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
from carillon.access.visibility import is_visible

__all__ = [
    "COMMAND",
    "TASK",
    "AccessDenied",
    "AccessKey",
    "AccessKeyUnknown",
    "AccessKeys",
    "AccessLogRecord",
    "AccessRefused",
    "AuditRow",
    "AuditSettings",
    "AuditTrail",
    "Auditor",
    "Explanations",
    "KeyRing",
    "Policy",
    "PolicyAuthorizer",
    "PolicyDecision",
    "PolicyInvalid",
    "RateExceeded",
    "StoredNames",
    "WatchedKeys",
    "add_to_trail",
    "explanation_row",
    "is_visible",
    "read_trail",
    "recording",
    "write_trail",
]
