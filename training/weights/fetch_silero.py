"""Take the Silero VAD out of its PyPI wheel, unchanged.

    pip download --no-deps silero-vad==6.2.3
    python training/weights/fetch_silero.py silero_vad-6.2.3-py3-none-any.whl silero_vad_16k.onnx

Of the eight exports in the wheel, `silero_vad_16k_op15.onnx` is the smallest that hears one window at a time at full
precision. The package itself wants torch; the file does not. Licence: MIT.
"""

import sys
from pathlib import Path

from _check import member_of_wheel, write

WHEEL_SHA256 = "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8"
SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"

if __name__ == "__main__":
    wheel, out = map(Path, sys.argv[1:])
    write(out, member_of_wheel(wheel, WHEEL_SHA256, "silero_vad/data/silero_vad_16k_op15.onnx"), SHA256)
