"""Unmodified clients behind one face: boto3, and the AWS CLI."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from referee import shapes

Note = Callable[[str, str], None]
"""Told the service and the operation of a call that was answered as it should be."""

_CLI: Final = """
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
for line in sys.stdin:
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = create_clidriver().main(json.loads(line))
        except SystemExit as exit:
            status = exit.code
    print(json.dumps([status, out.buffer.getvalue().decode(), err.getvalue()]), flush=True)
"""
"""The CLI as PyPI has it, one interpreter for many commands: a process for each would take a second each."""


class Boto3:
    """boto3; each answer is also held against the model of its operation."""

    def __init__(self, client: Callable[[str], Any], note: Note) -> None:
        self._client = client
        self._note = note

    def call(self, service: str, operation: str, **values: object) -> Mapping[str, Any]:
        """Call, and check every member of the answer."""
        answer: dict[str, Any] = getattr(self._client(service), xform_name(operation))(**values)
        del answer["ResponseMetadata"]
        model = shapes.operation(service, operation)
        shape = model.output_shape
        if shape is not None and not model.has_streaming_output:
            # The voice API's model has no empty list of tags; there is no other way to say that there are none.
            filled = {name: value for name, value in answer.items() if value != []}
            report = ParamValidator().validate(filled, shape)
            assert not report.has_errors(), report.generate_report()
        self._note(service, operation)
        return answer

    def refusal(self, service: str, operation: str, **values: object) -> str:
        """Return the error's code, which is also the name of its class."""
        client = self._client(service)
        with pytest.raises(ClientError) as caught:
            getattr(client, xform_name(operation))(**values)
        code = str(caught.value.response["Error"]["Code"])
        assert caught.type is getattr(client.exceptions, code), code
        return code

    def media(self, service: str, operation: str, **values: object) -> bytes:
        """Read the first bytes of the stream, then hang up."""
        with self.call(service, operation, **values)["Payload"] as payload:
            return bytes(payload.read(4))


class Cli:
    """The AWS CLI, its options made of the model's members."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, note: Note) -> None:
        self._process = process
        self._folder = folder
        self._note = note

    @classmethod
    @contextmanager
    def running(cls, environment: Mapping[str, str], folder: Path, note: Note) -> Iterator["Cli"]:
        """Start it, with an environment and a folder of its own."""
        with subprocess.Popen(
            [sys.executable, "-c", _CLI],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "AWS_PAGER": "", "HOME": str(folder), "AWS_MAX_ATTEMPTS": "1"},
        ) as process:
            yield cls(process, folder, note)
            _pipe(process.stdin).close()

    def call(self, service: str, operation: str, **values: object) -> Mapping[str, Any]:
        """Run a command; return what it printed."""
        status, out, err = self._run([service, xform_name(operation, "-"), *_options(values)])
        assert status == 0, err
        self._note(service, operation)
        printed: dict[str, Any] = json.loads(out or "{}")
        return printed

    def refusal(self, service: str, operation: str, **values: object) -> str:
        """Return the code in `An error occurred (CODE) when calling ...`."""
        status, _, err = self._run([service, xform_name(operation, "-"), *_options(values)])
        assert status not in {0, None}, f"{operation} was accepted."
        found = re.search(r"An error occurred \((\w+)\)", err)
        assert found is not None, err
        return found[1]

    def media(self, service: str, operation: str, **values: object) -> bytes:
        """Save the stream to a file until its end."""
        file = self._folder / "media.mkv"
        status, _, err = self._run([service, xform_name(operation, "-"), str(file), *_options(values)])
        assert status == 0, err
        self._note(service, operation)
        return file.read_bytes()

    def _run(self, arguments: list[str]) -> tuple[int | None, str, str]:
        print(json.dumps(arguments), file=_pipe(self._process.stdin), flush=True)
        status, out, err = json.loads(_pipe(self._process.stdout).readline())
        return status, out, err


def _options(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        option = f"--{xform_name(name, '-')}"
        if isinstance(value, bool):
            yield option if value else option.replace("--", "--no-", 1)
        else:
            yield from (option, value if isinstance(value, str) else json.dumps(value))


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
