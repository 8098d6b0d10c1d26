"""What evidence of both sides is worth: on the same images, distances alone, both, and the network.

    python benchmarks/two_sided.py DATA [--most 24] [--detectors distances texture ssdnet] [--out FILE]

Every image at its full size, one thread. Printed for each set, its even and its odd images, and the means
over the core sets and MVTec's textures: AUROC and average precision of the map, and of what is reported at
`alarms=0.01` the share of images with a region on the defect, F1 of the mask and pieces beside the defect;
then the difference to the first detector with a 95 % interval over images. `distances` is `texture` without
the rest. Figures are kept in FILE, and an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

import ssdnet
from core import CORE
from ssdnet.detectors import create
from ssdnet.detectors.texture import Texture
from ssdnet.evaluation.data.datasets import check, find, read_mask
from ssdnet.evaluation.measure.intervals import compare, mean_of_sets
from ssdnet.evaluation.measure.metrics import pixel_figures

if TYPE_CHECKING:
    from ssdnet.evaluation.data.datasets import Case

MVTEC = tuple(f"mvtec_{name}" for name in ("carpet", "grid", "leather", "tile", "wood"))
SETS = (*CORE, *MVTEC, "magnetic_tile")
FIGURES = ("auroc", "ap", "found", "f1", "beside")


def figures(case: Case, name: str) -> dict[str, float]:
    """Figures of one image."""
    assert case.mask is not None  # noqa: S101 - clean images are left out
    detector = Texture(two_sided=False) if name == "distances" else create(name)
    truth = read_mask(case.mask)
    start = time.perf_counter()
    result = ssdnet.localize(case.image, detector=detector, threads=1)
    seconds = time.perf_counter() - start
    pixels = pixel_figures([result.anomaly_map], [truth], [result.mask])
    near = ndimage.binary_dilation(truth, np.ones((3, 3)))
    on = set(np.unique(result.labels[near])) - {0}
    return {
        "auroc": pixels.auroc,
        "ap": pixels.ap,
        "found": float(bool(on)),
        "f1": pixels.f1,
        "beside": float(len(result.regions) - len(on)),
        "seconds": seconds,
    }


def main() -> int:
    """Measure what is missing, and print all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--most", type=int, default=24, help="images of a set")
    parser.add_argument("--detectors", nargs="+", default=["distances", "texture"])
    parser.add_argument("--out", type=Path, default=Path("benchmark-results/two_sided.jsonl"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    lines = arguments.out.read_text("utf-8").splitlines() if arguments.out.exists() else []
    kept = {tuple(one["key"]): one for one in map(json.loads, lines)}
    rows = []
    with arguments.out.open("a", encoding="utf-8") as file:
        for name in SETS:
            cases = [
                case for case in check(find(arguments.data, sets=(name,), limit=arguments.most)) if case.mask
            ]
            for number, case in enumerate(cases):
                row = [kept.get((detector, name, case.name)) for detector in arguments.detectors]
                for place, detector in enumerate(arguments.detectors):
                    if row[place] is None:
                        row[place] = {"key": (detector, name, case.name), **figures(case, detector)}
                        print(json.dumps(row[place]), file=file, flush=True)
                rows.append((name, number % 2, row))
    values = np.array([[[one[key] for key in FIGURES] for one in row if one] for _, _, row in rows])
    sets, halves = np.array([name for name, _, _ in rows]), np.array([half for _, half, _ in rows])
    print("| images | detector | AUROC | AP | found | F1 | beside | AUROC, AP even | odd |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    groups = [(name, sets == name) for name in SETS]
    groups += [("**core**", np.isin(sets, CORE)), ("**MVTec**", np.isin(sets, MVTEC))]
    for title, inside in groups:
        for place, detector in enumerate(arguments.detectors):
            own = values[:, place]
            cells = [
                f"{mean_of_sets(own[inside, number], sets[inside]):.3f}" for number in range(len(FIGURES))
            ]
            for half in (0, 1):
                some = inside & (halves == half)
                cells.append(
                    ", ".join(f"{mean_of_sets(own[some, number], sets[some]):.3f}" for number in (0, 1))
                )
            print(f"| {title} ({int(inside.sum())}) | {detector} | {' | '.join(cells)} |")
    print("\nDifference to the first, 95 % interval:\n")
    for title, inside in groups[-2:]:
        for place, detector in enumerate(arguments.detectors[1:], start=1):
            for number, key in enumerate(FIGURES):
                found = compare(
                    values[inside, place, number],
                    values[inside, 0, number],
                    sets[inside],
                    generator=np.random.default_rng(0),
                )
                interval = f"({found.low:+.3f} … {found.high:+.3f})"
                print(f"* {title} {detector} {key}: {found.difference:+.3f} {interval}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
