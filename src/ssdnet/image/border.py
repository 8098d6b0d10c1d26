"""Whether a picture lies in a frame of one value: a rotated scan on black, a letterbox, a scanner bed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssdnet.image import nodata

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.image.model import Image

_ALONG, _DEEP = 12, 2
"""Pixels that a frame covers at a corner of the picture, along one of its sides and into it: the corner of a
scan that was turned a little is a long thin triangle."""
_SHARE = 0.005
"""Of the picture, at least."""
_ALONE = 0.9
"""Of all flat places of that value belong to the frame: elsewhere it is no part of the picture."""
_STEP = 0.5
"""From a frame to the picture beside it, in median distances of the picture from the value: what is
overexposed fades into its surroundings, a frame ends."""


def note(image: Image) -> str:
    """What to tell a person about such a frame; empty where there is none.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image import read_image
        >>> scan = np.random.default_rng(0).integers(90, 160, (64, 64), np.uint8)
        >>> scan[:, :12] = 0
        >>> read_image(scan).notes
        ('768 pixels along the edge (19 %) all have the value 0; if they are no part ... --roi',)
    """
    inside = image.valid
    if min(inside.shape) < 2 * _ALONG:
        return ""
    corners = {image.pixels[place].tobytes(): image.pixels[place] for place in _corners(image)}
    total = int(np.count_nonzero(inside))
    for value in corners.values():
        frame = _frame(image, value)
        count = int(np.count_nonzero(frame))
        if count >= _SHARE * total > 0:
            return _words(count, total, value)
    return ""


def _corners(image: Image) -> list[tuple[int, int]]:
    """Those corners that are flat and known."""
    height, width = image.valid.shape
    found = []
    for row in (0, height - 1):
        for column in (0, width - 1):
            for down, right in ((_DEEP, _ALONG), (_ALONG, _DEEP)):
                rows = slice(down) if row == 0 else slice(-down, None)
                columns = slice(right) if column == 0 else slice(-right, None)
                flat = (image.pixels[rows, columns] == image.pixels[row, column]).all()
                if flat and image.valid[rows, columns].all():
                    found.append((row, column))
    return found


def _frame(image: Image, value: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Where the frame of that value is; nowhere when as flat places are inside the picture too."""
    same = (image.pixels == value).all(axis=2) & image.valid
    if np.count_nonzero(same) == np.count_nonzero(image.valid):
        return np.zeros_like(same)
    from scipy import ndimage

    flat = ndimage.binary_erosion(same, np.ones((3, 3)), border_value=1)
    pieces, _ = ndimage.label(flat)
    edge = np.unique(np.concatenate((pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])))
    outer = np.isin(pieces, edge[edge > 0])
    if np.count_nonzero(outer) < _ALONE * np.count_nonzero(flat):
        return np.zeros_like(same)
    frame = ndimage.binary_dilation(outer, np.ones((3, 3))) & same
    beside = ndimage.binary_dilation(frame, np.ones((3, 3)), iterations=2) & image.valid & ~frame
    rest = image.valid & ~frame
    if not beside.any() or _distance(image, beside, value) < _STEP * _distance(image, rest, value):
        return np.zeros_like(same)
    return np.asarray(frame)


def _distance(image: Image, where: npt.NDArray[np.bool_], value: npt.NDArray[np.generic]) -> float:
    """Median over the pixels there of how far they are from the value."""
    far = np.abs(image.pixels[where].astype(np.float64) - value.astype(np.float64))
    return float(np.median(far.max(axis=1)))


def _words(count: int, total: int, value: npt.NDArray[np.generic]) -> str:
    values = [one.item() for one in value]
    same = len(set(values)) == 1
    what = (
        nodata.words([int(values[0]) if isinstance(values[0], bool) else values[0]])
        if same
        else (
            "("
            + ", ".join(nodata.words([one]) for one in values[:4])
            + ("" if len(values) <= 4 else ", ...")
            + ")"
        )
    )
    how = f"--nodata {what} (which leaves out all pixels of that value) or --roi" if same else "--roi"
    return (
        f"{count:,} pixels along the edge ({100 * count / total:.2g} %) all have the value {what}; if they "
        f"are no part of the picture, leave them out with {how}"
    )
