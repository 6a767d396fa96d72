"""Imported once by the process that commands are forked from: all of carillon, and what its libraries load when used.

A command costs then what its own work costs.
"""

import contextlib
import gc
import importlib
import io
import pkgutil

import carillon
from carillon.cli import app

for _module in pkgutil.walk_packages(carillon.__path__, "carillon."):
    if not _module.name.endswith("__main__") and ".migrations.versions" not in _module.name:
        importlib.import_module(_module.name)
for _arguments in (["--version"], ["keys", "list", "-h"]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(_arguments, prog_name="carillon")
gc.collect()
gc.freeze()  # what is never looked at by a collection stays shared between the processes
