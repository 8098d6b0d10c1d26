"""Images with masks for the benchmarks: loaded as the scoring protocol wants them, and means over sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image as Pillow

from core import CORE
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ssdnet.image import Image


class Pair(NamedTuple):
    """An image as a detector sees it, and its mask."""

    group: str
    name: str
    half: int
    image: Image
    pixels: torch.Tensor
    mask: npt.NDArray[np.bool_]


def load(data: Path, size: int, every: int = 1, most: int | None = None) -> list[Pair]:
    """Pairs of the core sets whose mask is neither empty nor full.

    Args:
        data: holds `<set>/images/NAME.*` and `<set>/masks/NAME.*`.
        size: the shorter side is reduced to at most this, masks by area average and > 0.3.
        every: take each N-th pair of neighbours only.
        most: at most so many of a set, evenly spread.
    """
    pairs = []
    for group in CORE:
        paths = sorted((data / group / "images").iterdir())
        paths = [path for number, path in enumerate(paths) if number // 2 % every == 0]
        if most is not None:
            paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)]
        for number, path in enumerate(paths):
            with (
                Pillow.open(path) as image,
                Pillow.open(next((data / group / "masks").glob(f"{path.stem}.*"))) as mask,
            ):
                scale = min(1.0, size / min(image.size))
                shape = (round(image.width * scale), round(image.height * scale))
                small = image.convert("RGB" if image.mode not in ("L", "RGB") else image.mode).resize(
                    shape, Pillow.Resampling.BOX
                )
                share = Pillow.fromarray((np.asarray(mask.convert("L")) > 0).astype(np.float32))
                defect = np.asarray(share.resize(shape, Pillow.Resampling.BOX)) > 0.3
            if defect.any() and not defect.all():
                reduced = read_image(small)
                pixels = torch.from_numpy(standardize(reduced).pixels)
                pairs.append(Pair(group, path.stem, number % 2, reduced, pixels, defect))
    return pairs


def mean_of_sets(values: npt.NDArray[np.float64], groups: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
    """Unweighted mean over sets of the mean over images."""
    result: npt.NDArray[np.float64] = np.mean(
        [values[groups == group].mean(axis=0) for group in CORE], axis=0
    )
    return result


def interval(
    difference: npt.NDArray[np.float64], groups: npt.NDArray[np.str_], runs: int = 500
) -> npt.NDArray[np.float64]:
    """95 % bootstrap interval over the images of each set; NaN where a set has only one."""
    generator = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in CORE]
    if min(map(len, members)) < 2:
        return np.full((2, difference.shape[1]), np.nan)
    means = [
        np.mean([difference[generator.choice(m, len(m))].mean(axis=0) for m in members], axis=0)
        for _ in range(runs)
    ]
    result: npt.NDArray[np.float64] = np.quantile(means, [0.025, 0.975], axis=0)
    return result
