"""Makes `bodies` and `fuzz_demuxer` importable from the tests beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves them unfindable
