"""A server in a process of its own, for the benchmarks; tests have the fixture `server`."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3
from botocore.config import Config

from carillon import config
from carillon.environment import exports

_NOWHERE: Final = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, who it is, and how to speak to it."""

    url: str
    pid: int
    environment: Mapping[str, str]

    def client(self, service: str) -> Any:
        """Return a boto3 client that does not retry."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )


@contextmanager
def serving(*command: str) -> Iterator[Server]:
    """Run `carillon serve`, or another command that takes its options and says the same line, until the end."""
    with TemporaryDirectory() as folder, (Path(folder) / "server.log").open("w") as log:
        program = command or (sys.executable, "-m", "carillon", "serve")
        process = subprocess.Popen(
            [*program, "--port", "0", "--data-dir", folder],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**{name: value for name, value in os.environ.items() if not name.startswith("AWS_")}, **_NOWHERE},
        )
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            url = next((word for word in said.split() if word.startswith("http")), None)
            if url is None:
                raise RuntimeError(f"The server did not start: {Path(log.name).read_text()[-2000:]}")
            yield Server(url, process.pid, exports(config.load(Path(folder), environment={}), url))
        finally:
            process.terminate()
            process.wait(120)
            process.stdout.close()
