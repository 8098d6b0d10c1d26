"""Maps of this version beside those of another commit, on the core sets.

    python benchmarks/before_after.py DATA --before COMMIT --out MAPS [--detectors texture:12 rx:6 ...]

For each detector, on so many images of each core set (evenly spread): the largest difference of the anomaly
maps as a share of their range, in the median and at most over the images, and AUROC, average precision and F1
of both at 256 pixels, with a 95 % interval of the paired difference in average precision. Maps are kept in
MAPS, and made again only when they are not there; each is made with one thread and seed 0.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import CORE
from speed import ROOT, checked_out
from ssdnet.evaluation.data.datasets import check, find, read_mask
from ssdnet.evaluation.data.reduction import reduce_map, reduce_mask, reduced_shape
from ssdnet.evaluation.measure.intervals import compare, mean_of_sets
from ssdnet.evaluation.measure.metrics import pixel_figures

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.evaluation.data.datasets import Case

JUDGED = 256
"""Shorter side that maps are judged at, pixels."""

CHILD = """
import sys
from pathlib import Path
import numpy as np
import torch
torch.set_num_threads(1)
import ssdnet
detector, *pairs = sys.argv[1:]
for image, target in zip(pairs[::2], pairs[1::2]):
    path = Path(target)
    if not path.exists():
        result = ssdnet.localize(image, detector=detector, device="cpu", seed=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft.npz")
        np.savez(draft, score=result.anomaly_map, labels=result.labels)
        draft.rename(path)
"""


def kept(folder: Path, detector: str, case: Case) -> Path:
    """Where a map is kept."""
    return folder / detector / case.set / f"{case.image.stem}.npz"


def make(source: Path, folder: Path, detector: str, cases: list[Case]) -> None:
    """Make the maps that are not there yet."""
    words = [str(word) for case in cases for word in (case.image, kept(folder, detector, case))]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", CHILD, detector, *words], env=environment, check=True)


def figures(path: Path, case: Case) -> tuple[float, float, float]:
    """AUROC, average precision and F1 of one map."""
    if case.mask is None:
        raise ValueError(f"{case.label} has no mask")
    mask = read_mask(case.mask)
    shape = reduced_shape(mask.shape[0], mask.shape[1], JUDGED)
    with np.load(path) as arrays:
        score, found = arrays["score"].astype(np.float32), arrays["labels"] > 0
    one = pixel_figures([reduce_map(score, shape)], [reduce_mask(mask, shape)], [reduce_mask(found, shape)])
    return one.auroc, one.ap, one.f1


def difference(first: Path, second: Path) -> float:
    """Largest difference of two maps, as a share of the range of the first."""
    with np.load(first) as one, np.load(second) as other:
        before: npt.NDArray[np.float64] = one["score"].astype(np.float64)
        after = other["score"].astype(np.float64)
    span = np.nanmax(before) - np.nanmin(before)
    return float(np.nanmax(np.abs(before - after)) / span) if span else 0.0


def main() -> int:
    """Print a row for each detector."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--before", required=True, metavar="COMMIT")
    parser.add_argument("--out", required=True, type=Path, metavar="MAPS")
    parser.add_argument("--detectors", nargs="+", default=["texture:12"], metavar="NAME:IMAGES")
    arguments = parser.parse_args()
    print(
        "| detector | images | difference, median | at most | AUROC / AP / F1 before | now | change in AP |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    with checked_out(arguments.before) as before:
        if before is None:
            raise ValueError("there is nothing to compare with")
        for words in arguments.detectors:
            name, _, count = words.partition(":")
            found = find(arguments.data, sets=CORE, limit=int(count or 12))
            cases = [case for case in check(found) if case.mask is not None]
            folders = {version: arguments.out / version for version in ("before", "now")}
            make(before, folders["before"], name, cases)
            make(ROOT / "src", folders["now"], name, cases)
            paths = [[kept(folder, name, case) for case in cases] for folder in folders.values()]
            changes = [difference(*pair) for pair in zip(*paths, strict=True)]
            values = np.array(
                [[figures(path, case) for path, case in zip(some, cases, strict=True)] for some in paths]
            )
            sets = np.array([case.set for case in cases])
            means = [
                " / ".join(f"{mean_of_sets(version[:, k], sets):.4f}" for k in range(3)) for version in values
            ]
            change = compare(values[1, :, 1], values[0, :, 1], sets, generator=np.random.default_rng(0))
            print(
                f"| {name} | {len(cases)} | {np.median(changes):.1e} | {max(changes):.1e} | {means[0]} "
                f"| {means[1]} | {change.difference:+.4f} ({change.low:+.4f} to {change.high:+.4f}) |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
