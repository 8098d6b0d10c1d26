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


def to_rgb(image: Image) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of an image.

    One channel is grey, three are red, green and blue. Two channels are shown as the grey of their mean, and
    of more than three the first three are shown. 8 bits and bool are shown as they are; everything else is
    stretched, all channels alike, between percentiles 1 and 99.5 of the valid pixels.
    """
    pixels = image.pixels
    if image.channels == 2:
        pixels = pixels.mean(axis=2, keepdims=True, dtype=np.float64)
        if image.pixels.dtype in (np.uint8, np.bool_):
            pixels = (pixels * (255 if image.pixels.dtype == np.bool_ else 1)).round().astype(np.uint8)
    pixels = pixels[:, :, :3]
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype != np.uint8:
        pixels = _stretch(pixels, image.valid, image.outside_roi)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


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


def _stretch(
    pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_], outside: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.uint8]:
    """Stretched by what is valid; what is only outside the roi is shown too."""
    step = max(1, int(np.sqrt(valid.size / _SAMPLE)))
    sample = pixels[::step, ::step][valid[::step, ::step]].astype(np.float64)
    if sample.size == 0:  # the few valid pixels fell between the steps
        sample = pixels[valid].astype(np.float64)
    if sample.size == 0:
        return np.zeros(pixels.shape, dtype=np.uint8)
    low, high = np.percentile(sample, _PERCENTILES)
    shown = valid if outside is None else valid | outside
    values = np.where(shown[:, :, np.newaxis], pixels, low).astype(np.float64) - low
    if high <= low:
        return np.full(pixels.shape, 128, dtype=np.uint8)
    return np.asarray((np.clip(values / (high - low), 0, 1) * 255).round(), dtype=np.uint8)
