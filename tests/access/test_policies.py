import json
from time import process_time
from typing import Any

import pytest

from carillon.access import Policy, PolicyDecision, PolicyInvalid

DOMAIN = "arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-1"
OTHER = "arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-2"


def policy(*statements: dict[str, Any]) -> Policy:
    return Policy({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any = "*", resource: Any = "*", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("pattern", "action", "covers"),
    [
        ("*", "chime:GetVoiceProfile", True),
        ("chime:*", "chime:GetVoiceProfile", True),
        ("chime:*", "kinesisvideo:GetMedia", False),
        ("CHIME:getvoiceprofile", "chime:GetVoiceProfile", True),
        ("chime:Get*", "chime:GetVoiceProfile", True),
        ("chime:Get*Profile", "chime:GetVoiceProfileDomain", False),
        ("chime:Get*Profile*", "chime:GetVoiceProfileDomain", True),
        ("chime:GetVoiceProfil?", "chime:GetVoiceProfile", True),
        ("chime:GetVoiceProfile?", "chime:GetVoiceProfile", False),
        ("chime:*e*e*e*e", "chime:GetVoiceProfile", False),
        ("chime:**Profile", "chime:GetVoiceProfile", True),
    ],
)
def test_actions_match_with_wildcards_and_without_regard_to_case(pattern: str, action: str, covers: bool) -> None:
    assert (policy(allow(pattern)).decide(action, "*") is PolicyDecision.ALLOWED) is covers


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ("*", True),
        (DOMAIN, True),
        (DOMAIN.upper().replace("ARN", "arn", 1), False),
        ("arn:aws:chime:*:*:voice-profile-domain/*", True),
        ("arn:aws:chime:*:*:voice-profile-domain/vpd-?", True),
        ("arn:aws:chime:*:*:voice-profile/*", False),
        ("arn:aws:chime:us-east-1:111122223333:voice.profile.domain/vpd-1", False),
        (DOMAIN + "*", True),
        (DOMAIN[:-1], False),
    ],
)
def test_resources_match_with_wildcards_and_with_regard_to_case(pattern: str, covers: bool) -> None:
    assert (policy(allow("chime:*", pattern)).decide("chime:X", DOMAIN) is PolicyDecision.ALLOWED) is covers


def test_a_denial_wins_wherever_it_stands() -> None:
    for statements in ([allow(), allow("*", DOMAIN, "Deny")], [allow("*", DOMAIN, "Deny"), allow()]):
        made = policy(*statements)
        assert made.decide("chime:X", DOMAIN) is PolicyDecision.DENIED
        assert made.decide("chime:X", OTHER) is PolicyDecision.ALLOWED
        assert made.decide("chime:X", DOMAIN) is PolicyDecision.DENIED, "also when remembered"


def test_what_no_statement_speaks_of_is_not_allowed() -> None:
    assert policy(allow("chime:Get*", DOMAIN)).decide("chime:GetX", OTHER) is PolicyDecision.NOT_ALLOWED
    assert policy(allow("chime:Get*", DOMAIN)).decide("chime:GetX", "*") is PolicyDecision.NOT_ALLOWED
    assert policy(allow(effect="Deny")).decide("chime:GetX", "*") is PolicyDecision.DENIED


def test_not_action_and_not_resource_speak_of_everything_else() -> None:
    made = policy({"Effect": "Allow", "NotAction": ["chime:Delete*"], "NotResource": OTHER})
    assert made.decide("chime:GetX", DOMAIN) is PolicyDecision.ALLOWED
    assert made.decide("chime:DeleteX", DOMAIN) is PolicyDecision.NOT_ALLOWED
    assert made.decide("chime:GetX", OTHER) is PolicyDecision.NOT_ALLOWED


def test_one_statement_need_not_be_in_a_list() -> None:
    assert Policy({"Statement": allow(["chime:A", "chime:B"])}).decide("chime:B", "*") is PolicyDecision.ALLOWED


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "JSON object"),
        ({}, "Statement"),
        ({"Statement": []}, "list of 1 to 100"),
        ({"Statement": [allow()] * 101}, "list of 1 to 100"),
        ({"Statement": "x"}, "Statement"),
        ({"Statement": [1]}, "Each Statement"),
        ({"Version": "2020-01-01", "Statement": allow()}, "2012-10-17"),
        ({"Statement": allow(), "Extra": 1}, "Extra"),
        ({"Statement": {**allow(), "Condition": {}}}, "Condition is not evaluated"),
        ({"Statement": {**allow(), "Principal": "*"}}, "Principal"),
        ({"Statement": {**allow(), "effect": "Deny"}}, "effect"),
        ({"Statement": allow(effect="Maybe")}, "Allow or Deny"),
        ({"Statement": {"Effect": "Allow", "Resource": "*"}}, "either Action or NotAction"),
        ({"Statement": {**allow(), "NotAction": "*"}}, "either Action or NotAction"),
        ({"Statement": {"Effect": "Allow", "Action": "*"}}, "either Resource or NotResource"),
        ({"Statement": allow([])}, "list of 1 to 200"),
        ({"Statement": allow([""])}, "1 to 1024"),
        ({"Statement": allow("GetMedia")}, "is no action"),
        ({"Statement": allow("chime:(a|b)")}, "is no action"),
        ({"Statement": allow(resource="vpd-1")}, "is no resource"),
        ({"Statement": allow(resource="arn:aws:chime:*:*:x/${aws:username}")}, "variable"),
        ({"Statement": allow(resource=["*", 1])}, "1 to 1024"),
    ],
)
def test_what_would_not_be_heeded_is_refused(document: Any, message: str) -> None:
    with pytest.raises(PolicyInvalid, match=message):
        Policy(json.loads(json.dumps(document)))


def test_no_pattern_and_no_name_make_the_search_slow() -> None:
    made = policy(allow("*", "arn:" + "a*" * 500 + "b"))
    started = process_time()
    assert made.decide("chime:X", "arn:" + "a" * 1020) is PolicyDecision.NOT_ALLOWED
    assert process_time() - started < 0.5


def test_what_is_remembered_is_bounded() -> None:
    made = policy(allow("*", DOMAIN))
    for number in range(10_000):
        assert made.decide("chime:X", f"arn:aws:chime:::x/{number}") is PolicyDecision.NOT_ALLOWED
    assert len(made._decided) <= 4096
