"""Features made from nothing but the image: untrained multi-scale random convolutions.

Random filters, a rectification and local pooling describe textures nearly as well as trained filters
(Jarrett et al., 'What is the best multi-stage architecture for object recognition?', ICCV 2009). The bank
is closed under flips and quarter turns, so a turned image has the same features, turned.

Missing pixels, and all that lies outside the image, are treated alike: they are filled in from what is
known, so that a filter has something to stand on, and what a filter saw there counts less by the share that
was filled in (normalised convolution, Knutsson & Westin, CVPR 1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.grids import Axis, resample
from ssdnet.maths.pyramid import pad, pyramid
from ssdnet.maths.sampling import STRIP_POSITIONS, central_grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssdnet.maths.pyramid import Level
    from ssdnet.progress import Progress


@dataclass(frozen=True)
class FeatureMaps:
    """Features of an image on the grid of its first halving, kept at the resolution of each level."""

    levels: tuple[torch.Tensor, ...]
    """One `(h, w, K)` map a level; 0 is the level's median."""
    axes: tuple[tuple[Axis, Axis], ...]
    """For each level, where the samples of the common grid lie in it, along rows and columns."""
    known: torch.Tensor
    """`(H', W')` of the common grid: the share of its pixels that was not missing, in [0, 1]."""
    support: torch.Tensor
    """`(H', W')` of the common grid: the same for all that the features of a position look at."""
    reach: int
    """How many positions of the common grid from the edge its features still look beyond it."""
    to_pixels: tuple[Axis, Axis]
    """Where the image's pixels lie in the common grid, along rows and columns."""

    def at(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """`(len(rows), len(columns), D)`: all features at positions of the common grid."""
        parts = [
            resample(level, vertical.take(rows), horizontal.take(columns))
            for level, (vertical, horizontal) in zip(self.levels, self.axes, strict=True)
        ]
        return torch.cat(parts, dim=-1)

    def strips(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """All positions, as `(rows, features)` of a few rows at a time."""
        height, width = self.known.shape
        columns = torch.arange(width, device=self.known.device)
        step = max(1, STRIP_POSITIONS // width)
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            yield rows, self.at(torch.arange(rows.start, rows.stop, device=self.known.device), columns)


def dihedral_kernels(orbits: int, channels: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Random kernels together with all their flips and quarter turns.

    The kernels keep their mean: on centred pixels the rectified response then also tells dark and bright
    areas from the middle, which kernels of zero mean cannot.

    Args:
        orbits: number of kernels drawn; each brings its eight images under the dihedral group.
        channels: input channels.
        size: side of a kernel, pixels, odd.
        generator: draws from the normal distribution; lives on the CPU.

    Returns:
        `(8 * orbits, channels, size, size)` float32, each of norm 1.
    """
    drawn = torch.randn(orbits, channels, size, size, generator=generator)
    drawn /= drawn.flatten(1).norm(dim=1)[:, None, None, None]
    turned = [torch.rot90(drawn, turns, (-2, -1)) for turns in range(4)]
    return torch.cat([image for kernel in turned for image in (kernel, kernel.flip(-1))])


def feature_maps(
    pixels: torch.Tensor,
    valid: torch.Tensor,
    *,
    levels: int,
    orbits: int,
    kernel_size: int,
    pool: int,
    generator: torch.Generator,
    progress: Progress,
) -> FeatureMaps:
    """Rectified random convolutions of each level of the pyramid, pooled over what is known.

    Args:
        pixels: `(C, H, W)` float32, centred; values where `valid` is False are not used.
        valid: `(H, W)` bool, True somewhere.
        levels: number of octaves.
        orbits: `8 * orbits` kernels a level.
        kernel_size: side of a kernel, pixels of its level, odd.
        pool: radius of the averaging box, pixels of its level.
        generator: draws the kernels.
        progress: called before each level.
    """
    scales = pyramid(pixels, valid, max(levels, 2))
    maps, shares = [], []
    for index, scale in enumerate(scales[:levels]):
        progress(index / levels, "features")
        kernels = dihedral_kernels(orbits, pixels.shape[0], kernel_size, generator).to(pixels.device)
        responses, share = _pooled_responses(scale, kernels, pool, halve=index == 0)
        maps.append(responses)
        shares.append(share)
    sizes = [tuple(scale.known.shape[-2:]) for scale in scales]
    axes = []
    for index in range(levels):
        path = sizes[1 : max(index, 1) + 1]
        axes.append(
            (
                Axis.between([height for height, _ in path], pixels.device),
                Axis.between([width for _, width in path], pixels.device),
            )
        )
    support = [resample(share, *across)[:, :, 0] for share, across in zip(shares, axes, strict=True)]
    return FeatureMaps(
        levels=tuple(maps),
        axes=tuple(axes),
        known=scales[1].known[0, 0],
        support=torch.stack(support).mean(dim=0),
        reach=math.ceil((kernel_size // 2 + pool + 1) * 2 ** (levels - 2)),
        to_pixels=(
            Axis.between([sizes[0][0], sizes[1][0]], pixels.device),
            Axis.between([sizes[0][1], sizes[1][1]], pixels.device),
        ),
    )


def _pooled_responses(
    level: Level, kernels: torch.Tensor, pool: int, *, halve: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(h, w, K)` deviations of the pooled rectified responses from their median, `(h, w, 1)` known share.

    With `halve`, pooling also halves the grid. A response counts by the square of the share of its support
    that was known: filled-in pixels are smoother than real ones, and the plain share leaves holes with a
    visible rim. A deviation measured on a part of the support scatters more, by the inverse root of that
    part; it is scaled back for the same reason.
    """
    height, width = level.known.shape[-2:]
    reach = kernels.shape[-1] // 2
    window = tuple(2 * pool + (2 if halve and size % 2 == 0 else 1) for size in (height, width))
    stride = 2 if halve else 1
    # Filters may look beyond the edge by `reach`, pooling by `pool`; there all is filled in and unknown.
    margin = reach + pool
    pixels = pad(level.pixels, margin).contiguous(memory_format=torch.channels_last)
    known = F.pad(level.known, (margin,) * 4)
    kernels = kernels.contiguous(memory_format=torch.channels_last)
    totals, shares = [], []
    rows = -(-height // stride)
    step = max(1, STRIP_POSITIONS * 4 // (width * stride))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        strip = slice(start * stride, (stop - 1) * stride + window[0] + 2 * reach)
        weight = F.avg_pool2d(known[:, :, strip], kernels.shape[-1], stride=1).square_()
        response = F.conv2d(pixels[:, :, strip], kernels).abs_().mul_(weight)
        totals.append(F.avg_pool2d(response, window, stride)[0].permute(1, 2, 0))
        shares.append(F.avg_pool2d(weight, window, stride)[0, 0, :, :, None])
    total, share = torch.cat(totals), torch.cat(shares)
    return (total - share * _centre(total, share)).div_(share.clamp_min(1e-6).sqrt_()), share


def _centre(total: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """`(K,)` median of `total / share` over the better known positions."""
    rows, columns = central_grid(*share.shape[:2], most=1 << 14, device=share.device)
    total, share = total[rows][:, columns].flatten(0, 1), share[rows][:, columns].flatten()
    known = share >= 0.5 * share.max()
    return (total[known] / share[known, None]).median(dim=0).values
