"""In what way a region differs from normal ones: brightness, colour, contrast, scale, direction, regularity.

The region's shape is moved to many normal places of its surroundings. A statistic of the region that lies
many robust spreads (median absolute deviations) from those of the same shape elsewhere, and farther than
nearly all of them, is a difference worth saying. Comparing equal shapes keeps a thin scratch from being
diluted in a box, and allows a small region to vary as much as small normal places do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ssdnet.local_statistics import SCALES

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.surroundings import Surroundings


_SPREADS = 4.0
"""A difference is at least that many spreads of normal places. In synthetic and real clean places this gives
words to fewer than 1 %, and to 84 % of the synthetic defects."""
_SCARCE = 2.0
"""Where only `n` places fit without overlap, their spread is uncertain: `1 + _SCARCE / n` times as many."""
_PASSED = 0.99
"""Share of the normal places that must lie closer."""
_PLACES, _TRIED = 256, 1024
_FEWEST = 12
_POINTS = 400
"""Pixels of a shape that are looked at, evenly spread, when it has more."""
_VALUES = 4000
"""Fewer of them in images of many channels."""
_MOST_CHANNELS = 2
"""Channels that are named."""

_LEAST = {
    "brightness": 0.02,
    "colour": 0.004,
    "contrast": 0.08,
    "scale": 0.05,
    "angle": 0.02,
    "regularity": 0.05,
}
"""Smallest spread to divide by: what is smaller is not seen. Units: the picture's contrast, shares of the
brightness, natural logarithms, octaves, and one."""
_DARK = 0.35
"""Darker than this share of the normal brightness, a colour is not seen."""
_COLOURED, _FADED = 0.03, -0.8
_DIRECTED = 0.3
"""Coherence from which on a texture has a clear direction."""
_TURNED = math.radians(15)

_HUES = (
    (15, "redder"),
    (42, "more orange"),
    (80, "more yellow"),
    (160, "greener"),
    (200, "more blue-green"),
    (260, "bluer"),
    (330, "more purple"),
    (360, "redder"),
)
"""Where each direction on the colour circle ends, degrees: 0 is red, 120 green, 240 blue."""


@dataclass(frozen=True)
class Difference:
    """One way in which a region differs from normal places."""

    kind: str
    """`brightness`, `colour`, `channel`, `contrast`, `scale`, `orientation`, `regularity` or `unevenness`."""
    words: str
    """For people: `darker`, `more yellow`, `its regular pattern is broken`."""
    size: float
    """How many robust spreads of normal places. Negative: darker, smoother (less contrast), finer, a channel
    that is lower; all else is positive."""


class _Means(NamedTuple):
    """Statistics of the shape: of the region in the first row, of normal places in the others."""

    channels: npt.NDArray[np.float64]
    """`(1 + N, C)`, standardised."""
    energies: npt.NDArray[np.float64]
    """`(1 + N, scales)`."""
    tensor: npt.NDArray[np.float64]
    """`(1 + N, 3)`."""
    coarse: npt.NDArray[np.float64]
    """`(1 + N,)`, energy of the scales that are larger than details."""
    repetition: npt.NDArray[np.float64] | None
    """`(1 + N,)`."""


def differences(surroundings: Surroundings, shape: npt.NDArray[np.intp]) -> tuple[Difference, ...] | None:
    """What tells a shape from normal places, the most telling first.

    Args:
        surroundings: where it lies and what is normal there.
        shape: `(N, 2)` rows and columns of its pixels in these surroundings.

    Returns:
        Empty when no single statistic is unusual; None when there are too few normal places to tell.
    """
    thickness = _thickness(shape)
    channels = len(surroundings.pixels)
    most = min(_POINTS, max(32, _VALUES // channels))
    area = len(shape)
    shape = shape[np.linspace(0, area - 1, min(most, area)).astype(int)]
    places, separate = _places(surroundings, shape)
    if len(places) < _FEWEST:
        return None
    limit = _SPREADS * (1 + _SCARCE / separate)
    means = _measure(surroundings, np.vstack([shape[np.newaxis], places]), thickness)
    # A normal place is a part of the mean that was taken off as its light, the region is not.
    means.channels[1:] /= 1 - min(0.5, area / math.prod(surroundings.light_box))
    found = _of_pixels(surroundings, means, limit)
    found += _of_contrast(means, limit)
    found += _of_direction(means, limit)
    found += _of_regularity(means, limit)
    if not any(difference.kind in {"brightness", "channel"} for difference in found):
        found += _of_parts(means, limit)
    return tuple(sorted(found, key=lambda difference: -abs(difference.size)))


def _places(surroundings: Surroundings, shape: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], float]:
    """The shape at normal places, `(N, pixels, 2)`, and how many would fit without overlap."""
    height, width = surroundings.clean.shape
    corner = shape.min(axis=0)
    size = shape.max(axis=0) - corner + 1
    room = np.array([height, width]) - size + 1
    # Additive recurrence (Roberts' R2): evenly spread, and no period of a texture can be in step with it.
    numbers = np.arange(1, _TRIED + 1)[:, np.newaxis]
    corners = np.floor((0.5 + numbers * (0.7548776662466927, 0.5698402909980532)) % 1 * room).astype(np.intp)
    corners = np.unique(corners, axis=0)
    moved = (shape - corner)[np.newaxis] + corners[:, np.newaxis]
    normal = surroundings.clean[moved[:, :, 0], moved[:, :, 1]].all(axis=1)
    separate = float(np.count_nonzero(surroundings.clean)) / float(size.prod())
    chosen = np.flatnonzero(normal)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(_PLACES, len(chosen))).astype(int)]
    return moved[chosen], max(separate, 1.0)


def _thickness(shape: npt.NDArray[np.intp]) -> float:
    """About how many pixels wide a shape is: the side of its bounding box for a square, less for a line."""
    size = shape.max(axis=0) - shape.min(axis=0) + 1
    return float(max(len(shape) / size.max(), 1.0))


def _measure(surroundings: Surroundings, moved: npt.NDArray[np.intp], thickness: float) -> _Means:
    width = surroundings.clean.shape[1]
    index = moved[:, :, 0] * width + moved[:, :, 1]
    statistics = surroundings.statistics

    def mean(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        out: npt.NDArray[np.float64] = plane.ravel()[index].mean(axis=1, dtype=np.float64)
        return out

    def middle(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        # A median, because the edge of a spot is contrast, but not of its texture.
        return np.asarray(np.median(plane.ravel()[index], axis=1), dtype=np.float64)

    # A spot is itself a structure of its own size, so only finer scales tell about its texture.
    scales = max(1, sum(size <= 0.75 * thickness for size in SCALES))
    repetition = None
    if statistics.repetition is not None:
        # Not the median: a half that is in order does not make up for one that is not.
        repetition = np.quantile(statistics.repetition.ravel()[index], 0.25, axis=1).astype(np.float64)
    return _Means(
        np.stack([mean(np.ascontiguousarray(plane)) for plane in surroundings.evened], axis=1),
        np.stack([middle(plane) for plane in statistics.energies[:scales]], axis=1),
        np.stack([mean(plane) for plane in statistics.tensor], axis=1),
        np.sum([mean(plane) for plane in statistics.energies[2:]], axis=0),
        repetition,
    )


def _size(values: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.float64]:
    """Each value's distance from the median of the normal ones in their spreads; the region's is first."""
    centred = values - np.median(values[1:])
    spread = 1.4826 * float(np.median(np.abs(centred[1:])))
    return np.asarray(centred / max(spread, least), dtype=np.float64)


def _telling(size: npt.NDArray[np.float64], limit: float) -> bool:
    """Whether the first is beyond the limit, and beyond nearly all others."""
    distance = np.abs(size)
    return bool(distance[0] >= limit and distance[0] > np.quantile(distance[1:], _PASSED))


def _of_pixels(surroundings: Surroundings, means: _Means, limit: float) -> list[Difference]:
    """Brightness and colour, or which channels are higher or lower."""
    count = means.channels.shape[1]
    if count == 1:
        return _of_brightness(means.channels[:, 0], limit)
    if count == 3:
        # Any unit will do, but the largest numbers have no sum.
        unit = max(float(surroundings.scale.max()), float(np.abs(surroundings.offset).max())) or 1.0
        scale, offset = surroundings.scale / unit, surroundings.offset / unit
        if not scale.any():
            return []
        weights = np.array([0.299, 0.587, 0.114]) * scale
        brightness = _of_brightness(means.channels @ weights / weights.sum(), limit)
        light = float((offset + scale * surroundings.lowest).min()) >= 0
        return brightness + _of_colour(means.channels * scale + offset, scale, limit, light=light)
    sizes = np.stack([_size(plane, _LEAST["brightness"]) for plane in means.channels.T], axis=1)
    # Of many channels one is far away sooner.
    limit *= math.sqrt(1 + 0.1 * math.log(count))
    telling = [channel for channel in range(count) if _telling(sizes[:, channel], limit)]
    telling.sort(key=lambda channel: -abs(sizes[0, channel]))
    return [
        Difference(
            "channel",
            f"channel {channel + 1} is {'higher' if sizes[0, channel] > 0 else 'lower'}",
            float(sizes[0, channel]),
        )
        for channel in telling[:_MOST_CHANNELS]
    ]


def _of_brightness(values: npt.NDArray[np.float64], limit: float) -> list[Difference]:
    size = _size(values, _LEAST["brightness"])
    if not _telling(size, limit):
        return []
    return [Difference("brightness", "brighter" if size[0] > 0 else "darker", float(size[0]))]


def _of_colour(
    values: npt.NDArray[np.float64], scale: npt.NDArray[np.float64], limit: float, *, light: bool
) -> list[Difference]:
    """Another colour, whatever the brightness.

    Args:
        values: `(1 + N, 3)`, RGB.
        scale: `(3,)`, how much each channel varies.
        limit: how many spreads are a difference.
        light: whether no value of the image is negative.
    """
    total = values.sum(axis=1)
    usual = float(np.median(total[1:]))
    if light and usual > 0:
        if total[0] < _DARK * usual:
            return []
        divisor = np.maximum(total, _DARK * usual)
    else:  # no light is negative: these are numbers of some other kind, and their differences must do
        divisor = np.full_like(total, 10 * scale.mean())
    shares = values / divisor[:, np.newaxis]
    sizes = [
        _size(shares[:, 0] - shares[:, 1], _LEAST["colour"]),
        _size(shares[:, 0] / 2 + shares[:, 1] / 2 - shares[:, 2], _LEAST["colour"]),
    ]
    size = np.hypot(*sizes)
    if not _telling(size, limit):
        return []
    normal = np.median(shares[1:], axis=0)
    return [Difference("colour", _hue(shares[0] - normal, normal), float(size[0]))]


def _hue(change: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]) -> str:
    """The direction of a change of the shares of red, green and blue."""
    own = normal - normal.mean()
    change = change - change.mean()
    length = float(np.linalg.norm(own))
    if (
        length > _COLOURED
        and change @ own < _FADED * length * np.linalg.norm(change)
        and np.linalg.norm(own + change) < length
    ):
        return "greyer"
    red, green, blue = change
    angle = math.degrees(math.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360
    return next(words for end, words in _HUES if angle <= end)


def _of_contrast(means: _Means, limit: float) -> list[Difference]:
    """More or less contrast, and at which scales it lies."""
    total = means.energies.sum(axis=1)
    floor = 1e-3 * max(float(np.median(total[1:])), 1e-6)
    found = []
    size = _size(np.log(total + floor), _LEAST["contrast"])
    if _telling(size, limit):
        found.append(Difference("contrast", "rougher" if size[0] > 0 else "smoother", float(size[0])))
    scales = np.arange(means.energies.shape[1])
    if len(scales) > 1:
        size = _size((means.energies + floor) @ scales / (total + floor * len(scales)), _LEAST["scale"])
        # Where a texture has lost its contrast, the noise of the camera is left, and no finer texture.
        noise = size[0] < 0 and any(difference.size < 0 for difference in found)
        if _telling(size, limit) and not noise:
            found.append(Difference("scale", "coarser" if size[0] > 0 else "finer", float(size[0])))
    return found


def _of_direction(means: _Means, limit: float) -> list[Difference]:
    """Another direction, where the texture has one and the region too."""
    strength = np.maximum(means.tensor[:, 2], 1e-9)
    direction = (means.tensor[:, 0] + 1j * means.tensor[:, 1]) / strength
    usual = complex(np.median(direction[1:].real), np.median(direction[1:].imag))
    if abs(usual) < _DIRECTED or abs(direction[0]) < abs(usual) / 2:
        return []
    turned = np.abs(np.angle(direction * usual.conjugate())) / 2  # of the doubled angle
    size = _size(turned, _LEAST["angle"])
    if not _telling(size, limit) or turned[0] < _TURNED:
        return []
    return [Difference("orientation", "it runs in another direction", float(size[0]))]


def _of_regularity(means: _Means, limit: float) -> list[Difference]:
    """A pattern that does not repeat here, where the texture has one that does."""
    if means.repetition is None:
        return []
    # The logarithm, because correlations crowd below 1 and scatter downwards.
    size = _size(np.log(1.02 - np.clip(means.repetition, -1, 1)), _LEAST["regularity"])
    if not _telling(size, limit) or size[0] < 0:
        return []
    return [Difference("regularity", "its regular pattern is broken", float(size[0]))]


def _of_parts(means: _Means, limit: float) -> list[Difference]:
    """A fold is bright on one side and dark on the other, and no brighter than all else in its mean."""
    floor = 1e-3 * max(float(np.median(means.coarse[1:])), 1e-6)
    size = _size(np.log(means.coarse + floor), _LEAST["contrast"])
    if not _telling(size, limit) or size[0] < 0:
        return []
    return [Difference("unevenness", "it has lighter and darker parts", float(size[0]))]
