"""Netpbm with more than 8 bits a channel, which Pillow scales, or cuts to 8 bits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([2356])" + _SPACE + _SPACE.join([rb"(\d+)"] * 3) + rb"\s")


def decode(data: bytes) -> npt.NDArray[np.uint16] | None:
    """Values `(H, W, 1 or 3)` as stored, 0 to the file's own maximum; None for 8 bits and fewer.

    Raises:
        ValueError: cut short, or a value above the maximum of the file.

    Examples:
        >>> from ssdnet.image import pnm
        >>> pnm.decode(b"P2 3 1 1000 0 500 1000").ravel()  # to the file's own maximum, not scaled
        array([   0,  500, 1000], dtype=uint16)
        >>> pnm.decode(b"P2 3 1 255 0 128 255") is None  # Pillow reads these well
        True
    """
    header = _HEADER.match(data)
    if header is None:
        return None
    kind, width, height, maximum = map(int, header.groups())
    if maximum <= 255:
        return None
    shape = (height, width, 3 if kind in (3, 6) else 1)
    body = data[header.end() :]
    if kind in (5, 6):
        values = np.frombuffer(body, ">u2", count=height * width * shape[2])
    else:
        values = np.array(body.split()[: height * width * shape[2]], dtype=np.int64)
    if values.max() > maximum:
        raise ValueError(f"a value of {values.max()} where the file allows {maximum}")
    return values.reshape(shape).astype(np.uint16)
