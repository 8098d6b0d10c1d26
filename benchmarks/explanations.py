"""What is said of defects that are known, and how often anything is said of places where there is none.

    python benchmarks/explanations.py [--seeds 4]

Synthetic defects are cut out by their exact masks, so that neither detector nor calibration matters. Below,
discs and bars of several sizes are put at random on clean surfaces: each word said of them is a false one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ssdnet import samples
from ssdnet.calibration.regions import find_regions
from ssdnet.explanation import explain
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ssdnet.result import Explanation

    Mask = npt.NDArray[np.bool_]

_FIRST_SEED = 30_000
_TIMES = 3
"""Places for each shape on each clean surface."""


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=4, help="surfaces of each texture")
    arguments = parser.parse_args()
    seeds = range(_FIRST_SEED, _FIRST_SEED + arguments.seeds)
    print("| defect | number | explained | said most often |\n| --- | --- | --- | --- |")
    for defect in samples.DEFECTS:
        said = [
            _explanation(sample.image, sample.mask)
            for texture in samples.TEXTURES
            if defect in samples.defects_of(texture)
            for seed in seeds
            if (sample := samples.sample(texture, defect, seed=seed)).mask.any()
        ]
        words = Counter(difference.words for one in said for difference in one.differences or ())
        often = ", ".join(f"{word} {count}" for word, count in words.most_common(4))
        print(f"| {defect} | {len(said)} | {sum(bool(one.differences) for one in said)} | {often} |")
    generator = np.random.default_rng(_FIRST_SEED)
    print("\n| clean surface | shapes | explained |\n| --- | --- | --- |")
    for texture in samples.TEXTURES:
        found = [
            bool(_explanation(image, _placed(shape, image.shape[:2], generator)).differences)
            for seed in seeds
            for image in [samples.texture(texture, seed=seed)]
            for shape in _shapes()
            for _ in range(_TIMES)
        ]
        print(f"| {texture} | {len(found)} | {sum(found)} |")
    return 0


def _explanation(image: npt.NDArray[np.uint8], mask: Mask) -> Explanation:
    """Of all marked pixels together, as of one region."""
    log10_nfa = np.where(mask, -5, 1).astype(np.float32)
    labels, regions = find_regions(-log10_nfa, log10_nfa, 1e-2, gap=(20, 20))
    picture = read_image(image)
    (first, *_) = explain(standardize(picture), picture.valid, -log10_nfa, labels, regions)
    assert first.explanation is not None  # noqa: S101 - the first regions have one
    return first.explanation


def _shapes() -> Iterator[Mask]:
    """Discs and bars."""
    rows, columns = np.mgrid[-32:33, -32:33]
    for radius in (3, 8, 16, 26):
        yield _cut(np.hypot(rows, columns) <= radius)
    for angle in (0.3, 1.2, 2.2):
        across = np.abs(np.cos(angle) * rows + np.sin(angle) * columns)
        along = np.abs(np.cos(angle) * columns - np.sin(angle) * rows)
        yield _cut((across <= 3) & (along <= 28))


def _cut(shape: Mask) -> Mask:
    return shape[np.ix_(shape.any(axis=1), shape.any(axis=0))]


def _placed(shape: Mask, size: tuple[int, ...], generator: np.random.Generator) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    row, column = (
        int(generator.integers(0, side - length + 1)) for side, length in zip(size, shape.shape, strict=True)
    )
    mask[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
    return mask


if __name__ == "__main__":
    sys.exit(main())
