"""Measured against promised false alarms of a detector on clean images.

    python benchmarks/false_alarms.py [--detector auto] [--images 40] [--sizes 64 128 256 512] [--batch 1]

Clean images: the textures of `ssdnet.samples`, white noise, and crops of scikit-image's brick, grass and
gravel. For each kind: the share of images in which something is found at `alarms` = 1, 0.1 and 0.01. With a
mean of `alarms` false regions an image, that share should be at most 1 - exp(-alarms): 0.63, 0.095 and 0.010.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import skimage.data

import ssdnet
from ssdnet import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALARMS = (1.0, 0.1, 0.01)


def crops(picture: npt.NDArray[Any], side: int, count: int) -> Iterator[npt.NDArray[Any]]:
    """At most `count` crops that do not overlap."""
    corners = [
        (row, column)
        for row in range(0, picture.shape[0] - side + 1, side)
        for column in range(0, picture.shape[1] - side + 1, side)
    ]
    for row, column in corners[:count]:
        yield picture[row : row + side, column : column + side]


def noise(side: int, count: int) -> Iterator[npt.NDArray[Any]]:
    """White noise in 8 bits, three channels."""
    generator = np.random.default_rng(side)
    for _ in range(count):
        yield generator.normal(128, 25, (side, side, 3)).clip(0, 255).astype(np.uint8)


def textures(name: str) -> Callable[[int, int], Iterator[npt.NDArray[Any]]]:
    """Clean samples with seeds that no test uses."""
    return lambda side, count: (
        samples.texture(name, (side, side), seed=10_000 + seed) for seed in range(count)
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40, help="of each kind and size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--batch", type=int, default=1, help="images looked at together")
    arguments = parser.parse_args()
    kinds: dict[str, Callable[[int, int], Iterator[npt.NDArray[Any]]]] = {
        name: textures(name) for name in samples.TEXTURES
    }
    kinds["white noise"] = noise
    for name in ("brick", "grass", "gravel"):
        picture = getattr(skimage.data, name)()
        kinds[name] = lambda side, count, picture=picture: crops(picture, side, count)  # type: ignore[misc]
    print("| clean images | number | alarms 1 | 0.1 | 0.01 |\n| --- | --- | --- | --- | --- |")
    everything = []
    for name, images in kinds.items():
        found = []
        for side in arguments.sizes:
            all_of_it = list(images(side, arguments.images))
            for first in range(0, len(all_of_it), arguments.batch):
                some = all_of_it[first : first + arguments.batch]
                results = ssdnet.localize_many(some, detector=arguments.detector)
                found += [result.pred_score for result in results]
        everything += found
        print(_row(name, found), flush=True)
    print(_row("**all**", everything))
    print("| promised, at most | | 0.63 | 0.095 | 0.010 |")
    return 0


def _row(name: str, found: list[float]) -> str:
    shares = [np.mean(np.array(found) >= -np.log10(alarms)) for alarms in ALARMS]
    return f"| {name} | {len(found)} | " + " | ".join(f"{share:.3f}" for share in shares) + " |"


if __name__ == "__main__":
    sys.exit(main())
