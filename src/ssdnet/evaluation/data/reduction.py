"""The size at which maps are judged: the shorter side of the mask reduced to 256 pixels.

Masks are reduced by area average and count where more than 0.3 of a pixel is anomalous; maps bilinearly to
the size of their mask, whatever size they have. One size for all keeps large images from outweighing small
ones, and bounds what the figures of a whole set need at once.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from ssdnet.errors import NoValidPixelsError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image import Image

JUDGED_SIDE = 256
"""Shorter side of a map when it is judged, pixels."""

_ANOMALOUS_SHARE = 0.3
_KNOWN_SHARE = 0.5


def reduced_shape(height: int, width: int, side: int) -> tuple[int, int]:
    """`(H, W)` with a shorter side of at most `side`; nothing is enlarged.

    Examples:
        >>> from ssdnet.evaluation.data.reduction import reduced_shape
        >>> reduced_shape(1024, 2048, 256), reduced_shape(100, 200, 256)
        ((256, 512), (100, 200))
    """
    scale = min(1.0, side / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def reduce_mask(mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """`(H, W)` bool at another shape: True where more than 0.3 of the area is.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.data.reduction import reduce_mask
        >>> mask = np.zeros((4, 6), dtype=bool)
        >>> mask[:2, 0] = mask[3, 5] = True  # half of one reduced pixel, and a quarter of another
        >>> reduce_mask(mask, (2, 3)).astype(int).tolist()
        [[1, 0, 0], [0, 0, 0]]
    """
    share = Pillow.fromarray(mask.astype(np.float32)).resize(shape[::-1], Pillow.Resampling.BOX)
    reduced: npt.NDArray[np.bool_] = np.asarray(share) > _ANOMALOUS_SHARE
    return reduced


def reduce_map(score: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """`(H, W)` anomaly map at another shape, bilinear; reduced with antialiasing.

    Pixels that are not finite are missing: they do not count for their neighbours, and a pixel of the result
    is NaN where they would make up half of it or more.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.data.reduction import reduce_map
        >>> score = np.full((64, 64), 3, dtype=np.float32)
        >>> score[:, :24] = np.nan
        >>> reduce_map(score, (8, 8))[0].tolist()
        [nan, nan, nan, 3.0, 3.0, 3.0, 3.0, 3.0]
    """
    known = np.isfinite(score)
    if known.all():
        return _bilinear(score, shape)
    weight = _bilinear(known.astype(np.float32), shape)
    total = _bilinear(np.where(known, score, np.float32(0)), shape)
    return np.where(weight > _KNOWN_SHARE, total / np.maximum(weight, _KNOWN_SHARE), np.float32(np.nan))


def reduce_image(image: Image, side: int) -> Image:
    """An image with a shorter side of at most `side`, by area average; a smaller one as it is.

    Integers of 8 and 16 bits stay what they are; all else becomes float32. Missing pixels do not count for
    their neighbours, and a pixel of the result is missing where they make up half of it or more. Name, file
    and `sha256` stay those of the image.

    Raises:
        NoValidPixelsError: so few pixels are valid that none is left.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.data.reduction import reduce_image
        >>> from ssdnet.image import read_image
        >>> image = read_image(np.arange(64 * 96, dtype=np.uint16).reshape(64, 96))
        >>> small = reduce_image(image, side=32)
        >>> small.pixels.shape, small.pixels.dtype
        ((32, 48, 1), dtype('uint16'))
    """
    shape = reduced_shape(image.height, image.width, side)
    if shape == (image.height, image.width):
        return image
    planes = np.moveaxis(image.pixels, 2, 0)
    if image.pixels.dtype == np.uint8 and image.valid.all():
        valid = np.ones(shape, dtype=np.bool_)
        small = [_box(plane, shape) for plane in planes]
    else:
        weight = _box(image.valid.astype(np.float32), shape)
        valid = weight > _KNOWN_SHARE
        small = [
            _box(np.where(image.valid, plane, 0).astype(np.float32), shape) / np.maximum(weight, _KNOWN_SHARE)
            for plane in planes
        ]
    if not valid.any():
        raise NoValidPixelsError(f"{image.name}: no valid pixel is left at a shorter side of {side} pixels")
    pixels = np.stack(small, axis=2)
    if image.pixels.dtype.kind in "iu" and image.pixels.dtype.itemsize <= 2:
        pixels = np.rint(pixels).astype(image.pixels.dtype)
    return dataclasses.replace(image, pixels=pixels, valid=valid)


def _box(plane: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    return np.asarray(
        Pillow.fromarray(np.ascontiguousarray(plane)).resize(shape[::-1], Pillow.Resampling.BOX)
    )


def _bilinear(values: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    resized = Pillow.fromarray(values).resize(shape[::-1], Pillow.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)
