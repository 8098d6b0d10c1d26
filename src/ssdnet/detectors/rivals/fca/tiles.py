"""Tiles that overlap: how many of their features lie below a value, and what they give to their pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.smoothing import gaussian_taps

if TYPE_CHECKING:
    from ssdnet.detectors.rivals.fca.filter_banks import FilterBank
    from ssdnet.detectors.rivals.fca.surface import Surface


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles lie, and how much of what they say their pixels get.

    >>> [round(tap, 2) for tap in TileGrid(side=3, stride=1, sigma=1.0).taps]
    [0.27, 0.45, 0.27]
    """

    side: int
    """Of a tile, pixels, odd."""
    stride: int
    """Tiles begin at its multiples along both axes of the image, pixels."""
    sigma: float
    """Standard deviation of the Gaussian in the distance from the middle of a tile, pixels."""

    @property
    def taps(self) -> list[float]:
        """What the pixels of a tile get, by their place along an axis."""
        return gaussian_taps(self.side // 2, self.sigma)


class Tiles:
    """The tiles that hold the pixels of one block of the image.

    Tile j along an axis begins at pixel `stride` * j of the surface; the last one may end up to `stride` - 1
    pixels beyond it. Pixels are kept by their phase, their place modulo `stride` along both axes, because
    those of one phase get their tiles' amounts with the same weights.

    >>> from ssdnet.detectors.rivals.fca.filter_banks import FilterBank
    >>> from ssdnet.detectors.rivals.fca.surface import Surface
    >>> from ssdnet.maths.window import Window
    >>> pixels, known = torch.arange(36.0).view(1, 6, 6), torch.ones(6, 6, dtype=torch.bool)
    >>> surface = Surface.of(pixels, known, Window.whole((6, 6)), margin=0, multiple=1)
    >>> bank = FilterBank(torch.ones(1, 1, 1, 1), local_mean=torch.zeros(0))  # the pixels themselves
    >>> tiles = Tiles(surface, (slice(0, 6), slice(0, 6)), bank, TileGrid(side=3, stride=1, sigma=1.0))
    >>> tiles.ranks(torch.tensor([7.0]))[0, 0].tolist()
    [5.0, 4.0, 3.0, 3.0]
    """

    def __init__(
        self,
        surface: Surface,
        block: tuple[slice, slice],
        bank: FilterBank,
        grid: TileGrid,
    ) -> None:
        self._side, self._taps, self._stride = grid.side, grid.taps, grid.stride
        valid, side, stride = surface.valid, grid.side, grid.stride
        reach = (side - 1) // stride
        around, inside, place = [], [], []
        for span, size in zip(block, valid.shape, strict=True):
            earliest = span.start // stride - reach
            # An image smaller than a tile has one, the rest of which is not known.
            last = min((span.stop - 1) // stride, max(0, -(-(size - side) // stride)))
            first = max(0, earliest)
            around.append(slice(first * stride, last * stride + side))
            inside.append(slice(span.start - first * stride, span.stop - first * stride))
            place.append(slice(first - earliest, last + 1 - earliest))
        (top, bottom), (left, right) = ((span.start, span.stop + 2 * bank.margin) for span in around)
        features = bank.respond(surface.padded[:, :, top:bottom, left:right])[0]
        known = valid[around[0], around[1]]
        self._shape = (block[0].stop - block[0].start, block[1].stop - block[1].start)
        self.features = self._to_phases(features[:, inside[0], inside[1]])
        """`(stride, stride, K, h, w)` of the pixels of the block."""
        beyond = [span.stop - span.start - size for span, size in zip(around, known.shape, strict=True)]
        edge = (0, beyond[1], 0, beyond[0])
        self._counted = F.pad(features.masked_fill(~known, math.inf), edge, value=math.inf)
        self._integer = torch.uint8 if side**2 < 256 else torch.int16
        seen = self._sum(F.pad(known[None], edge))
        self._share = seen / side**2
        self._stretch = side**2 / seen.clamp_min(1)
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
