"""The command line: its commands put together, and how each ends.

What we foresaw ends with one line and status 1, Ctrl-C with status 130, and nothing with a traceback.
"""

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Annotated, Final

import typer

from carillon import __version__
from carillon.commands.audit import audit
from carillon.commands.demo import demo
from carillon.commands.doctor import doctor
from carillon.commands.env import env
from carillon.commands.evaluate import calibrate, evaluate
from carillon.commands.events import events
from carillon.commands.ingest_url import ingest_url
from carillon.commands.keys import keys
from carillon.commands.labels import corpus, label, train
from carillon.commands.lists import calls, domains
from carillon.commands.push import push
from carillon.commands.serve import serve
from carillon.commands.voices import enroll, identify, profiles
from carillon.commands.worker import worker
from carillon.errors import CarillonError

TRACEBACK_VARIABLE: Final = "CARILLON_TRACEBACK"
INTERRUPTED: Final = 130
"""What shells say of a command that SIGINT ended."""
_LINGER_SECONDS: Final = 0.7
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_SHOW_CURSOR: Final = "\x1b[?25h"  # a bar hides it

app = typer.Typer(
    name="carillon",
    help="Amazon Chime SDK voice analytics that you run yourself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PANELS: Final[dict[str, dict[str, Callable[..., None] | typer.Typer]]] = {
    "Server": {"serve": serve, "worker": worker, "doctor": doctor, "demo": demo},
    "Clients and audio": {"env": env, "push": push, "ingest-url": ingest_url},
    "Results": {"calls": calls, "events": events},
    "Voices": {"domains": domains, "profiles": profiles, "enroll": enroll, "identify": identify},
    "Access": {"keys": keys, "audit": audit},
    "Accuracy": {"eval": evaluate, "calibrate": calibrate, "corpus": corpus, "label": label, "train": train},
}
for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_panel)
        else:
            app.command(_name, rich_help_panel=_panel)(_command)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"carillon {__version__}\n")
        raise typer.Exit


def main() -> int:
    """Run a command of the command line; return its exit status, unless it exits by itself."""
    _open_standard_streams()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        return _ended_by(error)
    return 0


def _ended_by(error: BaseException) -> int:
    """Write to standard error what ended a command; return its exit status."""
    leaves = list(_leaves(error))
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return INTERRUPTED
    if any(isinstance(leaf, BrokenPipeError) for leaf in leaves):  # `| head` has read enough
        _print_no_more()
        return 1
    if any(isinstance(leaf, OSError) and leaf.filename is None for leaf in leaves):
        _print_no_more()  # it may be what could not be printed
    for line in dict.fromkeys(map(_line, leaves)):
        sys.stderr.write(f"carillon: {line}\n")
    return 1


def _line(error: BaseException) -> str:
    """Return an error's message for people. Of one that we did not foresee no words: they may be secret."""
    if isinstance(error, CarillonError):
        return " ".join(str(error).split("\n"))  # a library's words may be many lines
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return f"Cannot write: {error.strerror}. Make room, or write to another place."
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}carillon{os.sep}" in frame.filename] or frames
    where = f" at {ours[-1].filename}:{ours[-1].lineno}" if ours else ""
    return f"unforeseen {type(error).__name__}{where}; {TRACEBACK_VARIABLE}=1 shows the traceback, please report it."


def _open_standard_streams() -> None:
    """Open those that we were started without on nothing, lest a file of ours takes their place."""
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers: each gets the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115, PTH123 - for as long as the process lives


def _print_no_more() -> None:
    """Forget what is not printed yet, which else would be tried again, and fail again, as we end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, and in the groups in it: whatever task group they came through."""
    if isinstance(error, BaseExceptionGroup):
        for child in error.exceptions:
            yield from _leaves(child)
    else:
        yield error


def _interrupt(number: int, _: FrameType | None) -> None:
    """End the command: tidily if that goes at once, else as it is. Whatever is stored survives either."""
    signal.signal(number, signal.SIG_DFL)
    ending = threading.Timer(_LINGER_SECONDS, _leave)
    ending.daemon = True
    ending.start()
    raise KeyboardInterrupt


def _leave() -> None:
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(INTERRUPTED)
