"""TIFF and BigTIFF.

What is a page and what a channel is told by the axes of tifffile: `Y` and `X` are rows and columns, `S`
(samples) and `C` are channels, and each step along any other axis (`I`, `Q`, `Z`, `T` ...) is a page. Pages
of different sizes in one plain TIFF are pages in the order of the file. Levels of a pyramid, reduced copies
and masks are not pages, nor are the further images (labels, overviews) of microscope formats. A mask right
after its page says which of its pixels are there. The files of an OME-TIFF that is split lie side by side.

tifffile reads nearly all; the old kinds that it does not read are left to libtiff, as far as viewers show
them: subsampled YCbCr without JPEG, the JPEG of TIFF 6.0, and SGI's LogLuv.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.image import directories, jpeg
from ssdnet.image.arrays import plain_dtype
from ssdnet.image.limits import TIMES
from ssdnet.image.model import Decoded
from ssdnet.image.orientation import TAG
from ssdnet.image.pages import choose_page
from ssdnet.image.tiff_color import is_jpeg, meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import tifffile

    from ssdnet.image.directories import Directory
    from ssdnet.image.limits import Limits

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_CHANNEL_AXES = "CS"
_PLAIN = ("generic", "shaped", "uniform")
_YCBCR, _LOG_L = 6, 32844  # of PhotometricInterpretation
_OLD_JPEG, _SGI_LOG = 6, (34676, 34677)  # of Compression
_OME_FILE = re.compile(r'FileName="([^"]*)"')
_OME_NUMBER = re.compile(r'\b(?:Size[A-Z]|PlaneCount|NumPlanes|First[A-Z]|IFD)="(\d{1,30})"')
_MOST_PLANES = 1_000_000
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


def decode(data: bytes, page: int | None, limits: Limits, path: Path | None = None) -> Decoded:
    """Read one page of a TIFF file.

    Args:
        data: the file.
        page: from 1; None = the first.
        limits: of its size.
        path: where it lies, to find the other files of an image that is split.

    Raises:
        ImageTooLargeError: see `Limits`.
        ImageTooSmallError: see `Limits.check`.
        PageNotFoundError: no such page.
        Exception: whatever the libraries raise for a file that they cannot decode.

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
    directory = directories.walk(data)
    with _opened(data, path) as file:
        series = _main_series(file)
        planes = _Planes(series, directory)
        chosen, notes = choose_page(limits.name, page, planes.count)
        plane = planes.get(chosen - 1)
        _check(plane, limits)
        number = _number(plane)
        if _for_libtiff(plane.keyframe):
            decoded = _by_libtiff(data, plane.keyframe, number)
        else:
            decoded = meant(_read(plane, limits), plane.keyframe)
        hidden, more = _hidden(file, directory, number, decoded.pixels.shape[:2])
        return replace(
            decoded,
            missing={**decoded.missing, **hidden},
            page=chosen,
            page_count=planes.count,
            notes=notes + decoded.notes + more,
            orientation=plane.keyframe.tags.valueof(TAG, default=1),
        )


def _opened(data: bytes, path: Path | None) -> tifffile.TiffFile:
    """The file; by its path when it says that parts of its image are in other files."""
    import tifffile

    file = tifffile.TiffFile(io.BytesIO(data))
    if not file.is_ome:
        return file
    text = file.ome_metadata or ""
    sizes = [int(size) for size in _OME_NUMBER.findall(text)]
    if max(sizes, default=0) > _MOST_PLANES:
        raise ValueError("its OME description announces more planes than any file has")
    if len(set(_OME_FILE.findall(text))) > 1 and path is not None:
        return tifffile.TiffFile(path)
    return file


def _main_series(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """The series whose pages count."""
    if not file.series:
        raise ValueError("there is no image in it")
    if file.series[0].kind not in _PLAIN:
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


class _Planes:
    """The pages of some series, in the order of the file."""

    def __init__(self, series: Sequence[tifffile.TiffPageSeries], directory: Sequence[Directory]) -> None:
        self._series = series
        self._sorted: list[tuple[tifffile.TiffPageSeries, int]] | None = None
        masks = {number for number, one in enumerate(directory) if one.mask}
        plain = all(one.kind in _PLAIN and len(one) == _page_count(one) for one in series)
        if plain and (masks or (len(series) > 1 and series[0].kind == "generic")):
            # tifffile sorted the pages by kind; and took masks like the image for pages of it.
            places = [(p.treeindex, s, i) for s in series for i, p in enumerate(s) if p is not None]
            kept = [(tree, s, i) for tree, s, i in places if len(tree) > 1 or tree[0] not in masks]
            self._sorted = [(s, i) for _, s, i in sorted(kept or places, key=lambda place: place[0])]
        self.count = sum(map(_page_count, series)) if self._sorted is None else len(self._sorted)

    def get(self, index: int) -> _Plane:
        """The page of that number, from 0."""
        if self._sorted is not None:
            return _Plane(*self._sorted[index])
        for one in self._series:
            if index < _page_count(one):
                return _Plane(one, index)
            index -= _page_count(one)
        raise AssertionError("unreachable: the page was checked")


def _number(plane: _Plane) -> int | None:
    """The place of a page in the chain of the file; None when it has none, or several."""
    if len(plane.series) != _page_count(plane.series):
        return None
    frame = plane.series[plane.index]
    return frame.treeindex[0] if frame is not None and len(frame.treeindex) == 1 else None


def _hidden(
    file: tifffile.TiffFile, directory: Sequence[Directory], number: int | None, shape: tuple[int, ...]
) -> tuple[dict[str, npt.NDArray[np.bool_]], tuple[str, ...]]:
    """Where the transparency mask of a page, which follows it, has nothing to see."""
    if number is None or directory[number].mask:
        return {}, ()
    for after in range(number + 1, len(directory)):
        if not directory[after].mask:
            break
        mask: Any = file.pages.get(after)
        if (mask.imagelength, mask.imagewidth) != shape:
            return {}, ("the file has a transparency mask of another size, which was ignored",)
        _check_segments([mask])
        seen = np.asarray(mask.asarray()).reshape(*shape, -1)
        return {"hidden by the file's transparency mask": (seen == 0).all(axis=2)}, ()
    return {}, ()


def _for_libtiff(frame: tifffile.TiffPage) -> bool:
    """Whether tifffile does not decode it, and libtiff does."""
    ycbcr = frame.photometric == _YCBCR and frame.is_subsampled and not is_jpeg(frame)
    return ycbcr or frame.compression in (_OLD_JPEG, *_SGI_LOG)


def _by_libtiff(data: bytes, frame: tifffile.TiffPage, number: int | None) -> Decoded:
    """RGB of 8 bits as viewers show it."""
    import imagecodecs

    if number is None:
        raise ValueError("an old kind of TIFF that can be read only where it is a page of its own")
    if frame.photometric == _YCBCR and frame.subsampling is not None and not is_jpeg(frame):
        across, down = frame.subsampling
        row_of_blocks = (across * down + 2) * -(-(frame.tilewidth or frame.imagewidth) // across)
        if row_of_blocks % down:  # libtiff would round, and lose the end
            raise ValueError(f"YCbCr of this width with one colour for {down} rows is not supported")
    copy = bytearray(data)
    orientation = frame.tags.get(TAG)
    if orientation is not None:  # libtiff would turn it, and so do we
        size = 2 if orientation.dtype == 3 else 4
        copy[orientation.valueoffset : orientation.valueoffset + size] = (
            (1).to_bytes(size, "little") if data.startswith(b"II") else (1).to_bytes(size, "big")
        )
    _check_segments([frame])
    rgba = np.asarray(imagecodecs.tiff_decode(bytes(copy), number, asrgb=True))
    if rgba.shape != (frame.imagelength, frame.imagewidth, 4):
        raise ValueError(f"libtiff gave an image of shape {rgba.shape}")
    grey = frame.photometric == _LOG_L
    notes: tuple[str, ...] = ()
    if frame.compression in _SGI_LOG:
        notes = ("luminances of SGI's LogLuv were converted to 8 bits, as viewers show them",)
    return Decoded(
        np.ascontiguousarray(rgba[..., : 1 if grey else 3]),
        rgba[..., 3].copy() if frame.extrasamples else None,
        notes=notes,
    )


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


def _read(plane: _Plane, limits: Limits) -> npt.NDArray[Any]:
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
        _check_segments(series)
        axes, array = series.axes, series.asarray()
    else:
        steps: list[Iterable[int]] = [
            range(n) if a in _CHANNEL_AXES else (where[a],) for a, n in zip(outer, outer_shape, strict=True)
        ]
        flat = [int(np.ravel_multi_index(at, outer_shape)) if at else 0 for at in itertools.product(*steps)]
        array = np.stack([_frame(series, number) for number in flat])
        axes = "?" + frame.axes  # the frames differ in the channel only
    for axis in [a for a in axes if a in where]:
        array = array.take(where[axis], axis=axes.index(axis))
        axes = axes.replace(axis, "")
    order = sorted(range(len(axes)), key=lambda i: "YX?CS".index(axes[i]))
    return array.transpose(order).reshape(array.shape[axes.index("Y")], array.shape[axes.index("X")], -1)


def _frame(series: tifffile.TiffPageSeries, number: int) -> npt.NDArray[Any]:
    """One image file directory's worth of pixels, `(Y, X)` with or without samples."""
    frame = series.keyframe
    start = series.dataoffset
    if number and len(series) == 1 and start is not None and frame.dtype is not None:
        # The directories of the other frames were left out, as ImageJ does.
        dtype = frame.dtype.newbyteorder(frame.parent.byteorder)
        count = math.prod(frame.shape)
        file = frame.parent.filehandle
        file.seek(start + number * count * dtype.itemsize)
        stored = file.read(count * dtype.itemsize)
        return np.frombuffer(stored, dtype, count).reshape(frame.shape)
    if series[number] is None:
        raise ValueError(
            "the page is in another file of this image, which is not beside it: give the path of the file, "
            "with all files of the image in one folder"
        )
    _check_segments([series[number]])
    return np.asarray(series.asarray(key=number)).reshape(frame.shape)


def _check_segments(frames: Iterable[Any]) -> None:
    """Refuse strips and tiles that decoders would not mind: cut short, or a JPEG larger than the image.

    Args:
        frames: the `TiffPage` and `TiffFrame` to be decoded, None where there is nothing.
    """
    for frame in filter(None, frames):
        key = frame.keyframe
        file = frame.parent.filehandle
        file.open()  # that of another file of the same image was closed
        for offset, count in zip(frame.dataoffsets, frame.databytecounts, strict=False):
            if offset + count > file.size:
                raise ValueError(f"{offset + count:,} bytes are announced, there are {file.size:,}")
            if is_jpeg(key):
                file.seek(offset)
                size = math.prod(jpeg.size(file.read(count)))
                if size > max(_LARGE_TILE, key.imagelength * key.imagewidth):
                    raise ValueError(f"a JPEG of {size:,} pixels is larger than the image it is a part of")
