"""Whether a picture is one texture: without that, what is usual in it says little about any of its places.

The picture is cut into 4 x 4 blocks. In each, the structure is the mean gradient after a Gaussian of one
pixel. Slow changes of light hardly touch it, and a defect sits on few of the blocks, so the spread of its
logarithm is taken between the 20 % and the 80 % quantile of the blocks. A texture has as much structure in
one block as in another; a picture of things has not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ssdnet.maths.parallel import each

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.calibration import NullModel
    from ssdnet.image import Image

STATIONARY = 0.78
"""Above this a picture passes for one texture. Of the synthetic and random-phase textures of 128 pixels
and more all do, of scikit-image's pictures of things most do not (docs/calibration.md)."""

_BLOCKS = 4
_QUANTILES = (0.2, 0.8)
_STANDARD = 1.683  # distance of these quantiles of a standard Gaussian
_LARGEST = 1024  # pixels along each axis are enough to tell
_RADIUS = 4  # pixels, and standard deviations of the Gaussian
_GAUSSIAN = np.exp(-0.5 * np.square(np.arange(_RADIUS + 1))).astype(np.float32)
_GAUSSIAN /= 2 * _GAUSSIAN.sum() - _GAUSSIAN[0]
_STRIP = 1 << 17  # pixels worked on at once, in a cache of the processor
_LEAST = 0.02  # standard deviations of the picture; a gradient below this is none


_LEVELS = 16
"""Of the file between the darkest and the brightest pixel: with more, a channel scatters by more than half a
level, unless all but one pixel in a thousand are alike."""
_GLANCE = 16
"""Rows that are looked at first."""


def stationarity(pixels: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> float:
    """How much the structure is the same everywhere: 1 for one texture, towards 0 for a picture of things.

    It is `exp(-s)` with the spread `s` (in standard deviations) of the log of the structure between blocks.

    Args:
        pixels: `(C, H, W)` standardised.
        valid: `(H, W)`; missing pixels and what borders on them do not count.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.diagnosis import STATIONARY, stationarity
        >>> noise = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)
        >>> known = np.ones((64, 64), dtype=bool)
        >>> bool(stationarity(noise, known) > STATIONARY)
        True
        >>> noise[:, :, :32] *= 0.1  # half of it is another material
        >>> bool(stationarity(noise, known) > STATIONARY)
        False
    """
    steps = [max(1, size // _LARGEST) for size in valid.shape]
    # Every pixel of some rows and columns: a reduced picture would be sharper the less it is reduced.
    everywhere = bool(valid.all())
    spread = _spread(pixels, valid, everywhere=everywhere)
    if spread == 0.0:
        return 1.0
    gradient = _gradient(pixels, steps[0], steps[1])
    known = valid if everywhere else ~ndimage.binary_dilation(~valid, iterations=4)
    known = known[:: steps[0], :: steps[1]]
    blocks = []
    all_rows, all_columns = (np.array_split(np.arange(size), min(size, _BLOCKS)) for size in known.shape)
    for rows in all_rows:
        for columns in all_columns:
            inside = known[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            if np.count_nonzero(inside) >= max(16, inside.size // 3):
                values = gradient[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                blocks.append(float((values if everywhere else values[inside]).mean()))
    if len(blocks) < _BLOCKS:
        return 1.0
    low, high = np.quantile(np.log(np.array(blocks) + _LEAST * spread), _QUANTILES)
    return float(np.exp(-(high - low) / _STANDARD))


def _spread(pixels: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], *, everywhere: bool) -> float:
    """Standard deviation of the mean of the channels over the valid pixels; 0 where there are none."""
    count, total, squares = int(np.count_nonzero(valid)), 0.0, 0.0
    rows = max(1, _STRIP // valid.shape[1])
    for start in range(0, len(valid), rows):
        part = slice(start, start + rows)
        grey = pixels[:, part].mean(axis=0)
        values = grey if everywhere else grey[valid[part]]
        total += float(values.sum(dtype=np.float64))
        squares += float(np.square(values, dtype=np.float64).sum())
    return float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))) if count else 0.0


def _gradient(pixels: npt.NDArray[np.float32], down: int, right: int) -> npt.NDArray[np.float32]:
    """Size of the gradient after the Gaussian, at each `down`-th row and `right`-th column.

    Of the mean of the channels of `(C, H, W)`, mirrored beyond the edge. Sums of shifted rows and columns, a
    few rows at a time, take a fraction of the time of a filter that is made for any weights, and no memory.
    """
    lines = np.pad(np.arange(pixels.shape[1]), _RADIUS, mode="symmetric")
    height, width = (-(-size // step) for size, step in zip(pixels.shape[1:], (down, right), strict=True))
    out = np.empty((height, width), dtype=np.float32)
    rows = max(2 * _RADIUS, _STRIP // (pixels.shape[2] * down))

    def work(start: int) -> None:
        part = out[start : start + rows]
        needed = lines[start * down : (start + len(part) - 1) * down + 2 * _RADIUS + 1]
        grey = pixels[:, needed].mean(axis=0)
        strip = _shifted(np.pad(grey, ((0, 0), (_RADIUS, _RADIUS)), mode="symmetric"), down, len(part))
        smooth, slope = (values.T for values in (_smooth(strip), _slope(strip)))
        across = _slope(_shifted(smooth, right, width)).T
        along = _smooth(_shifted(slope, right, width)).T
        np.square(across, out=across)
        np.square(along, out=along)
        across += along
        np.sqrt(across, out=part)

    each(work, range(0, height, rows))
    return out


def _shifted(values: npt.NDArray[np.float32], step: int, count: int) -> list[npt.NDArray[np.float32]]:
    """Each `step`-th of the rows, `count` of them, of `values` shifted by -4 to 4 rows."""
    reach = (count - 1) * step + 1
    return [values[first : first + reach : step] for first in range(2 * _RADIUS + 1)]


def _smooth(shifted: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The Gaussian of what is one array, shifted by -4 to 4 pixels."""
    total: npt.NDArray[np.float32] = shifted[_RADIUS] * _GAUSSIAN[0]
    for by in range(1, _RADIUS + 1):
        both = shifted[_RADIUS + by] + shifted[_RADIUS - by]
        both *= _GAUSSIAN[by]
        total += both
    return total


def _slope(shifted: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Its derivative."""
    total = np.zeros_like(shifted[_RADIUS])
    for by in range(1, _RADIUS + 1):
        difference = shifted[_RADIUS + by] - shifted[_RADIUS - by]
        difference *= by * _GAUSSIAN[by]
        total += difference
    return total


def remarks(image: Image, null: NullModel, sameness: float, *, flat: bool) -> tuple[str, ...]:
    """What a person should know about the evidence, a sentence each.

    Args:
        image: that was judged.
        null: the law that its map was judged by.
        sameness: see `stationarity`.
        flat: whether every pixel has the same value.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration import fit_null
        >>> from ssdnet.diagnosis import remarks
        >>> from ssdnet.image import read_image
        >>> null = fit_null(np.random.default_rng(0).normal(size=(32, 32)))
        >>> remarks(read_image(np.full((32, 32), 7, np.uint8)), null, 1.0, flat=True)
        ('every pixel has the same value: there is nothing to compare',)
    """
    if flat:
        return ("every pixel has the same value: there is nothing to compare",)
    remarks = []
    if image.pixels.dtype.kind in "iu" and _hardly_varies(image):
        remarks.append(
            "the values hardly vary, by less than half a level of the file: what is found may be rounding"
        )
    if math.isinf(null.scale):
        remarks.append("too few pixels to tell what is usual: nothing can be found")
    if sameness < STATIONARY:
        remarks.append(
            "this does not look like one texture: parts of the picture differ in structure, so the number of "
            "false alarms is not to be relied on"
        )
    return tuple(remarks)


def _hardly_varies(image: Image) -> bool:
    """Whether all channels of whole numbers scatter by less than half a level."""
    # Some rows spare a look at all of almost every image.
    for step in (max(1, image.height // _GLANCE), 1):
        values = image.pixels[::step][image.valid[::step]] if not image.valid.all() else image.pixels[::step]
        flat = values.reshape(-1, image.channels)
        if len(flat) and float((flat.max(axis=0).astype(np.float64) - flat.min(axis=0)).max()) >= _LEVELS:
            return False
    return float(flat.std(axis=0).max()) < 0.5
