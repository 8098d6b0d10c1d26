"""FITS: pictures of telescopes; read by astropy. Each plane of each image in the file is a page."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import extras
from ssdnet.image.arrays import plain_dtype
from ssdnet.image.limits import TIMES
from ssdnet.image.model import Decoded
from ssdnet.image.pages import choose_page

if TYPE_CHECKING:
    from ssdnet.image.limits import Limits

NAME = "FITS"
_LARGEST = 1e15
"""Values of an image beyond which its sizes are no sizes."""


def is_kind(data: bytes) -> bool:
    """Whether it is a FITS file.

    Examples:
        >>> from ssdnet.image import fits
        >>> fits.is_kind(b"SIMPLE  =                    T"), fits.is_kind(b"SIMPLE")
        (True, False)
    """
    return data.startswith(b"SIMPLE  =")


def decode(data: bytes, page: int | None, limits: Limits) -> Decoded:
    """Read one plane `(H, W)` of a file, its rows in the order of the file, as astropy gives them.

    Values are those of BSCALE and BZERO; integers stay integers where these only shift them. BLANK is
    missing.

    Raises:
        ImageReadError: astropy is not installed.
        ImageTooLargeError: see `Limits`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the library raises.

    Examples:
        >>> from ssdnet.image import fits
        >>> from ssdnet.image.limits import Limits
        >>> try:
        ...     fits.decode(b"nothing of the kind", None, Limits("scan", None))
        ... except Exception as error:
        ...     print(type(error).__module__ != "builtins" or str(error) != "")
        True
    """
    library = extras.load("astropy.io.fits", "fits", NAME, limits.name)
    with (
        extras.quiet(),
        library.open(io.BytesIO(data), do_not_scale_image_data=True, memmap=False) as file,
    ):
        images = [unit for unit in file if unit.is_image and len(unit.shape) >= 2]
        counts = [math.prod(unit.shape[:-2]) for unit in images]
        if not sum(counts):
            raise ValueError("there is no image in it, only tables or headers")
        if max(math.prod(map(float, unit.shape)) for unit in images) > _LARGEST:
            raise ValueError("the sizes in its header make no sense")
        chosen, notes = choose_page(limits.name, page, sum(counts))
        index = chosen - 1
        which = 0
        while index >= counts[which]:
            index -= counts[which]
            which += 1
        unit = images[which]
        rows, columns = unit.shape[-2:]
        limits.check(rows, columns)
        limits.check_values(
            math.prod(unit.shape), f"{' × '.join(map(str, unit.shape))} values".replace("×", TIMES)
        )
        stored = np.array(unit.data.reshape(-1, rows, columns)[index])
        header = unit.header
        scale, zero, blank = (header.get(key) for key in ("BSCALE", "BZERO", "BLANK"))
    missing = {}
    if blank is not None and stored.dtype.kind in "iu":
        missing[f"with the file's BLANK value {blank}"] = stored == blank
    return Decoded(
        np.atleast_3d(_scaled(plain_dtype(stored), 1 if scale is None else scale, zero or 0)),
        missing=missing,
        page=chosen,
        page_count=sum(counts),
        notes=notes,
    )


def _scaled(stored: Any, scale: float, zero: float) -> Any:  # noqa: ANN401 - arrays of any dtype
    """The values that stored ones mean."""
    if scale == 1 and zero == 0:
        return stored
    bits = 8 * stored.dtype.itemsize
    if scale == 1 and stored.dtype.kind == "i" and zero == 2 ** (bits - 1):  # how FITS spells unsigned
        return stored.view(f"u{bits // 8}") ^ stored.dtype.type(-(2 ** (bits - 1))).view(f"u{bits // 8}")
    if scale == 1 and stored.dtype == np.uint8 and zero == -128:
        return (stored ^ 128).view(np.int8)
    return (stored * np.float64(scale) + zero).astype(np.float64 if stored.dtype.itemsize > 2 else np.float32)
