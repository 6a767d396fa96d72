"""Every command that the docs show is run as it stands there, with the AWS CLI as it comes from PyPI, or says why not.

A page is a session: its blocks are one script, in a folder of its own, against real servers. `sh` blocks are run whole,
of `console` blocks the lines after `$ `. What cannot be run stands in one of the tables here; a command that is new in
the docs is therefore run. `docs_carillon.py` stands in for `carillon`: it starts servers in the background, and fills
in ids.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import docs_carillon  # found since conftest.py looks in `processes`
from asked import answering

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *sorted(ROOT.glob("docs/**/*.md"))]

NOT_RUN = {
    "make demo": "builds .venv; tests/test_demo.py runs what it then runs",
    "make test": "is what runs this",
    "make venv": "builds the environment that this runs in",
    "pip install": "fetches from a package index",
    "gst-launch-1.0": "needs GStreamer, the C++ SDK of AWS and a microphone",
    "java ": "needs a producer of yours",
    "ffmpeg -i rtsp://": "needs a camera; tests/test_push.py pushes what comes through a pipe",
    "ffmpeg -f alsa": "needs a microphone",
    "ffmpeg -i sip.wav": "needs ffmpeg; tests/peers and tests/media read what it writes",
    "ffmpeg -i call.mp4": "needs ffmpeg; tests/peers and tests/media read what it writes",
    "carillon eval": "needs labeled speech; tests/evaluation runs it on some",
    "carillon corpus": "needs a corpus; tests/test_corpora.py makes some",
    "carillon label": "needs calls and somebody who listens; tests/labels marks some",
    "carillon train": "needs labeled speech; tests/training trains on some",
    "CARILLON_INFERENCE_DIRECTORY=heads": "needs the head that was trained",
    "git clone": "fetches from the network",
    "carillon serve --tls-cert": "needs a certificate of yours; tests/server/test_tls.py serves with one",
    "python training/": "needs corpora of speech, hours, or both",
}
"""How a command begins that is not run, and why."""

ONLY_WITH = {
    "keytool": "keytool",
    "openssl": "openssl",
    "carillon audit --json | jq": "jq",
    "carillon audit --action": "jq",
}
"""How a command begins that is run where this program is installed."""

_ALLOW_ALL = """{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"""
GIVEN = {
    "docs/ingest.md": f"""
carillon serve
eval "$(carillon env)"
aws kinesisvideo create-stream --stream-name support
echo '{_ALLOW_ALL}' > may-put.json
python -c "import soundfile; soundfile.write('call.wav', *soundfile.read('$RECORDINGS/call_1.flac', frames=8000))"
""",
    "docs/operating.md": f"""
carillon serve
eval "$(carillon env)"
aws chime-sdk-voice create-voice-profile-domain --name callers \\
  --server-side-encryption-configuration KmsKeyArn=arn:aws:kms:us-east-1:111122223333:key/1
echo '{_ALLOW_ALL}' > dialer.json
for each in 1:alice 2:headset 3:unknown; do
  flac=$RECORDINGS/call_${{each%:*}}.flac
  python -c "import soundfile; soundfile.write('${{each#*:}}.wav', *soundfile.read('$flac'))"
done
""",
}
"""What a reader of a page has before its first command: files, a server, a stream, a domain."""

SAID = {
    "README.md": (
        "carillon is ready at http://127.0.0.1:",
        "IdentificationNoMatchesFound",
        "VoiceprintGenerationSuccess",
        "VoiceToneAnalysisSuccessful",
        '"VoiceProfileId": "vp-',
        '"SpeakerSearchTaskStatus": "Stopped"',
    ),
    "docs/producers.md": ("carillon is ready at https://127.0.0.1:", '"StreamARN": "arn:aws:kinesisvideo:'),
    "docs/operating.md": ("AWS_SESSION_TOKEN=", "CRLN", "is disabled.", "voice(s) written to callers.voices"),
    "docs/ingest.md": ("/ingest/twilio/support/CRLN",),
}
"""What the commands of a page must have said."""


def commands(page: Path) -> Iterator[str]:
    """Yield what a page's blocks have a shell do: each command of `console`, each block of `sh` as a whole."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        if language in ("sh", "bash", "shell"):
            yield block
        elif language == "console":
            yield from re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)


def is_run(command: str) -> bool:
    if any(command.startswith(beginning) for beginning in NOT_RUN):
        return False
    return all(shutil.which(tool) for beginning, tool in ONLY_WITH.items() if command.startswith(beginning))


WITH_COMMANDS = {str(page.relative_to(ROOT)): list(commands(page)) for page in PAGES if any(commands(page))}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Path]:
    """A file for the process ids of the servers that a page starts; what still runs at the end is killed."""
    pids = tmp_path / "servers"
    pids.touch()
    yield pids
    for pid in map(int, pids.read_text().split()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page, found in WITH_COMMANDS.items() if any(map(is_run, found))])
def test_the_commands_of_a_page_work_as_they_stand_there(page: str, tmp_path: Path, servers: Path) -> None:
    (tmp_path / "bin").mkdir()
    answers = answering(tmp_path / "bin/carillon", docs_carillon.run)
    (tmp_path / "src").symlink_to(ROOT / "src")
    script = "\n".join([GIVEN.get(page, ""), *filter(is_run, WITH_COMMANDS[page])])
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script.replace(".venv/bin/", "").replace("/var/lib/carillon", "data")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=580,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))},
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_PAGER": "",
            "CARILLON_DATA_DIR": str(tmp_path / "data"),
            "CARILLON_SERVER_PORT": "0",
            "HOME": str(tmp_path),
            "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RECORDINGS": str(ROOT / "src/carillon/demo/recordings"),
            "SERVERS": str(servers),
        },
    )
    answers.kill()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for said in SAID.get(page, ()):
        assert said in done.stdout, done.stdout


def test_every_command_that_is_not_run_is_one_that_the_docs_show() -> None:
    shown = [command for found in WITH_COMMANDS.values() for command in found]
    for beginning in (*NOT_RUN, *ONLY_WITH):
        assert any(command.startswith(beginning) for command in shown), beginning


def test_no_command_hides_in_a_block_that_is_not_looked_at() -> None:
    for page in PAGES:
        text = re.sub(r"^```(console|sh)\n.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        hidden = re.findall(r"^(?: {4}|\$ )(?:carillon|aws|python|make|pip|curl) .*$", text, re.MULTILINE)
        assert hidden == [], page.name
        languages = set(re.findall(r"^```(\w+)$", text, re.MULTILINE))
        assert languages <= {"text", "toml", "json", "mermaid", "python", "js", "ini", "xml", "yaml"}, page.name
