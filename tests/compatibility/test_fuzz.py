"""A few hundred of the requests that bench/fuzz.py sends by the ten thousand."""

from typing import Any

from referee import fuzz, registry
from referee.world import World


def test_no_request_makes_the_server_fail_or_hang(server: Any) -> None:
    world = World.make(server.client)
    known = world.values(world.start_search(), world.start_tone())
    operations = registry.operations()
    report = fuzz.run(
        server.url, server.environment, lambda number: fuzz.Fuzzer(number, operations, known), requests=600
    )
    assert report.requests == 600
    assert not report.faults, "\n".join(report.faults[:10])
    assert len(report.accepted) > 10, report.accepted  # Or the requests never get past the model.


def test_the_same_seed_makes_the_same_requests() -> None:
    operations = registry.operations()
    one, same, other = (fuzz.Fuzzer(seed, operations, {}) for seed in (1, 1, 2))
    first = [one.request() for _ in range(50)]
    assert first == [same.request() for _ in range(50)]
    assert first != [other.request() for _ in range(50)]
