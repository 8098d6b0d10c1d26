"""Separating colour from alpha, and inks from colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def split_alpha(array: npt.NDArray[Any], channel: int = -1) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Colour `(H, W, C - 1)` and where it is not fully transparent `(H, W)`, of `(H, W, C)` with alpha.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.alpha import split_alpha
        >>> rgba = np.array([[[9, 8, 7, 255], [6, 5, 4, 0]]], np.uint8)
        >>> colour, opaque = split_alpha(rgba)
        >>> colour.shape, opaque
        ((1, 2, 3), array([[ True, False]]))
    """
    return np.delete(array, channel, axis=2), array[..., channel] != 0


def rgb_from_cmyk(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """RGB `(H, W, 3)` of the same unsigned dtype, of inks `(H, W, 4)`, without a colour profile.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.alpha import rgb_from_cmyk
        >>> cyan, black = (255, 0, 0, 0), (0, 0, 0, 255)
        >>> rgb_from_cmyk(np.array([[cyan, black]], np.uint8))
        array([[[  0, 255, 255], [  0,   0,   0]]], dtype=uint8)
    """
    full = np.iinfo(array.dtype).max
    paper = (full - array).astype(np.uint64)
    product = paper[..., :3] * paper[..., 3:]
    return ((product + full // 2) // full).astype(array.dtype)
