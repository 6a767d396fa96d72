"""Which accounts a sink may be in."""

import pytest

from carillon.arns import AwsAccount
from carillon.pipelines import BrokenRule, Element, ElementKind, Elements
from carillon.pipelines.elements import check_elements
from carillon.pipelines.pipelines import PipelineSettings

PLACE = AwsAccount("us-east-1", "111122223333")


def _check(arn: str, sink_accounts: str) -> None:
    elements = Elements((Element(ElementKind.VOICE_ANALYTICS), Element(ElementKind.SQS_QUEUE, arn)))
    check_elements(
        elements, PLACE, strict=False, accounts=PipelineSettings(sink_accounts=sink_accounts).other_sink_accounts
    )


def test_sinks_of_listed_accounts_are_let_in_and_of_no_other() -> None:
    listed = "123456789012, 000000000000"
    _check("arn:aws:sqs:us-east-1:123456789012:q", listed)
    _check("arn:aws:sqs:us-east-1:000000000000:q", listed)
    _check("arn:aws:sqs:us-east-1:111122223333:q", listed)
    for account in ("999999999999", "", "123456789012, 000000000000"):
        with pytest.raises(BrokenRule, match="sink_accounts"):
            _check(f"arn:aws:sqs:us-east-1:{account}:q", listed)
    with pytest.raises(BrokenRule, match="sink_accounts"):
        _check("arn:aws:sqs:us-east-1::q", "")


def test_a_listed_account_is_let_in_only_in_our_region() -> None:
    with pytest.raises(BrokenRule, match="Region us-east-1"):
        _check("arn:aws:sqs:eu-west-1:123456789012:q", "123456789012")
