"""Distances of patches without a halo: a place counts as far as all places around it do, at each scale.

A patch that holds a part of a defect is unusual already, so a map of distances is wider than the defect, by
more the coarser the scale. At each scale the smallest of the distances around a place is taken instead (a
grey erosion), before the scales are added up: what is left is the inside of the defect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.maths.edges import Excess, Seen
from ssdnet.maths.fusion import Fusion
from ssdnet.maths.patch_components import LevelMaps
from ssdnet.maths.pyramid import upsample, upsample_part
from ssdnet.maths.smoothing import smooth
from ssdnet.maths.strips import fill_squares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.maths.window import Window

_SIGMA = 0.7
"""Of the average before the smallest is taken, pixels of the scale."""

_REACH = 4
"""Pixels around its own that a sample of the finest scale depends on: of the average, and the smallest."""

_FINE = 3
"""Scales that count fully; the coarser ones count half."""


@dataclass(frozen=True, eq=False)
class Cores:
    """Distances without their halo.

    >>> from ssdnet.maths.window import Window
    >>> values = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    >>> values[20:40, 20:40] += 20.0
    >>> scale = LevelMaps((values,), torch.ones(64, 64), Window.whole((64, 64)))
    >>> cores, (inside,) = Cores.fit([[scale]], reach=2)
    >>> bool(inside[30, 30] > 2 * inside[20, 30])
    True
    """

    sizes: tuple[Fusion, ...]
    """Of the sizes of patches, at each scale."""
    excess: Excess | None
    """How much higher positions along edges lie; None before that is known."""

    @classmethod
    def fit(cls, images: Sequence[Sequence[LevelMaps]], reach: int) -> tuple[Cores, list[torch.Tensor]]:
        """Learn what is usual of one image, or of several of one surface.

        Args:
            images: of each its scales, the finest first.
            reach: how many pixels from the edge still look beyond it.

        Returns:
            What was learned, and of each image its `(H, W)` map.
        """
        sizes = tuple(
            Fusion.fit([scale.maps for scale in scales], [scale.known > 0 for scale in scales])
            for scales in zip(*images, strict=True)
        )
        plain = cls(sizes, None)
        insides = []
        for scales in images:
            levels = []
            for number, scale in enumerate(scales):
                levels.append(LevelMaps((plain.level(scale.maps, number),), scale.known, scale.window))
            insides.append(plain.inside(levels))
        maps = [inside.whole() for inside in insides]
        seen = [
            Seen(values, scales[0].known, scales[0].known)
            for values, scales in zip(maps, images, strict=True)
        ]
        limit = min(min(values.shape) for values in maps) // 3
        excess = Excess.fit(seen, max(1, min(reach, limit)))
        for one, scales in zip(seen, images, strict=True):
            excess.take_from(one, scales[0].window)
        return cls(sizes, excess), maps

    def level(self, maps: Sequence[torch.Tensor], number: int) -> torch.Tensor:
        """`(h, w)` distances of all sizes of patches at one scale, in upper spreads above the usual.

        Args:
            maps: `(h, w)` log distances of any part, one for each size of patch.
            number: of the scale, 0 is the finest.
        """
        usual = self.sizes[number]
        return usual.of(maps).div_(sum(one.spread for one in usual.usual) / len(usual.usual))

    def inside(self, scales: Sequence[LevelMaps]) -> Inside:
        """The map of any part of a window.

        Args:
            scales: `level` of each scale, the finest first.
        """
        total: torch.Tensor | None = None
        for number in range(len(scales) - 1, 0, -1):
            scale = scales[number]
            own = _smallest_around(smooth(scale.maps[0], scale.known, _SIGMA)).mul_(_weight(number))
            if total is not None:
                own.add_(upsample(total[None, None], scale.window)[0, 0])
            total = own
        return Inside(scales[0], total, sum(map(_weight, range(len(scales)))), self.excess)


@dataclass(frozen=True, eq=False)
class Inside:
    """Distances without their halo, of any part of a window.

    >>> from ssdnet.maths.window import Window
    >>> scale = LevelMaps((torch.ones(8, 8),), torch.ones(8, 8), Window.whole((8, 8)))
    >>> Inside(scale, None, 2.0, None).part(Window(0, 1, 2, 4, (8, 8))).tolist()
    [[0.5, 0.5]]
    """

    finest: LevelMaps
    """`Cores.level` of the finest scale."""
    coarser: torch.Tensor | None
    """`(h', w')`, the weighted sum over all other scales, at the second; None where there is none."""
    weight: float
    """Of all scales together."""
    excess: Excess | None

    def whole(self) -> torch.Tensor:
        """`(h, w)` of all of the window."""
        place = self.finest.window
        values = self.finest.maps[0].new_empty(place.size)
        fill_squares([values], place, lambda square: [self.part(square)])
        return values

    def part(self, square: Window) -> torch.Tensor:
        """`(h', w')` of a part."""
        place = self.finest.window
        context = square.around(_REACH).inside(place)
        around, inside = context.within(place), square.within(context)
        known = self.finest.known[around]
        values = _smallest_around(smooth(self.finest.maps[0][around], known, _SIGMA))[inside]
        values = values * _weight(0)
        if self.coarser is not None:
            values += upsample_part(self.coarser[None, None], place, square)[0, 0]
        values.div_(self.weight)
        if self.excess is not None:
            known = known[inside]
            values -= self.excess.of(Seen(values, known, known), square)
        return values


def _weight(number: int) -> float:
    return 1.0 if number < _FINE else 0.5


def _smallest_around(values: torch.Tensor) -> torch.Tensor:
    """`(h, w)` smallest of 3 x 3 samples; beyond the edge lies nothing."""
    return -F.max_pool2d(-values[None, None], 3, stride=1, padding=1)[0, 0]
