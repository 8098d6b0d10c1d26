"""The `selfsim` detector beside the program of its authors, on the same images.

    python benchmarks/selfsim_original.py ORIGINAL DATA [--each 1] [--size 256] [--keep FOLDER]

ORIGINAL is a folder with the built program of IPOL 2019.263 ('How to Reduce Anomaly Detection in Images to
Anomaly Detection in Noise'): `main_model` and `main_detection`, and beside them its scripts `decompose.py`
and `convert.py` with all that these import. DATA holds the core sets. Of each `--each` images are taken,
with the shorter side reduced to `--size` pixels.

The original is run as its own script does it, on pixels, at four scales. Its maps, log10 of the number of
false alarms of each scale, are put together by taking the most significant scale at each pixel. Two things
are settled so that its ranking is seen: it is told of an image of one pixel, so that the number of tests does
not cut all that is not a detection to 0, and its maps are moved by the pixel that its own display moves them
by.

Printed for each image: AUROC of both and of `rx`, Spearman's rank correlation of the two maps at all pixels
that are 8 or more from the edge (along it the original has no score), and seconds of processor time, each on
one core.
`--again` runs the original, which is random, twice, and gives the correlation of its two maps. `--exact` also
runs the detector on all patches instead of a part. Both are for `--size 128`, where they take seconds, not
minutes. `--keep` writes what the original wrote, which takes long, into a folder, and reads it from there the
next time.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.stats import spearmanr

from core import core_cases
from ssdnet.detectors.rivals.selfsim import SelfSimilarity
from ssdnet.detectors.rx import RX
from ssdnet.evaluation.data.datasets import read_mask
from ssdnet.evaluation.data.reduction import reduce_image, reduce_mask
from ssdnet.evaluation.measure.metrics import pixel_figures
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import ssdnet.image
    from ssdnet.detectors.protocol import Detector

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

PARTS = ("main_model", "main_detection", "decompose.py", "convert.py")
SCALES = 4
MARGIN = 8
ENOUGH = 40.0
"""-log10 of what is less than the original's numbers can hold: it writes infinity."""


class Pair(NamedTuple):
    """An image, as a detector sees it, and its mask."""

    group: str
    name: str
    image: ssdnet.image.Image
    pixels: torch.Tensor
    mask: Mask


def load(data: Path, size: int, most: int) -> Iterator[Pair]:
    """Some images of each core set, reduced; those whose mask is neither empty nor full then."""
    for case in core_cases(data, most):
        image = reduce_image(read_image(case.image), size)
        assert case.mask is not None  # noqa: S101 - of images with a defect
        mask = reduce_mask(read_mask(case.mask), (image.height, image.width))
        if mask.any() and not mask.all():
            yield Pair(case.set, case.name, image, torch.from_numpy(standardize(image).pixels), mask)


def auroc(score: Map, mask: Mask) -> float:
    """Of the pixels of one image."""
    return pixel_figures([score], [mask], [mask]).auroc


def missing(original: Path) -> list[str]:
    """The parts of the program that are not there."""
    return [name for name in PARTS if not (original / name).is_file()]


def original_maps(original: Path, pair: Pair) -> tuple[list[Map], float]:
    """log10 of the number of false alarms of each scale as the original writes it, and processor seconds."""

    def run(program: str, *arguments: str) -> None:
        command = [sys.executable] if program.endswith(".py") else []
        done = subprocess.run(
            [*command, str(original / program), *arguments],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{original / program} failed on {pair.group}/{pair.name}:\n{done.stderr}")

    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(pair.image.pixels.squeeze()).save(Path(folder) / "image.png")
        Image.new("L", (1, 1)).save(Path(folder) / "one.png")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("decompose.py", "image.png", "False", "scale_", str(SCALES), ".tiff")
        for scale in range(SCALES):
            image, residual, gaussian = (f"{name}_{scale}.tiff" for name in ("scale", "residual", "gaussian"))
            run("main_model", "-i", image, "-ref", image, "-res", residual, "-px", "8", "-np", "16")
            run("convert.py", residual, gaussian)
            run(
                "main_detection",
                *("-og", "one.png", "-res", gaussian),
                *("-pxlnfa", f"nfa_{scale}.tiff", "-rdnfa", f"radius_{scale}.tiff"),
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        maps = [tifffile.imread(Path(folder) / f"nfa_{scale}.tiff") for scale in range(SCALES)]
    return maps, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kept_maps(original: Path, pair: Pair, keep: Path | None) -> tuple[list[Map], float]:
    """The same, from the folder of an earlier run if it is there."""
    if keep is None:
        return original_maps(original, pair)
    path = keep / f"{pair.group}_{pair.name}_{'x'.join(map(str, pair.mask.shape))}.npz"
    if not path.exists():
        maps, seconds = original_maps(original, pair)
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(path, *maps, seconds=seconds)
    with np.load(path) as file:
        return [file[f"arr_{scale}"] for scale in range(SCALES)], float(file["seconds"])


def most_significant(maps: list[Map], channels: int, shape: tuple[int, ...]) -> Map:
    """The largest -log10 of the scales' probabilities at each pixel of the image.

    Args:
        maps: as the original writes them: log10 of the probability plus the natural logarithm of the number
            of channels, and 0 along the edge, where it has no score.
        channels: of the image.
        shape: of the image.
    """
    rows, columns = np.indices(shape)
    result = np.zeros(shape, dtype=np.float32)
    for scale, nfa in enumerate(maps):
        # The value at (y, x) is that of the disc about (y + 1, x + 1), or one further where the side is odd.
        down, right = (1 + length % 2 for length in nfa.shape)
        significance = np.clip(np.log(channels) - nfa, 0, ENOUGH) * (nfa != 0)
        places = [rows / 2**scale - down, columns / 2**scale - right]
        result = np.maximum(result, map_coordinates(significance, places, order=1, mode="nearest"))
    return result


def own_map(detector: Detector, pair: Pair) -> tuple[Map, float]:
    """The map of a detector, and seconds of processor time."""
    start = time.process_time()
    score = detector.score(
        pair.pixels,
        torch.tensor(pair.image.valid),
        generator=torch.Generator().manual_seed(0),
        progress=silent,
    )
    return score.numpy(), time.process_time() - start


def agreement(one: Map, other: Map) -> float:
    """Spearman's rank correlation, away from the edge."""
    inside = (slice(MARGIN, -MARGIN),) * 2
    return float(spearmanr(one[inside].ravel(), other[inside].ravel()).statistic)


def compare(original: Path, pair: Pair, *, keep: Path | None, again: bool, exact: bool) -> list[float]:
    """A row of the table; NaN where nothing was asked for."""
    maps, their_seconds = kept_maps(original, pair, keep)
    theirs = most_significant(maps, pair.image.channels, pair.mask.shape)
    ours, our_seconds = own_map(SelfSimilarity(), pair)
    row = [auroc(theirs, pair.mask), auroc(ours, pair.mask), agreement(theirs, ours)]
    row += [their_seconds, our_seconds, auroc(own_map(RX(), pair)[0], pair.mask)]
    row += [np.nan, np.nan, np.nan, np.nan]
    if again:
        second, _ = original_maps(original, pair)
        row[6] = agreement(theirs, most_significant(second, pair.image.channels, pair.mask.shape))
    if exact:
        score, row[9] = own_map(SelfSimilarity.published(), pair)
        row[7:9] = [auroc(score, pair.mask), agreement(theirs, score)]
    return row


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("original", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--exact", action="store_true")
    arguments = parser.parse_args()
    original = arguments.original.resolve()
    if lacking := missing(original):
        raise SystemExit(
            f"{original} is not the built program of IPOL 2019.263: no {', '.join(lacking)} there"
        )
    torch.set_num_threads(1)
    titles = [
        "set",
        "image",
        "AUROC original",
        "`selfsim`",
        "correlation",
        "s original",
        "s `selfsim`",
        "AUROC `rx`",
    ]
    titles += ["original again"] * arguments.again
    titles += ["AUROC all patches", "correlation", "s"] * arguments.exact
    print(f"| {' | '.join(titles)} |\n" + "| --- " * len(titles) + "|", flush=True)
    rows = []
    for pair in load(arguments.data, arguments.size, arguments.each):
        rows.append(
            compare(original, pair, keep=arguments.keep, again=arguments.again, exact=arguments.exact)
        )
        print(f"| {pair.group} | {pair.name} | {cells(rows[-1])} |", flush=True)
    print(f"| **mean** | | {cells(np.mean(rows, axis=0))} |")
    return 0


def cells(row: Iterable[float]) -> str:
    """Numbers between bars, seconds with one digit, and nothing for what was not asked for."""
    seconds = {3, 4, 9}
    texts = (f"{value:.1f}" if index in seconds else f"{value:.3f}" for index, value in enumerate(row))
    return " | ".join(text for text in texts if text != "nan")


if __name__ == "__main__":
    sys.exit(main())
