"""How soon `carillon serve` is ready, and how much memory it holds while idle, models loaded.

python bench/server.py [--runs 5]
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

IDLE_SECONDS: Final = 4.0
READY_BAR_SECONDS: Final = 3.0
MEMORY_BAR_MB: Final = 350.0


def main() -> int:
    """Print medians and worst figures beside their bars; fail if a median misses one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    figures = [measure() for _ in range(parser.parse_args().runs)]
    ready, memory = ([figure[i] for figure in figures] for i in (0, 1))
    print(f"ready        median {median(ready):5.2f} s   worst {max(ready):5.2f} s   bar {READY_BAR_SECONDS} s")
    print(f"idle memory  median {median(memory):5.0f} MB  worst {max(memory):5.0f} MB  bar {MEMORY_BAR_MB:.0f} MB")
    return int(median(ready) > READY_BAR_SECONDS or median(memory) > MEMORY_BAR_MB)


def measure() -> tuple[float, float]:
    """Return seconds to the ready line on a new data folder, and resident MB after some idling."""
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "carillon", "serve", "--port", "0", "--data-dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        server.stdout.readline()
        ready = time.perf_counter() - began
        time.sleep(IDLE_SECONDS)
        status = Path(f"/proc/{server.pid}/status").read_text()
        resident_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        server.send_signal(signal.SIGTERM)
        server.wait()
    return ready, resident_kb / 1024


if __name__ == "__main__":
    sys.exit(main())
