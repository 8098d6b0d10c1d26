"""Linear features at the resolution of the image: its pixels, Laws' filters, random convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.random_features import dihedral_kernels
from ssdnet.maths.smoothing import separable_filter

BANKS = ("random", "laws", "colour")
"""What `filter_bank` makes."""

_LAWS = torch.tensor(
    [
        [1.0, 4.0, 6.0, 4.0, 1.0],  # L5, level
        [-1.0, -2.0, 0.0, 2.0, 1.0],  # E5, edge
        [-1.0, 0.0, 2.0, 0.0, -1.0],  # S5, spot
        [1.0, -4.0, 6.0, -4.0, 1.0],  # R5, ripple
    ],
    dtype=torch.float32,
    device="cpu",  # whatever is set while this module is imported
)
_LAWS_UNIT = 10.0
_LOCAL_MEAN = 15  # side of the window whose mean is taken from the image before Laws' filters, pixels
_LOCAL_MEAN_SIGMA = 20.0

_UNFOLDED = 1 << 20
"""Values that filters look at worked on at once: bounds the memory, and stays in a cache."""

_POSITIONS = 64
"""Of a product of matrices at least: of fewer, libraries sum up in another order."""


@dataclass(frozen=True, eq=False)
class FilterBank:
    """A map from pixels to features that looks at a fixed neighbourhood.

    >>> device = torch.device("cpu")
    >>> bank = filter_bank(
    ...     "laws", channels=3, orbits=1, kernel_size=5, generator=torch.Generator(), device=device
    ... )
    >>> bank.margin, tuple(bank.respond(torch.ones(1, 3, 20, 22)).shape)
    (9, (1, 9, 2, 4))
    """

    kernels: torch.Tensor
    """`(K, C, k, k)`; C is 1 where there is a `local_mean`."""
    local_mean: torch.Tensor
    """`(n,)` taps of the window whose mean is first taken from the mean of the channels, n odd; with none,
    the kernels see the channels as they are."""

    @property
    def margin(self) -> int:
        """How many pixels beyond its own position a feature looks at."""
        return self.kernels.shape[-1] // 2 + len(self.local_mean) // 2

    def respond(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(N, C, h + 2 margin, w + 2 margin)` to `(N, K, h, w)`, both float32 on the bank's device."""
        reach = len(self.local_mean) // 2
        if reach:
            pixels = pixels.mean(dim=1, keepdim=True)
            mean = separable_filter(pixels, self.local_mean.tolist())
            pixels = pixels[:, :, reach:-reach, reach:-reach] - mean
        return _correlate(pixels, self.kernels)


def _correlate(pixels: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """`(N, K, h, w)` products of kernels with `(N, C, h + k - 1, w + k - 1)` pixels.

    As a product of matrices, which sums in the same order wherever a position lies. A convolution does not,
    and the pixels whose values are the edges of bins would be in one bin here and in the next one there.
    """
    side = kernels.shape[-1]
    rows, columns = (size - side + 1 for size in pixels.shape[-2:])
    row = kernels[0].numel() * columns
    strip, images = max(1, _UNFOLDED // row), max(1, _UNFOLDED // (row * rows))
    matrix = kernels.flatten(1)
    results = []
    for some in torch.split(pixels, images):
        parts = []
        for top in range(0, rows, strip):
            seen = some[:, :, top : top + strip + side - 1].unfold(2, side, 1).unfold(3, side, 1)
            seen = seen.permute(1, 4, 5, 0, 2, 3).reshape(matrix.shape[1], -1)
            count = seen.shape[1]
            products = matrix @ F.pad(seen, (0, max(0, _POSITIONS - count)))
            parts.append(products[:, :count].view(len(kernels), len(some), -1, columns).transpose(0, 1))
        results.append(torch.cat(parts, dim=2))
    return torch.cat(results)


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

    >>> settings = {"channels": 3, "orbits": 2, "kernel_size": 5, "device": torch.device("cpu")}
    >>> [len(filter_bank(name, generator=torch.Generator(), **settings).kernels) for name in BANKS]
    [16, 9, 3]
    """
    if name == "laws":
        return _laws(device)
    if name == "colour":
        kernels = torch.eye(channels)[:, :, None, None]
    else:
        kernels = dihedral_kernels(orbits, channels, kernel_size, generator)
    return FilterBank(kernels.to(device), torch.zeros(0, device=device))


def _laws(device: torch.device) -> FilterBank:
    """Laws, 'Textured image segmentation', USC 1980, without the energy; a kernel and its turn are averaged.

    The local mean, the division by 10, and the choice of nine (all but L5L5) are those of the authors of FCA.
    """
    outer = torch.einsum("ni,mj->nmij", _LAWS, _LAWS)
    pairs = [(1, 1), (2, 2), (3, 3), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    kernels = torch.stack([(outer[i, j] + outer[j, i]) / 2 for i, j in pairs])[:, None] / _LAWS_UNIT
    reach = _LOCAL_MEAN // 2
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / _LOCAL_MEAN_SIGMA) ** 2)
    return FilterBank(kernels.to(device), (taps / taps.sum()).to(device))
