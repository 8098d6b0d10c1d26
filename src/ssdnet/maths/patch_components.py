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
from ssdnet.maths.pyramid import pyramid, upsample_part
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import separable_filter
from ssdnet.maths.strips import fill
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssdnet.maths.pyramid import Level
    from ssdnet.progress import Progress

_SAMPLES = 1 << 13
"""Patches the components are estimated from, at most."""

_SAMPLE_VALUES = 1 << 24
"""Values these patches may have together: of images with many channels there are fewer."""

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
        coefficients = F.conv2d(padded, self.kernels, self.bias)[0]
        distance: torch.Tensor = torch.linalg.vector_norm(coefficients, dim=0)
        return distance.clamp_min_(_SMALLEST).log_()


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
        scales: list[list[LevelMaps]] | None = None,
    ) -> tuple[PatchModel, list[list[torch.Tensor]]]:
        """Learn what the patches of one image are like, or of several of one surface.

        Args:
            pixels: `(C, H, W)` float32 each; values where `valid` is False are not used.
            valid: `(H, W)` bool each, True somewhere.
            components: one for each size of patch.
            levels: octaves of the pyramid.
            progress: called before each scale with the share of the work that is done.
            scales: gets of each image the log distances at each scale, the finest first.

        Returns:
            What was learned, and of each image the log distances, see `log_distances`.
        """
        sides = [one.patch for one in components]
        near = max(sides) // 2
        pyramids = [
            pyramid(image, known, levels, near=near) for image, known in zip(pixels, valid, strict=True)
        ]
        filters: list[list[PatchFilters]] = [[] for _ in components]
        kept: list[list[LevelMaps]] = [[] for _ in pixels]
        sums = [
            _Sums(len(components), supported=True, scales=None if scales is None else some) for some in kept
        ]
        for number in range(levels - 1, -1, -1):
            progress((levels - 1 - number) / levels, "patches")
            levels_now = [_Scale(some.pop(), max(sides)) for some in pyramids]
            samples, weight = _samples(levels_now)
            for size, one in enumerate(components):
                cut = (max(sides) - one.patch) // 2
                inner = samples[:, cut : cut + one.patch, cut : cut + one.patch]
                filters[size].insert(0, one.fit(inner, weight))
            for total, scale in zip(sums, levels_now, strict=True):
                total.add(scale, [some[0] for some in filters])
        if scales is not None:
            scales.extend(kept)
        seen = [total.seen(levels, known) for total, known in zip(sums, valid, strict=True)]
        excess = tuple(
            Excess.fit([maps[size] for maps in seen], (one.patch // 2 + 1) * 2 ** (levels - 1))
            for size, one in enumerate(components)
        )
        model = cls(tuple(tuple(some) for some in filters), excess)
        for maps in seen:
            place = Window.whole((maps[0].known.shape[0], maps[0].known.shape[1]))
            for some, own in zip(maps, excess, strict=True):
                own.take_from(some, place)
        return model, [[some.logarithm for some in maps] for maps in seen]

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
        return self._maps(pixels, valid, window, len(self.filters), lambda maps: maps)

    def combined(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        window: Window,
        combine: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    ) -> tuple[torch.Tensor, Window]:
        """What is made of `log_distances` of all sizes, of which none is kept as a whole.

        Args:
            pixels: see `log_distances`.
            valid: see `log_distances`.
            window: see `log_distances`.
            combine: from maps of some rows, one for each size of patch, to one map of these rows.
        """
        (result,), place = self._maps(pixels, valid, window, 1, lambda maps: [combine(maps)])
        return result, place

    def by_scale(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        window: Window,
        combine: Callable[[Sequence[torch.Tensor]], torch.Tensor],
        fuse: Callable[[Sequence[torch.Tensor], int], torch.Tensor],
    ) -> tuple[torch.Tensor, list[LevelMaps], list[Level]]:
        """The same, and what is made of the log distances at each scale by itself.

        Args:
            pixels: see `log_distances`.
            valid: see `log_distances`.
            window: see `log_distances`.
            combine: see `combined`.
            fuse: from maps of some rows of a scale, one for each size of patch, and the number of the scale,
                to one map of these rows.

        Returns:
            The map; the maps of each scale, the finest first; and the scales of the pixels.
        """
        scales: list[LevelMaps] = []
        levels: list[Level] = []
        (result,), _ = self._maps(
            pixels, valid, window, 1, lambda maps: [combine(maps)], fuse=fuse, scales=scales, levels=levels
        )
        return result, scales, levels

    def _maps(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        window: Window,
        count: int,
        made_of: Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]],
        *,
        fuse: Callable[[Sequence[torch.Tensor], int], torch.Tensor] | None = None,
        scales: list[LevelMaps] | None = None,
        levels: list[Level] | None = None,
    ) -> tuple[list[torch.Tensor], Window]:
        """`count` maps made of those of all sizes, a few rows at a time."""
        place = window.aligned(2 ** (self.levels - 1))
        inside = place.within(window)
        largest = max(filters[0].kernels.shape[-1] for filters in self.filters)
        part, known = pixels[:, inside[0], inside[1]], valid[inside]
        pixels_by_scale = pyramid(part, known, self.levels, place, near=largest // 2)
        if levels is not None:
            levels.extend(pixels_by_scale)
        total = _Sums(
            len(self.filters),
            supported=any(one.any_holes for one in self.excess),
            scales=scales,
            fuse=fuse,
        )
        for number in range(self.levels - 1, 0, -1):
            total.add(
                _Scale(pixels_by_scale[number], largest),
                [filters[number] for filters in self.filters],
                number,
            )
        finest, kernels = _Scale(pixels_by_scale[0], largest), [filters[0] for filters in self.filters]
        results = [pixels.new_empty(place.size) for _ in range(count)]
        own = [] if fuse is None else [pixels.new_empty(place.size)]

        def rows_of(rows: slice) -> Sequence[torch.Tensor]:
            maps, raw = total.rows(finest, kernels, rows, 0)
            *logarithms, support = maps
            for logarithm, excess in zip(logarithms, self.excess, strict=True):
                seen = Seen(logarithm.div_(self.levels), known[rows], support.div(self.levels))
                logarithm.sub_(excess.of(seen, place.rows(rows)))
            return [*made_of(logarithms), *raw]

        fill([*results, *own], total.values_a_row(finest, kernels), rows_of)
        if scales is not None and own:
            scales.insert(0, LevelMaps((own[0],), pixels_by_scale[0].known[0, 0], place))
        return results, place


@dataclass(frozen=True, eq=False)
class LevelMaps:
    """Maps of one image or window at one scale.

    >>> maps = LevelMaps((torch.zeros(4, 4),), torch.ones(4, 4), Window.whole((4, 4)))
    >>> maps.window.size
    (4, 4)
    """

    maps: tuple[torch.Tensor, ...]
    """`(h, w)` log distances of each size of patch, or what was made of them."""
    known: torch.Tensor
    """`(h, w)`, how much of each sample is known, in [0, 1]."""
    window: Window
    """Which of the samples of this scale of the whole image they are."""


@dataclass(frozen=True, eq=False)
class _Scale:
    """One scale of an image, ready for patches of a size."""

    level: Level
    patch: int
    """Side of the largest patches, pixels of the scale."""

    @property
    def window(self) -> Window:
        """Where it lies in the whole scale."""
        return self.level.window

    def share(self, rows: slice) -> torch.Tensor:
        """`(h, w)` of some rows: how much of each patch is known, in [0, 1]."""
        framed = _framed(self.level.known, rows, self.patch // 2, "constant")[0, 0]
        return separable_filter(framed, [1 / self.patch] * self.patch)

    def padded(self, rows: slice) -> torch.Tensor:
        """`(1, C, h + p - 1, w + p - 1)` pixels of some rows and of all that their patches hold."""
        reach = self.patch // 2
        mode = "reflect" if self._reflects else "replicate"
        framed = _framed(self.level.pixels, rows, reach, mode)
        return framed.contiguous(memory_format=torch.channels_last)

    def patches(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """`(N, p, p, C)` patches around `(N,)` positions."""
        reach = self.patch // 2
        offsets = torch.arange(-reach, reach + 1, device=rows.device)
        places = []
        for position, size in zip((rows, columns), self.window.size, strict=True):
            place = position[:, None] + offsets
            if self._reflects:
                place = place.abs()
                place = torch.minimum(place, 2 * (size - 1) - place)
            places.append(place.clamp_(0, size - 1))
        number = places[0][:, :, None] * self.window.size[1] + places[1][:, None, :]
        planes = [plane.flatten().take(number) for plane in self.level.pixels[0]]
        return torch.stack(planes, dim=-1)

    @property
    def _reflects(self) -> bool:
        """Whether it is continued by reflection; what is too small for that, by its last values."""
        return min(self.window.size) > self.patch // 2


def _framed(x: torch.Tensor, rows: slice, reach: int, mode: str) -> torch.Tensor:
    """Some rows of `(1, C, h, w)` with so many pixels around them, continued beyond the edges."""
    height = x.shape[2]
    first, last = max(0, rows.start - reach), min(height, rows.stop + reach)
    above, below = first - (rows.start - reach), rows.stop + reach - last
    return F.pad(x[:, :, first:last], (reach, reach, above, below), mode=mode)


def _samples(scales: Sequence[_Scale]) -> tuple[torch.Tensor, torch.Tensor]:
    """`(N, p, p, C)` patches of all images, and how much each is known."""
    samples, weights = [], []
    for scale in scales:
        share = scale.share(slice(0, scale.window.size[0]))
        channels = scale.level.pixels.shape[1]
        most = max(64, min(_SAMPLES, _SAMPLE_VALUES // (channels * scale.patch**2)) // len(scales))
        rows, columns = known_positions(share, most=most)
        samples.append(scale.patches(rows, columns))
        weights.append(share[rows, columns])
    return (samples[0], weights[0]) if len(scales) == 1 else (torch.cat(samples), torch.cat(weights))


class _Sums:
    """Sums over the scales, from the coarsest on: each is brought to the next finer one and added."""

    def __init__(
        self,
        sizes: int,
        *,
        supported: bool,
        scales: list[LevelMaps] | None = None,
        fuse: Callable[[Sequence[torch.Tensor], int], torch.Tensor] | None = None,
    ) -> None:
        """Nothing yet.

        Args:
            sizes: how many sizes of patches there are.
            supported: whether how much each position sees is summed as well.
            scales: gets the maps of each scale that is added by itself.
            fuse: what to make of them.
        """
        self._sizes = sizes
        self._supported = supported
        self._scales = scales
        self._fuse = fuse
        self._maps: list[torch.Tensor] = []

    def values_a_row(self, scale: _Scale, filters: Sequence[PatchFilters]) -> int:
        """How many values of each row of a scale are worked on."""
        return scale.window.size[1] * max(len(some.bias) for some in filters)

    def rows(
        self, scale: _Scale, filters: Sequence[PatchFilters], rows: slice, number: int
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Some rows of the next finer scale: sums of each size of patch and the support, and its own maps."""
        padded = scale.padded(rows)
        maps = []
        for some in filters:
            cut = (scale.patch - some.kernels.shape[-1]) // 2
            inner = [slice(cut, size - cut) for size in padded.shape[-2:]]
            maps.append(some.log_distance(padded[:, :, inner[0], inner[1]]))
        raw: list[torch.Tensor] = []
        if self._fuse is not None:
            raw = [self._fuse(maps, number)]
        elif self._scales is not None:
            raw = [values.clone() for values in maps]
        if self._supported:
            maps.append(scale.share(rows))
        part = scale.window.rows(rows)
        for own, before in zip(maps, self._maps, strict=False):  # of the coarsest scale there is none before
            own.add_(upsample_part(before[None, None], scale.window, part)[0, 0])
        return maps if self._supported else [*maps, padded.new_ones(())], raw

    def add(self, scale: _Scale, filters: Sequence[PatchFilters], number: int = 0) -> None:
        """Add the next finer scale."""
        like, size = scale.level.pixels, scale.window.size
        maps = [like.new_empty(size) for _ in range(self._sizes + self._supported)]
        own: list[torch.Tensor] = []
        if self._scales is not None:
            own = [like.new_empty(size) for _ in range(self._sizes if self._fuse is None else 1)]

        def rows_of(rows: slice) -> list[torch.Tensor]:
            sums, raw = self.rows(scale, filters, rows, number)
            return [*sums[: len(maps)], *raw]

        fill([*maps, *own], self.values_a_row(scale, filters), rows_of)
        if self._scales is not None:
            self._scales.insert(0, LevelMaps(tuple(own), scale.level.known[0, 0], scale.window))
        self._maps = maps

    def seen(self, levels: int, valid: torch.Tensor) -> list[Seen]:
        """Means over all scales, for each size of patch."""
        *logarithms, support = (values.div_(levels) for values in self._maps)
        return [Seen(logarithm, valid, support) for logarithm in logarithms]
