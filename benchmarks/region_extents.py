"""How large the regions are that chance makes, beside the law that `ssdnet.calibration.extent` has.

    python benchmarks/region_extents.py OUT [--data DATA] [--detectors texture rx] [--sides 64 256]

On the clean images of `clean_images.py` that look like one texture: the number an image of regions above a
level u of log10 NFA, of pixels alone, whose area is at least that of a square with a side of `a` correlation
lengths, by the number of peaks that the map has. Score maps are kept in OUT.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from clean_images import COUNTS, CleanImage, clean_images
from false_alarms import stationary
from kept_maps import ScoreMaps, read_map, workers
from ssdnet.calibration import fit_null

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.float64]

LEVELS = (0.5, 1.0)
SIDES = (0, 1, 2, 3, 4)
"""Of the square of a region's area, correlation lengths."""
PEAKS = (12, 25, 50, 100, 200, 251)
"""Limits of the groups of maps."""
_DECAY = 0.7
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def main() -> int:
    """Make the maps that are not there, count, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--detectors", nargs="+", default=["texture", "rx"])
    parser.add_argument("--images", type=int, help="of each kind and size at most")
    parser.add_argument("--sides", type=int, nargs="+", default=list(COUNTS), choices=COUNTS)
    arguments = parser.parse_args()
    counts = {side: min(COUNTS[side], arguments.images or COUNTS[side]) for side in arguments.sides}
    images = list(clean_images(counts, arguments.data))
    with workers() as pool:
        textures = [
            image
            for image, texture in zip(images, pool.map(stationary, images, chunksize=20), strict=True)
            if texture
        ]
    print("| map | peaks | images | u | " + " | ".join(f"a ≥ {side}" for side in SIDES) + " |")
    print("| --- | --- | --- | --- | " + " | ".join(["---"] * len(SIDES)) + " |")
    rows: dict[float, list[str]] = {level: [_law(level)] for level in LEVELS}
    for name in arguments.detectors:
        for level, lines in _counted(ScoreMaps(arguments.out, name), name, textures).items():
            rows[level] += lines
    print("\n".join(line for lines in rows.values() for line in lines))
    return 0


def _law(level: float) -> str:
    expected = [10 ** (level - _DECAY * side) for side in SIDES]
    return f"| the law | | | {level:g} | " + " | ".join(f"{number:.3g}" for number in expected) + " |"


def _counted(maps: ScoreMaps, name: str, images: list[CleanImage]) -> dict[float, list[str]]:
    """Lines of the table of one detector."""
    maps.make(images, together=4)
    with workers() as pool:
        found = list(pool.map(_regions, [maps.path(image) for image in images], chunksize=20))
    peaks = np.array([number for number, _ in found])
    counts = np.array([numbers for _, numbers in found])
    lines: dict[float, list[str]] = {level: [] for level in LEVELS}
    for low, high in pairwise(PEAKS):
        group = (peaks >= low) & (peaks < high)
        if not group.any():
            continue
        for level, means in zip(LEVELS, counts[group].mean(axis=0), strict=True):
            cells = " | ".join(f"{mean:.3f}" for mean in means)
            lines[level].append(f"| `{name}` | {low} to {high - 1} | {group.sum()} | {level:g} | {cells} |")
    return lines


def _regions(path: Path) -> tuple[int, Counts]:
    """Peaks of a map, and `(levels, sides)` numbers of its regions."""
    score = read_map(path)
    null = fit_null(score)
    log10_nfa = null.log10_nfa(score)
    unit = null.correlation_length[0] * null.correlation_length[1]
    counts = np.zeros((len(LEVELS), len(SIDES)))
    for row, level in zip(counts, LEVELS, strict=True):
        labels, _ = ndimage.label(log10_nfa <= level, structure=_EIGHT_NEIGHBOURS)
        sides = np.sqrt(np.bincount(labels.ravel())[1:] / unit)
        row[:] = [(sides >= side).sum() for side in SIDES]
    return null.peaks, counts


if __name__ == "__main__":
    sys.exit(main())
