import botocore.loaders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.paging import MAX_POSITION_BYTES, PageTokens, UnusablePageToken
from carillon.api.protocol.patterns import full_match
from carillon.errors import InvalidRequest

TOKENS = PageTokens(bytes(32))
FILTERS = {"VoiceProfileDomainId": "vpd-1"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_POSITION_BYTES // 4))
def test_a_token_leads_back_to_where_its_page_ended(after: str) -> None:
    token = TOKENS.make("ListVoiceProfiles", after, FILTERS)
    assert TOKENS.read("ListVoiceProfiles", token, dict(FILTERS)) == after
    assert PageTokens(bytes(32)).read("ListVoiceProfiles", token, FILTERS) == after


def test_a_token_is_of_one_list_only() -> None:
    token = TOKENS.make("ListVoiceProfiles", "vp-1", FILTERS)
    for operation, filters in [
        ("ListVoiceProfileDomains", FILTERS),
        ("ListVoiceProfiles", {}),
        ("ListVoiceProfiles", None),
    ]:
        with pytest.raises(UnusablePageToken, match=operation):
            TOKENS.read(operation, token, filters)
    with pytest.raises(UnusablePageToken):
        PageTokens(bytes([1] * 32)).read("ListVoiceProfiles", token, FILTERS)
    assert issubclass(UnusablePageToken, InvalidRequest)


@given(st.data())
def test_a_changed_token_is_of_no_use(data: st.DataObject) -> None:
    token = TOKENS.make("ListStreams", "agent")
    at = data.draw(st.integers(0, len(token) - 1))
    digit = data.draw(st.sampled_from(sorted(set("0123456789abcdef") - {token[at]})))
    with pytest.raises(UnusablePageToken):
        TOKENS.read("ListStreams", token[:at] + digit + token[at + 1 :])


@pytest.mark.parametrize("token", ["", "0", "00" * 12, "00" * 40, "é", "next", "a+b/c="])
def test_a_token_made_up_is_of_no_use(token: str) -> None:
    with pytest.raises(UnusablePageToken):
        TOKENS.read("ListStreams", token)


def test_even_the_longest_token_is_one_that_the_models_allow() -> None:
    token = TOKENS.make("ListStreams", "x" * MAX_POSITION_BYTES)
    with pytest.raises(ValueError, match="at most"):
        TOKENS.make("ListStreams", "x" * (MAX_POSITION_BYTES + 1))
    for service in ("kinesisvideo", "kinesis-video-archived-media"):
        shape = botocore.loaders.Loader().load_service_model(service, "service-2")["shapes"]["NextToken"]
        assert shape["min"] <= len(token) <= shape["max"]
        assert full_match(shape["pattern"])(token)


def test_positions_do_not_show_in_tokens() -> None:
    token = TOKENS.make("ListStreams", "agent")
    assert b"agent".hex() not in token
    assert TOKENS.make("ListStreams", "agent") != token
