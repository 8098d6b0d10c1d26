"""The protocol of the paper's headline on MVTec-AD, for those who have it: pixel AUROC and average precision.

    python benchmarks/mvtec.py MVTEC [CATEGORY ...] [--detector ssdnet] [--size 256] [--batch 4] [--seed 0]

MVTEC holds `<category>/test/<defect>/NAME.png` and `<category>/ground_truth/<defect>/NAME_mask.png`, as the
data set comes; without a category its five textures are taken (carpet, grid, leather, tile, wood). Only
`test` is looked at, each image alone. Images are reduced so that the shorter side has `--size` pixels (masks
by area average, > 0.3; 0 keeps the full size). Printed per category: the mean over images with a defect of
each image's own AUROC and AP, and both pooled, with one threshold for all pixels of all test images, the good
ones included, since the paper does not say which of the two it means.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import ssdnet
from results import figures

TEXTURES = ("carpet", "grid", "leather", "tile", "wood")


def pairs(category: Path) -> list[tuple[Path, Path | None]]:
    """All test images, and the masks of those with a defect."""
    found: list[tuple[Path, Path | None]] = []
    for image in sorted((category / "test").glob("*/*.png")):
        mask = category / "ground_truth" / image.parent.name / f"{image.stem}_mask.png"
        if image.parent.name == "good":
            found.append((image, None))
        elif mask.exists():
            found.append((image, mask))
        else:
            raise SystemExit(f"{mask} is missing: the mask of {image}")
    if not any(mask for _, mask in found):
        raise SystemExit(f"no image in {category / 'test'}/<defect>/*.png")
    return found


def reduced(path: Path, size: int) -> Image.Image:
    """The image with at most `size` pixels on its shorter side."""
    with Image.open(path) as image:
        scale = min(1.0, size / min(image.size)) if size else 1.0
        shape = (round(image.width * scale), round(image.height * scale))
        # Of a palette the numbers mean nothing; all else keeps its kind.
        return (image.convert("RGB") if image.mode == "P" else image).resize(shape, Image.Resampling.BOX)


def reduced_mask(path: Path | None, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask at the `(width, height)` of the reduced image; empty for a good one."""
    if path is None:
        return np.zeros(shape[::-1], dtype=np.bool_)
    with Image.open(path) as mask:
        share = Image.fromarray((np.asarray(mask.convert("L")) > 0).astype(np.float32))
    return np.asarray(share.resize(shape, Image.Resampling.BOX)) > 0.3


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
    arguments = parser.parse_args()
    print("| category | images | AUROC | AP | pooled AUROC | pooled AP | s an image |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for category in arguments.categories or TEXTURES:
        maps, masks = [], []
        start = time.perf_counter()
        members = pairs(arguments.mvtec / category)
        for first in range(0, len(members), arguments.batch):
            some = members[first : first + arguments.batch]
            results = ssdnet.localize_many(
                [reduced(image, arguments.size) for image, _ in some],
                detector=arguments.detector,
                seed=arguments.seed,
            )
            maps += [result.anomaly_map for result in results]
            masks += [
                reduced_mask(mask, (result.image.width, result.image.height))
                for (_, mask), result in zip(some, results, strict=True)
            ]
        seconds = (time.perf_counter() - start) / len(members)
        judged = [(m, t) for m, t in zip(maps, masks, strict=True) if t.any() and not t.all()]
        each = np.mean([figures(score, mask) for score, mask in judged], axis=0)
        pooled = figures(
            np.concatenate([score.ravel() for score in maps]),
            np.concatenate([mask.ravel() for mask in masks]),
        )
        rows.append((*each, *pooled))
        values = " | ".join(f"{value:.3f}" for value in rows[-1])
        print(f"| {category} | {len(judged)} | {values} | {seconds:.2f} |", flush=True)
    values = " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
    print(f"| **mean** | | {values} | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
