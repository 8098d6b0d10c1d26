"""An image at half, a quarter, ... of its resolution, over its known pixels only.

Grids: each level of the pyramid has half the rows and columns of the one before, rounded up. Its first
sample lies at 0.5 of the finer grid where that has an even number of samples, and at 0 where it has an odd
number, so that every grid is its own mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.grids import Axis, resample


@dataclass(frozen=True)
class Level:
    """One scale of the image pyramid."""

    pixels: torch.Tensor
    """`(1, C, h, w)`, missing pixels filled in."""
    known: torch.Tensor
    """`(1, 1, h, w)`, the share of the support that was not missing, in [0, 1]."""


def level_count(height: int, width: int, *, smallest: int = 32, most: int = 7) -> int:
    """How many octaves to look at: until the shorter side is about `smallest` pixels, at least two."""
    count = 1
    while count < most and round(min(height, width) / 2**count) >= smallest:
        count += 1
    return max(count, 2)


def pyramid(pixels: torch.Tensor, valid: torch.Tensor, levels: int) -> list[Level]:
    """Halve the image again and again over its known pixels, and fill missing ones from coarser levels.

    Args:
        pixels: `(C, H, W)` float32; values where `valid` is False are not used.
        valid: `(H, W)` bool, True somewhere.
        levels: how many scales to return.

    Returns:
        `levels` scales, finest first. They do not depend on the values of missing pixels.
    """
    known = valid[None, None].to(pixels.dtype)
    values = torch.where(valid, pixels, 0)[None]
    scales = [Level(values, known)]
    # Go on until nothing is missing, so that a hole of any size can be filled.
    while len(scales) < levels or bool((known == 0).any()):
        weight = _halve(known)
        values = _halve(values * known) / weight.clamp_min(torch.finfo(weight.dtype).tiny)
        known = weight
        scales.append(Level(values, known))
    filled = [scales[-1]]
    for finer in reversed(scales[:-1]):
        filled.append(_fill(finer, filled[-1].pixels))
    return filled[::-1][:levels]


def _fill(level: Level, coarser: torch.Tensor) -> Level:
    missing = level.known == 0
    if not bool(missing.any()):
        return level
    vertical, horizontal = (
        Axis.between([fine, coarse], coarser.device)
        for fine, coarse in zip(level.known.shape[-2:], coarser.shape[-2:], strict=True)
    )
    smooth = resample(coarser[0].permute(1, 2, 0), vertical, horizontal).permute(2, 0, 1)[None]
    return Level(torch.where(missing, smooth, level.pixels), level.known)


def _halve(x: torch.Tensor) -> torch.Tensor:
    """Smooth and keep every second sample of `(1, C, h, w)`; zeros lie beyond the edge.

    Four taps (1, 3, 3, 1) where the size is even and three (1, 2, 1) where it is odd: its own mirror image.
    """
    for axis in (-2, -1):
        size = x.shape[axis]
        taps = (1, 3, 3, 1) if size % 2 == 0 else (1, 2, 1)
        padded = F.pad(x, (1, 1, 0, 0) if axis == -1 else (0, 0, 1, 1))
        count = (size + 1) // 2
        shifted = [padded.narrow(axis, start, 2 * count - 1) for start in range(len(taps))]
        every_second = [part[:, :, ::2] if axis == -2 else part[:, :, :, ::2] for part in shifted]
        x = torch.stack([part * (tap / sum(taps)) for tap, part in zip(taps, every_second, strict=True)]).sum(
            0
        )
    return x


def pad(x: torch.Tensor, margin: int) -> torch.Tensor:
    """Continue `(1, C, h, w)` beyond its edges by reflection, or by its last values where it is too small."""
    return F.pad(x, (margin,) * 4, mode="reflect" if min(x.shape[-2:]) > margin else "replicate")
