"""In what way a region differs from normal places: brightness, colour, contrast, scale, direction, order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.explanation.comparison import compare, distance, telling
from ssdnet.result import Difference

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.explanation.comparison import Comparison
    from ssdnet.explanation.surroundings import Surroundings

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
"""Smallest spread to divide by: what is smaller is not seen. In units of the image's contrast, shares of the
light, natural logarithms, steps of scale, radians, and natural logarithms."""
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


def differences(surroundings: Surroundings, shape: npt.NDArray[np.intp]) -> tuple[Difference, ...] | None:
    """What tells a shape from normal places, the most telling first.

    Args:
        surroundings: where it lies and what is normal there.
        shape: `(N, 2)` rows and columns of its pixels in these surroundings.

    Returns:
        Empty when no single statistic is unusual; None when there are too few normal places to tell.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.explanation.differences import differences
        >>> from ssdnet.explanation.surroundings import Surroundings
        >>> pixels = np.random.default_rng(0).normal(size=(1, 96, 96)).astype(np.float32)
        >>> labels = np.zeros((96, 96), dtype=np.uint16)
        >>> labels[40:52, 40:52] = 1
        >>> pixels[:, labels > 0] *= 0.1
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> around = Surroundings(0, 0, pixels, zero, one, labels.astype(np.float32), labels, labels >= 0)
        >>> [difference.words for difference in differences(around, np.argwhere(labels))]
        ['smoother']
    """
    comparison = compare(surroundings, shape)
    if comparison is None:
        return None
    found = _of_pixels(surroundings, comparison)
    found += _of_contrast(comparison)
    found += _of_direction(comparison)
    found += _of_regularity(comparison)
    if not any(difference.kind in {"brightness", "channel"} for difference in found):
        found += _of_parts(comparison)
    return tuple(sorted(found, key=lambda difference: -abs(difference.size)))


def _of_pixels(surroundings: Surroundings, comparison: Comparison) -> list[Difference]:
    """Brightness and colour, or which channels are higher or lower."""
    limit = comparison.limit
    count = comparison.channels.shape[1]
    if count == 1:
        return _of_brightness(comparison.channels[:, 0], limit)
    if count == 3:
        # Any unit will do, but the largest numbers have no sum.
        unit = max(float(surroundings.scale.max()), float(np.abs(surroundings.offset).max())) or 1.0
        scale, offset = surroundings.scale / unit, surroundings.offset / unit
        if not scale.any():
            return []
        weights = np.array([0.299, 0.587, 0.114]) * scale
        brightness = _of_brightness(comparison.channels @ weights / weights.sum(), limit)
        light = float((offset + scale * surroundings.lowest).min()) >= 0
        return brightness + _of_colour(comparison.channels * scale + offset, scale, limit, light=light)
    sizes = np.stack([distance(plane, _LEAST["brightness"]) for plane in comparison.channels.T], axis=1)
    # Of many channels one is far away sooner.
    limit *= math.sqrt(1 + 0.1 * math.log(count))
    named = [channel for channel in range(count) if telling(sizes[:, channel], limit)]
    named.sort(key=lambda channel: -abs(sizes[0, channel]))
    return [
        Difference(
            "channel",
            f"channel {channel + 1} is {'higher' if sizes[0, channel] > 0 else 'lower'}",
            float(sizes[0, channel]),
        )
        for channel in named[:_MOST_CHANNELS]
    ]


def _of_brightness(values: npt.NDArray[np.float64], limit: float) -> list[Difference]:
    size = distance(values, _LEAST["brightness"])
    if not telling(size, limit):
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
        distance(shares[:, 0] - shares[:, 1], _LEAST["colour"]),
        distance(shares[:, 0] / 2 + shares[:, 1] / 2 - shares[:, 2], _LEAST["colour"]),
    ]
    size = np.hypot(*sizes)
    if not telling(size, limit):
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


def _of_contrast(comparison: Comparison) -> list[Difference]:
    """More or less contrast, and at which scales it lies."""
    total = comparison.energies.sum(axis=1)
    floor = 1e-3 * max(float(np.median(total[1:])), 1e-6)
    found = []
    size = distance(np.log(total + floor), _LEAST["contrast"])
    if telling(size, comparison.limit):
        found.append(Difference("contrast", "rougher" if size[0] > 0 else "smoother", float(size[0])))
    scales = np.arange(comparison.energies.shape[1])
    if len(scales) > 1:
        size = distance(
            (comparison.energies + floor) @ scales / (total + floor * len(scales)), _LEAST["scale"]
        )
        # Where a texture has lost its contrast, the noise of the camera is left, and no finer texture.
        noise = size[0] < 0 and any(difference.size < 0 for difference in found)
        if telling(size, comparison.limit) and not noise:
            found.append(Difference("scale", "coarser" if size[0] > 0 else "finer", float(size[0])))
    return found


def _of_direction(comparison: Comparison) -> list[Difference]:
    """Another direction, where the texture has one and the region too."""
    strength = np.maximum(comparison.tensor[:, 2], 1e-9)
    direction = (comparison.tensor[:, 0] + 1j * comparison.tensor[:, 1]) / strength
    usual = complex(np.median(direction[1:].real), np.median(direction[1:].imag))
    if abs(usual) < _DIRECTED or abs(direction[0]) < abs(usual) / 2:
        return []
    turned = np.abs(np.angle(direction * usual.conjugate())) / 2  # of the doubled angle
    size = distance(turned, _LEAST["angle"])
    if not telling(size, comparison.limit) or turned[0] < _TURNED:
        return []
    return [Difference("orientation", "it runs in another direction", float(size[0]))]


def _of_regularity(comparison: Comparison) -> list[Difference]:
    """A pattern that does not repeat here, where the texture has one that does."""
    if comparison.repetition is None:
        return []
    # The logarithm, because correlations crowd below 1 and scatter downwards.
    size = distance(np.log(1.02 - np.clip(comparison.repetition, -1, 1)), _LEAST["regularity"])
    if not telling(size, comparison.limit) or size[0] < 0:
        return []
    return [Difference("regularity", "its regular pattern is broken", float(size[0]))]


def _of_parts(comparison: Comparison) -> list[Difference]:
    """A fold is bright on one side and dark on the other, and no brighter than all else in its mean."""
    floor = 1e-3 * max(float(np.median(comparison.coarse[1:])), 1e-6)
    size = distance(np.log(comparison.coarse + floor), _LEAST["contrast"])
    if not telling(size, comparison.limit) or size[0] < 0:
        return []
    return [Difference("unevenness", "it has lighter and darker parts", float(size[0]))]
