"""The largest value in a window around each pixel, in time that hardly depends on the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Number = TypeVar("Number", np.float32, np.float64, np.bool_)

_STRIP = 1 << 17
"""Values worked on at once: with what is made of them they stay in the cache of a core."""
_NARROWEST = 16
"""Neighbouring columns at least: what is read one by one from each row is slow."""


def running_maximum(values: npt.NDArray[Number], sides: tuple[int, int]) -> npt.NDArray[Number]:
    """The largest value in the window around each pixel; beyond the edge there is nothing.

    The same as `scipy.ndimage.maximum_filter`, several times as fast.

    Args:
        values: `(H, W)` without NaN.
        sides: height and width of the window, at least 1. Of an even one, the larger half lies above or left.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.running import running_maximum
        >>> running_maximum(np.array([[0.0, 3.0, 0.0, 0.0, 1.0]]), (1, 3)).tolist()
        [[3.0, 3.0, 3.0, 1.0, 1.0]]
    """
    out = np.empty_like(values)
    _along(values, 0, sides[0], out)
    _along(out, 1, sides[1], out)
    return out


def _along(values: npt.NDArray[Number], axis: int, side: int, out: npt.NDArray[Number]) -> None:
    """Along one axis: of two windows that overlap, the larger maximum is that of both together.

    Args:
        values: `(H, W)`.
        axis: 0 or 1.
        side: length of the window.
        out: where to write; may be `values`, of which no strip is read once it is written.
    """
    lines, results = (values, out) if axis == 0 else (values.T, out.T)
    length, count = lines.shape
    before, after = (min(half, length - 1) for half in (side // 2, (side - 1) // 2))
    side = before + 1 + after
    width = min(max(_NARROWEST, _STRIP // (length + side)), count)
    lowest = False if values.dtype == np.bool_ else -np.inf
    order: Literal["C", "F"] = "C" if axis == 0 else "F"  # as the values lie in memory
    padded = np.full((length + side - 1, width), lowest, dtype=values.dtype, order=order)
    buffers = np.empty_like(padded), np.empty_like(padded)
    for start in range(0, count, width):
        strip = lines[:, start : start + width]
        columns = strip.shape[1]
        padded[before : before + length, :columns] = strip
        largest, (spare, other) = padded, buffers
        span, left = 1, len(padded)  # largest[i] is the maximum of `span` values from i on
        while 2 * span <= side:
            left -= span
            np.maximum(largest[:left], largest[span : span + left], out=spare[:left])
            largest, spare, other = spare, other, spare
            span *= 2
        first, last = largest[:length, :columns], largest[side - span : side - span + length, :columns]
        np.maximum(first, last, out=results[:, start : start + width])
