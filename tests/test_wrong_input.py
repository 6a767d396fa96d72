"""Whatever people type: one line that says what to do, and never a traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from carillon import config
from carillon.cli import main
from carillon.data_folder import opened
from carillon.telemetry import configure_logging

NO_AUDIO = __file__
FOLDER = str(Path(__file__).parent / "data")
WRONG: tuple[tuple[str, ...], ...] = (
    ("no-such-command",),
    ("serve", "--port", "70000"),
    ("serve", "--tls", "yes"),
    ("serve", "--tls-cert", "nowhere.pem"),
    ("serve", "--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem"),
    ("serve", "--host", "no such host"),
    ("serve", "--host", "x..y", "--port", "0"),
    ("serve", "--host", "ä..b", "--port", "0"),
    ("serve", "--host", "ü" * 80, "--port", "0"),
    ("env", "--endpoint"),
    ("env", "--endpoint", "no URL"),
    ("env", "--endpoint", "http://"),
    ("push", NO_AUDIO, "--stream", "s", "--endpoint", "ftp://host"),
    ("push", NO_AUDIO, "--stream", "s", "--endpoint", "http://[::1"),
    ("ingest-url", "--stream", "s", "--format", "pcm", "--endpoint", "http://host:99999"),
    ("ingest-url", "--stream", "s", "--format", "pcm", "--endpoint", "http://host/?x"),
    ("events", "--since", "yesterday"),
    ("events", "--since", "999999d"),
    ("audit", "--since", "2026-13-01"),
    ("push", "nowhere.wav", "--stream", "s"),
    ("push", NO_AUDIO, "--stream", "s"),
    ("push", FOLDER, "--stream", "s"),
    ("push", NO_AUDIO),
    ("push", "-", "--stream", "s", "--speed", "2"),
    ("push", "-", "--stream", "s"),
    ("push", "-", "--stream", "s", "--encoding", "mp3"),
    ("ingest-url", "--stream", "s", "--format", "fax"),
    ("ingest-url", "--stream", "s/t", "--format", "pcm"),
    ("ingest-url", "--stream", "s", "--format", "pcm", "--expires", "soon"),
    ("ingest-url", "--stream", "s", "--format", "pcm", "--key", "CRLNNOBODY"),
    ("keys", "create", "--name", "n", "--policy", NO_AUDIO),
    ("keys", "create", "--name", "n", "--policy", "nowhere.json"),
    ("keys", "create", "--name", "n", "--hours", "nan"),
    ("keys", "create", "--name", "n", "--hours", "1e300"),
    ("keys", "rotate", "CRLNNOBODY"),
    ("keys", "disable", "CRLNNOBODY"),
    ("identify", NO_AUDIO, "--domain", "vpd-none"),
    ("enroll", NO_AUDIO, "--domain", "arn:aws:none"),
    ("enroll", NO_AUDIO, "--domain", "vpd-none", "--label", "headset"),
    ("profiles", "list", "--domain", "vpd-none"),
    ("profiles", "duplicates", "--domain", "vpd-none"),
    ("profiles", "re-embed", "--domain", "vpd-none"),
    ("profiles", "export", "--domain", "vpd-none", "/proc/archive"),
    ("profiles", "import", "--domain", "vpd-none", NO_AUDIO),
    ("eval", "speaker", "EMPTY"),
    ("eval", "tone", "EMPTY", "--model", "no-such-model"),
    ("eval", "calls", "EMPTY"),
    ("eval", "calls", "nowhere"),
    ("calibrate", "EMPTY"),
)
OPTIONLESS = {"no-such-command", "eval"}


Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a server has run."""
    folder = tmp_path_factory.mktemp("wrong")

    async def make() -> None:
        async with opened(config.load(folder, environment={})):
            pass

    anyio.run(make)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process, as its script does; return status, output, and lines of standard error."""

    def run_it(*command: str, **environment: str) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["carillon", *command])
        for name in [name for name in os.environ if name.startswith(("AWS_", "CARILLON_"))]:
            monkeypatch.delenv(name)
        for name, value in {"AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
            monkeypatch.setenv(name, value)
        try:
            status = main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        said = capfd.readouterr()
        return status, said.out, [line for line in said.err.splitlines() if line.strip()]

    handler = signal.getsignal(signal.SIGINT)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield run_it
    signal.signal(signal.SIGINT, handler)
    configure_logging("debug")


@pytest.mark.parametrize("command", WRONG, ids=" ".join)
def test_a_wrong_command_says_what_is_wrong_and_shows_no_traceback(
    run: Run, data_dir: Path, command: tuple[str, ...], tmp_path: Path
) -> None:
    folder = () if command[0] in OPTIONLESS or command == ("env", "--endpoint") else ("--data-dir", str(data_dir))
    command = tuple(str(tmp_path) if word == "EMPTY" else word for word in command)
    status, out, lines = run(*command, *folder, ARCHIVE_PASSPHRASE="long enough, I hope")
    assert status in (1, 2), lines
    assert "Traceback" not in out + "".join(lines)
    if status == 1:
        (line,) = lines
        assert line.startswith("carillon: ")
        assert "unforeseen" not in line
    else:
        assert "Error" in lines[0] or lines[0].startswith("Usage:"), lines


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CARILLON_SERVER_LOG_LEVEL", "loud"),
        ("CARILLON_TASKS_MATCH_CONFIDENCE", "7"),
        ("CARILLON_TASKS_ANALYSIS_THREADS", "0"),
        ("CARILLON_ACCOUNT_ID", "12"),
        ("CARILLON_SERVER_PORT", "http"),
        ("CARILLON_STORAGE_URL", "no url"),
        ("CARILLON_STORAGE_URL", "nosuchdatabase://host/name"),
        ("CARILLON_STORAGE_URL", "sqlite:////nowhere/at/all.db"),
        ("CARILLON_SOURCE_ENDPOINT_URL", "kinesis"),
        ("CARILLON_INFERENCE_DIRECTORY", "/nowhere"),
        ("CARILLON_INFERENCE_CALIBRATION", "/nowhere.toml"),
        ("CARILLON_INFERENCE_VAD", "no-such-model"),
        ("CARILLON_STREAMS_S3_ENDPOINT_URL", "store"),
        ("CARILLON_STREAMS_S3_BUCKET", "../store"),
        ("CARILLON_SERVER_PUBLIC_URL", "voice.example.com"),
        ("CARILLON_SERVER_PUBLIC_URL", "https://voice.example.com?x=1"),
        ("CARILLON_SERVER_PUBLIC_URL", "https://user:password@voice.example.com"),
        ("CARILLON_CONFIG", "/nowhere.toml"),
        ("CARILLON_CONFIG", "/"),
        ("CARILLON_NO_SUCH", "1"),
    ],
)
def test_a_setting_with_which_no_server_can_run_is_told_in_one_line(
    run: Run, tmp_path: Path, variable: str, value: str
) -> None:
    status, out, lines = run("serve", "--port", "0", "--data-dir", str(tmp_path), **{variable: value})
    (line,) = lines
    assert status == 1
    assert out == ""
    assert line.startswith("carillon: ")
    assert "unforeseen" not in line


def test_an_error_that_nobody_foresaw_is_one_line_and_its_traceback_is_there_for_who_asks() -> None:
    script = "import carillon.cli as cli, sys; cli.app = lambda: 1 / 0; sys.exit(cli.main())"
    shown = {}
    for asked in ("", "1"):
        environment = {"CARILLON_TRACEBACK": asked, "PATH": ""}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 1
        shown[asked] = done.stderr
    (line,) = shown[""].splitlines()
    assert "ZeroDivisionError" in line
    assert "division by zero" not in line  # its words might hold a secret
    assert "Traceback" in shown["1"]


@pytest.mark.parametrize("missing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_needs_no_standard_stream(data_dir: Path, missing: str) -> None:
    command = f'exec "$0" -m carillon keys list --data-dir "$1" {missing}'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable, data_dir], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert (done.stdout == "") is (">&-" in missing.split())


@pytest.mark.parametrize("command", ["--help", "--version", "keys list --json", "keys list", "env"])
def test_an_answer_that_cannot_be_written_is_an_error_in_one_line(program: str, data_dir: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        environment = {**os.environ, "CARILLON_DATA_DIR": str(data_dir)}
        done = subprocess.run(
            [program, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "carillon: Cannot write: No space left on device. Make room, or write to another place."
    ]
