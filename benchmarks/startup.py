"""Start-up budgets: `ssdnet --version` in under 0.3 s, `import ssdnet` in under 0.5 s.

    python benchmarks/startup.py [--runs 9]

Each figure is the wall time of a whole process: median and range over the runs, after one that is not
counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

BUDGETS = {
    "ssdnet --version": ([sys.executable, "-m", "ssdnet", "--version"], 0.3),
    "import ssdnet": ([sys.executable, "-c", "import ssdnet"], 0.5),
}


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> int:
    """Print the table; the exit code is 1 when a budget is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    print("| process | median s | min | max | budget |\n| --- | --- | --- | --- | --- |")
    exceeded = False
    for name, (command, budget) in BUDGETS.items():
        seconds(command)
        times = [seconds(command) for _ in range(runs)]
        median = statistics.median(times)
        exceeded |= median > budget
        print(f"| `{name}` | {median:.3f} | {min(times):.3f} | {max(times):.3f} | {budget:.1f} |")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
