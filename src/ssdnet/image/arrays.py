"""Images that are in memory already: NumPy arrays, torch tensors, PIL images."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.errors import ImageReadError, ImageTooSmallError, UsageError
from ssdnet.image.alpha import split_alpha
from ssdnet.image.model import Decoded
from ssdnet.image.orientation import TAG

if TYPE_CHECKING:
    import numpy.typing as npt
    import PIL.Image
    import torch
    from typing_extensions import TypeIs

    from ssdnet.image.limits import Limits


def is_tensor(source: object) -> TypeIs[torch.Tensor]:
    """Whether it is a torch tensor; does not import torch, for without it there are no tensors."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def is_pil_image(source: object) -> TypeIs[PIL.Image.Image]:
    """Whether it is a PIL image; does not import PIL, for without it there are no PIL images."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(source, pil.Image)


def plain_dtype(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in the byte order of the machine; float16, which little can be computed with, as float32.

    Raises:
        TypeError: not bool, integer or float of at most 64 bits.
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
    return Decoded(
        pixels, None if masked is None else np.logical_not(masked).reshape(pixels.shape).all(axis=2)
    )


def from_tensor(tensor: torch.Tensor, limits: Limits) -> Decoded:
    """Read `(C, H, W)` or `(H, W)` from any device; bfloat16 and float16 are read as float32.

    Raises:
        UsageError: wrong dtype or number of dimensions, or no channels.
        ImageTooLargeError: see `Limits.check`.
        ImageTooSmallError: see `Limits.check`.
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


def pixels_of(image: PIL.Image.Image) -> Decoded:
    """Decode the frame that a PIL image stands at; it is not turned.

    Raises:
        ValueError: a mode that cannot be converted to RGB.
        Exception: whatever Pillow raises for a damaged file.
    """
    image.load()
    notes: tuple[str, ...] = ()
    transparent = image.info.get("transparency")
    if image.mode.startswith("I") and transparent is not None:
        pixels = plain_dtype(np.atleast_3d(np.asarray(image)))
        return Decoded(pixels, pixels[..., 0] != transparent)
    if image.mode == "P" or (image.mode in ("1", "L", "RGB") and transparent is not None):
        image, stored = image.convert("RGBA" if image.has_transparency_data else "RGB"), image
        if stored.mode in ("1", "L"):  # still grey, and 1 bit still 1 bit
            return Decoded(np.atleast_3d(np.asarray(stored)), np.asarray(image)[..., 3] != 0)
    elif image.mode in _CONVERTED:
        image = image.convert(_CONVERTED[image.mode])
    elif image.mode not in _AS_THEY_ARE:
        notes = (f"colours were converted from {image.mode} to RGB",)
        image = image.convert("RGB")
    pixels = plain_dtype(np.atleast_3d(np.asarray(image)))
    if image.mode in ("LA", "RGBA"):
        return Decoded(*split_alpha(pixels), notes=notes)
    return Decoded(pixels, notes=notes)
