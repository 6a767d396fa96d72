"""`carillon env`."""

import shlex
import sys

from carillon.commands.options import DataDir, EndpointOption, Json
from carillon.terminal import print_json


def env(data_dir: DataDir = None, endpoint: EndpointOption = None, as_json: Json = False) -> None:
    """Print the AWS_* variables that point any AWS SDK and CLI here: eval "$(carillon env)"."""
    from carillon import config
    from carillon.environment import exports

    variables = exports(config.load(data_dir), endpoint)
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.write("unset AWS_SESSION_TOKEN\n")  # one of another account's would be refused with our key
