"""Accuracy on the core sets: anomaly maps of every image, for `score_maps.py` to score.

    python benchmarks/core.py DATA MAPS [--detector rx] [--quality full] [--batch 1] [--seed 0]
    python DATA/../tools/score_maps.py MAPS DATA

DATA holds one folder a set, each with `images/`. For each core set this is the same as
`ssdnet locate DATA/<set>/images -o MAPS/<set> --save map`, with one configuration for all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

CORE = (
    "mvtec_leather_256",
    "leather_defect",
    "fabric_minhas",
    "aitex",
    "fabric_stain_hsst",
    "crackforest",
    "kolektor_sdd",
)


def main() -> int:
    """Run the command line once a set, and say how long each took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("maps", type=Path)
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--quality")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in CORE:
        images = arguments.data / name / "images"
        command = [sys.executable, "-m", "ssdnet", "locate", str(images), "-o", str(arguments.maps / name)]
        command += ["--save", "map", "--detector", arguments.detector, "--seed", str(arguments.seed)]
        command += ["--batch", str(arguments.batch)]
        if arguments.quality is not None:
            command += ["--quality", arguments.quality]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(
            f"{name:20s}{len(list(images.iterdir())):5d} images{time.perf_counter() - start:8.1f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
