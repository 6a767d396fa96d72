"""IAM policy documents: parsed and checked once, evaluated deny-first.

Why our own: AWS evaluates policies only as a service, and engines elsewhere (Cedar, OPA) have languages of their own.
What an operator knows and copies is a policy of IAM, of which a server needs few elements; any other is refused.

Source: AWS Identity and Access Management User Guide, "IAM JSON policy elements reference", "Policy evaluation logic".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from carillon.errors import InvalidRequest

MAX_STATEMENTS: Final = 100
MAX_PATTERNS: Final = 200
MAX_PATTERN_CHARACTERS: Final = 1024

_REMEMBERED: Final = 4096
_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_POLICY_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_MEMBERS: Final = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource"})
_ACTION: Final = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")


class PolicyInvalid(InvalidRequest):
    """A policy document is not one, or says what we would not heed: better refused than misunderstood."""


class PolicyDecision(Enum):
    """What a policy says of one action on one resource."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "not allowed by any statement"
    DENIED = "explicitly denied"


@dataclass(frozen=True, slots=True)
class _Statement:
    is_deny: bool
    action: re.Pattern[str]
    inverts_action: bool
    resource: re.Pattern[str]
    inverts_resource: bool

    def covers(self, action: str, resource: str) -> bool:
        """Return whether a statement speaks of an action on a resource."""
        if (self.action.fullmatch(action) is None) is not self.inverts_action:
            return False
        return (self.resource.fullmatch(resource) is None) is self.inverts_resource


class Policy:
    """One policy document.

    Args:
        document: as JSON has it.

    Raises:
        PolicyInvalid: not a policy, or one with conditions, principals or variables, which are not evaluated here.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        if not isinstance(document, Mapping):
            raise PolicyInvalid("A policy is a JSON object with Version and Statement.")
        _check_members("A policy", document, _POLICY_MEMBERS)
        if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
            raise PolicyInvalid(f"The Version of a policy is {_VERSIONS[0]}.")
        given = document.get("Statement")
        statements = [given] if isinstance(given, Mapping) else given
        if not isinstance(statements, list) or not 1 <= len(statements) <= MAX_STATEMENTS:
            raise PolicyInvalid(f"A policy has a Statement, or a list of 1 to {MAX_STATEMENTS}.")
        parsed = [_parse(statement) for statement in statements]
        self._denials = tuple(statement for statement in parsed if statement.is_deny)
        self._grants = tuple(statement for statement in parsed if not statement.is_deny)
        self._decided: dict[tuple[str, str], PolicyDecision] = {}

    def decide(self, action: str, resource: str) -> PolicyDecision:
        """Return what the policy says.

        Args:
            action: `chime:StartSpeakerSearchTask`; compared without regard to case.
            resource: an ARN, or `*` for an action that has no resource.
        """
        asked = (action, resource)
        known = self._decided.get(asked)
        if known is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            known = self._decided[asked] = self._decide(action, resource)
        return known

    def _decide(self, action: str, resource: str) -> PolicyDecision:
        if any(statement.covers(action, resource) for statement in self._denials):
            return PolicyDecision.DENIED
        if any(statement.covers(action, resource) for statement in self._grants):
            return PolicyDecision.ALLOWED
        return PolicyDecision.NOT_ALLOWED


def _parse(statement: object) -> _Statement:
    if not isinstance(statement, Mapping):
        raise PolicyInvalid("Each Statement is a JSON object with Effect, Action and Resource.")
    if "Condition" in statement:
        raise PolicyInvalid("Condition is not evaluated here; write the statement without it, or not at all.")
    if "Principal" in statement or "NotPrincipal" in statement:
        raise PolicyInvalid("A policy of an access key has no Principal: the key is.")
    _check_members("A statement", statement, _STATEMENT_MEMBERS)
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyInvalid("The Effect of a statement is Allow or Deny.")
    actions, inverts_action = _either(statement, "Action", "NotAction")
    resources, inverts_resource = _either(statement, "Resource", "NotResource")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyInvalid(f"{action[:100]!r} is no action; write chime:GetMediaPipeline, chime:Get* or *.")
    for resource in resources:
        if resource != "*" and not resource.startswith("arn:"):
            raise PolicyInvalid(f"{resource[:100]!r} is no resource; write an ARN, with * and ? if need be, or *.")
        if "${" in resource:
            raise PolicyInvalid(f"{resource[:100]!r} has a policy variable; these are not evaluated here.")
    return _Statement(
        statement["Effect"] == "Deny",
        _compile(actions, re.IGNORECASE | re.ASCII),
        inverts_action,
        _compile(resources, re.ASCII),
        inverts_resource,
    )


def _check_members(what: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(str(name) for name in given.keys() - known)
    if unknown:
        raise PolicyInvalid(f"{what} has no {', '.join(unknown)[:100]}; it may have {', '.join(sorted(known))}.")


def _either(statement: Mapping[str, Any], name: str, inverse: str) -> tuple[list[str], bool]:
    """Return the patterns of one of two members, and whether it is the inverse one."""
    if (name in statement) is (inverse in statement):
        raise PolicyInvalid(f"A statement has either {name} or {inverse}.")
    given = statement.get(name, statement.get(inverse))
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, list) or not 1 <= len(patterns) <= MAX_PATTERNS:
        raise PolicyInvalid(f"{name} is a string or a list of 1 to {MAX_PATTERNS}.")
    for pattern in patterns:
        if not isinstance(pattern, str) or not 1 <= len(pattern) <= MAX_PATTERN_CHARACTERS:
            raise PolicyInvalid(f"Each {name} is a string of 1 to {MAX_PATTERN_CHARACTERS} characters.")
    return patterns, inverse in statement


def _compile(patterns: Iterable[str], flags: int) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, patterns)), flags | re.DOTALL)


def _expression(pattern: str) -> str:
    """Return what matches a pattern with `*` and `?`.

    What stands between two stars is looked for once, from the left, and never again (an atomic group): no resource
    name, however odd, makes the search take more than linear time for each star.
    """
    first, *rest = [re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", pattern).split("*")]
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last
