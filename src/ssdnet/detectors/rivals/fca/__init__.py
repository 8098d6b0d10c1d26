"""`fca`: how far each pixel's features must move for the tiles around it to look like the typical tile.

Feature correspondence analysis, with the tiles described by histograms instead of being sorted. Notation:
f_c(y) is feature c at pixel y; P(x) is the tile of T x T pixels about x; a tile's rank function counts how
many of its pixels lie below a value. For each feature:

1. Reference: the k-th smallest value of the typical tile, r_c[k], is the median over tiles, side by side, of
   the k-th smallest value of each: a median of quantile functions, which is the way the 1-Wasserstein
   distance averages distributions.
2. Correspondence: the optimal transport between two sets of T x T numbers maps the k-th smallest onto the
   k-th smallest. So tile x moves its pixel y by d_c(x, y) = |f_c(y) - r_c[rank of f_c(y) in P(x)]|, and the
   sum of these over the tile is its 1-Wasserstein distance to the reference.
3. Aggregation: the score of y is the mean over the features of d_c(x, y), summed over all tiles x that hold
   it with the weights of a Gaussian in |x - y| (`tile_sigma`).
4. The displacements are smoothed by a small Gaussian (`smoothing`).

Quantisation: the values of a feature fall into `bins`. For all pixels of one bin in one tile, the mean of
the reference values they move to comes from two ranks and the running sum of r_c, and two ranks are two box
sums. So step 2 is a box sum a bin, and step 3 a Gaussian filter a bin, whatever the size of a tile; a pixel
interpolates between the bins on both sides of its value. Ties share their ranks. Tiles that overlap nearly
all say the same, so only those at every `stride`-th pixel are taken.

Chosen here: the smoothing of step 4 comes last, not tile by tile before step 3 (the same, but for the change
of the weights over its width); tiles that look beyond the image are left out and the weights of the rest sum
to 1, so that no reflected pixel is counted and the map does not fade towards the edge, where it is compared
with the rest of the edge (`maths.edges.excess`); a tile with missing pixels counts by the share that is
known, its ranks stretched to those of a whole tile.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.checks import check_numbers, check_whole
from ssdnet.detectors.rivals.fca.filter_banks import BANKS, filter_bank
from ssdnet.errors import UsageError
from ssdnet.maths.edges import excess
from ssdnet.maths.pyramid import pad, pyramid
from ssdnet.maths.smoothing import gaussian_taps, smooth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssdnet.detectors.rivals.fca.filter_banks import FilterBank
    from ssdnet.progress import Progress

_REFERENCE_PIXELS = 1 << 16
"""The reference comes from so many pixels at most: all of a 256 x 256 image."""

_BIN_SAMPLES = 1 << 13
"""Values of each feature that say where its bins should lie."""

_EVEN_SHARE = 0.3
"""How far bins are of equal width (1) rather than of equal content (0)."""

_SLACK = 0.05
"""Ranks that a bin is widened by at both ends: gives an empty bin its place in the order."""

_END_GAP = 1e-3
"""Distance of the outer levels from the outer values, as a share of the range."""

_SMALLEST = 1e-12
"""Differences of values below this are this."""

_BLOCK_VALUES = {"cpu": 1 << 19}
_BLOCK_VALUES_ELSEWHERE = 1 << 24
"""Feature values worked on at once: bounds the memory; what a cache holds, or what keeps a GPU busy."""

_LARGEST_TILE = 181  # whose number of pixels 16 bits can hold


@dataclass(frozen=True)
class FCA:
    """Feature correspondence analysis with quantised tiles and features of the image alone.

    Ardelean & Weyrich, 'High-Fidelity Zero-Shot Texture Anomaly Localization Using Feature Correspondence
    Analysis', WACV 2024 (arXiv 2304.06433), with histograms as in Ardelean, Rückbeil & Weyrich, 'Quantized
    FCA', 2025 (arXiv 2510.15602). See the module for the steps. Tile, weights and smoothing are those of the
    authors' code; chosen here by measurement: random features, their number, the number of bins.
    """

    name: ClassVar[str] = "fca"
    summary: ClassVar[str] = "displacement of features in the transport of each tile to the median tile"
    assumes: ClassVar[str] = "one texture in even light, whose pattern repeats within a tile"
    source: ClassVar[str] = "Ardelean & Weyrich, WACV 2024"

    features: str = "random"
    """`random` convolutions, `laws` texture filters on the mean of the channels, or `colour`: the pixels."""
    orbits: int = 3
    """Of `random`: kernels drawn, each with its eight flips and turns."""
    kernel_size: int = 7
    """Of `random`: side of a kernel, pixels, odd."""
    tile_size: int = 9
    """Side of a tile, pixels, odd; the largest that fits is taken where the image is smaller."""
    tile_sigma: float = 3.0
    """Standard deviation of the Gaussian that weighs the tiles that hold a pixel, pixels."""
    smoothing: float = 1.0
    """Standard deviation of the Gaussian that smooths the displacement, pixels."""
    bins: int = 24
    """Bins of each feature; time and accuracy grow with them."""
    stride: int = 2
    """Distance of neighbouring tiles, pixels, at most half a tile; 1 takes all of them, as the paper does."""

    def __post_init__(self) -> None:
        if self.features not in BANKS:
            raise UsageError(f"fca: features must be one of {', '.join(BANKS)}, not {self.features!r}")
        check_whole(self, orbits=1, kernel_size=1, tile_size=3, bins=2, stride=1)
        for name in ("kernel_size", "tile_size"):
            if getattr(self, name) % 2 == 0:
                raise UsageError(f"fca: {name} must be odd, not {getattr(self, name)}")
        if self.tile_size > _LARGEST_TILE:
            raise UsageError(f"fca: tile_size must be at most {_LARGEST_TILE}, not {self.tile_size}")
        if self.stride > self.tile_size // 2:
            raise UsageError(f"fca: stride must be at most {self.tile_size // 2}, not {self.stride}")
        check_numbers(self, tile_sigma=(1e-3, math.inf), smoothing=(0, math.inf))

    @torch.inference_mode()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """Mean displacement of each pixel's features, in units of the features; see `Detector.score`."""
        progress(0, "reference")
        bank = filter_bank(
            self.features,
            channels=len(pixels),
            orbits=self.orbits,
            kernel_size=self.kernel_size,
            generator=generator,
            device=pixels.device,
        )
        padded = pad(pyramid(pixels, valid, 1)[0].pixels, bank.margin)
        side = min(self.tile_size, (min(valid.shape) - 1) // 2 * 2 + 1)
        reference = _Reference.of(*_separate_tiles(padded, valid, bank, side), bins=self.bins)
        taps = gaussian_taps(side // 2, self.tile_sigma)
        stride = min(self.stride, max(1, side // 2))
        displacement = torch.empty(valid.shape, device=pixels.device)
        most = _BLOCK_VALUES.get(pixels.device.type, _BLOCK_VALUES_ELSEWHERE) // len(reference.levels)
        blocks = list(_blocks(*valid.shape, most=max(most, side**2), multiple=stride))
        for number, block in enumerate(blocks):
            progress(0.1 + 0.9 * number / len(blocks), "correspondence")
            tiles = _Tiles(padded, valid, block, bank, taps, stride)
            displacement[block] = _displacement(tiles, reference)
        progress(1, "correspondence")
        known = valid.to(displacement.dtype)
        logarithm = displacement.clamp_min(_SMALLEST).log_()
        displacement *= torch.exp(-excess(logarithm, known, known, side // 2 + bank.margin))
        return smooth(displacement, known, self.smoothing)


@dataclass(frozen=True, eq=False)
class _Reference:
    """The typical tile, and the bins of the values of each of the K features."""

    levels: torch.Tensor
    """`(K, bins + 2)`: just below all values, the mean of each bin, just above all values."""
    edges: torch.Tensor
    """`(K, bins - 1)`: highest value of each bin but the last."""
    upper: torch.Tensor
    """`(K, T * T + 1)`: sum of the typical tile's n smallest values, and `_SLACK` of the next."""
    lower: torch.Tensor
    """`(K, T * T + 1)`: sum of the typical tile's n smallest values, less `_SLACK` of the last."""
    ends: torch.Tensor
    """`(K, 2)`: displacement of the first and the last level."""

    @classmethod
    def of(cls, values: torch.Tensor, known: torch.Tensor, *, bins: int) -> _Reference:
        """Take the median tile of some.

        Args:
            values: `(K, n, T * T)` features of the tiles, sorted, those of missing pixels last.
            known: `(n,)` number of pixels of each tile that are not missing, at least one.
            bins: of each feature.
        """
        size = values.shape[2]
        rank = ((torch.arange(size, device=known.device) + 0.5) * known[:, None] / size).long()
        values = values.gather(2, rank.expand_as(values))
        typical = values.transpose(1, 2).median(dim=2).values
        total = F.pad(typical.double().cumsum(dim=1), (1, 0))
        following = torch.cat([typical, typical[:, -1:]], dim=1)
        preceding = torch.cat([typical[:, :1], typical], dim=1)
        levels, edges = _bins(values.flatten(1), bins)
        return cls(
            levels=levels,
            edges=edges,
            upper=(total + _SLACK * following).float(),
            lower=(total - _SLACK * preceding).float(),
            ends=(levels[:, [0, -1]] - typical[:, [0, -1]]).abs(),
        )


def _bins(values: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels and edges, see `_Reference`, of `(K, N)` values: of mixed width and content (`_EVEN_SHARE`)."""
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    sample = values[:, :: max(1, values.shape[1] // _BIN_SAMPLES)].sort(dim=1).values
    even = (sample - low) / (high - low).clamp_min(_SMALLEST)
    rising = (
        torch.linspace(0, 1, sample.shape[1], device=sample.device).expand_as(even).lerp(even, _EVEN_SHARE)
    )
    wanted = torch.linspace(0, 1, bins + 1, device=sample.device)[1:-1].expand(len(sample), -1)
    at = torch.searchsorted(rising.contiguous(), wanted.contiguous()).clamp_max_(sample.shape[1] - 1)
    edges = sample.gather(1, at)
    # Of equal edges, where many pixels share a value, one is enough; the others wait behind the last bin.
    edges[:, 1:] = torch.where(edges.diff(dim=1) > 0, edges[:, 1:], high)
    edges = edges.sort(dim=1).values
    bounds = torch.cat([low, edges, high], dim=1)
    stops = torch.searchsorted(sample, edges, right=True)
    stops = F.pad(F.pad(stops, (1, 0)), (0, 1), value=sample.shape[1])
    sums = F.pad(sample.double().cumsum(dim=1), (1, 0)).gather(1, stops).diff(dim=1)
    counts = stops.diff(dim=1)
    middle = (bounds[:, 1:] + bounds[:, :-1]) / 2
    means = torch.where(counts > 0, (sums / counts.clamp_min(1)).float(), middle)
    # The outer levels lie a little apart from the outer bins, whose pixels may all have the same value.
    gap = _END_GAP * (high - low)
    return torch.cat([low - gap, means, high + gap], dim=1), edges


def _separate_tiles(
    padded: torch.Tensor, valid: torch.Tensor, bank: FilterBank, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tiles side by side, as `_Reference.of` wants them: those at least half as well known as the best."""
    # The grid is laid so that it holds the first known pixel (the upper left one, if nothing is missing).
    first = divmod(int(valid.flatten().to(torch.uint8).argmax()), valid.shape[1])
    starts = [min(place, size % side) for place, size in zip(first, valid.shape, strict=True)]
    seen = valid[starts[0] :, starts[1] :].unfold(0, side, side).unfold(1, side, side).flatten(2)
    known = seen.sum(dim=2)
    rows, columns = (known >= 0.5 * known.max()).nonzero().T
    every = math.ceil(len(rows) * side**2 / _REFERENCE_PIXELS)
    rows, columns = rows[::every], columns[::every]
    whole = side + 2 * bank.margin
    tiles = padded[0, :, starts[0] :, starts[1] :].unfold(1, whole, side).unfold(2, whole, side)
    features = bank.respond(tiles[:, rows, columns].transpose(0, 1)).flatten(2).transpose(0, 1)
    features = features.masked_fill(~seen[rows, columns], math.inf)
    return features.sort(dim=2).values, known[rows, columns]


class _Tiles:
    """The tiles that hold the pixels of one block of the image.

    Tile j along an axis begins at pixel `stride` * j; the last one may end up to `stride` - 1 pixels beyond
    the image. Pixels are kept by their phase, their place modulo `stride` along both axes, because those of
    one phase get their tiles' amounts with the same weights.
    """

    def __init__(
        self,
        padded: torch.Tensor,
        valid: torch.Tensor,
        block: tuple[slice, slice],
        bank: FilterBank,
        taps: list[float],
        stride: int,
    ) -> None:
        self._side, self._taps, self._stride = len(taps), taps, stride
        reach = (self._side - 1) // stride
        around, inside, place = [], [], []
        for span, size in zip(block, valid.shape, strict=True):
            earliest = span.start // stride - reach
            last = min((span.stop - 1) // stride, -(-(size - self._side) // stride))
            first = max(0, earliest)
            around.append(slice(first * stride, last * stride + self._side))
            inside.append(slice(span.start - first * stride, span.stop - first * stride))
            place.append(slice(first - earliest, last + 1 - earliest))
        (top, bottom), (left, right) = ((span.start, span.stop + 2 * bank.margin) for span in around)
        features = bank.respond(padded[:, :, top:bottom, left:right])[0]
        known = valid[around[0], around[1]]
        self._shape = (block[0].stop - block[0].start, block[1].stop - block[1].start)
        self.features = self._to_phases(features[:, inside[0], inside[1]])
        """`(stride, stride, K, h, w)` of the pixels of the block."""
        beyond = [span.stop - span.start - size for span, size in zip(around, known.shape, strict=True)]
        edge = (0, beyond[1], 0, beyond[0])
        self._counted = F.pad(features.masked_fill(~known, math.inf), edge, value=math.inf)
        self._integer = torch.uint8 if self._side**2 < 256 else torch.int16
        seen = self._sum(F.pad(known[None], edge))
        self._share = seen / self._side**2
        self._stretch = self._side**2 / seen.clamp_min(1)
        self._canvas = features.new_zeros(len(features), *(size + reach for size in self.features.shape[-2:]))
        self._place = (slice(None), *place)
        self.weight = self.spread(torch.ones_like(seen))
        """`(stride, stride, 1, h, w)` of all tiles that hold a pixel."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Features, rows and columns of tiles."""
        return len(self._counted), self._share.shape[1], self._share.shape[2]

    def ranks(self, values: torch.Tensor) -> torch.Tensor:
        """`self.shape`: how many of each tile's T * T features are at most as large as `(K,)` values."""
        return self._sum(self._counted <= values[:, None, None]).mul_(self._stretch).round_()

    def spread(self, amounts: torch.Tensor) -> torch.Tensor:
        """`(stride, stride, k, h, w)`: what tiles with `(k, rows, columns)` amounts give to their pixels."""
        canvas = self._canvas[: len(amounts)]
        torch.mul(amounts, self._share, out=canvas[self._place])
        height, width = self.features.shape[-2:]
        vertical = canvas.new_empty(self._stride, *canvas.shape[:1], height, canvas.shape[2])
        for phase in range(self._stride):
            self._weigh(canvas, phase, axis=-2, out=vertical[phase])
        both = canvas.new_empty(self._stride, self._stride, len(canvas), height, width)
        for phase in range(self._stride):
            self._weigh(vertical, phase, axis=-1, out=both[:, phase])
        return both

    def to_image(self, values: torch.Tensor) -> torch.Tensor:
        """Put `(stride, stride, h, w)` values back into the order of the block."""
        stacked = values.permute(2, 0, 3, 1).flatten(2).flatten(0, 1)
        return stacked[: self._shape[0], : self._shape[1]]

    def _to_phases(self, values: torch.Tensor) -> torch.Tensor:
        step = self._stride
        missing = [-size % step for size in values.shape[1:]]
        values = F.pad(values, (0, missing[1], 0, missing[0]))
        rows, columns = (size // step for size in values.shape[1:])
        split = values.reshape(len(values), rows, step, columns, step)
        return split.permute(2, 4, 0, 1, 3).contiguous()

    def _weigh(self, amounts: torch.Tensor, phase: int, *, axis: int, out: torch.Tensor) -> None:
        """Sum the amounts of the tiles that hold the pixels of a phase, by their place in them."""
        taps = self._taps[phase :: self._stride]
        reach, length = (self._side - 1) // self._stride, out.shape[axis]
        torch.mul(amounts.narrow(axis, reach, length), taps[0], out=out)
        for back, tap in enumerate(taps[1:], start=1):
            out.add_(amounts.narrow(axis, reach - back, length), alpha=tap)

    def _sum(self, here: torch.Tensor) -> torch.Tensor:
        """Number of True in each tile, by doubling the width of what was summed."""
        x = here.view(torch.uint8).to(self._integer)
        for axis in (1, 2):
            count = x.shape[axis] - self._side + 1
            total, start, width = None, 0, 1
            while True:
                if self._side & width:
                    part = x.narrow(axis, start, count)
                    total, start = part if total is None else total + part, start + width
                if 2 * width > self._side:
                    break
                rest = x.shape[axis] - width
                x = x.narrow(axis, 0, rest) + x.narrow(axis, width, rest)
                width *= 2
            assert total is not None  # noqa: S101 - a side has at least one binary digit
            x = total[:, :: self._stride] if axis == 1 else total[:, :, :: self._stride]
        return x.to(torch.float32, memory_format=torch.contiguous_format)


def _displacement(tiles: _Tiles, reference: _Reference) -> torch.Tensor:
    """`(h, w)` mean over the features of the mean displacement by all tiles that hold a pixel.

    With t the place of a pixel's value between two levels, its displacement is that of the lowest level plus
    the sum over levels of t times the difference to the level before.
    """
    count, size = len(reference.levels), reference.upper.shape[1]
    levels = reference.levels[:, :, None, None]
    offset = size * torch.arange(count, dtype=torch.int32, device=levels.device)[:, None, None]
    upper, lower = reference.upper.flatten(), reference.lower.flatten()
    rank = torch.zeros(tiles.shape, device=levels.device)
    sums = reference.lower[:, :1, None].expand(tiles.shape)
    moved = reference.ends[:, :1, None]
    result = moved * tiles.weight
    for level in range(1, levels.shape[1]):
        before = moved
        if level == levels.shape[1] - 1:
            moved = reference.ends[:, 1:, None].expand(tiles.shape)
        else:
            last = level == levels.shape[1] - 2
            next_rank = (
                torch.full_like(rank, size - 1) if last else tiles.ranks(reference.edges[:, level - 1])
            )
            index = (next_rank.to(torch.int32) + offset).flatten()
            moved = upper.index_select(0, index).view_as(rank).sub_(sums)
            moved.div_((next_rank - rank).add_(2 * _SLACK)).sub_(levels[:, level]).abs_()
            rank, sums = next_rank, lower.index_select(0, index).view_as(rank)
        width = (levels[:, level] - levels[:, level - 1]).clamp_min(_SMALLEST)
        between = tiles.features.sub(levels[:, level - 1]).div_(width).clamp_(0, 1)
        result.addcmul_(between, tiles.spread(moved - before))
    # What lies beyond the levels moves further by as much.
    beyond = (tiles.features - tiles.features.clamp(levels[:, 0], levels[:, -1])).abs_().sum(dim=2)
    mean = result.sum(dim=2).div_(tiles.weight[:, :, 0].clamp_min(_SMALLEST)).add_(beyond).div_(count)
    return tiles.to_image(mean)


def _blocks(height: int, width: int, *, most: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    """Nearly square blocks of about `most` pixels that cover the image once and begin at a `multiple`."""
    across = max(1, round(width / math.sqrt(most)))
    down = max(1, math.ceil(height * width / across / most))
    rows, columns = (
        [*sorted({part * size // parts // multiple * multiple for part in range(parts)}), size]
        for size, parts in ((height, down), (width, across))
    )
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield slice(top, bottom), slice(left, right)
