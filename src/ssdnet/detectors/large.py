"""Images too large to be learned as a whole: a model of some parts, which then scores all of it.

What is usual is estimated from thousands of positions, and no better from millions; so time and memory of
learning need not grow with the image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ssdnet.errors import DetectorError
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.detectors.protocol import Detector, Model
    from ssdnet.progress import Progress

LARGE = 1 << 22
"""Pixels of the largest image that is learned as a whole."""

_SIDE, _PARTS = 1024, 4
"""Sides of the parts, pixels, and how many there are: together as many pixels as the largest whole."""


def fit_score_each(
    detector: Detector,
    pixels: Sequence[torch.Tensor],
    valid: Sequence[torch.Tensor],
    *,
    generators: Sequence[torch.Generator],
    progress: Progress = silent,
) -> list[tuple[Model, torch.Tensor]]:
    """`Detector.fit_each`, where large images are learned from parts if the detector works by windows.

    Raises:
        DetectorError: the detector gave more or fewer results than there are images.

    >>> from ssdnet.detectors.rx import RX
    >>> shape = (16, LARGE // 16 + 1)
    >>> image, known = torch.randn(1, *shape), torch.ones(shape, dtype=torch.bool)
    >>> generators = [torch.Generator().manual_seed(0)]
    >>> [(model, score)] = fit_score_each(RX(levels=2), [image], [known], generators=generators)
    >>> type(model).__name__, score.shape == known.shape
    ('RXModel', True)
    """
    large = [detector.windows and known.numel() > LARGE for known in valid]
    small = [number for number, is_large in enumerate(large) if not is_large]
    share = len(small) / max(1, len(pixels))
    fitted = detector.fit_each(
        [pixels[number] for number in small],
        [valid[number] for number in small],
        generators=[generators[number] for number in small],
        progress=part(progress, 0.0, share),
    )
    if len(fitted) != len(small):
        raise DetectorError(f"detector '{detector.name}' gave {len(fitted)} results for {len(small)} images")
    found = dict(zip(small, fitted, strict=True))
    for number, is_large in enumerate(large):
        if is_large:
            own = part(progress, share, 1 / len(pixels))
            share += 1 / len(pixels)
            model = fit_parts(
                detector,
                [pixels[number]],
                [valid[number]],
                generator=generators[number],
                progress=part(own, 0.0, 0.5),
            )
            score = model.score(pixels[number], valid[number], progress=part(own, 0.5, 0.5))
            found[number] = model, score
    return [found[number] for number in range(len(pixels))]


def fit_parts(
    detector: Detector,
    pixels: Sequence[torch.Tensor],
    valid: Sequence[torch.Tensor],
    *,
    generator: torch.Generator,
    progress: Progress = silent,
) -> Model:
    """`Detector.fit`, with parts in the place of large images if the detector works by windows.

    >>> from ssdnet.detectors.rx import RX
    >>> image, known = torch.randn(1, 32, 40), torch.ones(32, 40, dtype=torch.bool)
    >>> type(fit_parts(RX(), [image], [known], generator=torch.Generator())).__name__
    'RXModel'
    """
    images, knowns = [], []
    for image, known in zip(pixels, valid, strict=True):
        shape = known.shape[0], known.shape[1]
        large = detector.windows and known.numel() > LARGE
        for window in parts(known) if large else [Window.whole(shape)]:
            rows, columns = window.slices
            images.append(image[:, rows, columns])
            knowns.append(known[rows, columns])
    return detector.fit(images, knowns, generator=generator, progress=progress)


def parts(valid: torch.Tensor, side: int = _SIDE, count: int = _PARTS) -> list[Window]:
    """Windows that stand for the whole, evenly spread over those whose pixels are better known.

    Args:
        valid: `(H, W)` bool, True somewhere.
        side: of the windows, pixels; those of a narrower image are longer, and as large.
        count: how many.

    >>> [part.slices for part in parts(torch.ones(100, 200, dtype=torch.bool), side=50, count=2)]
    [(slice(0, 50, None), slice(0, 50, None)), (slice(50, 100, None), slice(150, 200, None))]
    """
    height, width = valid.shape
    tall = min(height, max(side, math.ceil(side**2 / width)))
    wide = min(width, max(side, math.ceil(side**2 / height)))
    windows = [
        Window(top, top + tall, left, left + wide, (height, width))
        for top in _starts(height, tall)
        for left in _starts(width, wide)
    ]
    shares = [float(valid[window.slices].float().mean()) for window in windows]
    better = [window for window, share in zip(windows, shares, strict=True) if share >= 0.5 * max(shares)]
    chosen = torch.linspace(0, len(better) - 1, min(count, len(better))).round().long().tolist()
    return [better[number] for number in chosen]


def _starts(size: int, length: int) -> list[int]:
    """Where windows of a length begin that lie side by side, evenly spread, the last at the end."""
    number = max(1, size // length)
    return [round(place * (size - length) / max(1, number - 1)) for place in range(number)]
