"""Turning an image upright as its EXIF or TIFF orientation says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

TAG = 274
"""The number of the tag in EXIF and in TIFF."""


def upright(array: npt.NDArray[Any], orientation: object) -> npt.NDArray[Any]:
    """A view of `(H, W, ...)` as it is meant to be seen.

    Args:
        array: as stored.
        orientation: 1 to 8 as in TIFF 6.0; anything else counts as 1, as in every viewer.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.orientation import upright
        >>> stored = np.array([[1, 2, 3], [4, 5, 6]])
        >>> upright(stored, 6)  # of a camera that was turned: a quarter clockwise
        array([[4, 1], [5, 2], [6, 3]])
    """
    if orientation not in range(2, 9):
        return array
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
