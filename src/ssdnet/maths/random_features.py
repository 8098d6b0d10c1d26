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

from ssdnet.maths.edges import Seen
from ssdnet.maths.grids import Axis, resample
from ssdnet.maths.pyramid import pad, pyramid
from ssdnet.maths.sampling import STRIP_POSITIONS, central_grid
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssdnet.maths.edges import Excess
    from ssdnet.maths.pyramid import Level
    from ssdnet.maths.window import Window
    from ssdnet.progress import Progress

_CENTRE_SAMPLES = 1 << 14
"""Positions whose median says what the usual response is."""


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Features of an image on the grid of its first halving, kept at the resolution of each level.

    >>> from ssdnet.progress import silent
    >>> image = torch.rand(1, 32, 40, generator=torch.Generator().manual_seed(0))
    >>> _, (maps,) = RandomFeatures.fit(
    ...     [image],
    ...     [torch.ones(32, 40, dtype=torch.bool)],
    ...     levels=2,
    ...     orbits=1,
    ...     kernel_size=3,
    ...     pool=1,
    ...     generator=torch.Generator().manual_seed(0),
    ...     progress=silent,
    ... )
    >>> tuple(maps.known.shape), tuple(maps.at(torch.tensor([0, 5]), torch.tensor([3])).shape)
    ((16, 20), (2, 1, 16))
    """

    levels: tuple[torch.Tensor, ...]
    """One `(h, w, K)` map a level; 0 is the level's median."""
    axes: tuple[tuple[Axis, Axis], ...]
    """For each level, where the samples of the common grid lie in it, along rows and columns."""
    known: torch.Tensor
    """`(H', W')` of the common grid: the share of its pixels that was not missing, in [0, 1]."""
    support: torch.Tensor
    """`(H', W')` of the common grid: the same for all that the features of a position look at."""
    window: Window
    """Which positions of the common grid they are."""
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

    def scores(self, logarithm: torch.Tensor, excess: Excess, smoothing: float) -> torch.Tensor:
        """`(h, w)` scores of the pixels from log distances of the positions, which are overwritten.

        The average is a geometric one, in which an extreme position outshines its surroundings less.

        Args:
            logarithm: `(h', w')` of the common grid.
            excess: what positions along edges and beside holes have more.
            smoothing: standard deviation of the average, pixels of the image.
        """
        excess.take_from(self.seen(logarithm), self.window)
        averaged = smooth(logarithm, self.known, smoothing / 2)
        return resample(averaged.exp_()[:, :, None], *self.to_pixels)[:, :, 0]

    def seen(self, logarithm: torch.Tensor) -> Seen:
        """Log distances of its positions with how much each saw."""
        return Seen(logarithm, self.known, self.support)


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

    >>> kernels = dihedral_kernels(2, 3, 5, torch.Generator().manual_seed(0))
    >>> tuple(kernels.shape)
    (16, 3, 5, 5)
    >>> turned = kernels.rot90(1, (-2, -1))
    >>> all(any(torch.equal(one, other) for other in kernels) for one in turned)
    True
    """
    drawn = torch.randn(orbits, channels, size, size, generator=generator)
    drawn /= drawn.flatten(1).norm(dim=1)[:, None, None, None]
    turned = [torch.rot90(drawn, turns, (-2, -1)) for turns in range(4)]
    return torch.cat([image for kernel in turned for image in (kernel, kernel.flip(-1))])


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    """Rectified random convolutions of each level of the pyramid, pooled over what is known.

    >>> from ssdnet.maths.window import Window
    >>> from ssdnet.progress import silent
    >>> image = torch.rand(1, 32, 40, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(32, 40, dtype=torch.bool)
    >>> features, (maps,) = RandomFeatures.fit(
    ...     [image],
    ...     [known],
    ...     levels=2,
    ...     orbits=1,
    ...     kernel_size=3,
    ...     pool=1,
    ...     generator=torch.Generator().manual_seed(0),
    ...     progress=silent,
    ... )
    >>> again, _ = features.of(image, known, Window.whole((32, 40)))
    >>> torch.allclose(again.levels[1], maps.levels[1], atol=1e-5)
    True
    """

    kernels: tuple[torch.Tensor, ...]
    """For each level `(K, C, k, k)`."""
    centres: tuple[torch.Tensor, ...]
    """For each level `(K,)`, the median of the pooled responses."""
    pool: int
    """Radius of the averaging box, pixels of its level."""

    @property
    def reach(self) -> int:
        """How many positions of the common grid from the edge features still look beyond it."""
        return math.ceil((self._margin + 1) * 2.0 ** (len(self.kernels) - 2))

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        # As in `PatchModel.halo`; a response with no known pixel under its kernel does not count.
        return int(2 ** (self._scales - 1)) * (self._margin + 2 * self._near + 1 + 2 + 1)

    @property
    def _margin(self) -> int:
        """How far filters and pooling look beyond a position, pixels of their level."""
        return int(self.kernels[0].shape[-1]) // 2 + self.pool

    @property
    def _near(self) -> int:
        """How far a missing pixel under a kernel is from a known one, at most, pixels of their level."""
        return int(self.kernels[0].shape[-1]) - 1

    @property
    def _scales(self) -> int:
        return max(2, len(self.kernels))

    @classmethod
    def fit(
        cls,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        levels: int,
        orbits: int,
        kernel_size: int,
        pool: int,
        generator: torch.Generator,
        progress: Progress,
    ) -> tuple[RandomFeatures, list[FeatureMaps]]:
        """Draw the kernels, and learn the usual responses of one image or of several of one surface.

        Args:
            pixels: `(C, H, W)` float32 each, centred; values where `valid` is False are not used.
            valid: `(H, W)` bool each, True somewhere.
            levels: number of octaves.
            orbits: `8 * orbits` kernels a level.
            kernel_size: side of a kernel, pixels of its level, odd.
            pool: see the field.
            generator: draws the kernels.
            progress: called before each level.

        Returns:
            What was learned, and the features of each image.
        """
        count = max(levels, 2)
        near = kernel_size - 1
        images = [pyramid(image, known, count, near=near) for image, known in zip(pixels, valid, strict=True)]
        kernels, centres = [], []
        maps: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in images]
        for index in range(levels):
            progress(index / levels, "features")
            drawn = dihedral_kernels(orbits, len(pixels[0]), kernel_size, generator).to(pixels[0].device)
            pooled = [_pooled(scales[index], drawn, pool, halve=index == 0) for scales in images]
            kernels.append(drawn)
            centres.append(_centre(pooled))
            for own, (total, share) in zip(maps, pooled, strict=True):
                own.append((_centred(total, share, centres[-1]), share))
        features = cls(tuple(kernels), tuple(centres), pool)
        return features, [_maps(scales, own) for scales, own in zip(images, maps, strict=True)]

    def of(self, pixels: torch.Tensor, valid: torch.Tensor, window: Window) -> tuple[FeatureMaps, Window]:
        """The features of a window, and which part of it begins where the grids do.

        Args:
            pixels: `(C, h, w)` float32 of a window with its context.
            valid: `(h, w)` bool.
            window: where they lie in the image.
        """
        place = window.aligned(2 ** (self._scales - 1))
        inside = place.within(window)
        part, known = pixels[:, inside[0], inside[1]], valid[inside]
        scales = pyramid(part, known, self._scales, place, near=self._near)
        own = []
        for index, (kernels, centre) in enumerate(zip(self.kernels, self.centres, strict=True)):
            total, share = _pooled(scales[index], kernels, self.pool, halve=index == 0)
            own.append((_centred(total, share, centre), share))
        return _maps(scales, own), place


def _maps(scales: Sequence[Level], own: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> FeatureMaps:
    """Features and known shares of each level, brought together."""
    device = scales[0].pixels.device
    windows = [scale.window for scale in scales]
    common = windows[1]

    def along(axis: int, finest: int, coarsest: int) -> Axis:
        sizes = [window.shape[axis] for window in windows[finest : coarsest + 1]]
        spans = [
            (window.top, window.bottom) if axis == 0 else (window.left, window.right)
            for window in (windows[finest], windows[coarsest])
        ]
        return Axis.between(sizes, device, span=spans[0], part=spans[1])

    axes = tuple((along(0, 1, max(index, 1)), along(1, 1, max(index, 1))) for index in range(len(own)))
    support = [resample(share, *across)[:, :, 0] for (_, share), across in zip(own, axes, strict=True)]
    return FeatureMaps(
        levels=tuple(features for features, _ in own),
        axes=axes,
        known=scales[1].known[0, 0],
        support=torch.stack(support).mean(dim=0),
        window=common,
        to_pixels=(along(0, 0, 1), along(1, 0, 1)),
    )


def _pooled(
    level: Level, kernels: torch.Tensor, pool: int, *, halve: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(h, w, K)` sums of the rectified responses by how well they are known, `(h, w, 1)` known share.

    With `halve`, pooling also halves the grid. A response counts by the square of the share of its support
    that was known: filled-in pixels are smoother than real ones, and the plain share leaves holes with a
    visible rim.
    """
    height, width = level.known.shape[-2:]
    reach = kernels.shape[-1] // 2
    window = tuple(2 * pool + (2 if halve and size % 2 == 0 else 1) for size in level.window.shape)
    stride = 2 if halve else 1
    rows, columns = (-(-size // stride) for size in (height, width))
    # Filters may look beyond the edge by `reach`, pooling by `pool`; there all is filled in and unknown.
    margin = reach + pool
    pixels = pad(level.pixels, margin)
    known = F.pad(level.known, (margin,) * 4)
    # Where a window of the image ends inside of it, the last box may look one pixel further.
    beyond = [
        max(0, (count - 1) * stride + box + 2 * reach - size - 2 * margin)
        for count, box, size in zip((rows, columns), window, (height, width), strict=True)
    ]
    if any(beyond):
        pixels = F.pad(pixels, (0, beyond[1], 0, beyond[0]))
        known = F.pad(known, (0, beyond[1], 0, beyond[0]))
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    kernels = kernels.contiguous(memory_format=torch.channels_last)
    totals, shares = [], []
    step = max(1, STRIP_POSITIONS * 4 // (width * stride))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        strip = slice(start * stride, (stop - 1) * stride + window[0] + 2 * reach)
        weight = F.avg_pool2d(known[:, :, strip], kernels.shape[-1], stride=1).square_()
        response = F.conv2d(pixels[:, :, strip], kernels).abs_().mul_(weight)
        totals.append(F.avg_pool2d(response, window, stride)[0].permute(1, 2, 0)[:, :columns])
        shares.append(F.avg_pool2d(weight, window, stride)[0, 0, :, :columns, None])
    return torch.cat(totals), torch.cat(shares)


def _centred(total: torch.Tensor, share: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """`(h, w, K)` deviations of the pooled responses from their median.

    A deviation measured on a part of the support scatters more, by the inverse root of that part; it is
    scaled back, or holes would have a visible rim.
    """
    return (total - share * centre).div_(share.clamp_min(1e-6).sqrt_())


def _centre(pooled: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """`(K,)` median of `total / share` over the better known positions of all images."""
    responses = []
    for total, share in pooled:
        rows, columns = central_grid(*share.shape[:2], most=_CENTRE_SAMPLES, device=share.device)
        some, part = total[rows][:, columns].flatten(0, 1), share[rows][:, columns].flatten()
        known = part >= 0.5 * share.max()
        responses.append(some[known] / part[known, None])
    return torch.cat(responses).median(dim=0).values
