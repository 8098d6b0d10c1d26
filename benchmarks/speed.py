"""Time and memory budgets of a detector, each size in a process of its own.

    python benchmarks/speed.py [--detector auto] [--threads 2] [--sizes 256 2048 ...]

Prints, for RGB images of the given sides: the median time of `detector.score` (features, statistics, map)
over several runs after a warm-up, nanoseconds a pixel, the time of a whole `ssdnet.localize`, and the peak
memory the work added to the process (its largest resident size minus that before the first call).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time

BUDGETS = {256: (1.0, math.inf), 2048: (5.0, 2048.0)}  # side: seconds, MiB


def measure(name: str, side: int, threads: int) -> dict[str, float]:
    """Time and memory of a detector for one size, in this process."""
    import torch

    import ssdnet
    from ssdnet import detectors, samples
    from ssdnet.image import read_image
    from ssdnet.image.standardization import standardize

    torch.set_num_threads(threads)
    image = samples.texture("twill", (side, side), seed=0)
    pixels = torch.from_numpy(standardize(read_image(image)).pixels)
    valid = torch.ones(side, side, dtype=torch.bool)

    detector = detectors.create(name)

    def score() -> float:
        start = time.perf_counter()
        detector.score(pixels, valid, generator=torch.Generator().manual_seed(0), progress=lambda *_: None)
        return time.perf_counter() - start

    def localize() -> float:
        start = time.perf_counter()
        ssdnet.localize(image, detector=detector)
        return time.perf_counter() - start

    runs = 15 if side <= 512 else 3
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score()
    detect = [score() for _ in range(runs)]
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    localize()
    whole = [localize() for _ in range(runs)]
    return {
        "detect": statistics.median(detect),
        "fastest": min(detect),
        "slowest": max(detect),
        "whole": statistics.median(whole),
        "mib": added,
    }


def main() -> int:
    """Print the table; the exit code is 1 when a budget is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 256, 512, 1024, 2048, 4096])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.detector, arguments.one, arguments.threads)))
        return 0
    import torch

    print(
        f"{platform.machine()}, {arguments.threads} threads, torch {torch.__version__}\n\n"
        "| side | `detect` s | min | max | ns a pixel | `localize` s | MiB | budget |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    exceeded = False
    for side in arguments.sizes:
        command = [sys.executable, __file__, "--detector", arguments.detector]
        command += ["--threads", str(arguments.threads), "--one", str(side)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        seconds, mib = BUDGETS.get(side, (math.inf, math.inf))
        limits = [f"{seconds} s"] * (seconds < math.inf) + [f"{mib:.0f} MiB"] * (mib < math.inf)
        if result["detect"] > seconds or result["mib"] > mib:
            exceeded = True
            limits.append("EXCEEDED")
        print(
            f"| {side} | {result['detect']:.4f} | {result['fastest']:.4f} | {result['slowest']:.4f} "
            f"| {result['detect'] / side**2 * 1e9:.0f} | {result['whole']:.4f} | {result['mib']:.0f} "
            f"| {', '.join(limits)} |",
            flush=True,
        )
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
