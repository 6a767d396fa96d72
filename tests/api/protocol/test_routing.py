import pytest

from carillon.api.protocol.parsing import parse_query
from carillon.api.protocol.routing import RouteMatch, Router
from carillon.api.protocol.validation import BrokenConstraint


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    for method, uri in [
        ("GET", "/voice-profiles"),
        ("GET", "/voice-profiles/{Id}"),
        ("GET", "/voice-profiles/{Id}/secrets/all"),
        ("GET", "/voice-profiles/own/secrets"),
        ("POST", "/phone-numbers/{Number}"),
        ("POST", "/phone-numbers/{Number}?operation=restore"),
        ("POST", "/tasks/{Pipeline}/{Task}?operation=stop"),
        ("POST", "/tags?operation=tag-resource"),
    ]:
        router.add(method, uri, f"{method} {uri}")
    router.add("POST", "/tags?operation=tag-resource", "another")
    return router


def find(router: Router[str], method: str, path: str, query: str = "") -> RouteMatch[str] | None:
    return router.find(method, path.encode(), parse_query(query.encode()))


@pytest.mark.parametrize(
    ("method", "path", "query", "endpoint", "labels"),
    [
        ("GET", "/voice-profiles", "max-results=1", "GET /voice-profiles", {}),
        ("GET", "/voice-profiles/a%2Fb%20c", "", "GET /voice-profiles/{Id}", {"Id": "a/b c"}),
        ("GET", "/voice-profiles/own", "", "GET /voice-profiles/{Id}", {"Id": "own"}),
        ("GET", "/voice-profiles/own/secrets", "", "GET /voice-profiles/own/secrets", {}),
        ("GET", "/voice-profiles/own/secrets/all", "", "GET /voice-profiles/{Id}/secrets/all", {"Id": "own"}),
        ("POST", "/phone-numbers/%2B1", "", "POST /phone-numbers/{Number}", {"Number": "+1"}),
        ("POST", "/phone-numbers/+1", "operation=other", "POST /phone-numbers/{Number}", {"Number": "+1"}),
        (
            "POST",
            "/phone-numbers/1",
            "a&operation=restore",
            "POST /phone-numbers/{Number}?operation=restore",
            {"Number": "1"},
        ),
        (
            "POST",
            "/tasks/p/t",
            "operation=stop",
            "POST /tasks/{Pipeline}/{Task}?operation=stop",
            {"Pipeline": "p", "Task": "t"},
        ),
    ],
)
def test_a_request_finds_its_endpoint(
    router: Router[str], method: str, path: str, query: str, endpoint: str, labels: dict[str, str]
) -> None:
    match = find(router, method, path, query)
    assert match is not None
    assert match.endpoints == (endpoint,)
    assert match.decoded_labels() == labels


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("PUT", "/voice-profiles", ""),
        ("GET", "/voice-profiles/", ""),
        ("GET", "/Voice-profiles", ""),
        ("GET", "/voice-profiles/a/b", ""),
        ("GET", "voice-profiles", ""),
        ("GET", "", ""),
        ("POST", "/tasks/p/t", ""),
        ("POST", "/tasks/p/t", "operation=start"),
        ("POST", "/tasks//t", "operation=stop"),
    ],
)
def test_other_requests_find_nothing(router: Router[str], method: str, path: str, query: str) -> None:
    assert find(router, method, path, query) is None


def test_services_that_model_the_same_route_share_it(router: Router[str]) -> None:
    match = find(router, "POST", "/tags", "operation=tag-resource")
    assert match is not None
    assert match.endpoints == ("POST /tags?operation=tag-resource", "another")


def test_a_label_that_cannot_be_decoded_is_named(router: Router[str]) -> None:
    match = find(router, "GET", "/voice-profiles/%G1")
    assert match is not None
    with pytest.raises(BrokenConstraint, match=r"^Id: has a %"):
        match.decoded_labels()


def test_routes_that_we_cannot_serve_are_refused(router: Router[str]) -> None:
    with pytest.raises(ValueError, match="greedy"):
        router.add("GET", "/a/{Rest+}", "")
    with pytest.raises(ValueError, match="name its labels"):
        router.add("GET", "/voice-profiles/{Other}", "")
