"""How `ssdnet` and `rx` bear missing pixels and noise: curves over 0 to 70 % missing, 0 to 50 grey levels.

    python benchmarks/robustness.py DATA [--size 256] [--most 2] [--seeds 1] [--results robustness.csv]
                                         [--plot robustness.png]

Missing pixels lie at random or in square blocks of 16; noise is Gaussian, its standard deviation in grey
levels of an 8-bit image, clipped to it. AUROC and average precision count the pixels that are there. What was
measured is kept in the CSV file; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pairs import load
from results import Key, Results, digest, figures
from ssdnet.detectors.rx import RX
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.image import Image, read_image
from ssdnet.image.standardization import standardize

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pairs import Pair

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


def damaged(pair: Pair, kind: str, level: int, seed: int) -> Image:
    """The image with noise, or with NaN for missing pixels."""
    generator = np.random.default_rng([seed, level, [*LEVELS, "clean"].index(kind)])
    values = pair.image.pixels.astype(np.float64)
    height, width = values.shape[:2]
    if kind in ("noise", "clean"):
        noisy = values + generator.normal(0, level, values.shape)
        return read_image(np.clip(noisy.round(), 0, 255).astype(np.uint8))
    size = BLOCK if kind == "blocks" else 1
    cells = generator.random((-(-height // size), -(-width // size))) < level / 100
    missing = cells.repeat(size, axis=0).repeat(size, axis=1)[:height, :width]
    values[missing] = np.nan
    return read_image(values)


def scores(detector: RX | SSDnet, images: Sequence[Image], seed: int) -> list[npt.NDArray[np.float32]]:
    """One map an image."""
    pixels = [torch.from_numpy(standardize(image).pixels) for image in images]
    valid = [torch.from_numpy(image.valid.copy()) for image in images]
    generators = [torch.Generator().manual_seed(seed) for _ in images]
    if isinstance(detector, SSDnet):
        alone = replace(detector, hide_anomalies=False)  # nobody sees the normal layer
        parts = alone.decompose(pixels, valid, generators=generators, progress=lambda *_: None)
        return [part.score.numpy() for part in parts]
    return [
        detector.score(image, known, generator=generator, progress=lambda *_: None).numpy()
        for image, known, generator in zip(pixels, valid, generators, strict=True)
    ]


def run(pairs: Sequence[Pair], seeds: Sequence[int], results: Results) -> None:
    """Measure what is missing, image by image; several levels train together."""
    for number, pair in enumerate(pairs):
        for seed in seeds:
            for detector in (RX(), SSDnet()):
                wanted = [CLEAN, *((kind, level) for kind, levels in LEVELS.items() for level in levels)]
                left = [each for each in wanted if key(detector, *each, pair, seed) not in results]
                for start in range(0, len(left), TOGETHER):
                    some = left[start : start + TOGETHER]
                    images = [damaged(pair, kind, level, seed) for kind, level in some]
                    results.add(
                        (key(detector, kind, level, pair, seed), _figures(score, image, pair))
                        for (kind, level), score, image in zip(
                            some, scores(detector, images, seed), images, strict=True
                        )
                    )
        print(f"{number + 1} of {len(pairs)}", file=sys.stderr, flush=True)


def key(detector: RX | SSDnet, kind: str, level: int, pair: Pair, seed: int) -> Key:
    """Under which a figure is kept."""
    settings = digest(detector, tuple(pair.pixels.shape), BLOCK)
    return (f"{detector.name} {kind} {level}", settings, pair.group, pair.name, seed)


def _figures(score: npt.NDArray[np.float32], image: Image, pair: Pair) -> tuple[float, float]:
    there = pair.mask[image.valid]
    if not there.any() or there.all():  # all of the defect is missing
        return float("nan"), float("nan")
    return figures(score[image.valid], there)


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--most", type=int, default=2, help="at most so many images of a set")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("robustness.csv"))
    parser.add_argument("--plot", type=Path, default=Path("robustness.png"))
    arguments = parser.parse_args()
    pairs, seeds = load(arguments.data, arguments.size, most=arguments.most), range(arguments.seeds)
    results = Results(arguments.results)
    run(pairs, seeds, results)

    curves: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
    for kind, levels in LEVELS.items():
        points = [CLEAN, *((kind, level) for level in levels)]
        both = {
            detector.name: np.array(
                [
                    [[results[key(detector, *point, pair, seed)] for pair in pairs] for seed in seeds]
                    for point in points
                ]
            ).mean(axis=1)
            for detector in (RX(), SSDnet())
        }
        # An image counts where it can be judged at every level, so that all points mean the same images.
        whole = np.isfinite(both["rx"]).all(axis=(0, 2))
        groups = np.array([pair.group for pair in pairs])[whole]
        for name, values in both.items():
            curves[kind, name] = np.array(
                [
                    np.mean([row[whole][groups == group].mean(axis=0) for group in np.unique(groups)], axis=0)
                    for row in values
                ]
            )
        print(f"\n| {AXES[kind]} | rx: AUROC / AP | ssdnet: AUROC / AP |\n| --- | --- | --- |")
        for (_, level), *cells in zip(points, curves[kind, "rx"], curves[kind, "ssdnet"], strict=True):
            print(f"| {level} | " + " | ".join(f"{auroc:.3f} / {ap:.3f}" for auroc, ap in cells) + " |")
        print(f"\n{whole.sum()} of {len(pairs)} images, of {len(np.unique(groups))} sets")
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
