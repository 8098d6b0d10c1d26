"""Linear features at the resolution of the image: its pixels, Laws' filters, random convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.random_features import dihedral_kernels

if TYPE_CHECKING:
    from collections.abc import Callable

BANKS = ("random", "laws", "colour")
"""What `filter_bank` makes."""

_LAWS = torch.tensor(
    [
        [1.0, 4.0, 6.0, 4.0, 1.0],  # L5, level
        [-1.0, -2.0, 0.0, 2.0, 1.0],  # E5, edge
        [-1.0, 0.0, 2.0, 0.0, -1.0],  # S5, spot
        [1.0, -4.0, 6.0, -4.0, 1.0],  # R5, ripple
    ]
)
_LAWS_UNIT = 10.0
_LOCAL_MEAN = 15  # side of the window whose mean is taken from the image before Laws' filters, pixels
_LOCAL_MEAN_SIGMA = 20.0


@dataclass(frozen=True, eq=False)
class FilterBank:
    """A map from pixels to features that looks at a fixed neighbourhood."""

    margin: int
    """How many pixels beyond its own position a filter looks at."""
    respond: Callable[[torch.Tensor], torch.Tensor]
    """`(N, C, h + 2 margin, w + 2 margin)` to `(N, K, h, w)`, both float32 on the bank's device."""


def filter_bank(
    name: str,
    *,
    channels: int,
    orbits: int,
    kernel_size: int,
    generator: torch.Generator,
    device: torch.device,
) -> FilterBank:
    """Make a bank for images of `channels` channels.

    Args:
        name: `colour`, the pixels themselves, K = C; `laws`, nine of Laws' texture filters on the mean of
            the channels, K = 9; `random`, convolutions with random kernels, K = 8 `orbits`.
        channels: of the image.
        orbits: of `random`: kernels drawn, each brings its eight flips and turns.
        kernel_size: of `random`: side of a kernel, pixels, odd.
        generator: draws the kernels; lives on the CPU.
        device: of the pixels.
    """
    if name == "colour":
        return FilterBank(0, lambda pixels: pixels)
    if name == "laws":
        return _laws(device)
    kernels = dihedral_kernels(orbits, channels, kernel_size, generator).to(device)
    return FilterBank(kernel_size // 2, lambda pixels: F.conv2d(pixels, kernels))


def _laws(device: torch.device) -> FilterBank:
    """Laws, 'Textured image segmentation', USC 1980, without the energy; a kernel and its turn are averaged.

    The local mean, the division by 10, and the choice of nine (all but L5L5) are those of the authors of FCA.
    """
    outer = torch.einsum("ni,mj->nmij", _LAWS, _LAWS)
    pairs = [(1, 1), (2, 2), (3, 3), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    kernels = torch.stack([(outer[i, j] + outer[j, i]) / 2 for i, j in pairs])[:, None] / _LAWS_UNIT
    reach = _LOCAL_MEAN // 2
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / _LOCAL_MEAN_SIGMA) ** 2)
    taps /= taps.sum()
    kernels, taps = kernels.to(device), taps.to(device)

    def respond(pixels: torch.Tensor) -> torch.Tensor:
        grey = pixels.mean(dim=1, keepdim=True)
        mean = F.conv2d(F.conv2d(grey, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
        return F.conv2d(grey[:, :, reach:-reach, reach:-reach] - mean, kernels)

    return FilterBank(reach + 2, respond)
