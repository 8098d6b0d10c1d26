"""Values that stand for 'nothing was measured here': as a file or its reader says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ssdnet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Values: TypeAlias = "float | Sequence[float] | None"
    """What `nodata=` takes."""


def check(nodata: Values) -> tuple[int | float, ...]:
    """The values as Python numbers.

    Raises:
        UsageError: not a number, nor several.

    Examples:
        >>> from ssdnet.errors import UsageError
        >>> from ssdnet.image import nodata
        >>> nodata.check(None), nodata.check(-9999), nodata.check([0, 255.0])
        ((), (-9999,), (0, 255))
        >>> try:
        ...     nodata.check("black")
        ... except UsageError as error:
        ...     print(error)
        nodata 'black': give a number, nan, or several numbers
    """
    if nodata is None:
        return ()
    several: object = nodata.tolist() if isinstance(nodata, (np.ndarray, np.generic)) else nodata
    given = several if isinstance(several, (list, tuple)) else [several]
    try:
        return tuple(number(value) for value in given)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"nodata {nodata!r}: give a number, nan, or several numbers") from None


def number(value: object) -> int | float:
    """A number or its text, an integer where it is one, so that 64 bits stay exact.

    Raises:
        ValueError: it is none.

    Examples:
        >>> from ssdnet.image import nodata
        >>> nodata.number(" -9999.0 "), nodata.number("18446744073709551615"), nodata.number("nan")
        (-9999, 18446744073709551615, nan)
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, str, np.number)):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - as of text
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    real = float(value)
    return int(real) if real.is_integer() else real


def from_gdal(tag: object, channels: int) -> tuple[list[int | float], str]:
    """The value of each channel by GDAL's tag 42113, and what to tell a person when it makes no sense.

    Args:
        tag: text with one number, or with one for each channel; None = there is no such tag.
        channels: how many there are, without alpha.

    Examples:
        >>> from ssdnet.image.nodata import from_gdal
        >>> from_gdal("-9999 ", 2), from_gdal("0 nan", 2)
        (([-9999, -9999], ''), ([0, nan], ''))
        >>> from_gdal("none", 1)
        ([], "the file's no-data entry 'none' is not a number and was ignored")
    """
    if tag is None:
        return [], ""
    text = tag.decode("latin-1") if isinstance(tag, bytes) else str(tag)
    text = text.replace("\0", " ").strip()
    if not text:
        return [], ""
    try:
        values = [number(word) for word in text.split()]
    except ValueError:
        return [], f"the file's no-data entry '{text[:40]}' is not a number and was ignored"
    if len(values) == 1:
        return values * channels, ""
    if len(values) < channels:
        return [], f"the file's no-data entry '{text[:40]}' has not one value a channel and was ignored"
    return values[:channels], ""


def where(pixels: npt.NDArray[Any], values: Sequence[int | float]) -> npt.NDArray[np.bool_] | None:
    """`(H, W)`, True where nothing was measured; None when no channel can hold its value at all.

    A value that measurements never have, such as -9999, in any channel; but 0 and the largest value of
    unsigned integers, which dark and overexposed pixels have too, only where all channels have theirs.

    Args:
        pixels: `(H, W, C)`.
        values: one for each channel.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.image import nodata
        >>> pixels = np.array([[[0, 0], [0, 7], [8, 9]]], np.uint8)
        >>> nodata.where(pixels, [0, 0]), nodata.where(pixels.astype(np.int16), [0, 0])
        (array([[ True, False, False]]), array([[ True,  True, False]]))
        >>> nodata.where(pixels, [-9999, -9999]) is None
        True
    """
    held = [_held(pixels.dtype, value) for value in values]
    if all(value is None for value in held):
        return None
    missing = np.zeros(pixels.shape[:2], dtype=bool)
    everywhere = np.ones(pixels.shape[:2], dtype=bool)
    for channel, value in enumerate(held):
        here = _equal(pixels[..., channel], value)
        everywhere &= here
        if value is not None and not _ordinary(pixels.dtype, value):
            missing |= here
    found: npt.NDArray[np.bool_] = missing | everywhere
    return found


def words(values: Iterable[int | float]) -> str:
    """The values for a message, each once.

    Examples:
        >>> from ssdnet.image import nodata
        >>> nodata.words([-9999, -9999]), nodata.words([0, 255])
        ('-9999', '0, 255')
    """
    return ", ".join(
        dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    )


def _held(dtype: np.dtype[Any], value: float) -> np.generic | None:
    """The value as pixels of that dtype have it; None when none can."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            held = dtype.type(min(max(value, -1.8e308), 1.8e308) if not math.isnan(value) else value)
        return held if np.isinf(held) == math.isinf(value) else None
    if not isinstance(value, int):
        return None
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return dtype.type(value) if low <= value <= high else None


def _ordinary(dtype: np.dtype[Any], value: np.generic) -> bool:
    """Whether pixels that were measured have it too: sensors and screens end there."""
    return dtype.kind == "b" or (dtype.kind == "u" and value in (0, np.iinfo(dtype).max))


def _equal(plane: npt.NDArray[Any], value: np.generic | None) -> npt.NDArray[np.bool_]:
    if value is None:
        return np.zeros(plane.shape, dtype=bool)
    return np.asarray(np.isnan(plane) if value != value else plane == value)
