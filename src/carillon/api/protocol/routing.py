"""Which endpoint a request is for: a tree over the raw path, compiled from the models' routes.

The path is split on "/" before anything is decoded, since an ARN inside one segment arrives as `...%2F...`. Fixed query
values (`?operation=stop`) tell endpoints on one path apart; the one that fixes most wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from carillon.api.protocol.parsing import Query, decode_percent, parse_query
from carillon.api.protocol.validation import BrokenConstraint

EndpointT = TypeVar("EndpointT")


@dataclass(frozen=True, slots=True)
class _Route(Generic[EndpointT]):
    labels: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...]
    endpoints: list[EndpointT]


@dataclass(slots=True)
class _Node(Generic[EndpointT]):
    literals: dict[bytes, "_Node[EndpointT]"] = field(default_factory=dict)
    label: "_Node[EndpointT] | None" = None
    routes: list[_Route[EndpointT]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RouteMatch(Generic[EndpointT]):
    """Where a request goes: several endpoints only if several services model the very same route (`/tags`)."""

    endpoints: tuple[EndpointT, ...]
    labels: Mapping[str, bytes]
    """What the path has in the place of each `{name}`, still encoded."""

    def decoded_labels(self) -> dict[str, str]:
        """Return the labels decoded.

        Raises:
            BrokenConstraint: a label is not properly percent-encoded UTF-8.
        """
        decoded = {}
        for name, raw in self.labels.items():
            try:
                decoded[name] = decode_percent(raw)
            except BrokenConstraint as broken:
                broken.within(name)
                raise
        return decoded


class Router(Generic[EndpointT]):
    """Finds endpoints by method, raw path and fixed query values."""

    def __init__(self) -> None:
        self._roots: dict[str, _Node[EndpointT]] = {}

    def add(self, method: str, uri: str, endpoint: EndpointT) -> None:
        """Add a route as the models write it: `/voice-profiles/{VoiceProfileId}?operation=restore`.

        Raises:
            ValueError: a greedy label, or two endpoints on one route that name its labels differently.
        """
        if "+}" in uri:
            raise ValueError(f"{uri} has a greedy label, which we do not route.")
        path, _, raw_query = uri.partition("?")
        fixed = tuple(sorted((name, value) for name, [value] in parse_query(raw_query.encode()).items()))
        node = self._roots.setdefault(method, _Node())
        labels = []
        for segment in path.encode().split(b"/")[1:]:
            if segment.startswith(b"{"):
                labels.append(segment.strip(b"{}").decode())
                node.label = node.label or _Node()
                node = node.label
            else:
                node = node.literals.setdefault(segment, _Node())
        self._add_to(node, tuple(labels), fixed, endpoint)

    @staticmethod
    def _add_to(
        node: _Node[EndpointT], labels: tuple[str, ...], fixed: tuple[tuple[str, str], ...], endpoint: EndpointT
    ) -> None:
        for route in node.routes:
            if route.fixed == fixed:
                if route.labels != labels:
                    raise ValueError(f"Two endpoints share a route and name its labels {route.labels} and {labels}.")
                route.endpoints.append(endpoint)
                return
        node.routes.append(_Route(labels, fixed, [endpoint]))
        node.routes.sort(key=lambda route: -len(route.fixed))

    def find(self, method: str, raw_path: bytes, query: Query) -> RouteMatch[EndpointT] | None:
        """Return where a request goes, or None.

        Args:
            method: upper case.
            raw_path: as it arrived, still percent-encoded, without the query.
            query: decoded.
        """
        root = self._roots.get(method)
        return None if root is None else _find(root, raw_path.split(b"/"), 1, (), query)


def _find(
    node: _Node[EndpointT], segments: list[bytes], at: int, values: tuple[bytes, ...], query: Query
) -> RouteMatch[EndpointT] | None:
    """Return what the segments from `at` on lead to, literal segments before labels; `values` are the labels so far."""
    if at == len(segments):
        for route in node.routes:
            if all(value in query.get(name, ()) for name, value in route.fixed):
                return RouteMatch(tuple(route.endpoints), dict(zip(route.labels, values, strict=True)))
        return None
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _find(literal, segments, at + 1, values, query)
        if found is not None:
            return found
    if node.label is not None and segment:
        return _find(node.label, segments, at + 1, (*values, segment), query)
    return None
