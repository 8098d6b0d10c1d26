"""How `ssdnet` and `rx` bear missing pixels and noise: curves over 0 to 70 % missing, 0 to 50 grey levels.

    python benchmarks/robustness.py DATA [--size 256] [--most 2] [--seeds 1] [--out benchmark-results]
                                         [--plot robustness.png]

Missing pixels lie at random or in square blocks of 16; noise is Gaussian, its standard deviation in grey
levels of an 8-bit image, clipped to it. AUROC and average precision count the pixels that are there. Damaged
images and what was measured are kept in `--out`; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from core import core_cases, figures_of, measure
from ssdnet.detectors.rx import RX
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.evaluation.data.datasets import Case, Found, check, read_mask
from ssdnet.evaluation.data.reduction import reduce_image, reduce_mask
from ssdnet.evaluation.measure.intervals import mean_of_sets
from ssdnet.evaluation.measure.runner import Settings
from ssdnet.export.atomic import write_file
from ssdnet.image import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ssdnet.detectors.protocol import Detector
    from ssdnet.image import Image

    Point = tuple[str, int]
    """A kind of damage and its level."""

LEVELS = {
    "random": (10, 30, 50, 70),
    "blocks": (10, 30, 50, 70),
    "noise": (5, 10, 20, 35, 50),
}
AXES = {
    "random": "missing pixels at random, %",
    "blocks": "missing blocks of 16 × 16, %",
    "noise": "noise, grey levels",
}
CLEAN = ("clean", 0)
"""Where all curves begin."""
BLOCK = 16
TOGETHER = 5
"""Images that train together."""
DETECTORS: dict[str, Detector] = {
    "rx": RX(),
    "ssdnet": SSDnet(hide_anomalies=False),  # nobody sees the normal layer
}


def damaged(image: Image, kind: str, level: int, seed: int) -> npt.NDArray[np.float32]:
    """`(H, W, C)`, the image with noise, or with NaN for missing pixels."""
    generator = np.random.default_rng([seed, level, [*LEVELS, "clean"].index(kind)])
    values = image.pixels.astype(np.float64)
    height, width = values.shape[:2]
    if kind in ("noise", "clean"):
        noisy = values + generator.normal(0, level, values.shape)
        return np.clip(noisy.round(), 0, 255).astype(np.float32)
    size = BLOCK if kind == "blocks" else 1
    cells = generator.random((-(-height // size), -(-width // size))) < level / 100
    missing = cells.repeat(size, axis=0).repeat(size, axis=1)[:height, :width]
    values[missing] = np.nan
    return values.astype(np.float32)


def damage(cases: Sequence[Case], point: Point, size: int, seed: int, folder: Path) -> tuple[Case, ...]:
    """The cases with damaged images, reduced before that, in files of their own."""
    kind, level = point
    made = []
    for case in cases:
        assert case.mask is not None  # noqa: S101 - of images with a defect
        image = reduce_image(read_image(case.image), size)
        mask = reduce_mask(read_mask(case.mask), (image.height, image.width))
        if not mask.any():
            continue  # the defect vanishes at that size
        place = folder / f"{kind}-{level}-{seed}-{size}" / case.set
        picture, truth = (place / part / f"{case.name}.tif" for part in ("images", "masks"))
        for path, pixels in ((picture, damaged(image, kind, level, seed)), (truth, mask)):
            data = io.BytesIO()
            tifffile.imwrite(data, pixels.astype(np.float32).squeeze())
            write_file(path, data.getvalue())
        made.append(Case(case.set, case.name, picture, truth))
    return check(Found(tuple(made)))


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--most", type=int, default=2, help="at most so many images of a set")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--plot", type=Path, default=Path("robustness.png"))
    arguments = parser.parse_args()
    whole_cases = core_cases(arguments.data, arguments.most)
    points = [CLEAN, *((kind, level) for kind, levels in LEVELS.items() for level in levels)]
    looked: dict[tuple[str, Point], npt.NDArray[np.float64]] = {}
    groups = np.array([], dtype=np.str_)
    for point in points:
        seeds: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in DETECTORS}
        for seed in range(arguments.seeds):
            cases = damage(whole_cases, point, arguments.size, seed, arguments.out / "damaged")
            groups = np.array([case.set for case in cases])
            outcomes = measure(cases, DETECTORS, arguments.out, Settings(seeds=(seed,), batch=TOGETHER))
            for name, values in seeds.items():
                values.append(figures_of((one for one in outcomes if one.detector == name), cases))
        looked |= {(name, point): np.mean(values, axis=0) for name, values in seeds.items()}
    curves: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
    for kind, levels in LEVELS.items():
        points = [CLEAN, *((kind, level) for level in levels)]
        # An image counts where it can be judged at every level, so that all points mean the same images.
        whole = np.isfinite([looked["rx", point] for point in points]).all(axis=(0, 2))
        for name in DETECTORS:
            curves[kind, name] = np.array(
                [
                    [mean_of_sets(column[whole], groups[whole]) for column in looked[name, point].T]
                    for point in points
                ]
            )
        print(f"\n| {AXES[kind]} | rx: AUROC / AP | ssdnet: AUROC / AP |\n| --- | --- | --- |")
        for (_, level), *cells in zip(points, curves[kind, "rx"], curves[kind, "ssdnet"], strict=True):
            print(f"| {level} | " + " | ".join(f"{auroc:.3f} / {ap:.3f}" for auroc, ap in cells) + " |")
        print(f"\n{whole.sum()} of {len(groups)} images, of {len(np.unique(groups[whole]))} sets")
    draw(curves, arguments.plot)
    return 0


def draw(curves: dict[tuple[str, str], npt.NDArray[np.float64]], path: Path) -> None:
    """AUROC above, average precision below; a column a kind of damage."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=110, layout="constrained")
    panels = figure.subplots(2, len(LEVELS), sharey="row", sharex="col")
    for column, (kind, levels) in enumerate(LEVELS.items()):
        for row, label in enumerate(("AUROC", "average precision")):
            axes = panels[row, column]
            for name, colour, marker in (("rx", "#6b6b6b", "s"), ("ssdnet", "#e4003a", "o")):
                axes.plot(
                    (0, *levels),
                    curves[kind, name][:, row],
                    color=colour,
                    marker=marker,
                    markersize=4,
                    label=name,
                )
            axes.grid(linewidth=0.4)
            if column == 0:
                axes.set_ylabel(label)
        panels[1, column].set_xlabel(AXES[kind])
    panels[0, 0].legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
