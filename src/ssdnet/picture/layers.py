"""The three layers as pictures: what is normal, what does not belong, and what chance explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssdnet.picture.display import resize_colours, resize_extreme, sampled, shown_channels, to_rgb_like
from ssdnet.picture.panels import add_panel, hatch, show, write

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from ssdnet.picture.layout import Layout
    from ssdnet.result import Localization

_TITLES = (
    "normal: as it should look",
    "anomaly: what does not belong",
    "noise: what chance explains",
)
_PERCENTILE = 99.5
_GREY, _REACH = 128, 127


def add_layers(figure: Figure, layout: Layout, localization: Localization) -> None:
    """Fill the panels of the layers, if the result has layers.

    Normal is drawn as the picture is. The other two are differences from it, drawn about a middle grey and
    stretched alike, so that they can be compared.
    """
    normal, anomaly, noise = localization.normal, localization.anomaly, localization.noise
    if normal is None or anomaly is None or noise is None:
        return
    image = localization.image
    differences = [sampled(shown_channels(layer), image.valid) for layer in (anomaly, noise)]
    largest = _largest(differences[0] + differences[1])  # where one is, the other is 0
    pictures = (to_rgb_like(image, normal), _about_grey(anomaly, largest), _about_grey(noise, largest))
    left, _, wide, tall = layout.layers[0]
    missing = resize_extreme(~image.valid, (tall, wide), np.logical_and)
    for box, title, picture in zip(layout.layers, _TITLES, pictures, strict=True):
        axes = add_panel(figure, layout, box, title)
        show(axes, hatch(resize_colours(picture, (tall, wide)), missing), image.height, image.width)
    words = (
        "The three add up to the picture.\n"
        "In anomaly and noise grey is no difference;\n"
        f"black and white are {_spoken(largest)} or more below and above."
    )
    write(figure, layout, (left, layout.layers[-1][1] + tall + 54), words, 8.5)


def _largest(difference: npt.NDArray[np.floating]) -> float:
    """The difference that is drawn black or white, to the two digits that the caption gives."""
    return float(f"{np.percentile(np.abs(difference), _PERCENTILE):.2g}") or 1.0


def _about_grey(difference: npt.NDArray[np.floating], largest: float) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of a difference; what is missing is grey."""
    shares = np.clip(np.nan_to_num(shown_channels(difference)) / largest, -1, 1)
    levels = (_GREY + _REACH * shares).round().astype(np.uint8)
    return np.broadcast_to(levels, (*levels.shape[:2], 3))


def _spoken(number: float) -> str:
    return f"{number:,g}".replace(",", " ")
