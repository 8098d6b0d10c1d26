"""Reading an image of any kind into pixels and a mask of the valid ones.

`read_image` takes a file, bytes, standard input, a NumPy array, a torch tensor or a PIL image and returns an
`Image`: the pixels exactly as stored, upright, without alpha, and which of them are valid. Nothing is scaled,
and nothing is downcast: 16 bits stay 16 bits. `read_mask` does the same for masks.
"""

from __future__ import annotations

from ssdnet.image.limits import DEFAULT_MAX_PIXELS, MIN_SIDE
from ssdnet.image.mask import Mask
from ssdnet.image.model import Image
from ssdnet.image.read import read_image, read_mask

__all__ = ["DEFAULT_MAX_PIXELS", "MIN_SIDE", "Image", "Mask", "read_image", "read_mask"]
