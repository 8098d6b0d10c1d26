"""Masks that a person gives: one rule for what is inside, of `--roi` and of the masks of a benchmark.

| what the mask is | outside is |
| --- | --- |
| transparent somewhere (a cut-out) | what is less than half opaque; and black, where the rest is a mask |
| black and white, soft edges or JPEG noise | 0 and whatever is not above half of the largest value |
| labels: areas of several values | 0 |
| anything | NaN |

Of several channels the largest value counts, without its sign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.frozen import ReadOnly

if TYPE_CHECKING:
    import numpy.typing as npt

_NOISE = 1 / 16
"""Of the largest value: what JPEG leaves in black."""
_LEAST_LABEL = 64
"""Largest value from which on there may be noise: labels are mostly small numbers."""
_ENDS = 0.9
"""Of the opaque pixels are black or white, where those of a cut-out are a mask themselves."""
_NEAR = 0.1


@dataclass(frozen=True, eq=False)
class Mask(ReadOnly):
    """A mask that was read.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.read import read_mask
        >>> labels = np.zeros((20, 30), np.uint8)
        >>> labels[2:9, 3:9], labels[12:18, 3:9] = 1, 2
        >>> mask = read_mask(labels)
        >>> int(mask.inside.sum()), mask.notes
        (78, ('the mask has areas of several values (1, 2); all but 0 is inside',))
    """

    inside: npt.NDArray[np.bool_] = field(repr=False)
    """`(H, W)`, read-only."""
    name: str
    """As `Image.name`."""
    sha256: str
    """As `Image.sha256`."""
    notes: tuple[str, ...] = ()
    """How it was understood, where that is not plain; or that it leaves nothing out."""


def inside(
    pixels: npt.NDArray[Any], alpha: npt.NDArray[Any] | None = None
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Where a mask says yes, `(H, W)`, and what to tell a person about it.

    Args:
        pixels: `(H, W, C)`.
        alpha: `(H, W)`, None when there is none.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.mask import inside
        >>> soft = np.array([[0, 3, 90, 200, 255]], np.uint8)[..., None]
        >>> inside(soft)
        (array([[False, False, False,  True,  True]]), ('the mask is not only black and ... half of 255',))
    """
    values = _sizes(pixels)
    if alpha is None or alpha.min() == alpha.max():
        return _by_value(values)
    opaque, notes = _by_value(_sizes(alpha[..., np.newaxis]))
    if _black_and_white(values[opaque]):
        bright, more = _by_value(np.where(opaque, values, 0))
        return bright & opaque, more
    return opaque, (*notes, "the mask is transparent outside; its colours do not count")


def _sizes(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The largest value of the channels `(H, W)`, without its sign; NaN is 0."""
    if pixels.dtype == np.bool_:
        return np.asarray(pixels.any(axis=2).view(np.uint8))
    if pixels.dtype.kind == "u":
        return np.asarray(pixels.max(axis=2))
    sizes = np.zeros(pixels.shape[:2])
    for channel in range(pixels.shape[2]):
        plane = np.abs(pixels[..., channel].astype(np.float64))
        np.fmax(sizes, plane, out=sizes)
    return sizes


def _by_value(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """The same for `(H, W)` values of at least 0."""
    there = values != 0
    high = float(values.max())
    bright = values > high / 2
    if (bright == there).all():
        return there, ()
    if _labels(values, high):
        some = [f"{value:g}" for value in np.unique(values[there])[:4]]
        more = ", ..." if len(some) == 4 else ""
        return there, (
            f"the mask has areas of several values ({', '.join(some)}{more}); all but 0 is inside",
        )
    return bright, (f"the mask is not only black and white; inside is what is above half of {high:g}",)


def _labels(values: npt.NDArray[Any], high: float) -> bool:
    """Whether the lower values cover areas; those of a soft edge or of JPEG noise change at every step."""
    low = (values > (high * _NOISE if high >= _LEAST_LABEL else 0)) & (values <= high / 2)
    if not low.any() or not np.isfinite(high):
        return False
    # A pixel of an area has the same value beside it, across and along.
    across = np.zeros(values.shape, dtype=bool)
    along = across.copy()
    same = values[:, 1:] == values[:, :-1]
    across[:, 1:] |= same
    across[:, :-1] |= same
    same = values[1:] == values[:-1]
    along[1:] |= same
    along[:-1] |= same
    return bool(np.count_nonzero(low & across & along) > 0.5 * np.count_nonzero(low))


def _black_and_white(values: npt.NDArray[Any]) -> bool:
    """Whether values are near 0 or near their largest, and some are either."""
    high = values.max()
    dark, light = values <= _NEAR * high, values >= (1 - _NEAR) * high
    return bool(high > 0 and dark.any() and np.count_nonzero(dark | light) >= _ENDS * len(values))
