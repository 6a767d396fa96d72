"""Makes models out of labeled recordings; needs `carillon-voice[training]`.

Start reading at `tone/training.py`. `scipy` and `onnx` are guests of this room alone, and nothing that serves calls
imports it.
"""

from importlib.util import find_spec
from typing import Final

from carillon.inference import NotInstalled

_PACKAGES: Final = ("onnx", "scipy")


def require() -> None:
    """Refuse to train where what that needs is not installed.

    Raises:
        NotInstalled: says what to install.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise NotInstalled("Training", package, "training")
