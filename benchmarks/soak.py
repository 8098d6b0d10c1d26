"""Many images in one process: does its memory grow?

    python benchmarks/soak.py [--images 2000] [--size 128] [--plot docs/images/soak.png]

Each image is another one; it is looked at and its files are written, all into one place. The memory that the
process holds (RSS) is read every few images. The exit code is 1 when the median of the last tenth is more
than `GROWTH` above that of the tenth after the first one, in which libraries are still loaded and caches
filled.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ssdnet import localize, samples

EVERY = 10
GROWTH = 10.0
"""MiB."""


def held() -> float:
    """Memory that this process holds now, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(images: int, size: int) -> list[tuple[int, float]]:
    """Number of the image and memory after it."""
    held_after = []
    textures = [samples.texture(name, (size, size), seed=0) for name in ("twill", "leather", "wood")]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(images):
            image = textures[number % len(textures)].copy()
            at = number % (size - 8)
            image[at : at + 6, at : at + 8] = 255
            localize(image).save(folder, stem="image")
            if (number + 1) % EVERY == 0:
                held_after.append((number + 1, held()))
    return held_after


def plot(points: list[tuple[int, float]], path: Path) -> None:
    """Memory over the number of images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.0), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*points, strict=True), color="#1f5f8b", linewidth=1.4)
    axes.set(xlabel="images, one after the other in one process", ylabel="memory held (RSS), MiB")
    axes.set_ylim(0, 1.25 * max(memory for _, memory in points))
    axes.set_xlim(0, points[-1][0])
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path)


def main() -> int:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    if arguments.images < 10 * EVERY:
        parser.error(f"give {10 * EVERY} images or more")
    start = time.perf_counter()
    points = measure(arguments.images, arguments.size)
    seconds = time.perf_counter() - start
    gc.collect()
    tenth = len(points) // 10
    first = statistics.median(memory for _, memory in points[tenth : 2 * tenth])
    last = statistics.median(memory for _, memory in points[-tenth:])
    print("| images | size | MiB after a tenth | MiB at the end | growth, MiB | seconds an image |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {arguments.images} | {arguments.size} | {first:.1f} | {last:.1f} | {last - first:+.1f} "
        f"| {seconds / arguments.images:.3f} |"
    )
    if arguments.plot:
        plot(points, arguments.plot)
    return int(last - first > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
