"""Whether a picture is one texture: without that, what is usual in it says little about any of its places.

The picture is cut into 4 x 4 blocks. In each, the structure is the mean gradient after a Gaussian of one
pixel. Slow changes of light hardly touch it, and a defect sits on few of the blocks, so the spread of its
logarithm is taken between the 20 % and the 80 % quantile of the blocks. A texture has as much structure in
one block as in another; a picture of things has not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

STATIONARY = 0.78
"""Above this a picture passes for one texture. Of the synthetic and random-phase textures of 128 pixels
and more all do, of scikit-image's pictures of things most do not (docs/calibration.md)."""

_BLOCKS = 4
_QUANTILES = (0.2, 0.8)
_STANDARD = 1.683  # distance of these quantiles of a standard Gaussian
_LARGEST = 1024  # pixels along each axis are enough to tell
_LEAST = 0.02  # standard deviations of the picture; a gradient below this is none


def stationarity(pixels: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> float:
    """How much the structure is the same everywhere: 1 for one texture, towards 0 for a picture of things.

    It is `exp(-s)` with the spread `s` (in standard deviations) of the log of the structure between blocks.

    Args:
        pixels: `(C, H, W)` standardised.
        valid: `(H, W)`; missing pixels and what borders on them do not count.
    """
    steps = [max(1, size // _LARGEST) for size in valid.shape]
    # Every pixel of some rows and columns: a reduced picture would be sharper the less it is reduced.
    grey = pixels.mean(axis=0)
    spread = float(grey[valid].std()) if valid.any() else 0.0
    if spread == 0.0:
        return 1.0
    # The first axis is thinned out before the second is filtered: the same, and sooner done.
    slopes = []
    for orders in ((0, 1), (1, 0)):
        lines = ndimage.gaussian_filter1d(grey, 1.0, axis=0, order=orders[0])[:: steps[0]]
        slopes.append(ndimage.gaussian_filter1d(lines, 1.0, axis=1, order=orders[1])[:, :: steps[1]])
    gradient = np.hypot(*slopes)
    known = valid if valid.all() else ~ndimage.binary_dilation(~valid, iterations=4)
    known = known[:: steps[0], :: steps[1]]
    blocks = []
    all_rows, all_columns = (np.array_split(np.arange(size), min(size, _BLOCKS)) for size in known.shape)
    for rows in all_rows:
        for columns in all_columns:
            inside = known[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            if np.count_nonzero(inside) >= max(16, inside.size // 3):
                values = gradient[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][inside]
                blocks.append(float(values.mean()))
    if len(blocks) < _BLOCKS:
        return 1.0
    low, high = np.quantile(np.log(np.array(blocks) + _LEAST * spread), _QUANTILES)
    return float(np.exp(-(high - low) / _STANDARD))
