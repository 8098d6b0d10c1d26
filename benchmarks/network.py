"""Time of `ssdnet` for one image and for several together, and how much of the chip's arithmetic it uses.

    python benchmarks/network.py [--device cpu] [--side 256] [--together 1 2 4 8] [--repeats 3] [--peak T]

Seconds an image of the whole detector (median, minimum and maximum of the repeats after a warm-up), images a
second, and floating point operations a second as torch counts them. With `--peak`, the chip's bfloat16 peak
in TFLOP/s from its data sheet, their share of it. Budgets on two cores at 256 x 256: 10 s at full quality,
3 s as a draft.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ssdnet import detectors, samples
from ssdnet.detectors.ssdnet import SSDnet
from ssdnet.device import exact, resolve
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.progress import silent

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--together", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", type=float)
    arguments = parser.parse_args()
    device = resolve(arguments.device)
    image = read_image(samples.texture("twill", (arguments.side, arguments.side), seed=0))
    pixels = torch.from_numpy(standardize(image).pixels).to(device)
    valid = torch.ones(pixels.shape[1:], dtype=torch.bool, device=device)

    def work(detector: Detector, count: int) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        with exact():
            detector.fit_each(
                [pixels] * count,
                [valid] * count,
                generators=[torch.Generator().manual_seed(seed) for seed in range(count)],
                progress=silent,
            )
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    print(
        f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {arguments.side} pixels\n\n"
        "| quality | together | s an image | min | max | images a second | TFLOP/s | of the peak |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for quality, settings in SSDnet.qualities.items():
        detector = detectors.configured(SSDnet(), settings)
        with FlopCounterMode(display=False) as counter:
            work(detector, 1)
        operations = counter.get_total_flops()
        for count in arguments.together:
            work(detectors.configured(SSDnet(), {"training.steps": 10}), count)
            seconds = np.array([work(detector, count) / count for _ in range(arguments.repeats)])
            middle = float(np.median(seconds))
            rate = operations / middle / 1e12
            share = f"{rate / arguments.peak:.1%}" if arguments.peak else ""
            print(
                f"| {quality} | {count} | {middle:.2f} | {seconds.min():.2f} | {seconds.max():.2f} "
                f"| {1 / middle:.2f} | {rate:.3f} | {share} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
