"""The protocol of the paper's headline on MVTec-AD, for those who have it: pixel AUROC and average precision.

    python benchmarks/mvtec.py MVTEC [CATEGORY ...] [--detector ssdnet] [--size 256] [--batch 4] [--seed 0]

MVTEC holds the categories as the data set comes; without a category its five textures are taken (carpet,
grid, leather, tile, wood). Only `test` is looked at, each image alone. Images are reduced so that the shorter
side has `--size` pixels (0 keeps the full size), maps and masks judged with 256, as `ssdnet bench` does it.
Printed per category: the mean over images with a defect of each image's own AUROC and AP, and both pooled,
with one threshold for all pixels of all test images, the good ones included, since the paper does not say
which of the two it means. What was measured is kept in `--out`; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import figures_of, measure
from ssdnet import detectors
from ssdnet.errors import DataSetError
from ssdnet.evaluation.data.datasets import check, find
from ssdnet.evaluation.measure.cache import read_measured
from ssdnet.evaluation.measure.judging import truth_of
from ssdnet.evaluation.measure.metrics import pixel_figures
from ssdnet.evaluation.measure.runner import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.evaluation.measure.runner import Outcome

TEXTURES = ("carpet", "grid", "leather", "tile", "wood")


def pooled(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """AUROC and AP of all pixels of all images."""
    scores, masks = [], []
    for outcome in outcomes:
        if outcome.path is not None:
            scores.append(read_measured(outcome.path).score)
            truth = truth_of(outcome.case)
            masks.append(np.zeros(scores[-1].shape, dtype=np.bool_) if truth is None else truth)
    figures = pixel_figures(scores, masks, masks)
    return figures.auroc, figures.ap


def main() -> int:
    """Print a row a category, and the mean."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mvtec", type=Path)
    parser.add_argument("categories", nargs="*", default=TEXTURES)
    parser.add_argument("--detector", default="ssdnet")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    arguments = parser.parse_args()
    settings = Settings(seeds=(arguments.seed,), batch=arguments.batch, size=arguments.size or None)
    categories = arguments.categories or TEXTURES
    try:
        cases = check(find(arguments.mvtec, sets=categories))
    except DataSetError as error:
        raise SystemExit(str(error)) from error
    chosen = {arguments.detector: detectors.create(arguments.detector)}
    print("| category | images | AUROC | AP | pooled AUROC | pooled AP | s an image |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for category in categories:
        members = [case for case in cases if case.set == category]
        outcomes = measure(members, chosen, arguments.out, settings)
        each = figures_of(outcomes, members)
        each = each[np.isfinite(each).all(axis=1)]
        seconds = np.mean([outcome.record["seconds"] for outcome in outcomes if outcome.record])
        rows.append((*each.mean(axis=0), *pooled(outcomes)))
        values = " | ".join(f"{value:.3f}" for value in rows[-1])
        print(f"| {category} | {len(each)} | {values} | {seconds:.2f} |", flush=True)
    values = " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
    print(f"| **mean** | | {values} | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
