"""Which features suit `fca`: chosen on some of the core sets, confirmed on the others.

    python benchmarks/fca_choices.py DATA [--size 256] [--most 4] [--out benchmark-results]

DATA holds the core sets. Images are reduced so that the shorter side has at most `--size` pixels and judged
as `ssdnet bench` does it, by per-image pixel AUROC and average precision; means over sets, `--most` images of
each, evenly spread; times are those of one thread. `rx` stands beside for comparison. What was measured is
kept in `--out`; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from core import CORE, core_cases, figures_of, measure
from ssdnet.detectors.rivals.fca import FCA
from ssdnet.detectors.rx import RX
from ssdnet.evaluation.measure.intervals import mean_of_sets
from ssdnet.evaluation.measure.runner import Settings

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector

CHOSEN_ON = ("mvtec_leather_256", "fabric_minhas", "aitex", "crackforest")

DEFAULT = FCA()
CHOICES: dict[str, tuple[Detector, int]] = {
    "rx": (RX(), 0),
    "colour": (replace(DEFAULT, features="colour"), 0),
    "laws": (replace(DEFAULT, features="laws"), 0),
    "laws, tile 25, sigma 6": (replace(DEFAULT, features="laws", tile_size=25, tile_sigma=6.0), 0),
    "random, 24 of 7 x 7": (DEFAULT, 0),
    "random, 24 of 7 x 7, seed 1": (DEFAULT, 1),
    "random, 24 of 7 x 7, seed 2": (DEFAULT, 2),
    "random, 24 of 5 x 5": (replace(DEFAULT, kernel_size=5), 0),
    "random, 24 of 9 x 9": (replace(DEFAULT, kernel_size=9), 0),
    "random, 16 of 7 x 7": (replace(DEFAULT, orbits=2), 0),
    "random, 16 of 7 x 7, seed 1": (replace(DEFAULT, orbits=2), 1),
    "random, 16 of 7 x 7, seed 2": (replace(DEFAULT, orbits=2), 2),
    "random, tile 25, sigma 6": (replace(DEFAULT, tile_size=25, tile_sigma=6.0), 0),
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--most", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = core_cases(arguments.data, arguments.most)
    groups = np.array([case.set for case in cases])
    others = [group for group in CORE if group not in CHOSEN_ON]
    print(f"{len(cases)} images; chosen on {', '.join(CHOSEN_ON)}; confirmed on {', '.join(others)}\n")
    print("| features | chosen on: AUROC / AP | confirmed on: AUROC / AP | s an image |")
    print("| --- | --- | --- | --- |")
    for name, (detector, seed) in CHOICES.items():
        settings = Settings(seeds=(seed,), size=arguments.size)
        outcomes = measure(cases, {name: detector}, arguments.out, settings)
        values = figures_of(outcomes, cases)
        seconds = np.mean([outcome.record["seconds"] for outcome in outcomes if outcome.record])
        cells = []
        for some in (CHOSEN_ON, others):
            members = np.isin(groups, some)
            means = [mean_of_sets(column[members], groups[members]) for column in values.T]
            cells.append(" / ".join(f"{mean:.3f}" for mean in means))
        print(f"| {name} | {' | '.join(cells)} | {seconds:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
