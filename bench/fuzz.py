"""Thousands of requests that nobody would send: no 5xx, no hang, no memory that grows with them.

Made from botocore's models and a seed by `tests/helpers/referee/fuzz.py`: valid ones, valid ones with odd values,
broken JSON, bent paths, queries and headers, unsigned ones, and bytes that are no HTTP.

    python bench/fuzz.py [--requests 20000] [--seed 0] [--connections 4]
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

from referee import fuzz, registry
from referee.process import Server, serving
from referee.world import World

WARM_UP_REQUESTS: Final = 1000
ROUND_REQUESTS: Final = 500
GROWTH_BAR_MB: Final = 150.0


def main() -> int:
    """Print the figures beside their bars; fail if one misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    with serving() as server:
        started_mb = fuzz.resident_mb(server.pid)
        attack(server, options.seed + 1_000_000, WARM_UP_REQUESTS, options.connections)
        warm_mb, began = fuzz.resident_mb(server.pid), time.monotonic()
        report = attack(server, options.seed, options.requests, options.connections)
        seconds, after_mb = time.monotonic() - began, fuzz.resident_mb(server.pid)
    print(f"{report.requests} requests in {seconds:.0f} s, slowest answer {report.slowest_seconds:.2f} s")
    print("statuses    " + "  ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items())))
    print(f"accepted    {report.accepted.total()} requests of {len(report.accepted)} operations")
    print(f"faults      {len(report.faults)} (5xx, no answer, or slower than {fuzz.SLOW_SECONDS:.0f} s)  bar 0")
    print(f"memory      {started_mb:.0f} MB started, {warm_mb:.0f} MB warm, {after_mb:.0f} MB after  "
          f"growth bar {GROWTH_BAR_MB:.0f} MB")  # fmt: skip
    for fault in report.faults[:20]:
        print("  " + fault[:1000])
    return int(bool(report.faults) or after_mb - warm_mb > GROWTH_BAR_MB)


def attack(server: Server, seed: int, requests: int, connections: int) -> fuzz.Report:
    """Send so many requests, in rounds: each has a world of its own, since some requests delete it."""
    operations = registry.operations()
    report = fuzz.Report()
    for start in range(0, requests, ROUND_REQUESTS):
        world = World.make(server.client)
        known = world.values(world.start_search(), world.start_tone())

        def fuzzer(number: int, start: int = start, known: Mapping[str, Sequence[object]] = known) -> fuzz.Fuzzer:
            return fuzz.Fuzzer(seed + start + number, operations, known)

        count = min(ROUND_REQUESTS, requests - start)
        report.add(fuzz.run(server.url, server.environment, fuzzer, count, connections))
    return report


if __name__ == "__main__":
    sys.exit(main())
