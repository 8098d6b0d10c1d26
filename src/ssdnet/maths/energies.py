"""How unusual the energy of small structures around each place is, at several scales: too high or too low.

The distance of a patch from its mean is large where there is more than usual, and small where there is less:
a smooth, flat or regular spot on a rough surface passes for very normal. The energy of filtered pixels,
averaged around a place, is compared from both sides instead. Its logarithm is close to a Gaussian (a sum of
squares), and one Gaussian holds the energies of all scales together (Laws, 'Texture energy measures', 1979;
Unser, IEEE TIP 1995). Two kinds of filters speak apart: derivatives, and the leading components of the
surface's own 3 x 3 patches. Slow changes across the picture are taken out (`maths.trend`).

All is done at a fraction of the resolution: averages over a few pixels need no more, and it takes a fraction
of the time. It is the half up to 800 pixels on the shorter side, a quarter up to 1600, and so on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.fusion import Fusion
from ssdnet.maths.gaussian import RobustGaussian, principal_components
from ssdnet.maths.lines import LineAverages
from ssdnet.maths.parallel import each
from ssdnet.maths.pyramid import Level, enlarged, halve, level_count, pad, pyramid, upsample
from ssdnet.maths.sampling import known_positions
from ssdnet.maths.smoothing import blur, separable_filter
from ssdnet.maths.trend import Trend, terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssdnet.maths.window import Window

_COARSEST, _MOST = 50, 5
"""Pixels that the coarsest octave leaves on the shorter side, and how many octaves there are at most."""

_BASE = 800
"""Pixels on the shorter side from where a quarter of the resolution is enough; an eighth at twice as many."""

_CHANNELS = 4
"""Of images with more, the leading components of a pixel are looked at."""

_DERIVATIVES = 5
"""Of each channel: their set is its own mirror image and stays itself under quarter turns."""

_PATCHES = 1 << 13
"""Patches the components are estimated from, at most."""

_SAMPLES = 6_000
"""Positions the Gaussian is estimated from, at most."""

_FLOOR = 0.01
"""Added to each energy as a share of its mean: nothing at all is not infinitely less than little."""

_POOL, _POOL_HALVED = 1.0, 0.9
"""Standard deviation of the average around a place, pixels of the octave; of octaves finer than the base,
pixels of that."""

_TREND_SAMPLES = 1 << 11
"""Positions the trend is estimated from, at most."""

_THINNEST = 0.5
"""Standard deviation of the thinnest line, pixels of the map it runs through."""

_TINY = 1e-6
_TILE = 1024
"""Side of the parts of a large image that are worked on at once, pixels."""


@dataclass(frozen=True)
class Energies:
    """Which energies are looked at, and how what is usual of them is estimated.

    >>> image = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> image[0, 20:36, 30:46] *= 0.3  # less than usual
    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> model, (evidence,) = Energies().fit([image], [known])
    >>> bool(evidence.values[14, 19] > evidence.values[:5].max())  # at half the resolution
    True
    """

    name: ClassVar[str] = "texture.energies"

    octaves: int | None = None
    """None takes as many as leave 50 pixels on the shorter side, at least two and at most five."""
    components: int = 8
    """Leading components of 3 x 3 patches."""
    trim: float = 0.4
    """Share of the positions, the most distant, that what is usual is estimated without; in [0, 1)."""
    rounds: int = 4
    """How often it is estimated again without them."""
    shrinkage: float = 0.1
    """Added to the variance of each energy as a share of it."""
    lengths: tuple[float, ...] = (3.0, 20.0)
    """Standard deviations along the line of the windows that are averaged over, pixels of the image."""
    widths: tuple[float, ...] = (1.0, 1.0)
    """The same across the line."""

    def fit(
        self, pixels: Sequence[torch.Tensor], valid: Sequence[torch.Tensor]
    ) -> tuple[EnergyModel, list[EnergyMap]]:
        """Learn what is usual of one image, or of several of one surface.

        Args:
            pixels: `(C, H, W)` float32 each; values where `valid` is False are not used.
            valid: `(H, W)` bool each, True somewhere.

        Returns:
            What was learned, and of each image its map, see `EnergyModel.map_of`.
        """
        smallest = min((known.shape for known in valid), key=min)
        octaves = self.octaves or level_count(*smallest, smallest=_COARSEST, most=_MOST)
        base = 1 + max(0, math.floor(math.log2(2 * min(smallest) / _BASE)))
        reduction = _reduction(pixels, valid)
        pyramids = [
            pyramid(_reduced(image, reduction), known, max(base + 1, octaves))
            for image, known in zip(pixels, valid, strict=True)
        ]
        bank = FilterBank.fit(pyramids, octaves, self.components, base)
        described = [_Described(bank, levels) for levels in pyramids]
        kinds = []
        for number in range(2):
            parts = [one.samples(number, _SAMPLES // len(described)) for one in described]
            samples, places, weight = (torch.cat(some) for some in zip(*parts, strict=True))
            kinds.append(_Usual.fit(samples, places, weight, self))
        maps = [one.distances(kinds) for one in described]
        # Of a filter and most of an average of the coarsest octave.
        reach = int(2 ** max(2, octaves + 1 - base))
        excess = []
        for number in range(2):
            seen = [
                Seen(some[number], one.known, one.support) for some, one in zip(maps, described, strict=True)
            ]
            limit = min(min(one.known.shape) for one in described) // 2 - 1
            excess.append(Excess.fit(seen, max(1, min(reach, limit))))
        for some, one in zip(maps, described, strict=True):
            for number, usual in enumerate(excess):
                some[number] -= usual.of(Seen(some[number], one.known, one.support), one.place)
        known = [one.known > 0 for one in described]
        kinds_fusion = Fusion.fit(maps, known)
        fused = [kinds_fusion.of(some) for some in maps]
        lines = LineAverages.fit(
            tuple(max(_THINNEST, length / 2**base) for length in self.lengths),
            tuple(max(_THINNEST, width / 2**base) for width in self.widths),
            fused,
            known,
        )
        averages = [lines.of(values, one) for values, one in zip(fused, known, strict=True)]
        lengths = Fusion.fit(averages, known)
        model = EnergyModel(reduction, bank, tuple(kinds), tuple(excess), kinds_fusion, lines, lengths)
        return model, [one.map(lengths.of(some)) for some, one in zip(averages, described, strict=True)]


@dataclass(frozen=True, eq=False)
class EnergyModel:
    """What the energies of a surface are like.

    >>> from ssdnet.maths.window import Window
    >>> cloth = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> model, _ = Energies().fit([cloth[0]], [known])
    >>> cloth[1, 0, 20:36, 30:46] *= 0.3
    >>> evidence, place = model.of(cloth[1], known, Window.whole((64, 64)))
    >>> bool(evidence[28, 38] > evidence[:10].max())
    True
    """

    reduction: torch.Tensor | None
    """`(4, C)` components of the pixels that are looked at, of an image with many channels."""
    bank: FilterBank
    kinds: tuple[_Usual, ...]
    excess: tuple[Excess, ...]
    """How much higher positions along edges and beside holes lie, for each kind."""
    kinds_fusion: Fusion
    """Of the kinds of filters."""
    lines: LineAverages
    """In pixels of the reduced map."""
    lengths: Fusion
    """Of the lengths of lines."""

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        # Of the coarsest octave: filter, average, what is missing, values between samples, where it begins.
        coarsest = int(2 ** (self.bank.octaves - 1)) * (1 + 3 + 2 + 2 + 1)
        return coarsest + int(2**self.bank.base) * (self.lines.reach + 4)

    def of(self, pixels: torch.Tensor, valid: torch.Tensor, window: Window) -> tuple[torch.Tensor, Window]:
        """How unusual the energies around each pixel are: a log distance averaged along lines.

        Args:
            pixels: `(C, h, w)` float32 of a window with its context; values where `valid` is False are not
                used.
            valid: `(h, w)` bool.
            window: where they lie in the image.

        Returns:
            `(h', w')`, and which window it is of: it begins at multiples of `2**(octaves - 1)`. It is right
            `halo` pixels inside of a border that is not the image's.
        """
        place = window.aligned(2 ** (self._scales - 1))
        inside = place.within(window)
        part = _reduced(pixels[:, inside[0], inside[1]], self.reduction)
        found = self._map(pyramid(part, valid[inside], self._scales, place))
        return enlarged(found.values, found.places, place), place

    def map_of(self, pixels: torch.Tensor, valid: torch.Tensor, levels: Sequence[Level]) -> EnergyMap:
        """The same at the resolution of its own.

        Args:
            pixels: `(C, h, w)` of the finest level.
            valid: `(h, w)` bool.
            levels: the scales of these pixels, of which those that suffice are used.
        """
        place = levels[0].window
        if self.reduction is None and len(levels) >= self._scales:
            return self._map(levels[: self._scales])
        part = _reduced(pixels, self.reduction)
        return self._map(pyramid(part, valid, self._scales, place))

    def _map(self, levels: Sequence[Level]) -> EnergyMap:
        described = _Described(self.bank, levels)
        maps = described.distances(self.kinds)
        for values, usual in zip(maps, self.excess, strict=True):
            usual.take_from(Seen(values, described.known, described.support), described.place)
        fused = self.kinds_fusion.of(maps)
        (result,) = self.lines.combined(
            fused,
            described.known > 0,
            described.place,
            1,
            lambda some, _: [self.lengths.of(some)],
        )
        return described.map(result)

    @property
    def _scales(self) -> int:
        return max(self.bank.base + 1, self.bank.octaves)


@dataclass(frozen=True, eq=False)
class EnergyMap:
    """How unusual energies are, at a fraction of the resolution; `pyramid.enlarged` gives that of the pixels.

    >>> from ssdnet.maths.window import Window
    >>> found = EnergyMap(torch.zeros(4, 4), (Window.whole((8, 8)), Window.whole((4, 4))))
    >>> enlarged(found.values, found.places, found.places[0]).shape
    torch.Size([8, 8])
    """

    values: torch.Tensor
    """`(h, w)` log distances averaged along lines."""
    places: tuple[Window, ...]
    """Where they lie at each scale, that of the pixels first."""


@dataclass(frozen=True, eq=False)
class FilterBank:
    """Filters of each octave: derivatives, and components of its patches.

    >>> image, known = torch.randn(1, 32, 32), torch.ones(32, 32, dtype=torch.bool)
    >>> bank = FilterBank.fit([pyramid(image, known, 2)], octaves=2, components=8, base=1)
    >>> [tuple(kernels.shape) for kernels in bank.kernels]
    [(13, 1, 3, 3), (13, 1, 3, 3)]
    """

    kernels: tuple[torch.Tensor, ...]
    """`(K, C, 3, 3)` of each octave, the finest first; five derivatives of each channel come first."""
    bias: tuple[torch.Tensor, ...]
    """`(K,)` each."""
    floors: tuple[torch.Tensor, ...]
    """`(K,)` each, added to the energies."""
    base: int
    """Octave whose samples have features: 1 is half resolution."""

    @property
    def octaves(self) -> int:
        """How many."""
        return len(self.kernels)

    @classmethod
    def fit(cls, pyramids: Sequence[Sequence[Level]], octaves: int, components: int, base: int) -> FilterBank:
        """Learn them from the scales of some images."""
        kernels, bias, floors = [], [], []
        for number in range(octaves):
            patches = torch.cat([_patches(levels[number], _PATCHES // len(pyramids)) for levels in pyramids])
            channels = patches.shape[1]
            values = patches.flatten(1)
            mean = values.mean(dim=0)
            own = principal_components(values - mean, components).T
            given = _derivatives(channels).to(values).flatten(1)
            filters = torch.cat([given, own])
            kernels.append(filters.view(-1, channels, 3, 3))
            bias.append(torch.cat([given.new_zeros(len(given)), -(own @ mean)]))
            energy = (values @ filters.T + bias[-1]).square_().mean(dim=0)
            floors.append((_FLOOR * energy).clamp_min(_TINY * _TINY))
        return cls(tuple(kernels), tuple(bias), tuple(floors), base)

    def energies(self, number: int, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
        """`(K, h, w)` logarithms of the energies around each sample, and `(h, w)` how much is known.

        Of octaves finer than the base they are those of the base's samples.

        Args:
            number: of the octave.
            level: its pixels.
        """
        share = separable_filter(F.pad(level.known[0, 0], (1,) * 4), [1 / 3] * 3)
        window = level.window
        step = 2 if number < self.base else 1
        if step == 2:  # every second response: neighbours tell nearly the same
            share, window = share[::2, ::2], window.halved()
        both = torch.empty(1, len(self.bias[number]) + 1, *share.shape, device=share.device)
        energy = F.conv2d(pad(level.pixels, 1), self.kernels[number], self.bias[number], stride=step)[0]
        torch.mul(energy.square_(), share, out=both[0, :-1])
        both[0, -1] = share
        for _ in range(number + 1, self.base):
            both = halve(both, window)
            window = window.halved()
        mean, share = _around(both[0], _POOL_HALVED if number < self.base else _POOL)
        return mean.add_(self.floors[number][:, None, None]).log_(), share


class _Described:
    """The features of an image or a part of it, made again part by part where it is large."""

    def __init__(self, bank: FilterBank, levels: Sequence[Level]) -> None:
        self.bank, self.levels = bank, levels
        self.place = levels[bank.base].window
        self.known = levels[bank.base].known[0, 0]
        self._kept = self._features(levels) if max(levels[0].window.size) <= 2 * _TILE else None
        self._support = None if self._kept is None else self._kept[1]

    @property
    def support(self) -> torch.Tensor:
        """`(h, w)`, how much of what each position looks at is known, in [0, 1]."""
        if self._support is None:
            self._support = torch.empty_like(self.known)
            for (top, left), (_, support) in self._parts():
                tall, wide = support.shape
                self._support[top : top + tall, left : left + wide] = support
        return self._support

    def map(self, values: torch.Tensor) -> EnergyMap:
        """A map with where it lies."""
        return EnergyMap(values, tuple(level.window for level in self.levels[: self.bank.base + 1]))

    def samples(self, kind: int, most: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`(N, D)` features, `(N, 6)` places and `(N,)` weights of well known positions."""
        rows, columns = known_positions(self.support * (self.known > 0), most=most)
        places = terms(rows + self.place.top, columns + self.place.left, self.place.shape)
        if self._kept is not None:
            values = self._kept[0][kind][:, rows, columns].T
        else:
            values = torch.empty(0)
            for (top, left), (features, _) in self._parts():
                tall, wide = features[kind].shape[1:]
                here = (
                    (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
                ).nonzero()
                here = here[:, 0]
                if not values.numel():
                    values = features[kind].new_empty(len(rows), len(features[kind]))
                values[here] = features[kind][:, rows[here] - top, columns[here] - left].T
        return values, places, self.support[rows, columns]

    def distances(self, kinds: Sequence[_Usual]) -> list[torch.Tensor]:
        """`(h, w)` log distance of each kind."""
        maps = [torch.empty_like(self.known) for _ in kinds]
        seen = torch.empty_like(self.known)
        parts = [((0, 0), self._kept)] if self._kept is not None else self._parts()
        for (top, left), (features, support) in parts:
            tall, wide = support.shape
            seen[top : top + tall, left : left + wide] = support
            rows = torch.arange(top, top + tall, device=support.device) + self.place.top
            columns = torch.arange(left, left + wide, device=support.device) + self.place.left
            for values, kind, some in zip(maps, kinds, features, strict=True):
                values[top : top + tall, left : left + wide] = kind.log_distance(
                    some, rows, columns, self.place.shape
                )
        self._support = seen  # of a large image, features are not made again for it
        return maps

    def _parts(self) -> Iterator[tuple[tuple[int, int], tuple[list[torch.Tensor], torch.Tensor]]]:
        """Where each part of a large image begins, and its features and support."""
        whole = self.levels[0].window
        step = 2 ** (len(self.levels) - 1)
        for inner in whole.tiles(_TILE):
            outer = inner.around(8 * step).inside(whole)
            features, support = self._features(_cut(self.levels, outer))
            place, around = inner, outer
            for _ in range(self.bank.base):
                place, around = place.halved(), around.halved()
            inside = place.within(around)
            yield (
                (place.top - self.place.top, place.left - self.place.left),
                ([some[:, inside[0], inside[1]] for some in features], support[inside]),
            )

    def _features(self, levels: Sequence[Level]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """For each kind `(D, h, w)`, and `(h, w)` support."""
        bank = self.bank
        base = levels[bank.base]
        weighted = torch.cat([base.pixels[0] * base.known[0], base.known[0]])
        means, _ = _around(weighted, _POOL_HALVED)
        given = _DERIVATIVES * len(means)
        size = base.window.size
        # Of patches that are few, there are fewer components.
        counts = [(given, len(bias) - given) for bias in bank.bias]
        kinds = [
            torch.empty(sum(count[kind] for count in counts) + len(means), *size, device=means.device)
            for kind in range(2)
        ]
        shares = torch.empty(bank.octaves, *size, device=means.device)

        def work(number: int) -> None:
            energy, share = bank.energies(number, levels[number])
            for finer in range(number - 1, bank.base - 1, -1):
                both = torch.cat([energy, share[None]])
                energy = upsample(both[None], levels[finer].window)[0]
                energy, share = energy[:-1], energy[-1]
            shares[number] = share
            for kind, some in enumerate(torch.split(energy, list(counts[number]))):
                first = sum(count[kind] for count in counts[:number])
                kinds[kind][first : first + len(some)] = some

        each(work, range(bank.octaves))
        for features in kinds:
            features[-len(means) :] = means
        return kinds, shares.mean(dim=0)


@dataclass(frozen=True, eq=False)
class _Usual:
    """The Gaussian of one kind of features around their trend, as one linear map."""

    whitening: torch.Tensor
    """`(D, D)`."""
    centre: torch.Tensor
    """`(6, D)`, what is usual at a place, whitened; see `trend.terms`."""

    @classmethod
    def fit(
        cls, samples: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, settings: Energies
    ) -> _Usual:
        few = slice(None, None, max(1, -(-len(samples) // _TREND_SAMPLES)))
        trend = Trend.fit(samples[few], places[few], weight[few], trim=0.25, rounds=4)
        gaussian = RobustGaussian.fit(
            trend.without(samples, places),
            weight,
            trim=settings.trim,
            rounds=settings.rounds,
            shrinkage=settings.shrinkage,
        )
        centre = trend.coefficients.clone()
        centre[0] += gaussian.mean
        whitening = gaussian.whitening.contiguous()  # as a file gives it back: rounding depends on it
        return cls(whitening, centre @ whitening)

    def log_distance(
        self, features: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, shape: tuple[int, int]
    ) -> torch.Tensor:
        """`(h, w)` of `(D, h, w)` features at rows and columns of an image of a shape."""
        squared = torch.empty(features.shape[1:], device=features.device)
        step = max(1, (1 << 20) // (len(features) * len(columns)))
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            at = torch.cartesian_prod(rows[some], columns)
            part = features[:, some].flatten(1)
            whitened = self.whitening.T @ part
            whitened -= self.centre.T @ terms(at[:, 0], at[:, 1], shape).T
            squared[some] = whitened.square_().sum(dim=0).view(-1, len(columns))
        return squared.clamp_min_(_TINY * _TINY).log_().mul_(0.5)


def _cut(levels: Sequence[Level], outer: Window) -> list[Level]:
    """The same scales of a part."""
    cut, window = [], outer
    for level in levels:
        inside = window.within(level.window)
        cut.append(
            Level(level.pixels[:, :, inside[0], inside[1]], level.known[:, :, inside[0], inside[1]], window)
        )
        window = window.halved()
    return cut


def _around(both: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`(K, h, w)` means around each place over what is known, and `(h, w)` how much that is.

    Args:
        both: `(K + 1, h, w)`, values times the share that is known, and that share, in [0, 1].
        sigma: standard deviation, pixels.
    """
    blurred = blur(both, sigma)
    return blurred[:-1].div_(blurred[-1].clamp_min(_TINY)), blurred[-1]


def _derivatives(channels: int) -> torch.Tensor:
    """`(5 C, C, 3, 3)`: along rows, columns and both diagonals, and the second one, of each channel."""
    kernels = torch.zeros(_DERIVATIVES, 3, 3)
    kernels[0, 1, 0], kernels[0, 1, 2] = -1.0, 1.0
    kernels[1, 0, 1], kernels[1, 2, 1] = -1.0, 1.0
    kernels[2, 0, 0], kernels[2, 2, 2] = -1.0, 1.0
    kernels[3, 0, 2], kernels[3, 2, 0] = -1.0, 1.0
    kernels[4, 1, 1] = 4.0
    kernels[4, 0, 1] = kernels[4, 1, 0] = kernels[4, 1, 2] = kernels[4, 2, 1] = -1.0
    full = torch.zeros(channels, _DERIVATIVES, channels, 3, 3)
    for channel in range(channels):
        full[channel, :, channel] = kernels
    return full.flatten(0, 1)


def _patches(level: Level, most: int) -> torch.Tensor:
    """`(N, C, 3, 3)` of well known positions, evenly spread."""
    share = separable_filter(F.pad(level.known[0, 0], (1,) * 4), [1 / 3] * 3)
    rows, columns = known_positions(share, most=max(64, most))
    windows = pad(level.pixels, 1)[0].unfold(1, 3, 1).unfold(2, 3, 1)
    return windows[:, rows, columns].transpose(0, 1)


def _reduction(pixels: Sequence[torch.Tensor], valid: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """`(4, C)` directions in which pixels vary most, of images with more channels than that."""
    if pixels[0].shape[0] <= _CHANNELS:
        return None
    samples = []
    for image, known in zip(pixels, valid, strict=True):
        rows, columns = known_positions(known.to(torch.float32), most=_PATCHES // len(pixels))
        samples.append(image[:, rows, columns].T)
    values = torch.cat(samples)
    return principal_components(values - values.mean(dim=0), _CHANNELS).T.contiguous()


def _reduced(image: torch.Tensor, reduction: torch.Tensor | None) -> torch.Tensor:
    return image if reduction is None else torch.einsum("kc,chw->khw", reduction, image)
