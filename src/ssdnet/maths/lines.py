"""Averages of a map along lines: what is long and thin adds up along its own direction.

A round window holds of a scratch hardly more than of the texture beside it. Of long thin windows in all
directions, the one that lies along the scratch is full of it; of a round spot, each is as full as a round one
(rotated Gaussians as in Geusebroek, Smeulders & van de Weijer, 'Fast anisotropic Gauss filtering', IEEE TIP
2003; here by Fourier transforms).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from scipy.fft import next_fast_len

if TYPE_CHECKING:
    from collections.abc import Iterator

_TILE = 512
"""Side of the squares worked on at once, pixels: bounds the memory, whatever the size of the image."""

_TOGETHER = 8
"""Directions transformed at once."""

_REACH = 2.5
"""Where the windows end, in standard deviations of their length."""


def along_lines(values: torch.Tensor, known: torch.Tensor, *, length: float, width: float) -> torch.Tensor:
    """`(H, W)`: of the means over elongated Gaussian windows around each pixel, that of the best direction.

    What is not known, and all beyond the edge, counts as the median of what is.

    Args:
        values: `(H, W)` float32; values where `known` is False are not used.
        known: `(H, W)` bool, True somewhere.
        length: standard deviation along the line, pixels.
        width: standard deviation across it, pixels.
    """
    middle = values[known].median()
    centred = torch.where(known, values - middle, 0)
    reach = math.ceil(_REACH * length)
    height, columns = values.shape
    tile = min(_TILE, max(height, columns))
    side = next_fast_len(tile + 2 * reach, real=True)
    padded = F.pad(centred, (reach, side + reach, reach, side + reach))
    spectra = [
        torch.fft.rfft2(_at_corner(windows, side).to(values.device))
        for windows in _windows(length, width, reach)
    ]
    largest = torch.empty_like(values)
    for top in range(0, height, tile):
        for left in range(0, columns, tile):
            spectrum = torch.fft.rfft2(padded[top : top + side, left : left + side])
            means = [torch.fft.irfft2(spectrum * some, s=(side, side)).amax(dim=0) for some in spectra]
            place = largest[top : top + tile, left : left + tile]
            inside = torch.stack(means).amax(dim=0)[reach:, reach:]
            place.copy_(inside[: place.shape[0], : place.shape[1]])
    return largest + middle


def _windows(length: float, width: float, reach: int) -> Iterator[torch.Tensor]:
    """`(n, 2 reach + 1, 2 reach + 1)` windows of sum 1, a few of all directions at a time.

    There are as many directions that neighbours overlap at their ends, and a multiple of eight: their set is
    its own mirror image and stays itself under quarter turns.
    """
    directions = 8 * math.ceil(math.pi * length / (2 * width) / 8)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    rows, columns = torch.meshgrid(offset, offset, indexing="ij")
    angles = torch.arange(directions, dtype=torch.float64) * (math.pi / directions)
    for some in torch.split(angles, _TOGETHER):
        cosine, sine = some.cos()[:, None, None], some.sin()[:, None, None]
        along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
        windows = torch.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2))
        yield (windows / windows.sum((1, 2), keepdim=True)).float()


def _at_corner(windows: torch.Tensor, side: int) -> torch.Tensor:
    """Windows on a square of that side with their centre at its first pixel, as circular convolution asks."""
    reach = windows.shape[-1] // 2
    framed = F.pad(windows, (0, side - windows.shape[-1]) * 2)
    return framed.roll((-reach, -reach), (1, 2))
