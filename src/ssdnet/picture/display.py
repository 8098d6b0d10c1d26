"""From pixels of any kind to something a screen can show, at a size a screen can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image import Image

_LONG_SIDE = 1000
_LONGEST_SIDE = 2000
_SHORT_SIDE = 250
_ENLARGED_SIDE = 640
_PERCENTILES = (1.0, 99.5)
_SAMPLE = 1_000_000

Scalar = TypeVar("Scalar", bound=np.generic)


def display_size(height: int, width: int) -> tuple[int, int]:
    """Height and width on the screen.

    Large pictures are reduced to a long side of 1000 pixels (up to 2000 when they are very narrow), small
    ones enlarged by a whole number, so that each pixel stays a sharp square.
    """
    longer, shorter = max(height, width), min(height, width)
    if longer * 2 <= _ENLARGED_SIDE:
        return height * (_ENLARGED_SIDE // longer), width * (_ENLARGED_SIDE // longer)
    scale = min(1.0, max(_LONG_SIDE / longer, min(_LONGEST_SIDE / longer, _SHORT_SIDE / shorter)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fitted_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Height and width with a long side of at most `longest`: reduced, or enlarged by a whole number."""
    longer = max(height, width)
    if longer <= longest:
        return height * (longest // longer), width * (longest // longer)
    return max(1, round(height * longest / longer)), max(1, round(width * longest / longer))


def to_rgb(image: Image) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of an image.

    One channel is grey, three are red, green and blue. Two channels are shown as the grey of their mean, and
    of more than three the first three are shown. 8 bits and bool are shown as they are; everything else is
    stretched, all channels alike, between percentiles 1 and 99.5 of the valid pixels.
    """
    pixels = image.pixels
    # What is only outside the roi is shown too.
    shown = image.valid if image.outside_roi is None else image.valid | image.outside_roi
    if pixels.dtype == np.uint8 and image.channels != 2:
        return np.broadcast_to(pixels[:, :, :3], (*pixels.shape[:2], 3))  # nothing to compute
    return _stretched(shown_channels(pixels), shown, _range(image))


def to_rgb_like(image: Image, values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of other values for an image's pixels: equal values have equal colours."""
    return _stretched(shown_channels(values), np.isfinite(values).all(axis=2), _range(image))


def shown_channels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Those of `(H, W, C)` that are shown, one or three: the mean of two, of more the first three."""
    if pixels.shape[2] == 2:
        mean: npt.NDArray[np.float64] = pixels.mean(axis=2, keepdims=True, dtype=np.float64)
        return mean
    return pixels[:, :, :3]


def sampled(pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Enough of the valid pixels to know their percentiles, `(N, C)`."""
    step = max(1, int(np.sqrt(valid.size / _SAMPLE)))
    sample = pixels[::step, ::step][valid[::step, ::step]].astype(np.float64)
    if sample.size == 0:  # the few valid pixels fell between the steps
        sample = pixels[valid].astype(np.float64)
    return sample


def resize_colours(rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` at another size: the mean of the pixels that fall together, or pixels repeated."""
    from PIL import Image as Pillow

    if rgb.shape[:2] == size:
        return rgb
    resized = Pillow.fromarray(np.ascontiguousarray(rgb)).resize(size[::-1], Pillow.Resampling.BOX)
    return np.asarray(resized)


def resize_extreme(
    values: npt.NDArray[Scalar], size: tuple[int, int], extreme: np.ufunc
) -> npt.NDArray[Scalar]:
    """`(H, W)` at another size, where the pixels that fall together are joined by `extreme`.

    A mean would dilute a defect of a few pixels in a large picture until nobody sees it.
    """
    out: npt.NDArray[Any] = values
    for axis, (length, wanted) in enumerate(zip(values.shape, size, strict=True)):
        if wanted > length:
            out = np.repeat(out, wanted // length, axis=axis)
        elif wanted < length:
            out = extreme.reduceat(out, np.arange(wanted) * length // wanted, axis=axis)
    return out


def _range(image: Image) -> tuple[float, float]:
    """What is shown black, and what white."""
    if image.pixels.dtype == np.uint8:
        return 0.0, 255.0
    if image.pixels.dtype == np.bool_:
        return 0.0, 1.0
    low, high = np.percentile(sampled(shown_channels(image.pixels), image.valid), _PERCENTILES)
    return float(low), float(high)


def _stretched(
    pixels: npt.NDArray[Any], shown: npt.NDArray[np.bool_], limits: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Black to white between the limits; all grey when there is nothing between them."""
    low, high = limits
    size = (*pixels.shape[:2], 3)
    if high <= low:
        return np.full(size, 128, dtype=np.uint8)
    values = np.where(shown[:, :, np.newaxis], pixels, low).astype(np.float64) - low
    levels = (np.clip(values / (high - low), 0, 1) * 255).round().astype(np.uint8)
    return np.broadcast_to(levels, size)
