"""What each choice in `rx` is worth: one configuration changed at a time, on two halves of the core sets.

    python benchmarks/rx_choices.py DATA [--size 256] [--every 1] [--out benchmark-results]

DATA holds the core sets. Images are reduced so that the shorter side has at most `--size` pixels and judged
as `ssdnet bench` does it, by per-image pixel AUROC and average precision. Each set is split into its even and
its odd images; a choice that is better on one half only is chance. The figures are means over sets, then the
difference to the default on the same images, with a 95 % bootstrap interval. What was measured is kept in
`--out`; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from core import CORE, core_cases, figures_of, measure
from ssdnet.detectors.rx import RX
from ssdnet.evaluation.measure.intervals import compare, mean_of_sets
from ssdnet.evaluation.measure.runner import Settings

DEFAULT = RX()
CHOICES: dict[str, tuple[RX, int]] = {
    "default": (DEFAULT, 0),
    "seed 1": (DEFAULT, 1),
    "seed 2": (DEFAULT, 2),
    "3 levels": (replace(DEFAULT, levels=3), 0),
    "5 levels": (replace(DEFAULT, levels=5), 0),
    "pool 0": (replace(DEFAULT, pool=0), 0),
    "pool 2": (replace(DEFAULT, pool=2), 0),
    "16 kernels a level": (replace(DEFAULT, orbits=2), 0),
    "48 kernels a level": (replace(DEFAULT, orbits=6), 0),
    "5 x 5 kernels": (replace(DEFAULT, kernel_size=5), 0),
    "shrinkage 0.001": (replace(DEFAULT, shrinkage=0.001), 0),
    "shrinkage 0.01": (replace(DEFAULT, shrinkage=0.01), 0),
    "shrinkage 0.3": (replace(DEFAULT, shrinkage=0.3), 0),
    "no trimming": (replace(DEFAULT, rounds=0), 0),
    "trim 0.4": (replace(DEFAULT, trim=0.4), 0),
    "smoothing 1": (replace(DEFAULT, smoothing=1.0), 0),
    "smoothing 6": (replace(DEFAULT, smoothing=6.0), 0),
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--every", type=int, default=1, help="take each N-th pair of neighbours only")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    arguments = parser.parse_args()
    numbers = {name: count() for name in CORE}
    numbered = [(next(numbers[case.set]), case) for case in core_cases(arguments.data)]
    kept = [(number, case) for number, case in numbered if number // 2 % arguments.every == 0]
    halves, cases = np.array([number % 2 for number, _ in kept]), [case for _, case in kept]
    groups = np.array([case.set for case in cases])
    print(f"{len(cases)} images\n")
    print("| choice | even: AUROC / AP | odd: AUROC / AP | AUROC, all, to default | AP, all, to default |")
    print("| --- | --- | --- | --- | --- |")
    default = None
    for name, (detector, seed) in CHOICES.items():
        settings = Settings(seeds=(seed,), size=arguments.size)
        values = figures_of(measure(cases, {name: detector}, arguments.out, settings), cases)
        default = values if default is None else default
        cells = []
        for half in (0, 1):
            means = (mean_of_sets(column[halves == half], groups[halves == half]) for column in values.T)
            cells.append(" / ".join(f"{mean:.4f}" for mean in means))
        for new, old in zip(values.T, default.T, strict=True):
            change = compare(new, old, groups, generator=np.random.default_rng(0))
            cells.append(f"{change.difference:+.4f} ({change.low:+.4f} … {change.high:+.4f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
