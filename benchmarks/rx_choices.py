"""What each choice in `rx` is worth: one configuration changed at a time, on two halves of the core sets.

    python benchmarks/rx_choices.py DATA [--size 256] [--every 1]

DATA holds `<set>/images/NAME.*` and `<set>/masks/NAME.*`. Images are reduced so that the shorter side has at
most `--size` pixels, masks by area average and > 0.3, and scored by per-image pixel AUROC and average
precision. Each set is split into its even and its odd images; a choice that is better on one half only is
chance. The figures are means over sets, then the difference to the default on the same images, with a 95 %
bootstrap interval.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from pairs import Pair, interval, load, mean_of_sets
from ssdnet.detectors.rx import RX

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector

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


def scores(detector: Detector, seed: int, pairs: list[Pair]) -> npt.NDArray[np.float64]:
    """`(len(pairs), 2)` AUROC and AP of each image."""
    rows = []
    for pair in pairs:
        with torch.inference_mode():
            score = detector.score(
                pair.pixels,
                torch.ones(pair.mask.shape, dtype=torch.bool),
                generator=torch.Generator().manual_seed(seed),
                progress=lambda *_: None,
            )
        flat, truth = score.flatten().numpy(), pair.mask.ravel()
        rows.append((roc_auc_score(truth, flat), average_precision_score(truth, flat)))
    return np.array(rows)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--every", type=int, default=1, help="take each N-th pair of neighbours only")
    arguments = parser.parse_args()
    pairs = load(arguments.data, arguments.size, arguments.every)
    groups = np.array([pair.group for pair in pairs])
    halves = np.array([pair.half for pair in pairs])
    print(f"{len(pairs)} images\n")
    print("| choice | even: AUROC / AP | odd: AUROC / AP | AUROC, all, to default | AP, all, to default |")
    print("| --- | --- | --- | --- | --- |")
    default = None
    for name, (detector, seed) in CHOICES.items():
        values = scores(detector, seed, pairs)
        default = values if default is None else default
        cells = []
        for half in (0, 1):
            auroc, precision = mean_of_sets(values[halves == half], groups[halves == half])
            cells.append(f"{auroc:.4f} / {precision:.4f}")
        change = mean_of_sets(values - default, groups)
        low, high = interval(values - default, groups)
        cells += [f"{change[i]:+.4f} ({low[i]:+.4f} … {high[i]:+.4f})" for i in (0, 1)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
