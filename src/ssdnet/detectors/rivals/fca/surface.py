"""An image as filters want it: missing pixels filled in, continued beyond its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ssdnet.maths.pyramid import pad, pyramid

if TYPE_CHECKING:
    from ssdnet.maths.window import Window

_FILLED_STEP = 2.0**-10
"""Of the values that are filled in: a thousandth of the image's contrast, which no feature notices."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A window of an image, for filters that look `margin` pixels beyond a position.

    >>> from ssdnet.maths.window import Window
    >>> pixels, known = torch.ones(1, 8, 8), torch.ones(8, 8, dtype=torch.bool)
    >>> pixels[0, 3, 3], known[3, 3] = 99.0, False
    >>> surface = Surface.of(pixels, known, Window.whole((8, 8)), margin=2, multiple=1)
    >>> tuple(surface.padded.shape), round(float(surface.padded.max()), 2)
    ((1, 1, 12, 12), 1.0)
    """

    padded: torch.Tensor
    """`(1, C, h + 2 margin, w + 2 margin)`, missing pixels filled in."""
    valid: torch.Tensor
    """`(h, w)` bool, False where the pixel was missing."""
    window: Window
    """Which pixels of the image they are."""

    @classmethod
    def of(
        cls, pixels: torch.Tensor, valid: torch.Tensor, window: Window, *, margin: int, multiple: int
    ) -> Surface:
        """Fill in and continue some pixels; a border that is not the image's spoils what is near it.

        Args:
            pixels: `(C, h, w)` float32 of a window; the values where `valid` is False are not used.
            valid: `(h, w)` bool.
            window: where they lie in the image.
            margin: how far filters look.
            multiple: rows and columns are left out until the rest begins at a multiple of it.
        """
        filled = window.aligned(1 << _octaves(margin))
        rows, columns = filled.within(window)
        known = valid[rows, columns]
        values = pyramid(pixels[:, rows, columns], known, 1, filled, near=max(1, margin))[0].pixels
        if not bool(known.all()):
            # What is filled in may differ by rounding from window to window, and must not for that pass from
            # one bin to the next.
            values = torch.where(known, values, (values / _FILLED_STEP).round() * _FILLED_STEP)
        padded = pad(values, margin)
        place = filled.aligned(multiple)
        top, left = (span.start for span in place.within(filled))
        return cls(padded[:, :, top:, left:], known[top:, left:], place)


def context(margin: int, multiple: int) -> int:
    """How far inside of a border that is not the image's filters see what they would in all of it, pixels.

    Args:
        margin: see `Surface.of`.
        multiple: see `Surface.of`.

    >>> context(margin=0, multiple=1), context(margin=3, multiple=2)
    (7, 35)
    """
    octave = 1 << _octaves(margin)
    # Three samples of the coarsest scale that fills in: two between the pixel and the furthest sample it is
    # interpolated from, and the other half of what that one is a mean of. Then the beginnings of both grids.
    return margin + 3 * octave + (octave - 1) + (multiple - 1)


def _octaves(margin: int) -> int:
    """How many halvings may have a part in filling in a pixel that lies within the margin of a known one.

    >>> [_octaves(margin) for margin in (0, 1, 2, 3, 9)]
    [1, 1, 2, 3, 5]
    """
    count, distance = 1, margin
    # Beside a known sample the next coarser scale decides (`maths.pyramid`). Elsewhere, of the samples that
    # it lies between, the further is 3/4 of one away, and a known one is there at half the distance.
    while distance > 1:
        count, distance = count + 1, (2 * distance + 3) // 4
    return count
