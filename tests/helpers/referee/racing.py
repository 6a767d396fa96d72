"""Calls at the same moment, and what became of each."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import ClientError

Call = Callable[[], Any]


def race(*calls: Call) -> list[Any]:
    """Make the calls at the same moment; return for each its answer, or the code of its error."""
    barrier = threading.Barrier(len(calls))
    outcomes: list[Any] = [None] * len(calls)

    def run(number: int, call: Call) -> None:
        barrier.wait(120)
        try:
            outcomes[number] = call()
        except ClientError as error:
            failed = error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
            outcomes[number] = error if failed else error.response["Error"]["Code"]
        except BaseException as error:
            outcomes[number] = error
            raise

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(isinstance(outcome, BaseException) for outcome in outcomes), outcomes
    return outcomes


def answers(outcomes: Iterable[Any]) -> list[Any]:
    return [outcome for outcome in outcomes if isinstance(outcome, dict)]


def codes(outcomes: Iterable[Any]) -> Counter[str]:
    return Counter(outcome for outcome in outcomes if isinstance(outcome, str))
