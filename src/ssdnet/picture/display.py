"""From pixels of any kind to something a screen can show, at a size a screen can hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssdnet.image.color import rgb_from_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from ssdnet.image import Image
    from ssdnet.result import Slices

_LONG_SIDE = 1000
_LONGEST_SIDE = 2000
_SHORT_SIDE = 250
_ENLARGED_SIDE = 640
_PERCENTILES = (1.0, 99.5)
_SAMPLE = 1_000_000
_STRIP = 2**18
"""Values that are stretched at once: 2 MiB in double precision, which the cache of a core can hold."""

WHOLE: Slices = (slice(None), slice(None))
"""All rows and columns."""

Scalar = TypeVar("Scalar", bound=np.generic)


def display_size(height: int, width: int) -> tuple[int, int]:
    """Height and width on the screen.

    Large pictures are reduced to a long side of 1000 pixels (up to 2000 when they are very narrow), small
    ones enlarged by a whole number, so that each pixel stays a sharp square.

    Examples:
        >>> from ssdnet.picture.display import display_size
        >>> display_size(4000, 3000), display_size(64, 96)
        ((1000, 750), (384, 576))
    """
    longer, shorter = max(height, width), min(height, width)
    if longer * 2 <= _ENLARGED_SIDE:
        return height * (_ENLARGED_SIDE // longer), width * (_ENLARGED_SIDE // longer)
    scale = min(1.0, max(_LONG_SIDE / longer, min(_LONGEST_SIDE / longer, _SHORT_SIDE / shorter)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fitted_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Height and width with a long side of at most `longest`: reduced, or enlarged by a whole number.

    Examples:
        >>> from ssdnet.picture.display import fitted_size
        >>> fitted_size(400, 300, longest=200), fitted_size(30, 20, longest=100)
        ((200, 150), (90, 60))
    """
    longer = max(height, width)
    if longer <= longest:
        return height * (longest // longer), width * (longest // longer)
    return max(1, round(height * longest / longer)), max(1, round(width * longest / longer))


@dataclass(frozen=True)
class Colours:
    """How the pixels of one image become colours.

    One channel is grey, three are red, green and blue. Two channels are shown as the grey of their mean, and
    of more than three the first three are shown. 8 bits and bool are shown as they are; everything else is
    stretched, all channels alike, between percentiles 1 and 99.5 of the valid pixels.

    What is made on the way to a small picture is one byte for each pixel and channel.

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image
        >>> from ssdnet.picture.display import Colours
        >>> deep = np.linspace(1000, 3000, 20 * 30).reshape(20, 30).astype(np.uint16)
        >>> colours = Colours.of(read_image(deep))
        >>> shown = colours.picture()
        >>> shown.shape, int(shown.min()), int(shown.max())  # stretched, as it would be all but black
        ((20, 30, 3), 0, 255)
        >>> bool((colours.like(deep[:, :, np.newaxis].astype(np.float64)) == shown).all())
        True
    """

    image: Image
    limits: tuple[float, float]
    """What is shown black, and what white."""
    lab: np.dtype[Any] | None = None
    """Of what dtype the values of `like` are L*a*b*; None when they are colours."""

    @classmethod
    def of(cls, image: Image) -> Colours:
        """The colours of an image."""
        if image.lab:
            return replace(cls.of(image.seen()), lab=image.pixels.dtype)
        if image.pixels.dtype == np.uint8:
            return cls(image, (0.0, 255.0))
        if image.pixels.dtype == np.bool_:
            return cls(image, (0.0, 1.0))
        low, high = np.percentile(shown_channels(sampled(image.pixels, image.valid)), _PERCENTILES)
        return cls(image, (float(low), float(high)))

    def picture(self, size: tuple[int, int] | None = None, inside: Slices = WHOLE) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` colours of the image or of a part of it.

        Args:
            size: height and width of the picture; None = of the part.
            inside: the rows and columns to show.
        """
        image = self.image
        pixels, valid = image.pixels[inside], image.valid[inside]
        outside = None if image.outside_roi is None else image.outside_roi[inside]
        if pixels.dtype == np.uint8 and image.channels != 2:  # nothing to compute
            return joined([resized(plane, size) for plane in np.moveaxis(pixels[:, :, :3], 2, 0)])

        def levels(part: npt.NDArray[Any], rows: slice) -> npt.NDArray[np.uint8]:
            # What is only outside the roi is shown too.
            return self._levels(part, valid[rows] if outside is None else valid[rows] | outside[rows])

        return shaded(pixels, levels, size)

    def like(
        self, values: npt.NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` colours of other values for the image's pixels: equal values have equal colours.

        Args:
            values: `(H, W, C)`, NaN = missing.
            size: see `picture`.
        """
        if self.lab is not None:
            values = rgb_from_lab(values, self.lab)

        def levels(part: npt.NDArray[Any], rows: slice) -> npt.NDArray[np.uint8]:
            return self._levels(part, np.isfinite(values[rows]).all(axis=2))

        return shaded(values, levels, size)

    def _levels(self, values: npt.NDArray[Any], shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
        """Black to white between the limits; all grey when there is nothing between them."""
        low, high = self.limits
        if high <= low:
            return np.full(values.shape, 128, dtype=np.uint8)
        levels = values.astype(np.float64)
        levels -= low
        levels[~shown] = 0
        levels /= high - low
        np.clip(levels, 0, 1, out=levels)
        levels *= 255
        return np.rint(levels, out=levels).astype(np.uint8)


def shown_channels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Those of `(..., C)` that are shown, one or three: the mean of two, of more the first three.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.display import shown_channels
        >>> shown_channels(np.array([[[10, 20]]])), shown_channels(np.array([[[1, 2, 3, 4]]]))
        (array([[[15.]]]), array([[[1, 2, 3]]]))
    """
    if pixels.shape[-1] == 2:
        mean: npt.NDArray[np.float64] = pixels.mean(axis=-1, keepdims=True, dtype=np.float64)
        return mean
    return pixels[..., :3]


def shaded(
    pixels: npt.NDArray[Any],
    shade: Callable[[npt.NDArray[Any], slice], npt.NDArray[np.uint8]],
    size: tuple[int, int] | None = None,
) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of pixels `(H, W, C)`, made a few rows at a time.

    Args:
        pixels: of any kind.
        shade: makes levels of the same shape of some rows of the channels that are shown; it is told which
            rows these are.
        size: height and width of the picture; None = that of the pixels.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.display import shaded
        >>> shares = np.linspace(0, 1, 12).reshape(3, 4, 1)
        >>> grey = shaded(shares, lambda part, rows: (255 * part).astype(np.uint8), size=(6, 8))
        >>> grey.shape, int(grey[0, 0, 0]), int(grey[-1, -1, 2])
        ((6, 8, 3), 0, 255)
    """
    height, width, channels = pixels.shape
    planes = np.empty((1 if channels < 3 else 3, height, width), dtype=np.uint8)
    step = max(1, _STRIP // (width * channels))
    for start in range(0, height, step):
        rows = slice(start, start + step)
        planes[:, rows] = np.moveaxis(shade(shown_channels(pixels[rows]), rows), 2, 0)
    return joined([resized(plane, size) for plane in planes])


def sampled(pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Enough of the valid pixels to know their percentiles, `(N, C)`.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.display import sampled
        >>> pixels, valid = np.arange(12).reshape(2, 3, 2), np.array([[True, False, True], [False] * 3])
        >>> sampled(pixels, valid)
        array([[0., 1.], [4., 5.]])
    """
    step = max(1, int(np.sqrt(valid.size / _SAMPLE)))
    sample = pixels[::step, ::step][valid[::step, ::step]].astype(np.float64)
    if sample.size == 0:  # the few valid pixels fell between the steps
        sample = pixels[valid].astype(np.float64)
    return sample


def resized(plane: npt.NDArray[np.uint8], size: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    """One channel `(H, W)` at another size: the mean of the pixels that fall together, or pixels repeated.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.display import resized
        >>> plane = np.array([[0, 100], [100, 200]], np.uint8)
        >>> resized(plane, (1, 1)), resized(plane, (2, 4))[0]
        (array([[100]], dtype=uint8), array([  0,   0, 100, 100], dtype=uint8))
    """
    from PIL import Image as Pillow

    if size is None or plane.shape == size:
        return plane
    # One channel by itself: Pillow reads its bytes where they are, but makes four bytes of a pixel of three.
    grey = Pillow.fromarray(np.ascontiguousarray(plane))
    return np.asarray(grey.resize(size[::-1], Pillow.Resampling.BOX))


def joined(planes: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` of one channel or three; one is not copied.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.display import joined
        >>> red, green, blue = (np.full((2, 4), level, np.uint8) for level in (1, 2, 3))
        >>> joined([red, green, blue])[0, 0], joined([red])[0, 0]
        (array([1, 2, 3], dtype=uint8), array([1, 1, 1], dtype=uint8))
    """
    if len(planes) == 1:
        return np.broadcast_to(planes[0][:, :, np.newaxis], (*planes[0].shape, 3))
    return np.stack(planes, axis=2)


def resize_extreme(
    values: npt.NDArray[Scalar], size: tuple[int, int], extreme: np.ufunc
) -> npt.NDArray[Scalar]:
    """`(H, W)` at another size, where the pixels that fall together are joined by `extreme`.

    A mean would dilute a defect of a few pixels in a large picture until nobody sees it.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.picture.display import resize_extreme
        >>> mask = np.zeros((100, 100), bool)
        >>> mask[37, 52] = True  # one pixel is still seen
        >>> np.argwhere(resize_extreme(mask, (10, 10), np.logical_or)).tolist()
        [[3, 5]]
    """
    wanted_rows, wanted_columns = size
    rows = _with_rows(values, wanted_rows, extreme)
    return np.ascontiguousarray(_with_rows(np.ascontiguousarray(rows.T), wanted_columns, extreme).T)


def _with_rows(values: npt.NDArray[Scalar], wanted: int, extreme: np.ufunc) -> npt.NDArray[Scalar]:
    """`(H, W)` with another number of rows, see `resize_extreme`."""
    height, width = values.shape
    if wanted >= height:
        return np.repeat(values, wanted // height, axis=0) if wanted > height else values
    starts = np.arange(wanted + 1) * height // wanted
    out = np.empty((wanted, width), dtype=values.dtype)
    # `reduceat` along rows takes twenty times as long.
    for row, start, end in zip(out, starts, starts[1:], strict=False):
        extreme.reduce(values[start:end], axis=0, out=row)
    return out
