"""How unusual each patch of an image is among all its patches, at several scales, by principal components.

Patches are projected on the directions in which the patches of this image vary most, which serve as filters,
and the distance to the image's own robust Gaussian says how unusual a patch is (Tailanian, Musé & Pardo,
ICMLA 2021, arXiv 2110.02407).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.gaussian import RobustGaussian, principal_components
from ssdnet.maths.parallel import each
from ssdnet.maths.pyramid import pad, pyramid, upsample
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import separable_filter
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.pyramid import Level
    from ssdnet.progress import Progress

_SAMPLES = 1 << 13
"""Patches the components are estimated from, at most."""

_SAMPLE_VALUES = 1 << 24
"""Values these patches may have together: of images with many channels there are fewer."""

_STRIP_VALUES = 1 << 19
"""Coefficients worked on at once: what a processor's cache holds."""

_SMALLEST = 1e-6
"""Distances below this are this: the logarithm of none is not a number."""


@dataclass(frozen=True)
class PatchComponents:
    """Which components of which patches are looked at, and how their Gaussian is estimated.

    >>> components = PatchComponents(patch=3, count=4, trim=0.25, rounds=1, shrinkage=0.1)
    >>> patches = torch.randn(100, 3, 3, 1, generator=torch.Generator().manual_seed(0))
    >>> tuple(components.fit(patches, torch.ones(100)).kernels.shape)
    (4, 1, 3, 3)
    """

    patch: int
    """Side of a patch, pixels of its level, odd."""
    count: int
    """Leading principal components that are looked at; all, when a patch has fewer values."""
    trim: float
    """Share of the patches, the most distant, that the Gaussian leaves out; in [0, 1)."""
    rounds: int
    """How often the Gaussian is estimated again without them."""
    shrinkage: float
    """Added to the variance of each component as a share of it."""

    def fit(self, samples: torch.Tensor, weight: torch.Tensor) -> PatchFilters:
        """Learn the filters of one scale.

        Args:
            samples: `(N, p, p, C)` patches.
            weight: `(N,)`, how much each counts.
        """
        values = samples.flatten(1)
        mean = values.mean(dim=0)
        centred = values - mean
        components = principal_components(centred, self.count)
        gaussian = RobustGaussian.fit(
            centred @ components, weight, trim=self.trim, rounds=self.rounds, shrinkage=self.shrinkage
        )
        # Projection, centring and whitening are one convolution.
        filters = components @ gaussian.whitening
        centre = mean @ filters + gaussian.mean @ gaussian.whitening
        kernels = filters.T.reshape(-1, *samples.shape[1:]).permute(0, 3, 1, 2)
        return PatchFilters(kernels.contiguous(memory_format=torch.channels_last), -centre)


@dataclass(frozen=True, eq=False)
class PatchFilters:
    """Whitened components of the patches of one scale.

    >>> patches = torch.randn(100, 3, 3, 1, generator=torch.Generator().manual_seed(0))
    >>> components = PatchComponents(patch=3, count=9, trim=0.25, rounds=1, shrinkage=0.1)
    >>> filters = components.fit(patches, torch.ones(100))
    >>> padded = torch.zeros(1, 1, 10, 12)
    >>> padded[0, 0, 5, 6] = 9.0
    >>> distance = filters.log_distance(padded)
    >>> tuple(distance.shape), bool(distance[4, 5] > distance[0, 0])
    ((8, 10), True)
    """

    kernels: torch.Tensor
    """`(K, C, p, p)`."""
    bias: torch.Tensor
    """`(K,)`."""

    def log_distance(self, padded: torch.Tensor) -> torch.Tensor:
        """`(h, w)` log distance of the patch around each position.

        Args:
            padded: `(1, C, h + p - 1, w + p - 1)`.
        """
        count, _, patch, _ = self.kernels.shape
        height, width = (size - patch + 1 for size in padded.shape[-2:])
        logarithm = torch.empty(height, width, device=padded.device)
        step = max(1, _STRIP_VALUES // (width * count))

        def work(start: int) -> None:
            stop = min(start + step, height)
            coefficients = F.conv2d(padded[:, :, start : stop + patch - 1], self.kernels, self.bias)[0]
            torch.linalg.vector_norm(coefficients, dim=0, out=logarithm[start:stop])

        each(work, range(0, height, step))
        return logarithm.clamp_min_(_SMALLEST).log_()


@dataclass(frozen=True, eq=False)
class PatchModel:
    """What the patches of a surface are like, of several sizes at several scales.

    >>> from ssdnet.progress import silent
    >>> image = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> image[0, 10:13, 20:23] = 5.0
    >>> components = PatchComponents(patch=3, count=8, trim=0.25, rounds=1, shrinkage=0.1)
    >>> known = torch.ones(32, 32, dtype=torch.bool)
    >>> model, ((distance,),) = PatchModel.fit([image], [known], [components], 2, silent)
    >>> bool(distance[9:14, 19:24].max() == distance.max())
    True
    """

    filters: tuple[tuple[PatchFilters, ...], ...]
    """For each size of patch those of each scale, the finest first."""
    excess: tuple[Excess, ...]
    """For each size of patch, how much higher positions along edges and beside holes lie."""

    @property
    def levels(self) -> int:
        """Octaves that are looked at."""
        return len(self.filters[0])

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        reach = max(int(filters[0].kernels.shape[-1]) // 2 for filters in self.filters)
        # Of the coarsest scale: patches, what is missing in them, values between samples of all scales, the
        # support of a sample, and where the grid may begin.
        return int(2 ** (self.levels - 1)) * (2 * reach + 2 + 2 + 1)

    @classmethod
    def fit(
        cls,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        components: Sequence[PatchComponents],
        levels: int,
        progress: Progress,
    ) -> tuple[PatchModel, list[list[torch.Tensor]]]:
        """Learn what the patches of one image are like, or of several of one surface.

        Args:
            pixels: `(C, H, W)` float32 each; values where `valid` is False are not used.
            valid: `(H, W)` bool each, True somewhere.
            components: one for each size of patch.
            levels: octaves of the pyramid.
            progress: called before each scale with the share of the work that is done.

        Returns:
            What was learned, and of each image the log distances, see `log_distances`.
        """
        sides = [one.patch for one in components]
        near = max(sides) // 2
        pyramids = [
            pyramid(image, known, levels, near=near) for image, known in zip(pixels, valid, strict=True)
        ]
        filters: list[list[PatchFilters]] = [[] for _ in components]
        work = [_Accumulated(len(components)) for _ in pixels]
        for number in range(levels - 1, -1, -1):
            progress((levels - 1 - number) / levels, "patches")
            scales = [_Scale.of(scales[number], max(sides)) for scales in pyramids]
            samples, weight = _samples(scales, max(sides))
            for size, one in enumerate(components):
                cut = (max(sides) - one.patch) // 2
                inner = samples[:, cut : cut + one.patch, cut : cut + one.patch]
                filters[size].insert(0, one.fit(inner, weight))
            for total, scale in zip(work, scales, strict=True):
                total.add(scale, [some[0] for some in filters])
        for total in work:
            total.divide(levels)
        excess = []
        for size, one in enumerate(components):
            seen = [
                Seen(total.logarithms[size], known, total.support)
                for total, known in zip(work, valid, strict=True)
            ]
            excess.append(Excess.fit(seen, (one.patch // 2 + 1) * 2 ** (levels - 1)))
        model = cls(tuple(tuple(some) for some in filters), tuple(excess))
        return model, [
            model._corrected(total, known, Window.whole((known.shape[0], known.shape[1])))
            for total, known in zip(work, valid, strict=True)
        ]

    def log_distances(
        self, pixels: torch.Tensor, valid: torch.Tensor, window: Window
    ) -> tuple[list[torch.Tensor], Window]:
        """For each size of patch the mean over the scales of the log distance of the patch around each pixel.

        Positions along edges and beside holes are compared with each other (`maths.edges`).

        Args:
            pixels: `(C, h, w)` float32 of a window with its context; values where `valid` is False are not
                used.
            valid: `(h, w)` bool.
            window: where they lie in the image.

        Returns:
            `(h', w')` maps, and which window they are of: it begins at multiples of `2**(levels - 1)`. They
            are right `halo` pixels inside of a border that is not the image's.
        """
        place = window.aligned(2 ** (self.levels - 1))
        inside = place.within(window)
        largest = max(filters[0].kernels.shape[-1] for filters in self.filters)
        part, known = pixels[:, inside[0], inside[1]], valid[inside]
        scales = pyramid(part, known, self.levels, place, near=largest // 2)
        total = _Accumulated(len(self.filters))
        for number in range(self.levels - 1, -1, -1):
            total.add(_Scale.of(scales[number], largest), [filters[number] for filters in self.filters])
        total.divide(self.levels)
        return self._corrected(total, valid[inside], place), place

    def _corrected(self, total: _Accumulated, valid: torch.Tensor, window: Window) -> list[torch.Tensor]:
        return [
            logarithm.sub_(excess.of(Seen(logarithm, valid, total.support), window))
            for logarithm, excess in zip(total.logarithms, self.excess, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class _Scale:
    """One scale of an image, ready for patches of a size."""

    padded: torch.Tensor
    """`(1, C, h + p - 1, w + p - 1)`."""
    share: torch.Tensor
    """`(h, w)`, how much of each patch is known, in [0, 1]."""
    window: Window

    @classmethod
    def of(cls, level: Level, patch: int) -> _Scale:
        reach = patch // 2
        share = separable_filter(F.pad(level.known[0, 0], (reach,) * 4), [1 / patch] * patch)
        padded = pad(level.pixels, reach).contiguous(memory_format=torch.channels_last)
        return cls(padded, share, level.window)


def _samples(scales: Sequence[_Scale], patch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`(N, p, p, C)` patches of all images, and how much each is known."""
    samples, weights = [], []
    for scale in scales:
        pixels = scale.padded[0].permute(1, 2, 0).contiguous()
        _, width, channels = pixels.shape
        most = max(64, min(_SAMPLES, _SAMPLE_VALUES // (channels * patch**2)) // len(scales))
        rows, columns = known_positions(scale.share, most=most)
        # The rows of a patch lie in one piece each.
        line = width * channels
        windows = pixels.as_strided((*scale.share.shape, patch, patch * channels), (line, channels, line, 1))
        samples.append(windows[rows, columns].view(-1, patch, patch, channels))
        weights.append(scale.share[rows, columns])
    return (samples[0], weights[0]) if len(scales) == 1 else (torch.cat(samples), torch.cat(weights))


class _Accumulated:
    """Sums over the scales, from the coarsest on: each is brought to the next finer one and added."""

    def __init__(self, sizes: int) -> None:
        self.logarithms: list[torch.Tensor] = []
        self.support = torch.empty(0)
        self._sizes = sizes

    def add(self, scale: _Scale, filters: Sequence[PatchFilters]) -> None:
        """Add the next finer scale."""
        largest = scale.padded.shape[-1] - scale.share.shape[-1] + 1
        maps = []
        for some in filters:
            cut = (largest - some.kernels.shape[-1]) // 2
            rows, columns = (slice(cut, size - cut) for size in scale.padded.shape[-2:])
            maps.append(some.log_distance(scale.padded[:, :, rows, columns]))
        maps.append(scale.share.clone())
        # One after the other: together they would take as much memory as the picture.
        for own, before in zip(
            maps, [*self.logarithms, self.support] if self.logarithms else [], strict=False
        ):
            own.add_(upsample(before[None, None], scale.window)[0, 0])
        *self.logarithms, self.support = maps

    def divide(self, levels: int) -> None:
        """From sums to means."""
        for values in (*self.logarithms, self.support):
            values.div_(levels)
