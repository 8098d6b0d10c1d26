"""Small pictures for the page: image, mask, how unusual each place is, and the order of all places."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from ssdnet.picture.display import Colours, fitted_size, resize_extreme
from ssdnet.picture.overlay import LEAST_UNUSUAL, MOST_UNUSUAL, heat_colours

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image import Image
    from ssdnet.result import Localization

LONGEST = 240
"""Longer side of a picture, pixels."""

RAREST = 3.0
"""The brightest colour of an order: the highest pixels, one in 10 to this power."""

_LEVELS = 254
_MISSING = 255
_GREY = (128, 128, 128)
_QUALITY = 82


def heat_levels(localization: Localization) -> npt.NDArray[np.uint8]:
    """`(H, W)` of a small picture: places on the colour scale of the overlay, 0 = most unusual.

    Of the pixels that fall together the most unusual is kept; 255 = missing.
    """
    image = localization.image
    values = resize_extreme(localization.log10_nfa, fitted_size(image.height, image.width, LONGEST), np.fmin)
    share = (np.clip(values, MOST_UNUSUAL, LEAST_UNUSUAL) - MOST_UNUSUAL) / (LEAST_UNUSUAL - MOST_UNUSUAL)
    return np.where(np.isnan(share), _MISSING, np.rint(np.nan_to_num(share) * _LEVELS)).astype(np.uint8)


def image_uri(image: Image) -> str:
    """The image as the `src` of an HTML image."""
    return _jpeg(Colours.of(image).picture(fitted_size(image.height, image.width, LONGEST)))


def mask_uri(mask: npt.NDArray[np.bool_]) -> str:
    """A mask `(H, W)`, white where anomalous; of the pixels that fall together one is enough."""
    small = resize_extreme(mask, fitted_size(mask.shape[0], mask.shape[1], LONGEST), np.logical_or)
    return _uri(Pillow.fromarray(small), "PNG", optimize=True)


def heat_uri(levels: npt.NDArray[np.uint8]) -> str:
    """What `heat_levels` gave, in the colours of the overlay; grey where missing."""
    values = MOST_UNUSUAL + levels / _LEVELS * (LEAST_UNUSUAL - MOST_UNUSUAL)
    colours = heat_colours(values)
    colours[levels == _MISSING] = _GREY
    return _jpeg(colours)


def order_uri(score: npt.NDArray[np.float32]) -> str:
    """How many pixels score higher than each: the brighter, the fewer; grey where missing.

    This order is all that figures without a threshold look at. Brightness goes with the logarithm of the
    share, from all pixels to one in a thousand; of the pixels that fall together the highest is kept.
    """
    small = resize_extreme(score, fitted_size(score.shape[0], score.shape[1], LONGEST), np.fmax)
    known = np.isfinite(small)
    ordered = np.sort(small[known])
    share = 1 - np.searchsorted(ordered, small[known], side="left") / len(ordered)
    depth = np.zeros(small.shape)
    depth[known] = np.clip(-np.log10(share) / RAREST, 0, 1)
    colours = heat_colours(LEAST_UNUSUAL + depth * (MOST_UNUSUAL - LEAST_UNUSUAL))
    colours[~known] = _GREY
    return _jpeg(colours)


def _jpeg(rgb: npt.NDArray[np.uint8]) -> str:
    return _uri(Pillow.fromarray(np.ascontiguousarray(rgb)), "JPEG", quality=_QUALITY)


def _uri(picture: Pillow.Image, kind: str, **options: Any) -> str:  # noqa: ANN401 - as in Pillow
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
