"""Lets a request through to its operation, or refuses it."""

from collections.abc import Mapping
from typing import Any, Final

from carillon.access.credentials import AccessKeys
from carillon.access.errors import AccessDenied, AccessKeyUnknown
from carillon.access.policies import PolicyDecision
from carillon.access.resources import Names, RequiredPermission, required_permissions
from carillon.access.throttle import Throttle
from carillon.access.visibility import show
from carillon.arns import AwsAccount

LOOKS: Final[Mapping[str, str]] = {
    "chime:ListMediaPipelines": "chime:GetMediaPipeline",
    "chime:ListMediaInsightsPipelineConfigurations": "chime:GetMediaInsightsPipelineConfiguration",
    "chime:ListVoiceProfileDomains": "chime:GetVoiceProfileDomain",
    "chime:ListVoiceProfiles": "chime:GetVoiceProfile",
    "kinesisvideo:ListStreams": "kinesisvideo:DescribeStream",
}
"""What a key must be allowed to do to a resource for a list to show it."""


class PolicyAuthorizer:
    """Decides by the caller's policy; a key without one may do everything, at the cost of one look-up.

    Args:
        keys: looked up for every request, so that a change takes effect.
        names: knows the ARNs of what requests call by name.
        account: of our ARNs.
        throttle: counts requests; None counts nothing.
    """

    def __init__(self, keys: AccessKeys, names: Names, account: AwsAccount, throttle: Throttle | None = None) -> None:
        self._keys = keys
        self._names = names
        self._account = account
        self._throttle = throttle

    async def admit(self, access_key_id: str, action: str, request: Mapping[str, Any]) -> None:
        """Return if a key may do what a request asks, having said what its lists may show.

        Raises:
            AccessKeyUnknown: the key was withdrawn since its signature was looked at.
            AccessDenied: its policy does not allow the action on the resource.
            RateExceeded: it asks too often.
        """
        if self._throttle is not None:
            self._throttle.check(access_key_id, action.partition(":")[2])
        try:
            policy = self._keys.policy_of(access_key_id)
        except KeyError:
            raise AccessKeyUnknown("The access key id of this request is not known.") from None
        if policy is None:
            show(None)
            return
        for need in await required_permissions(action, request, self._account, self._names):
            decision = policy.decide(*need)
            if decision is not PolicyDecision.ALLOWED:
                raise _refusal(access_key_id, need, decision)
        look = LOOKS.get(action)
        show(None if look is None else lambda arn: policy.decide(look, arn) is PolicyDecision.ALLOWED)


def _refusal(access_key_id: str, need: RequiredPermission, decision: PolicyDecision) -> AccessDenied:
    return AccessDenied(
        f"Access key {access_key_id} is not authorized to perform {need.action} on resource {need.resource}: "
        f"{decision.value} of its policy.",
    )
