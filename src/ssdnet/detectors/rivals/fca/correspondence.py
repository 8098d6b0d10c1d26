"""The displacement of each pixel's features by the transport of the tiles around it to the typical tile."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ssdnet.detectors.rivals.fca.filter_banks import FilterBank  # noqa: TC001 - files are read by types
from ssdnet.detectors.rivals.fca.reference import (
    SLACK,
    SMALLEST,
    Reference,
)
from ssdnet.detectors.rivals.fca.surface import Surface, context
from ssdnet.detectors.rivals.fca.tiles import TileGrid, Tiles
from ssdnet.maths.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssdnet.progress import Progress

_BLOCK_VALUES = {"cpu": 1 << 19}
_BLOCK_VALUES_ELSEWHERE = 1 << 24
"""Feature values worked on at once: bounds the memory; what a cache holds, or what keeps a GPU busy."""


@dataclass(frozen=True, eq=False)
class Correspondence:
    """From pixels to displacements.

    >>> from ssdnet.detectors.rivals.fca import FCA
    >>> from ssdnet.progress import silent
    >>> image = torch.sin(torch.arange(40.0) * 2).repeat(1, 40, 1)
    >>> image[0, 20:24, 10:14] = 3.0
    >>> known = torch.ones(40, 40, dtype=torch.bool)
    >>> model = FCA(features="colour").fit([image], [known], generator=torch.Generator())
    >>> surface = model.correspondence.surface(image, known, Window.whole((40, 40)))
    >>> moved, place = model.correspondence.displacement(surface, surface.window, silent)
    >>> place.size, bool(moved[20:24, 10:14].max() == moved.max())
    ((40, 40), True)
    """

    bank: FilterBank
    grid: TileGrid
    reference: Reference

    @property
    def halo(self) -> int:
        """Pixels of context that a window needs."""
        # Features of all pixels of the tiles that hold one; blocks begin where tiles do.
        return (self.grid.side - 1) + context(self.bank.margin, self.grid.stride) + self.grid.stride - 1

    def surface(self, pixels: torch.Tensor, valid: torch.Tensor, window: Window) -> Surface:
        """Make `(C, h, w)` pixels of a window ready; it then begins where a tile does."""
        return Surface.of(pixels, valid, window, margin=self.bank.margin, multiple=self.grid.stride)

    def displacement(
        self, surface: Surface, wanted: Window, progress: Progress
    ) -> tuple[torch.Tensor, Window]:
        """Mean displacement of each pixel's features, in units of the features.

        Args:
            surface: of `wanted` and its context.
            wanted: which pixels are asked for.
            progress: called before each block with the share of the work that is done.

        Returns:
            `(h, w)`, and which window it is of: `wanted` and what it takes to begin where a tile does.
        """
        stride, device = self.grid.stride, surface.padded.device
        top, left = (start // stride * stride for start in (wanted.top, wanted.left))
        target = Window(top, wanted.bottom, left, wanted.right, wanted.shape)
        result = torch.empty(target.size, device=device)
        most = _BLOCK_VALUES.get(device.type, _BLOCK_VALUES_ELSEWHERE) // len(self.reference.levels)
        parts = list(blocks(*target.size, most=max(most, self.grid.side**2), multiple=stride))
        starts = [span.start for span in target.within(surface.window)]
        for number, part in enumerate(parts):
            progress(number / len(parts), "correspondence")
            down, right = (
                slice(span.start + start, span.stop + start) for span, start in zip(part, starts, strict=True)
            )
            result[part] = _displacement(Tiles(surface, (down, right), self.bank, self.grid), self.reference)
        return result, target


def _displacement(tiles: Tiles, reference: Reference) -> torch.Tensor:
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
            moved.div_((next_rank - rank).add_(2 * SLACK)).sub_(levels[:, level]).abs_()
            rank, sums = next_rank, lower.index_select(0, index).view_as(rank)
        width = (levels[:, level] - levels[:, level - 1]).clamp_min(SMALLEST)
        between = tiles.features.sub(levels[:, level - 1]).div_(width).clamp_(0, 1)
        result.addcmul_(between, tiles.spread(moved - before))
    # What lies beyond the levels moves further by as much.
    beyond = (tiles.features - tiles.features.clamp(levels[:, 0], levels[:, -1])).abs_().sum(dim=2)
    mean = result.sum(dim=2).div_(tiles.weight[:, :, 0].clamp_min(SMALLEST)).add_(beyond).div_(count)
    return tiles.to_image(mean)


def blocks(height: int, width: int, *, most: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    """Nearly square blocks of about `most` pixels that cover the image once and begin at a `multiple`.

    >>> list(blocks(4, 8, most=16, multiple=2))
    [(slice(0, 4, None), slice(0, 4, None)), (slice(0, 4, None), slice(4, 8, None))]
    """
    across = max(1, round(width / math.sqrt(most)))
    down = max(1, math.ceil(height * width / across / most))
    rows, columns = (
        [*sorted({part * size // parts // multiple * multiple for part in range(parts)}), size]
        for size, parts in ((height, down), (width, across))
    )
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield slice(top, bottom), slice(left, right)
