"""A kill at any moment loses nothing that was said to be persisted."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = """
import importlib.util, sys
from pathlib import Path
from carillon.api import kinesis_video
from carillon.streams import StreamSettings

spec = importlib.util.spec_from_file_location("conftest_of_kinesis_video", sys.argv[1])
conftest = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = conftest
spec.loader.exec_module(conftest)
with conftest.serving(Path(sys.argv[2]), StreamSettings(end_seconds=0.2), kinesis_video.PutMediaSettings()) as served:
    print(served.port, flush=True)
    sys.stdin.read()
"""


@contextmanager
def process(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run a server as a process of its own; yields its port, and kills it."""
    conftest = Path(__file__).with_name("conftest.py")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(conftest), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        try:
            yield int(server.stdout.readline()), server
        finally:
            server.kill()


def test_what_was_persisted_survives_a_kill_in_the_middle_of_a_call(tmp_path: Path, call: Any, connect: Any) -> None:
    told: list[dict[str, Any]] = []
    with process(tmp_path) as (port, server):
        served = connect(port)
        served.client("kinesisvideo").create_stream(StreamName="call", DataRetentionInHours=1)
        with served.put_media("call") as connection:
            connection.head()
            connection.send(call.body(40)).send(call.cluster(40)[:100])
            while len(_numbers(told, "PERSISTED")) < 10:
                told.append(connection.event())
            server.send_signal(signal.SIGKILL)
            server.wait()
            told += connection.rest()  # what was on its way when it died
    with process(tmp_path) as (port, server):
        served = connect(port)
        documents = served.get_media("call")
        numbers = [document["FRAGMENT_NUMBER"] for document in documents]
        assert set(_numbers(told, "PERSISTED")) <= set(numbers)
        assert [document["cluster"] for document in documents] == [call.cluster(n).hex() for n in range(len(numbers))]
        with served.put_media("call") as connection:
            connection.head()
            connection.send(call.body(2)).end()
            later = _numbers(connection.events(), "PERSISTED")
        assert served.get_media("call", "FRAGMENT_NUMBER", AfterFragmentNumber=numbers[-1])
        assert [document["FRAGMENT_NUMBER"] for document in served.get_media("call")] == numbers + later
        assert numbers + later == sorted(numbers + later)


def _numbers(events: list[dict[str, Any]], kind: str) -> list[str]:
    return [event["FragmentNumber"] for event in events if event["EventType"] == kind]


def test_what_was_persisted_survives_kills_at_random_moments_under_four_producers() -> None:
    script = Path(__file__).parents[3] / "bench/crash.py"
    done = subprocess.run([sys.executable, str(script), "--kills", "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "5 kills under 4 producers" in done.stdout
