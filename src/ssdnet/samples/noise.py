"""Random fields the textures are made of: smooth noise of any grain, and cells round scattered points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Field: TypeAlias = "npt.NDArray[np.floating[Any]]"
"""`(H, W)`, one value a pixel; float32 but for a few intermediate results."""

_BAND = 131072  # pixels worked on at a time: keeps the temporaries of `cells` in the processor's cache


def spline_noise(
    rng: np.random.Generator, size: tuple[int, int], spacing: float | tuple[float, float]
) -> Field:
    """Smooth Gaussian noise: a cubic B-spline through random numbers `spacing` pixels apart.

    Args:
        rng: source of the random numbers.
        size: `(H, W)` of the result.
        spacing: distance of the knots in pixels, `(down, across)` or one for both; an axis with a spacing
            of at most 1 is not smoothed at all.

    Returns:
        `(H, W)`, mean 0 and standard deviation 1 at every pixel.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.noise import spline_noise
        >>> noise = spline_noise(np.random.default_rng(0), (200, 200), (1, 10))
        >>> down, across = (float(np.square(np.diff(noise, axis=axis)).mean()) for axis in (0, 1))
        >>> down > 20 * across
        True
    """
    down, across = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    first_row, row_weights, rows = _knots(rng, size[0], down)
    first_column, column_weights, columns = _knots(rng, size[1], across)
    knots = rng.standard_normal((rows, columns), dtype=np.float32)
    if row_weights is not None:
        knots = _interpolate(knots, first_row, row_weights)
    if column_weights is not None:
        knots = _interpolate(np.ascontiguousarray(knots.T), first_column, column_weights).T
    return np.ascontiguousarray(knots)


def _knots(
    rng: np.random.Generator, length: int, spacing: float
) -> tuple[npt.NDArray[np.intp], Field | None, int]:
    """First of the four knots each pixel depends on, their weights `(4, length)`, and the number of knots."""
    if spacing <= 1:
        return np.arange(length), None, length
    # A random phase: otherwise the variance of sums of such fields would repeat with the knots.
    position = np.arange(length) / spacing + rng.random()
    first = np.floor(position).astype(np.intp)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
    weights /= np.sqrt((weights**2).sum(axis=0))
    return first, weights.astype(np.float32), int(first[-1]) + 4


def _interpolate(knots: Field, first: npt.NDArray[np.intp], weights: Field) -> Field:
    result: Field = weights[0][:, None] * knots[first]
    for k in range(1, 4):
        result += weights[k][:, None] * knots[first + k]
    return result


def fractal_noise(
    rng: np.random.Generator,
    size: tuple[int, int],
    spacing: float | tuple[float, float],
    *,
    octaves: int = 4,
    gain: float = 0.6,
) -> Field:
    """Sum of `octaves` spline noises, each half as coarse as the one before and `gain` times as strong.

    Returns:
        `(H, W)`, mean 0 and standard deviation 1.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.noise import fractal_noise
        >>> noise = fractal_noise(np.random.default_rng(0), (200, 200), 16)
        >>> bool(abs(noise.mean()) < 0.2), bool(abs(noise.std() - 1) < 0.2)
        (True, True)
    """
    down, across = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    total = np.zeros(size, np.float32)
    power = 0.0
    for octave in range(octaves):
        strength = gain**octave
        total += np.float32(strength) * spline_noise(rng, size, (down / 2**octave, across / 2**octave))
        power += strength**2
    total /= np.float32(power**0.5)
    return total


def smoothstep(low: float, high: float, value: Field) -> Field:
    """0 below `low`, 1 above `high`, and a cubic without kinks between them.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.noise import smoothstep
        >>> smoothstep(0.0, 4.0, np.array([-1.0, 1.0, 2.0, 3.0, 9.0])).tolist()
        [0.0, 0.15625, 0.5, 0.84375, 1.0]
    """
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


@dataclass(frozen=True, eq=False)
class Cells:
    """Which of some scattered points each pixel is closest to.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.noise import cells
        >>> found = cells(np.random.default_rng(0), (40, 40), spacing=10)
        >>> bool((found.nearest <= found.second).all()), bool(found.index.max() < found.count)
        (True, True)
    """

    nearest: Field
    """`(H, W)`, distance to the closest point in units of the spacing, less that point's radius."""
    second: Field
    """`(H, W)`, the same for the second closest; equal to `nearest` on the border of two cells."""
    index: npt.NDArray[np.intp]
    """`(H, W)`, number of the closest point, 0 <= index < `count`."""
    count: int


def cells(
    rng: np.random.Generator,
    size: tuple[int, int],
    spacing: float,
    *,
    spread: tuple[float, float] = (0.0, 0.0),
    warp: tuple[Field, Field] | None = None,
    stretch: float = 1.0,
) -> Cells:
    """Cellular (Worley) noise: one random point in each square of a grid.

    Args:
        rng: source of the random numbers.
        size: `(H, W)` of the result.
        spacing: side of the squares in pixels.
        spread: smallest and largest radius of a point in units of the spacing; a point of a larger radius
            has a larger cell.
        warp: two `(H, W)` fields in pixels, down and across, that bend the borders.
        stretch: how many times longer than wide the cells are, across the picture.

    Returns:
        The two smallest distances and the number of the closest point, at every pixel.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.noise import cells
        >>> found = cells(np.random.default_rng(0), (100, 100), spacing=10)
        >>> 80 < len(np.unique(found.index)) < 180  # about a cell each ten by ten pixels
        True
    """
    height, width = size
    margin = 3
    if warp is not None:
        margin += int(max(np.abs(warp[0]).max(), np.abs(warp[1]).max()) / spacing) + 1
    rows = int(height / spacing) + 2 * margin + 1
    columns = int(width / (spacing * stretch)) + 2 * margin + 1
    offset_y, offset_x = rng.random((2, rows * columns), dtype=np.float32)
    radius = rng.uniform(*spread, rows * columns).astype(np.float32)
    nearest = np.empty(size, np.float32)
    second = np.empty(size, np.float32)
    index = np.empty(size, np.intp)
    across = (np.arange(width, dtype=np.float32) / np.float32(spacing * stretch) + margin)[None, :]
    step = max(_BAND // width, 1)
    for top in range(0, height, step):
        band = slice(top, min(top + step, height))
        y = np.arange(band.start, band.stop, dtype=np.float32)[:, None] / np.float32(spacing) + margin
        x = across
        if warp is not None:
            y = y + warp[0][band] / np.float32(spacing)
            x = x + warp[1][band] / np.float32(spacing * stretch)
        y, x = np.broadcast_arrays(y, x)
        row, column = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
        within_y, within_x = y - row.astype(np.float32), x - column.astype(np.float32)
        home = row * columns + column
        low = np.full(y.shape, np.inf, np.float32)
        high = low.copy()
        who = home.copy()
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                point = home + (i * columns + j)
                dy = offset_y.take(point) - (within_y - np.float32(i))
                dx = offset_x.take(point) - (within_x - np.float32(j))
                distance = np.sqrt(dy * dy + dx * dx) - radius.take(point)
                np.copyto(who, point, where=distance < low)
                np.minimum(high, np.maximum(low, distance), out=high)
                np.minimum(low, distance, out=low)
        nearest[band], second[band], index[band] = low, high, who
    return Cells(nearest, second, index, rows * columns)


def strokes(size: tuple[int, int], y: Field, x: Field, weight: Field) -> Field:
    """Draw fine lines given as points less than a pixel apart.

    Args:
        size: `(H, W)` of the result.
        y: `(lines, points)`, rows; what lies outside the picture is left out.
        x: `(lines, points)`, columns.
        weight: `(lines, points)`, brightness.

    Returns:
        `(H, W)`, 0 where there is no line, about `weight` on one.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.noise import strokes
        >>> x = np.arange(2, 18, 0.5)[np.newaxis]
        >>> field = strokes((20, 20), np.full_like(x, 9), x, np.full_like(x, 0.5))
        >>> int(field.sum(axis=1).argmax()), float(field[0].max())
        (9, 0.0)
    """
    from scipy import ndimage

    height, width = size
    row, column = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = row[inside] * width + column[inside]
    hits = np.bincount(place, weights=weight[inside], minlength=height * width)
    field: Field = ndimage.gaussian_filter(hits.reshape(size).astype(np.float32), 0.5)
    return field
