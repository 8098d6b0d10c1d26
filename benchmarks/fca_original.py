"""`fca` beside the original code of its authors: do the maps agree, and how much faster is it?

    python benchmarks/fca_original.py CHECKOUT DATA [--size 512] [--images 10] [--repeats 3]

CHECKOUT is a copy of the authors' public code (AnomalyLocalizationFCA); what it needs beside torch
(torchvision, opencv-python) must be installed too. DATA holds the core sets.
From each of them in turn comes a square about the middle of a defect, because the original takes no
other shape, enlarged or reduced to `--size` pixels. Both get the same pixels and the same settings: tile 9,
Gaussian of the tiles 3, smoothing 1; features Laws and colour, which need no weights.

For each image, over the whole of it / without the outer 16 pixels: Spearman's rank correlation of the two
maps, and the AUROC of both; then seconds of processor time of both, one thread, features included, each the
smallest of some runs in turn; their ratio.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from scipy.stats import spearmanr

from core import CORE, core_cases
from ssdnet.detectors.rivals.fca import FCA
from ssdnet.evaluation.data.datasets import read_mask
from ssdnet.evaluation.measure.metrics import pixel_figures
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssdnet.evaluation.data.datasets import Case

    Map = npt.NDArray[np.float32]

_MARGIN = 16
_ORIGINAL = {"laws": "LawTextureEnergyMeasure", "colour": "Colors"}


class Square(NamedTuple):
    """A square image, its mask, and where it comes from."""

    group: str
    pixels: torch.Tensor
    mask: npt.NDArray[np.bool_]


def load_original(checkout: Path) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """The original as a function from `(1, C, H, W)` pixels to a map, for each kind of features.

    Raises:
        SystemExit: the code or what it needs is not there.
    """
    for name in ("sc_methods.py", "feature_extractors.py"):
        if not (checkout / name).is_file():
            raise SystemExit(f"{checkout} is no checkout of AnomalyLocalizationFCA: it has no {name}")
    sys.path.insert(0, str(checkout))
    try:
        statistics = importlib.import_module("sc_methods")
        extractors = importlib.import_module("feature_extractors")
    except (ImportError, RuntimeError) as error:  # torchvision made for another torch raises the latter
        raise SystemExit(f"the original code cannot be loaded: {error}; install what it needs") from error

    def method(extractor: str) -> Callable[[torch.Tensor], torch.Tensor]:
        def run(image: torch.Tensor) -> torch.Tensor:
            compare: Any = statistics.ScFCA((9, 9), sigma_p=3.0, sigma_s=1.0)
            result: torch.Tensor = compare(getattr(extractors, extractor)()(image))
            return result

        return run

    return {name: method(extractor) for name, extractor in _ORIGINAL.items()}


def squares(data: Path, size: int, count: int) -> list[Square]:
    """`count` images of the core sets in turn, spread over each set."""
    cases = core_cases(data)
    members = {group: [case for case in cases if case.set == group] for group in CORE}
    turns = -(-count // len(CORE))
    chosen = [
        some[(2 * turn + 1) * len(some) // (2 * turns)] for turn in range(turns) for some in members.values()
    ]
    return [_square(case, size) for case in chosen[:count]]


def _square(case: Case, size: int) -> Square:
    assert case.mask is not None  # noqa: S101 - of images with a defect
    with Pillow.open(case.image) as opened:
        picture = opened.convert("RGB")
    defect = read_mask(case.mask)
    side = min(picture.size)
    corner = []
    for centre, length in zip(np.argwhere(defect).mean(axis=0), defect.shape, strict=True):
        corner.append(int(np.clip(round(centre - side / 2), 0, length - side)))
    top, left = corner
    box = (left, top, left + side, top + side)
    pixels = (
        np.array(picture.crop(box).resize((size, size), Pillow.Resampling.BICUBIC), dtype=np.float32) / 255
    )
    share = Pillow.fromarray(defect[top : top + side, left : left + side].astype(np.float32))
    resized = np.asarray(share.resize((size, size), Pillow.Resampling.BILINEAR)) > 0.3
    return Square(case.set, torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), resized)


def timed(run: Callable[[], torch.Tensor]) -> tuple[Map, float]:
    """The map, and the processor time it took."""
    start = time.process_time()
    with torch.inference_mode():
        result = run()
    return result.numpy(), time.process_time() - start


def compare(
    square: Square, detector: FCA, original: Callable[[torch.Tensor], torch.Tensor], repeats: int
) -> npt.NDArray[np.float64]:
    """The figures of one row, see the module."""
    image, valid = square.pixels, torch.ones(square.mask.shape, dtype=torch.bool)

    def ours() -> torch.Tensor:
        return detector.score(image, valid, generator=torch.Generator(), progress=silent)

    seconds = []
    for _ in range(repeats):
        first, time_of_original = timed(lambda: original(image[None]))
        second, time_of_ours = timed(ours)
        seconds.append((time_of_original, time_of_ours))
    slow, fast = np.min(seconds, axis=0)
    figures = []
    for part in ((slice(None),) * 2, (slice(_MARGIN, -_MARGIN),) * 2):
        mask = square.mask[part]
        figures.append(
            [
                float(spearmanr(first[part].ravel(), second[part].ravel()).statistic),
                *(pixel_figures([values[part]], [mask], [mask]).auroc for values in (first, second)),
            ]
        )
    return np.array([*np.transpose(figures).ravel(), slow, fast, slow / fast])


def main() -> int:
    """Print a table for each kind of features."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--features", nargs="+", choices=_ORIGINAL, default=list(_ORIGINAL))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    originals = load_original(arguments.checkout)
    pictures = squares(arguments.data, arguments.size, arguments.images)
    for features in arguments.features:
        print(f"\n{features}, {arguments.size} x {arguments.size}\n")
        print("| image of | rank correlation | AUROC, original | `fca` | s, original | `fca` | ratio |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        detector = FCA(features=features)
        rows = []
        for square in pictures:
            rows.append(compare(square, detector, originals[features], arguments.repeats))
            print(_row(square.group, rows[-1]), flush=True)
        print(_row("**mean**", np.mean(rows, axis=0)))
        print(f"\nsmallest ratio {min(row[-1] for row in rows):.1f}", flush=True)
    return 0


def _row(name: str, figures: npt.NDArray[np.float64]) -> str:
    *accuracy, slow, fast, ratio = figures
    pairs = zip(accuracy[::2], accuracy[1::2], strict=True)
    cells = [f"{whole:.3f} / {inside:.3f}" for whole, inside in pairs]
    return f"| {name} | " + " | ".join([*cells, f"{slow:.2f}", f"{fast:.3f}", f"{ratio:.0f}"]) + " |"


if __name__ == "__main__":
    sys.exit(main())
