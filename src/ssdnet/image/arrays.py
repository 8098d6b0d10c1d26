"""Images that are in memory already: NumPy arrays and what becomes one, torch tensors, PIL images."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.errors import ImageReadError, ImageTooSmallError, UsageError
from ssdnet.image.color import lab_from, split_alpha
from ssdnet.image.model import Decoded
from ssdnet.image.orientation import TAG

if TYPE_CHECKING:
    import numpy.typing as npt
    import PIL.Image
    import torch
    from typing_extensions import TypeIs

    from ssdnet.image.limits import Limits


def is_tensor(source: object) -> TypeIs[torch.Tensor]:
    """Whether it is a torch tensor; does not import torch, for without it there are no tensors.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from ssdnet.image.arrays import is_tensor
        >>> is_tensor(torch.zeros(3, 20, 30)), is_tensor(np.zeros((20, 30, 3)))
        (True, False)
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def is_pil_image(source: object) -> TypeIs[PIL.Image.Image]:
    """Whether it is a PIL image; does not import PIL, for without it there are no PIL images.

    Examples:
        >>> import PIL.Image
        >>> from ssdnet.image.arrays import is_pil_image
        >>> is_pil_image(PIL.Image.new("L", (30, 20))), is_pil_image("a.png")
        (True, False)
    """
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(source, pil.Image)


def as_array(source: object) -> npt.NDArray[Any]:
    """Nested lists of numbers, and anything that says itself how it is an array, as a NumPy array.

    Raises:
        UsageError: it is neither, or NumPy cannot make an array of it, as of rows of different lengths.

    Examples:
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.image.arrays import as_array
        >>> as_array([[0, 1, 2], [3, 4, 5]]).shape
        (2, 3)
        >>> try:
        ...     as_array(7)
        ... except UsageError as error:
        ...     print(error)
        int is not an image; give a path, bytes, ...
    """
    if isinstance(source, np.ndarray):
        return source
    kind = type(source).__name__
    if not isinstance(source, (list, tuple)) and not hasattr(type(source), "__array__"):
        raise UsageError(
            f"{kind} is not an image; give a path, bytes, a NumPy array (H, W) or (H, W, C), nested lists of "
            "numbers, a torch tensor (C, H, W) or a PIL image"
        )
    try:
        return np.asarray(source)
    except Exception as error:  # whatever an `__array__` of somebody else raises
        raise UsageError(f"{kind}: NumPy cannot make an image of it: {error}") from error


def plain_dtype(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in the byte order of the machine; float16, which little can be computed with, as float32.

    Raises:
        TypeError: not bool, integer or float of at most 64 bits.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.arrays import plain_dtype
        >>> plain_dtype(np.array([1, 256], ">u2"))
        array([  1, 256], dtype=uint16)
        >>> plain_dtype(np.zeros(2, np.float16)).dtype.name
        'float32'
    """
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise TypeError(
            f"values of dtype {array.dtype} cannot be read as an image; "
            "use bool, integers, float32 or float64 (for complex values the magnitude or the phase)"
        )
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def from_array(array: npt.NDArray[Any], limits: Limits) -> Decoded:
    """Read `(H, W)` or `(H, W, C)`. Nothing is guessed: four channels are four channels, not alpha.

    The mask of a masked array marks missing pixels, in any channel.

    Raises:
        UsageError: wrong dtype or number of dimensions, or no channels.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image.arrays import from_array
        >>> from ssdnet.image.limits import Limits
        >>> dead = np.zeros((20, 30), bool)
        >>> dead[4, 5] = True
        >>> decoded = from_array(np.ma.array(np.ones((20, 30)), mask=dead), Limits("array", None))
        >>> decoded.pixels.shape, {why: int(where.sum()) for why, where in decoded.missing.items()}
        ((20, 30, 1), {'masked': 1})
    """
    if array.ndim not in (2, 3):
        raise UsageError(
            f"{limits.name}: shape {array.shape} is not an image; "
            "give (H, W) or (H, W, C), one image at a time"
        )
    try:
        limits.check(*array.shape[:2])
    except ImageTooSmallError as error:
        if array.ndim == 3 and array.shape[0] <= 4 < min(array.shape[1:]):
            hint = f"shape {array.shape} looks like (C, H, W); give (H, W, C), np.moveaxis(array, 0, -1)"
            raise ImageTooSmallError(f"{error}; {hint}") from None
        raise
    if array.size == 0:
        raise UsageError(f"{limits.name}: shape {array.shape} has no channels")
    masked = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    try:
        pixels = plain_dtype(np.atleast_3d(np.array(array)))
    except TypeError as error:
        raise UsageError(f"{limits.name}: {error}") from None
    if masked is None:
        return Decoded(pixels)
    return Decoded(pixels, missing={MASKED: np.asarray(masked.reshape(pixels.shape).any(axis=2))})


def from_tensor(tensor: torch.Tensor, limits: Limits) -> Decoded:
    """Read `(C, H, W)` or `(H, W)` from any device; bfloat16 and float16 are read as float32.

    Raises:
        UsageError: wrong dtype or number of dimensions, or no channels.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.

    Examples:
        >>> import torch
        >>> from ssdnet.image.arrays import from_tensor
        >>> from ssdnet.image.limits import Limits
        >>> decoded = from_tensor(torch.zeros(3, 20, 30, dtype=torch.bfloat16), Limits("tensor", None))
        >>> decoded.pixels.shape, decoded.pixels.dtype.name
        ((20, 30, 3), 'float32')
    """
    if tensor.ndim not in (2, 3):
        raise UsageError(
            f"{limits.name}: shape {tuple(tensor.shape)} is not an image; "
            "give (C, H, W) or (H, W), one image at a time"
        )
    tensor = tensor.detach().cpu()
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize < 4:
        tensor = tensor.float()
    try:
        array = tensor.resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"{limits.name}: a tensor that NumPy cannot read: {error}") from error
    try:
        return from_array(np.moveaxis(array, 0, -1) if array.ndim == 3 else array, limits)
    except ImageTooSmallError as error:
        if array.ndim == 3 and array.shape[2] <= 4 < min(array.shape[:2]):
            hint = f"shape {array.shape} looks like (H, W, C); give (C, H, W), tensor.movedim(-1, 0)"
            raise ImageTooSmallError(f"{error}; {hint}") from None
        raise


def from_pil_image(image: PIL.Image.Image, limits: Limits) -> Decoded:
    """Read a PIL image as its mode says, at the frame it stands at; it is turned as its EXIF says.

    Raises:
        ImageReadError: it cannot be loaded, or is of a mode without a meaning as grey or colour.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.

    Examples:
        >>> import PIL.Image
        >>> from ssdnet.image.arrays import from_pil_image
        >>> from ssdnet.image.limits import Limits
        >>> decoded = from_pil_image(PIL.Image.new("LA", (30, 20), (128, 0)), Limits("PIL image", None))
        >>> decoded.pixels.shape, int(decoded.alpha.max())  # grey, and all of it transparent
        ((20, 30, 1), 0)
    """
    limits.check(image.height, image.width)
    try:
        decoded = pixels_of(image)
        orientation = image.getexif().get(TAG)
    except Exception as error:
        raise ImageReadError(f"{limits.name}: the PIL image cannot be read: {error}") from error
    page = image.tell() + 1
    count = max(page, getattr(image, "n_frames", 1))
    return replace(decoded, page=page, page_count=count, orientation=orientation)


# Pillow's modes that NumPy reads as they are; the others that it can convert without loss.
_AS_THEY_ARE = {"1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_CONVERTED = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "RGBX": "RGB"}

MASKED = "masked"
"""Why a pixel of a masked array is missing."""


def pixels_of(image: PIL.Image.Image) -> Decoded:
    """Decode the frame that a PIL image stands at; it is not turned.

    Raises:
        ValueError: a mode that cannot be converted to RGB.
        Exception: whatever Pillow raises for a damaged file.

    Examples:
        >>> import PIL.Image
        >>> from ssdnet.image.arrays import pixels_of
        >>> decoded = pixels_of(PIL.Image.new("YCbCr", (30, 20)))
        >>> decoded.pixels.shape, decoded.notes
        ((20, 30, 3), ('colours were converted from YCbCr to RGB',))
    """
    image.load()
    notes: tuple[str, ...] = ()
    transparent = image.info.get("transparency")
    if image.mode.startswith("I") and transparent is not None:
        pixels = plain_dtype(np.atleast_3d(np.asarray(image)))
        return Decoded(pixels, pixels[..., 0] != transparent)
    if image.mode == "LAB":  # NumPy gets a* and b* with a sign, as TIFF has them
        lab = np.asarray(image).view(np.int8).astype(np.int16)
        lab[..., 0] &= 255
        return Decoded(lab_from(lab, (100 / 255, 1, 1), (0, 0, 0), np.uint8), lab=True)
    if image.mode == "P" or (image.mode in ("1", "L", "RGB") and transparent is not None):
        image, stored = image.convert("RGBA" if image.has_transparency_data else "RGB"), image
        if stored.mode in ("1", "L"):  # still grey, and 1 bit still 1 bit
            return Decoded(np.atleast_3d(np.asarray(stored)), np.asarray(image)[..., 3].copy())
    elif image.mode in _CONVERTED:
        image = image.convert(_CONVERTED[image.mode])
    elif image.mode not in _AS_THEY_ARE:
        notes = (f"colours were converted from {image.mode} to RGB",)
        image = image.convert("RGB")
    pixels = plain_dtype(np.atleast_3d(np.asarray(image)))
    if image.mode in ("LA", "RGBA"):
        return Decoded(*split_alpha(pixels), notes=notes)
    return Decoded(pixels, notes=notes)
