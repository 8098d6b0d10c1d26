"""One model of several images of a surface, against each image by itself.

    python benchmarks/together.py DATA [--sets mvtec_leather_256 ...] [--most 16] [--crop 96]

For each set: per-image AUROC and average precision of each image compared with itself, and with itself and a
model that was fitted to all of them (`ssdnet locate --together`), with a 95 % interval of the paired
differences over the images. With `--crop` each image is first cut to a square of so many pixels about the
middle of its defect: single pictures that are small, or mostly defect.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ssdnet
from core import CORE
from ssdnet.evaluation.data.datasets import check, find, read_mask
from ssdnet.evaluation.data.reduction import reduce_map, reduce_mask, reduced_shape
from ssdnet.evaluation.measure.intervals import compare
from ssdnet.evaluation.measure.metrics import pixel_figures
from ssdnet.image import read_image

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.result import Localization

JUDGED = 256
"""Shorter side that maps are judged at, pixels."""


def picture(case: Case, crop: int | None) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.bool_]]:
    """Pixels `(H, W, C)` and truth `(H, W)` of one image."""
    if case.mask is None:
        raise ValueError(f"{case.label} has no mask")
    pixels, mask = read_image(case.image).pixels, read_mask(case.mask)
    if crop is None:
        return pixels, mask
    middle = np.argwhere(mask).mean(axis=0).round().astype(int)
    top, left = (
        int(np.clip(place - crop // 2, 0, max(0, size - crop)))
        for place, size in zip(middle, mask.shape, strict=True)
    )
    return pixels[top : top + crop, left : left + crop], mask[top : top + crop, left : left + crop]


def figures(result: Localization, mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """AUROC and average precision of one result."""
    shape = reduced_shape(mask.shape[0], mask.shape[1], JUDGED)
    reduced, truth = reduce_map(result.anomaly_map, shape), reduce_mask(mask, shape)
    one = pixel_figures([reduced], [truth], [reduce_mask(result.mask, shape)])
    return one.auroc, one.ap


def main() -> int:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(CORE))
    parser.add_argument("--most", type=int, default=16, help="images of a set, evenly spread")
    parser.add_argument("--crop", type=int)
    parser.add_argument("--detector", default="auto")
    arguments = parser.parse_args()
    print("| set | images | alone AUROC / AP | together AUROC / AP | difference in AUROC | in AP |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in arguments.sets:
        cases = [case for case in check(find(arguments.data, sets=[name], limit=arguments.most)) if case.mask]
        pictures = [picture(case, arguments.crop) for case in cases]
        # Of images with other channels than the first no common model can be made.
        channels = pictures[0][0].shape[2]
        pictures = [one for one in pictures if one[0].shape[2] == channels]
        model = ssdnet.fit([pixels for pixels, _ in pictures], detector=arguments.detector)
        rows = np.array(
            [
                (
                    figures(ssdnet.localize(pixels, detector=arguments.detector), mask),
                    figures(model.localize(pixels, itself=True), mask),
                )
                for pixels, mask in pictures
            ]
        )
        kept = rows[np.isfinite(rows).all(axis=(1, 2))]
        sets = np.array([name] * len(kept))
        words = []
        for figure in (0, 1):
            difference = compare(
                kept[:, 1, figure], kept[:, 0, figure], sets, generator=np.random.default_rng(0)
            )
            words.append(f"{difference.difference:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})")
        (auroc, ap), (auroc_together, ap_together) = kept.mean(axis=0)
        print(
            f"| {name} | {len(kept)} | {auroc:.3f} / {ap:.3f} | {auroc_together:.3f} / {ap_together:.3f} "
            f"| {words[0]} | {words[1]} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
