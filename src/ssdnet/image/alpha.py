"""Separating colour from alpha, and inks from colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def split_alpha(array: npt.NDArray[Any], channel: int = -1) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Colour `(H, W, C - 1)` and where it is not fully transparent `(H, W)`, of `(H, W, C)` with alpha."""
    return np.delete(array, channel, axis=2), array[..., channel] != 0


def rgb_from_cmyk(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """RGB `(H, W, 3)` of the same unsigned dtype, of inks `(H, W, 4)`, without a colour profile."""
    full = np.iinfo(array.dtype).max
    paper = (full - array).astype(np.uint64)
    product = paper[..., :3] * paper[..., 3:]
    return ((product + full // 2) // full).astype(array.dtype)
