"""The image taken apart: without what was found; and what is normal, anomalous and noise, if it was split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import MIN_SIDE, read_image
from ssdnet.picture.display import Colours, resize_extreme, sampled, shaded, shown_channels
from ssdnet.picture.panels import add_panel, hatch, show, write
from ssdnet.restoration import restore

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from ssdnet.picture.layout import Box, Layout
    from ssdnet.result import Localization

_WITHOUT = "without it: texture from elsewhere"
_TITLES = (
    "normal: as it should look",
    "anomaly: what does not belong",
    "noise: what chance explains",
)
_PERCENTILE = 99.5
_GREY, _REACH = 128, 127


def add_layers(figure: Figure, layout: Layout, localization: Localization, colours: Colours) -> None:
    """Fill the panels of the layers: one without the findings, if there are some, and those of the result.

    Normal is drawn as the picture is. The other two are differences from it, drawn about a middle grey and
    stretched alike, so that they can be compared.

    Examples:
        >>> from dataclasses import replace
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import ssdnet
        >>> from ssdnet.picture.display import Colours
        >>> from ssdnet.picture.layers import add_layers
        >>> from ssdnet.picture.layout import Layout
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> result = ssdnet.localize(image, detector="rx")  # has no layers, so we make one up
        >>> result = replace(result, normal=np.full((64, 64, 1), 120, np.float32))
        >>> figure = Figure()
        >>> layout = Layout.of(640, 640).with_layers(64, 64)
        >>> add_layers(figure, layout, result, Colours.of(result.image))
        >>> len(figure.axes), figure.texts[0].get_text()
        (3, 'normal: as it should look')
    """
    panels = list(layout.layers)
    if localization.regions:
        _add_restored(figure, layout, panels.pop(0), localization, colours)
    normal, anomaly, noise = localization.normal, localization.anomaly, localization.noise
    if normal is None or anomaly is None or noise is None:
        return
    image = localization.image
    differences = [shown_channels(sampled(layer, image.valid)) for layer in (anomaly, noise)]
    largest = _largest(differences[0] + differences[1])  # where one is, the other is 0
    left, _, wide, tall = panels[0]
    size = tall, wide
    pictures = (
        colours.like(normal, size),
        _about_grey(anomaly, largest, size),
        _about_grey(noise, largest, size),
    )
    missing = ~resize_extreme(image.valid, size, np.logical_or)
    for box, title, picture in zip(panels, _TITLES, pictures, strict=True):
        axes = add_panel(figure, layout, box, title)
        show(axes, hatch(picture, missing), image.height, image.width)
    words = (
        "The three add up to the picture.\n"
        "In anomaly and noise grey is no difference;\n"
        f"black and white are {_spoken(largest)} or more below and above."
    )
    write(figure, layout, (left, panels[-1][1] + tall + 54), words, 8.5)


def layer_count(localization: Localization) -> int:
    """How many panels `add_layers` fills.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.picture.layers import layer_count
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> layer_count(ssdnet.localize(image, detector="rx"))  # nothing found, nothing to leave out
        0
    """
    return int(bool(localization.regions)) + (0 if localization.normal is None else len(_TITLES))


def _add_restored(
    figure: Figure, layout: Layout, box: Box, localization: Localization, colours: Colours
) -> None:
    image = localization.image
    size = box[3], box[2]
    missing = ~resize_extreme(image.valid, size, np.logical_or)
    if size[0] >= image.height or min(size) < MIN_SIDE:
        picture = colours.like(localization.restored, size)
    else:  # of a large image, what the panel cannot show need not be made
        shown = read_image(colours.picture(size), roi=~missing)
        mask = resize_extreme(localization.mask, size, np.logical_or)
        picture = restore(shown, mask).astype(np.uint8, copy=False)
    axes = add_panel(figure, layout, box, _WITHOUT)
    show(axes, hatch(picture, missing), image.height, image.width)


def _largest(difference: npt.NDArray[np.floating]) -> float:
    """The difference that is drawn black or white, to the two digits that the caption gives."""
    return float(f"{np.percentile(np.abs(difference), _PERCENTILE):.2g}") or 1.0


def _about_grey(
    difference: npt.NDArray[np.floating], largest: float, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` colours of a difference `(H, W, C)` at that size; what is missing is grey."""

    def levels(part: npt.NDArray[Any], _: slice) -> npt.NDArray[np.uint8]:
        shares = np.clip(np.nan_to_num(part) / largest, -1, 1)
        grey: npt.NDArray[np.uint8] = (_GREY + _REACH * shares).round().astype(np.uint8)
        return grey

    return shaded(difference, levels, size)


def _spoken(number: float) -> str:
    return f"{number:,g}".replace(",", " ")
