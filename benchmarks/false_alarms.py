"""Measured against promised false alarms of each detector on clean images.

    python benchmarks/false_alarms.py OUT [--data DATA] [--detectors texture rx dip:2] [--plot FILE.png]

Clean images: see `clean_images.py`; at full count over 2 000 of them, from 64 to 2048 pixels. `NAME:N` takes
only the first N of each kind and size, up to 512 pixels, of a detector that takes long. Counted are the
regions that `alarms` = 1, 0.1, 0.01 and 0.001 report: that many an image are promised on average. Pictures
that do not look like one texture (`stationarity`) are counted apart, since of them nothing is promised and
the result says so. Score maps are kept in OUT, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from clean_images import COUNTS, CleanImage, clean_images
from kept_maps import ScoreMaps, read_map, workers
from ssdnet.calibration import assess
from ssdnet.diagnosis import STATIONARY, stationarity
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

ALARMS = (1.0, 0.1, 0.01, 0.001)
DETECTORS = (
    "texture",
    "rx",
    "patchpca",
    "phot",
    "ssdnet",
    "fca",
    "aota",
    "lowrank",
    "selfsim",
    "dip:2",
)
OURS = ("texture", "rx", "ssdnet")
"""Detectors that get a table of kinds and sizes, too."""
LARGEST_OF_FEW = 512
"""Side up to which images count where only some of each kind do, pixels."""


@dataclass(frozen=True)
class Counted:
    """What one detector found in one clean image."""

    kind: str
    side: int
    stationary: bool
    regions: tuple[int, ...]
    """Number of regions for each of `ALARMS`."""


def main() -> int:
    """Make the maps that are not there, count, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, help="folder of sets whose clean pictures count, too")
    parser.add_argument("--detectors", nargs="+", default=DETECTORS, metavar="NAME[:N]")
    parser.add_argument("--images", type=int, help="of each kind and size at most")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=list(COUNTS), choices=COUNTS)
    arguments = parser.parse_args()
    counts = {side: min(COUNTS[side], arguments.images or COUNTS[side]) for side in arguments.sides}
    images = list(clean_images(counts, arguments.data))
    with workers() as pool:
        textures = dict(
            zip([i.name for i in images], pool.map(stationary, images, chunksize=20), strict=True)
        )
    counted: dict[str, list[Counted]] = {}
    for entry in arguments.detectors:
        name, _, few = entry.partition(":")
        some = [image for image in images if not few or _among_few(image, int(few))]
        maps = ScoreMaps(arguments.out, name)
        maps.make(some, together=4)
        with workers() as pool:
            found = pool.map(_count, [maps.path(image) for image in some], chunksize=20)
            counted[name] = [
                Counted(image.kind, image.side, textures[image.name], regions)
                for image, regions in zip(some, found, strict=True)
            ]
    show(counted)
    if arguments.plot is not None:
        plot(counted).savefig(arguments.plot, dpi=110, metadata={"Software": None})
    return 0


def _among_few(image: CleanImage, few: int) -> bool:
    return image.number < few and image.side <= LARGEST_OF_FEW


def stationary(image: CleanImage) -> bool:
    """Whether a clean image passes for one texture."""
    picture = read_image(image.pixels)
    return stationarity(standardize(picture).pixels, picture.valid) >= STATIONARY


def _count(path: Path) -> tuple[int, ...]:
    assessment = assess(read_map(path))
    return tuple(len(assessment.regions(alarms)[1]) for alarms in ALARMS)


def show(counted: dict[str, list[Counted]]) -> None:
    """A table of the detectors, and one of kinds and sizes for each of ours."""
    header = " | ".join(f"alarms {alarms:g}" for alarms in ALARMS)
    dashes = " | ".join(["---"] * (2 + len(ALARMS)))
    print(
        "False regions an image, and twice the standard error:\n\n"
        f"| detector | images | {header} |\n| {dashes} |"
    )
    for name, results in counted.items():
        print(_row(name, [one for one in results if one.stationary]))
    print(_row("promised", None))
    print("\nPictures that do not look like one texture, of which nothing is promised:\n")
    print(f"| detector | images | {header} |\n| {dashes} |")
    for name, results in counted.items():
        print(_row(name, [one for one in results if not one.stationary]))
    for name, results in counted.items():
        if name not in OURS:
            continue
        textures = [one for one in results if one.stationary]
        print(f"\n`{name}` by kind and size:\n\n| clean images | images | {header} |\n| {dashes} |")
        groups: list[tuple[str, Callable[[Counted], bool]]] = [
            *(
                (kind, lambda one, kind=kind: one.kind == kind)
                for kind in sorted({one.kind for one in textures})
            ),
            *(
                (f"{side} px", lambda one, side=side: one.side == side and one.kind != "photographs")
                for side in COUNTS
            ),
        ]
        for label, belongs in groups:
            group = [one for one in textures if belongs(one)]
            if group:
                print(_row(label, group))


def _row(label: str, results: Sequence[Counted] | None) -> str:
    if results is None:
        return f"| {label} | | " + " | ".join(f"{alarms:g}" for alarms in ALARMS) + " |"
    if not results:
        return f"| {label} | 0 | " + " | ".join([""] * len(ALARMS)) + " |"
    regions = _regions(results)
    errors = 2 * regions.std(axis=0) / np.sqrt(len(regions))
    cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(regions.mean(axis=0), errors, strict=True)]
    return f"| {label} | {len(results)} | " + " | ".join(cells) + " |"


def _regions(results: Sequence[Counted]) -> npt.NDArray[np.float64]:
    return np.array([one.regions for one in results], dtype=np.float64)


def plot(counted: dict[str, list[Counted]]) -> Figure:
    """Measured against promised, one panel a detector: all textures, and each kind of them."""
    columns = min(5, len(counted))
    rows = -(-len(counted) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.9 * rows), layout="constrained")
    for number, (name, results) in enumerate(counted.items()):
        textures = [one for one in results if one.stationary]
        if not textures:
            continue
        axes = figure.add_subplot(rows, columns, number + 1, xscale="log", yscale="log")
        promised = np.array(ALARMS)
        axes.fill_between(promised, promised / 2, promised * 2, color="#d8e4ec", label="within a factor of 2")
        axes.plot(promised, promised, color="#5b7c93", linewidth=1)
        for kind in sorted({one.kind for one in textures}):
            some = _regions([one for one in textures if one.kind == kind]).mean(axis=0)
            axes.plot(promised, np.where(some > 0, some, np.nan), color="#c9b38c", linewidth=0.8, zorder=2)
        means = _regions(textures).mean(axis=0)
        axes.plot(promised, np.where(means > 0, means, np.nan), "o-", color="#b3261e", markersize=4, zorder=3)
        axes.set(title=f"{name}: {len(textures)} images", xlim=(6e-4, 1.6), ylim=(2e-4, 6))
        axes.set_xlabel("promised")
        if number % columns == 0:
            axes.set_ylabel("counted false regions an image")
    return figure


if __name__ == "__main__":
    sys.exit(main())
