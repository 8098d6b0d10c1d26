"""What an image is to the rest of the package: `Image`; and what the decoders hand over: `Decoded`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ssdnet.frozen import ReadOnly

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


IN_MEMORY = frozenset({"array", "tensor", "PIL image", "bytes"})
"""The names of images that came without one."""


@dataclass(frozen=True, eq=False)
class Image(ReadOnly):
    """Pixels as they were stored, upright, and which of them are valid. All arrays are read-only.

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image
        >>> values = np.ones((20, 30, 3), np.float32)
        >>> values[4, 5, 0] = np.nan
        >>> image = read_image(values)
        >>> image.height, image.width, image.channels, image.name
        (20, 30, 3, 'array')
        >>> bool(image.valid[4, 5]), int((~image.valid).sum())
        (False, 1)
    """

    pixels: npt.NDArray[Any] = field(repr=False)
    """`(H, W, C)` of the stored dtype: bool (1 bit), an integer of 8 to 64 bits, float32 or float64. Grey has
    one channel, colour three, alpha none. The values of missing pixels mean nothing and may be NaN."""
    valid: npt.NDArray[np.bool_] = field(repr=False)
    """`(H, W)`, False where the pixel is missing: alpha 0, NaN or infinite in any channel, a no-data value,
    hidden by a mask of the file, or outside the roi."""
    name: str
    """For messages and file names: the path as it was given, `standard input`, `bytes`, `array` ..."""
    path: Path | None
    """The file, when the image came from one."""
    sha256: str
    """Hex digest of the file's bytes; of dtype, shape and values when there was no file."""
    page: int = 1
    """The page that was read, from 1."""
    page_count: int = 1
    """How many pages the file has."""
    notes: tuple[str, ...] = ()
    """Remarks for a person: pages that were not read, colours that were converted, why pixels are missing."""
    roi_sha256: str | None = None
    """The `sha256` of the region of interest; None when there is none."""
    outside_roi: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    """`(H, W)`, True where a pixel is missing only because it lies outside the roi; None without a roi."""
    lab: bool = False
    """Whether the three channels are L*, a* and b* (D50): unsigned, L* 100 at the largest value, a* and b* 0
    at the middle and one unit a step of 8 bits. A faint stain shows in them, which RGB hides in its light."""

    def seen(self) -> Image:
        """The image in the colours that a person sees: grey, RGB, or channels that are no colours.

        Examples:
            >>> import numpy as np
            >>> from ssdnet import read_image
            >>> image = read_image(np.zeros((20, 30), np.uint8))
            >>> image.seen() is image  # only L*a*b* is kept as something else
            True
        """
        if not self.lab:
            return self
        from ssdnet.image.color import rgb_from_lab

        return replace(self, pixels=rgb_from_lab(self.pixels, self.pixels.dtype), lab=False)

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.pixels.shape[2])


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a decoder makes of its source: colour and alpha apart, not turned yet.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.model import Decoded
        >>> from ssdnet.image.orientation import upright
        >>> lying = Decoded(np.zeros((20, 30, 3), np.uint8), orientation=6)
        >>> upright(lying.pixels, lying.orientation).shape, lying.alpha is None
        ((30, 20, 3), True)
    """

    pixels: npt.NDArray[Any]
    """`(H, W, C)`, shared with nobody."""
    alpha: npt.NDArray[Any] | None = None
    """`(H, W)`, 0 where the source itself says that there is nothing to see; None = it is all opaque."""
    missing: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    """`(H, W)` each, True where there is no measurement, by the reason: `with the no-data value -9999`."""
    page: int = 1
    page_count: int = 1
    notes: tuple[str, ...] = ()
    orientation: object = 1
    """1 to 8 as in EXIF and TIFF; how the arrays have to be turned."""
    lab: bool = False
    """See `Image.lab`."""
