"""TIFF and BigTIFF.

What is a page and what a channel is told by the axes of tifffile: `Y` and `X` are rows and columns, `S`
(samples) and `C` are channels, and each step along any other axis (`I`, `Q`, `Z`, `T` ...) is a page. Pages
of different sizes in one plain TIFF are pages in the order of the file. Levels of a pyramid, reduced copies
and masks are not pages, nor are the further images (labels, overviews) of microscope formats.
"""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import jpeg
from ssdnet.image.alpha import rgb_from_cmyk, split_alpha
from ssdnet.image.arrays import plain_dtype
from ssdnet.image.limits import TIMES
from ssdnet.image.model import Decoded
from ssdnet.image.orientation import TAG
from ssdnet.image.pages import choose_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    import tifffile

    from ssdnet.image.limits import Limits

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_CHANNEL_AXES = "CS"
_LARGE_TILE = 4096**2
"""Pixels; smaller tiles may be larger than the image."""


@dataclass(frozen=True)
class _Plane:
    """One page: the series it is in, and its number along the axes that are pages."""

    series: tifffile.TiffPageSeries
    index: int

    @property
    def keyframe(self) -> tifffile.TiffPage:
        """The page that describes all frames of the series."""
        return self.series.keyframe


def decode(data: bytes, page: int | None, limits: Limits) -> Decoded:
    """Read one page of a TIFF file.

    Raises:
        ImageTooLargeError: see `Limits`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the libraries raise for a damaged file.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import tifffile
        >>> from ssdnet.image.limits import Limits
        >>> from ssdnet.image.tiff import decode
        >>> file, pages = io.BytesIO(), np.zeros((3, 20, 30), np.uint16)
        >>> pages[1] = 40_000
        >>> tifffile.imwrite(file, pages, photometric="minisblack")
        >>> decoded = decode(file.getvalue(), 2, Limits("stack.tif", None))
        >>> decoded.page, decoded.page_count, int(decoded.pixels.min())
        (2, 3, 40000)
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = _main_series(file)
        counts = [_page_count(one) for one in series]
        chosen, notes = choose_page(limits.name, page, sum(counts))
        plane = _plane(series, counts, chosen - 1)
        _check(plane, limits)
        array = _read(plane, data, limits)
        decoded = _colour(array, plane.keyframe)
        return replace(
            decoded,
            page=chosen,
            page_count=sum(counts),
            notes=notes + decoded.notes,
            orientation=plane.keyframe.tags.valueof(TAG, default=1),
        )


def _main_series(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """The series whose pages count."""
    if not file.series:
        raise ValueError("there is no image in it")
    if file.series[0].kind not in ("generic", "shaped", "uniform"):
        return [file.series[0]]
    main = [s for s in file.series if not (s.keyframe.is_reduced or s.keyframe.is_mask)]
    return main or [file.series[0]]


def _sizes(series: tifffile.TiffPageSeries, *, pages: bool) -> dict[str, int]:
    """The axes that are pages, or all others, with their lengths."""
    return {
        a: n
        for a, n in zip(series.axes, series.shape, strict=True)
        if (a not in "YX" + _CHANNEL_AXES) == pages
    }


def _page_count(series: tifffile.TiffPageSeries) -> int:
    return math.prod(_sizes(series, pages=True).values())


def _plane(series: list[tifffile.TiffPageSeries], counts: list[int], index: int) -> _Plane:
    """The page of that number, from 0, in the order of the file."""
    if len(series) > 1 and series[0].kind == "generic":  # tifffile sorted the pages by kind
        planes = [(p.treeindex, n, i) for n, s in enumerate(series) for i, p in enumerate(s) if p]
        _, which, index = sorted(planes)[index]
        return _Plane(series[which], index)
    for one, count in zip(series, counts, strict=True):
        if index < count:
            return _Plane(one, index)
        index -= count
    raise AssertionError("unreachable: the page was checked")


def _check(plane: _Plane, limits: Limits) -> None:
    """Refuse what is too large or too small, and what is not numbers, before decoding."""
    sizes = _sizes(plane.series, pages=False)
    rows, columns = sizes.pop("Y", 1), sizes.pop("X", 1)
    limits.check(rows, columns)
    channels = math.prod(sizes.values())
    limits.check_values(
        rows * columns * channels, f"{columns} {TIMES} {rows} pixels of {channels:,} channels"
    )
    frame = plane.keyframe
    tile = frame.tile or ()
    if math.prod(tile) > _LARGE_TILE:
        limits.check_values(math.prod(tile), f"tiles of {f' {TIMES} '.join(map(str, tile))} pixels")
    if plane.series.dtype is None:
        raise ValueError(
            f"{frame.bitspersample} bits of sample format {frame.sampleformat} are not supported"
        )
    plain_dtype(np.empty(0, plane.series.dtype))


def _read(plane: _Plane, data: bytes, limits: Limits) -> npt.NDArray[Any]:
    """Decode a page as `(H, W, C)`, all samples as stored."""
    series, frame = plane.series, plane.keyframe
    page_sizes = _sizes(series, pages=True)
    steps_of_page = np.unravel_index(plane.index, tuple(page_sizes.values())) if page_sizes else ()
    where = {axis: int(step) for axis, step in zip(page_sizes, steps_of_page, strict=True)}
    outer = series.axes[: len(series.axes) - len(frame.axes)]
    outer_shape = series.shape[: len(outer)]
    if series.axes != outer + frame.axes or series.shape != outer_shape + frame.shape:
        # A layout of its own, such as a mosaic: only tifffile knows how the frames make up the whole.
        limits.check_values(math.prod(series.shape), "all pages of it have to be decoded at once")
        _check_segments(series, data)
        axes, array = series.axes, series.asarray()
    else:
        steps: list[Iterable[int]] = [
            range(n) if a in _CHANNEL_AXES else (where[a],) for a, n in zip(outer, outer_shape, strict=True)
        ]
        flat = [int(np.ravel_multi_index(at, outer_shape)) if at else 0 for at in itertools.product(*steps)]
        array = np.stack([_frame(series, number, data) for number in flat])
        axes = "?" + frame.axes  # the frames differ in the channel only
    for axis in [a for a in axes if a in where]:
        array = array.take(where[axis], axis=axes.index(axis))
        axes = axes.replace(axis, "")
    order = sorted(range(len(axes)), key=lambda i: "YX?CS".index(axes[i]))
    return array.transpose(order).reshape(array.shape[axes.index("Y")], array.shape[axes.index("X")], -1)


def _frame(series: tifffile.TiffPageSeries, number: int, data: bytes) -> npt.NDArray[Any]:
    """One image file directory's worth of pixels, `(Y, X)` with or without samples."""
    frame = series.keyframe
    start = series.dataoffset
    if number and len(series) == 1 and start is not None and frame.dtype is not None:
        # The directories of the other frames were left out, as ImageJ does.
        dtype = frame.dtype.newbyteorder(frame.parent.byteorder)
        count = math.prod(frame.shape)
        offset = start + number * count * dtype.itemsize
        return np.frombuffer(data, dtype, count, offset).reshape(frame.shape)
    _check_segments([series[number]], data)
    return np.asarray(series.asarray(key=number)).reshape(frame.shape)


def _check_segments(frames: Iterable[Any], data: bytes) -> None:
    """Refuse strips and tiles that decoders would not mind: cut short, or a JPEG larger than the image.

    Args:
        frames: the `TiffPage` and `TiffFrame` to be decoded, None where there is nothing.
        data: the file.
    """
    for frame in filter(None, frames):
        key = frame.keyframe
        for offset, count in zip(frame.dataoffsets, frame.databytecounts, strict=False):
            if offset + count > len(data):
                raise ValueError(f"{offset + count:,} bytes are announced, there are {len(data):,}")
            size = jpeg.pixels(data[offset : offset + count]) if _is_jpeg(key) else 0
            if size > max(_LARGE_TILE, key.imagelength * key.imagewidth):
                raise ValueError(f"a JPEG of {size:,} pixels is larger than the image it is a part of")


def _colour(array: npt.NDArray[Any], frame: tifffile.TiffPage) -> Decoded:
    """Grey or colour without alpha, of the samples of a page `(H, W, C)`."""
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    extra = tifffile.EXTRASAMPLE
    array = plain_dtype(array)
    notes: list[str] = []
    opaque = None
    for number, meaning in enumerate(frame.extrasamples):
        if meaning in (extra.ASSOCALPHA, extra.UNASSALPHA) and array.shape[2] == frame.samplesperpixel:
            array, opaque = split_alpha(array, frame.samplesperpixel - len(frame.extrasamples) + number)
            if meaning == extra.ASSOCALPHA:
                notes.append("colours are stored multiplied by alpha and were taken so")
            break
    kind = frame.photometric
    if kind == kinds.MINISWHITE and array.dtype.kind in "bu":
        array = ~array if array.dtype == bool else (2**frame.bitspersample - 1 - array).astype(array.dtype)
    elif kind == kinds.PALETTE and frame.colormap is not None:
        array = _rgb_from_palette(array[..., 0], np.asarray(frame.colormap))
    elif kind == kinds.SEPARATED and array.shape[2] == 4 and array.dtype.kind == "u":
        array = rgb_from_cmyk(array)
        notes.append("colours were converted from CMYK to RGB")
    elif kind not in (kinds.MINISBLACK, kinds.RGB) and not (kind == kinds.YCBCR and _is_jpeg(frame)):
        notes.append(f"channels are {getattr(kind, 'name', kind)} and were taken as stored")
    return Decoded(array, opaque, notes=tuple(notes))


def _is_jpeg(frame: tifffile.TiffPage) -> bool:
    """Whether its pixels are JPEG, which is decoded to RGB."""
    import tifffile

    kinds = tifffile.COMPRESSION
    return frame.compression in (kinds.OJPEG, kinds.JPEG, kinds.JPEG_LOSSY, kinds.ALT_JPEG)


def _rgb_from_palette(indices: npt.NDArray[Any], palette: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Colours `(H, W, 3)` of `(H, W)` indices; uint8 when the 16-bit palette says no more than that."""
    if (palette < 256).all():  # some writers forget to scale
        palette = palette.astype(np.uint8)
    elif (palette % 256 == palette // 256).all() or (palette % 256 == 0).all():
        palette = (palette // 256).astype(np.uint8)
    return np.asarray(palette.T[indices])
