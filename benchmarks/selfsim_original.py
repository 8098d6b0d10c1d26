"""The `selfsim` detector beside the program of its authors, on the same images.

    python benchmarks/selfsim_original.py ORIGINAL DATA [--each 1] [--size 256] [--again] [--exact]

ORIGINAL is a folder with the built program of IPOL 2019.263 ('How to Reduce Anomaly Detection in Images to
Anomaly Detection in Noise'): `main_model` and `main_detection`, and beside them its scripts `decompose.py`
and `convert.py` with all that these import. DATA is that of `core.py`. Of each core set `--each` images are
taken, with the shorter side reduced to `--size` pixels.

The original is run as its own script does it, on pixels, at four scales. Its maps, log10 of the number of
false alarms of each scale, are put together by taking the most significant scale at each pixel. Two things
are settled so that its ranking is seen: it is told of an image of one pixel, so that the number of tests does
not cut all that is not a detection to 0, and its maps are moved by the pixel that its own display moves them
by.

Printed for each image: AUROC of both, Spearman's rank correlation of the maps at all pixels that are 8 or
more from the edge (along it the original has no score), and seconds of processor time, each on one core.
`--again` runs the original, which is random, twice, and gives the correlation of its two maps. `--exact` also
runs the detector on all patches instead of a part, for images of at most 256 × 256 pixels.
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

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.stats import spearmanr

from pairs import Pair, load
from results import figures
from ssdnet.detectors.selfsim import SelfSimilarity

Map = npt.NDArray[np.float32]

PARTS = ("main_model", "main_detection", "decompose.py", "convert.py")
SCALES = 4
MARGIN = 8
EXACT = 256 * 256
ENOUGH = 40.0
"""-log10 of what is less than the original's numbers can hold: it writes infinity."""


def missing(original: Path) -> list[str]:
    """The parts of the program that are not there."""
    return [name for name in PARTS if not (original / name).is_file()]


def original_map(original: Path, pair: Pair) -> tuple[Map, float]:
    """-log10 of the smallest probability of all scales, `(h, w)`, and seconds of processor time."""

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
            name = f"scale_{scale}.tiff"
            run(
                "main_model",
                "-i",
                name,
                "-ref",
                name,
                "-res",
                f"residual_{scale}.tiff",
                "-px",
                "8",
                "-np",
                "16",
            )
            run("convert.py", f"residual_{scale}.tiff", f"gaussian_{scale}.tiff")
            run(
                "main_detection",
                *("-og", "one.png", "-res", f"gaussian_{scale}.tiff"),
                *("-pxlnfa", f"nfa_{scale}.tiff", "-rdnfa", f"radius_{scale}.tiff"),
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        maps = [tifffile.imread(Path(folder) / f"nfa_{scale}.tiff") for scale in range(SCALES)]
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return most_significant(maps, pair.image.channels, pair.mask.shape), seconds


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


def own_map(detector: SelfSimilarity, pair: Pair) -> tuple[Map, float]:
    """The map of the detector, and seconds of processor time."""
    start = time.process_time()
    score = detector.score(
        pair.pixels,
        torch.from_numpy(pair.image.valid),
        generator=torch.Generator().manual_seed(0),
        progress=lambda *_: None,
    )
    return score.numpy(), time.process_time() - start


def agreement(one: Map, other: Map) -> float:
    """Spearman's rank correlation, away from the edge."""
    inside = (slice(MARGIN, -MARGIN),) * 2
    return float(spearmanr(one[inside].ravel(), other[inside].ravel()).statistic)


def compare(original: Path, pair: Pair, *, again: bool, exact: bool) -> list[float]:
    """A row of the table; NaN where nothing was asked for."""
    theirs, their_seconds = original_map(original, pair)
    ours, our_seconds = own_map(SelfSimilarity(), pair)
    row = [figures(theirs, pair.mask)[0], figures(ours, pair.mask)[0], agreement(theirs, ours)]
    row.append(agreement(theirs, original_map(original, pair)[0]) if again else np.nan)
    row += [their_seconds, our_seconds]
    if exact and pair.mask.size <= EXACT:
        score, seconds = own_map(SelfSimilarity.published(), pair)
        return [*row, figures(score, pair.mask)[0], agreement(theirs, score), seconds]
    return [*row, np.nan, np.nan, np.nan]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("original", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--exact", action="store_true")
    arguments = parser.parse_args()
    original = arguments.original.resolve()
    if lacking := missing(original):
        raise SystemExit(
            f"{original} is not the built program of IPOL 2019.263: no {', '.join(lacking)} there"
        )
    torch.set_num_threads(1)
    print(
        "| set | image | AUROC original | AUROC `selfsim` | correlation | original again | s original | "
        "s `selfsim` | AUROC all patches | correlation | s |"
    )
    print("| --- " * 11 + "|")
    rows = []
    for pair in load(arguments.data, arguments.size, most=arguments.each):
        rows.append(compare(original, pair, again=arguments.again, exact=arguments.exact))
        print(f"| {pair.group} | {pair.name} | {cells(rows[-1])} |", flush=True)
    present = np.array(rows)
    means = [
        float(np.mean(column[np.isfinite(column)])) if np.isfinite(column).any() else np.nan
        for column in present.T
    ]
    print(f"| **mean** | | {cells(means)} |")
    return 0


def cells(row: list[float]) -> str:
    """Numbers between bars, seconds with one digit."""
    seconds = {4, 5, 8}
    texts = (f"{value:.1f}" if index in seconds else f"{value:.3f}" for index, value in enumerate(row))
    return " | ".join(text if text != "nan" else "" for text in texts)


if __name__ == "__main__":
    sys.exit(main())
