"""Where everything is in the picture for people."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ssdnet.picture.display import fitted_size

if TYPE_CHECKING:
    from collections.abc import Sequence

Box: TypeAlias = tuple[int, int, int, int]
"""`(x, y, width, height)` in pixels from the top left."""

_LEFT, _RIGHT, _BETWEEN = 52, 44, 56
_TITLED = 210
"""Small and narrow panels still leave room for their titles."""
_EXPLAINED = 112
"""Below layers that are explained in words."""
_CAPTIONED = 400
"""The words below the layers need room too."""
_LONGEST_LAYER = 640
"""As small pictures are enlarged to; larger layers only where there is room."""
_STRIP = 3
_SMALLEST_PATCH, _LARGEST_PATCH = 84, 144
_APART, _GAP = 20, 8
"""Between the patch of a region and those like it, and between these."""
_NARROWEST = 70
"""Room for the caption of the first."""
_WORDED = 56
"""Two lines of words and a caption above the patches."""
_REASONS, _ROWS = 4, 2


@dataclass(frozen=True)
class Layout:
    """Where everything is, in pixels from the top left.

    Examples:
        >>> from ssdnet.picture.layout import Layout
        >>> layout = Layout.of(640, 640)
        >>> layout.picture[2:], layout.heat[2:], layout.stacked
        ((640, 640), (640, 640), False)
        >>> more = layout.with_layers(64, 64).with_reasons([16, 16])
        >>> len(more.layers), len(more.reasons), more.height > layout.height
        (3, 2, True)
    """

    width: int
    height: int
    picture: Box
    heat: Box
    scale: Box
    stacked: bool
    layers: tuple[Box, ...] = ()
    """Of the same size each; none when there are no layers."""
    reasons: tuple[Box, ...] = ()
    """One for each region that is explained; none when nothing was found."""
    largest_patch: int = 0
    """Pixels that a patch in them may be high and wide."""

    @classmethod
    def of(cls, tall: int, wide: int) -> Layout:
        """The layout for panels of that size."""
        left, top, under = _LEFT, 92, 48
        if wide > 1.6 * tall:
            second = top + tall + _BETWEEN
            scale = (left, second + tall + 58, max(wide, 720), 14)
            return cls(
                width=left + max(wide, 720) + _RIGHT,
                height=scale[1] + 14 + 74,
                picture=(left, top, wide, tall),
                heat=(left, second, wide, tall),
                scale=scale,
                stacked=True,
            )
        second = left + max(wide, _TITLED) + _BETWEEN
        scale_height = max(320, min(tall, 512))
        scale = (second + max(wide, _TITLED) + 24, top + 40, 14, scale_height - 90)
        return cls(
            width=scale[0] + 14 + 230,
            height=top + max(tall, scale_height) + under,
            picture=(left, top, wide, tall),
            heat=(second, top, wide, tall),
            scale=scale,
            stacked=False,
        )

    def with_layers(self, height: int, width: int, count: int = 3) -> Layout:
        """The same with room for so many layers of an image of that size.

        Below a picture and a heat map that are beside each other they stand in a row, and where these are
        stacked, in a column on their right. Those of a strip stand the other way, as large as the picture.
        """
        left, top, wide, tall = self.picture
        below, beside = self.height + 24, self.width + 12
        if wide > _STRIP * tall:
            start, in_row = (left, below), False
        elif tall > _STRIP * wide:
            start, in_row = (beside, top), True
        elif self.stacked:
            start, in_row = (beside, top), False
            rows = max(3, count)
            room = (self.scale[1] + self.scale[3] - top - (rows - 1) * _BETWEEN) // rows
            tall, wide = fitted_size(height, width, room * width // height)
        else:
            start, in_row = (left, below), True
            columns = max(3, count)
            room = (self.width - left - _RIGHT - (columns - 1) * _BETWEEN) // columns
            longest = max(room, _LONGEST_LAYER) if count == 3 else room
            tall, wide = fitted_size(height, width, longest)
        right, down = (max(wide, _TITLED) + _BETWEEN, 0) if in_row else (0, tall + _BETWEEN)
        boxes = [(start[0] + number * right, start[1] + number * down, wide, tall) for number in range(count)]
        x, y, _, _ = boxes[-1]
        return dataclasses.replace(
            self,
            width=max(self.width, start[0] + _CAPTIONED, x + max(wide, _TITLED) + _RIGHT),
            height=max(self.height, y + tall + (_EXPLAINED if count >= 3 else 48)),
            layers=tuple(boxes),
        )

    def with_reasons(self, sides: Sequence[int]) -> Layout:
        """The same with cells for the explanations of some regions, or as many as fit, below all else.

        Args:
            sides: of the patch of each region, pixels of the image.
        """
        count = len(sides)
        if count == 0:
            return self
        room = self.width - _LEFT - _RIGHT + _BETWEEN
        smallest = 4 * _SMALLEST_PATCH + _APART + 2 * _GAP + _BETWEEN
        columns = min(count, _REASONS, max(1, room // smallest))
        rows = 1 if columns > 1 else min(count, _ROWS)
        patch = min(_LARGEST_PATCH, (room // columns - _BETWEEN - _APART - 2 * _GAP) // 4)
        sides = sides[: rows * columns]
        wide = 4 * patch + _APART + 2 * _GAP
        tall = _WORDED + max(fitted_size(side, side, patch)[0] for side in sides)
        top = self.height + 32
        boxes = [
            (_LEFT + column * (wide + _BETWEEN), top + row * (tall + _GAP * 3), wide, tall)
            for row in range(rows)
            for column in range(columns)
        ]
        return dataclasses.replace(
            self, height=boxes[-1][1] + tall + 36, reasons=tuple(boxes), largest_patch=patch
        )

    def patches(self, cell: Box, patch: int) -> tuple[Box, Box, Box, Box]:
        """Where the four patches of a cell stand, the region's own first.

        Args:
            cell: one of `reasons`.
            patch: side of the patches, pixels of the image.
        """
        left, top, _, _ = cell
        side, _ = fitted_size(patch, patch, self.largest_patch)
        first, y = left + max(side, _NARROWEST) + _APART, top + _WORDED
        others = [(first + number * (side + _GAP), y, side, side) for number in range(3)]
        return (left, y, side, side), others[0], others[1], others[2]

    def fraction(self, box: Box) -> tuple[float, float, float, float]:
        """A box as matplotlib wants it: fractions of the figure from the bottom left."""
        x, y, wide, tall = box
        return x / self.width, 1 - (y + tall) / self.height, wide / self.width, tall / self.height
