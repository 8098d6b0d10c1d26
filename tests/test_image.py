"""Reading images: every kind of file and array, what is missing, pages, limits and errors."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssdnet import errors
from ssdnet.image import DEFAULT_MAX_PIXELS, MIN_SIDE, Image, read_image
from tests.image_files import (
    Array,
    chunk,
    exif,
    huge_bmp,
    huge_jpeg,
    huge_png,
    huge_tiff,
    huge_webp,
    packed,
    pillow,
    png,
    png_of,
    seen,
    tiff,
    values,
)

if TYPE_CHECKING:
    from pathlib import Path

H, W = 20, 33
GREY = values(H, W)
RGB = values(H, W, 3)
RGBA = values(H, W, 4)
GREY16, RGB16, RGBA16 = (values(*a.shape, dtype=np.uint16) for a in (GREY, RGB, RGBA))
LA, LA16 = values(H, W, 2), values(H, W, 2, dtype=np.uint16)
BITS = values(H, W, dtype=bool)


def check(image: Image, pixels: Array, valid: Array | None = None) -> None:
    """The image has exactly these values, this dtype and this mask."""
    pixels = np.atleast_3d(pixels)
    assert image.pixels.dtype == pixels.dtype
    assert image.pixels.dtype.isnative
    assert (image.height, image.width, image.channels) == pixels.shape
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.valid.dtype == bool
    np.testing.assert_array_equal(image.valid, np.ones(pixels.shape[:2], bool) if valid is None else valid)
    for array in (image.pixels, image.valid):
        assert not array.flags.writeable
        assert array.flags.c_contiguous


def palette_image(colours: int = 256) -> tuple[PIL.Image.Image, Array]:
    """A palette image and its colours `(H, W, 3)`."""
    table = values(colours, 3, seed=1)
    indices = values(H, W).astype(int) % colours
    image = PIL.Image.fromarray(indices.astype(np.uint8))
    image.putpalette(table.tobytes())
    return image, table[indices]


# ---------------------------------------------------------------- files without loss

DEPTHS = {1: 1, 2: 85, 4: 17}
LOSSLESS: dict[str, tuple[bytes, Array, Array | None]] = {
    "png-grey8": (png_of(GREY), GREY, None),
    "png-la8": (png_of(LA), LA[..., 0], LA[..., 1] != 0),
    "png-rgb8": (png_of(RGB), RGB, None),
    "png-rgba8": (png_of(RGBA), RGBA[..., :3], RGBA[..., 3] != 0),
    "png-grey16": (png_of(GREY16), GREY16, None),
    "png-la16": (png_of(LA16), LA16[..., 0], LA16[..., 1] != 0),
    "png-rgb16": (png_of(RGB16), RGB16, None),
    "png-rgba16": (png_of(RGBA16), RGBA16[..., :3], RGBA16[..., 3] != 0),
    "png-bool": (pillow(BITS, "PNG"), BITS, None),
    "png-grey2": (png(packed(GREY % 4, 2), W, 2, 0), GREY % 4 * 85, None),
    "png-grey4": (png(packed(GREY % 16, 4), W, 4, 0), GREY % 16 * 17, None),
    "png-key1": (
        png(packed(BITS.astype(np.uint8), 1), W, 1, 0, chunk(b"tRNS", b"\0\1")),
        BITS,
        ~BITS,
    ),
    "png-key2": (
        png(packed(GREY % 4, 2), W, 2, 0, chunk(b"tRNS", b"\0\1")),
        GREY % 4 * 85,
        GREY % 4 != 1,
    ),
    "png-key8": (png_of(GREY, chunk(b"tRNS", b"\0\7")), GREY, GREY != 7),
    "png-key16": (png_of(GREY16 % 9, chunk(b"tRNS", b"\0\7")), GREY16 % 9, GREY16 % 9 != 7),
    "png-rgb-key": (
        png_of(RGB % 2, chunk(b"tRNS", b"\0\1\0\0\0\1")),
        RGB % 2,
        (RGB % 2 != [1, 0, 1]).any(axis=2),
    ),
    "png-imagecodecs": (bytes(imagecodecs.png_encode(RGB16)), RGB16, None),
    "png-palette": (pillow(palette_image()[0], "PNG"), palette_image()[1], None),
    "png-palette-alpha": (
        pillow(palette_image()[0], "PNG", transparency=bytes([0, 128]) + b"\xff" * 254),
        palette_image()[1],
        values(H, W) != 0,
    ),
    "bmp-grey8": (pillow(GREY, "BMP"), GREY, None),
    "bmp-rgb8": (pillow(RGB, "BMP"), RGB, None),
    "bmp-bool": (pillow(BITS, "BMP"), BITS, None),
    "bmp-palette": (pillow(palette_image()[0], "BMP"), palette_image()[1], None),
    "webp-rgb8": (pillow(RGB, "WEBP", lossless=True), RGB, None),
    "webp-rgba8": (
        pillow(RGBA, "WEBP", lossless=True, exact=True),
        RGBA[..., :3],
        RGBA[..., 3] != 0,
    ),
    "gif-palette": (pillow(palette_image()[0], "GIF"), palette_image()[1], None),
    "gif-palette-alpha": (
        pillow(palette_image()[0], "GIF", transparency=3),
        palette_image()[1],
        values(H, W) != 3,
    ),
    "pgm8": (pillow(GREY, "PPM"), GREY, None),
    "ppm8": (pillow(RGB, "PPM"), RGB, None),
    "pbm": (pillow(BITS, "PPM"), BITS, None),
    "pgm16": (b"P5 # 16 bits\n33 20\n65535\n" + GREY16.astype(">u2").tobytes(), GREY16, None),
    "pgm12": (b"P5 33 20 4095\n" + (GREY16 % 4096).astype(">u2").tobytes(), GREY16 % 4096, None),
    "ppm16": (b"P6\n33 20\n65535\n" + RGB16.astype(">u2").tobytes(), RGB16, None),
    "ppm16-text": (
        b"P3\n33 20\n65535\n" + " ".join(map(str, RGB16.ravel())).encode(),
        RGB16,
        None,
    ),
    "qoi": (bytes(imagecodecs.qoi_encode(RGB)), RGB, None),
    "jp2-grey16": (bytes(imagecodecs.jpeg2k_encode(GREY16, level=0)), GREY16, None),
    "tiff-rgb-jpeg2000": (
        tiff(RGB, photometric="rgb", compression="jpeg2000", compressionargs={"level": 0}),
        RGB,
        None,
    ),
}

TIFF_DTYPES = ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "f4", "f8"]
for _dtype in TIFF_DTYPES:
    for _byteorder in "<>":
        _array = values(H, W, dtype=_dtype)
        LOSSLESS[f"tiff-{np.dtype(_dtype)}{_byteorder}"] = (
            tiff(_array, photometric="minisblack", byteorder=_byteorder),
            _array,
            None,
        )
for _channels in (2, 3, 5, 40):
    _array = values(H, W, _channels, dtype=np.uint16)
    _planes = np.ascontiguousarray(np.moveaxis(_array, 2, 0))
    LOSSLESS[f"tiff-interleaved-{_channels}"] = (
        tiff(_array, photometric="minisblack", planarconfig="contig"),
        _array,
        None,
    )
    LOSSLESS[f"tiff-planar-{_channels}"] = (
        tiff(_planes, photometric="minisblack", planarconfig="separate"),
        _array,
        None,
    )
    LOSSLESS[f"tiff-channel-axis-{_channels}"] = (
        tiff(_planes, photometric="minisblack", metadata={"axes": "CYX"}),
        _array,
        None,
    )
_RGB_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lzw": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "deflate"},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
    "strips": {"rowsperstrip": 3, "compression": "lzw"},
    "tiles": {"tile": (16, 16), "compression": "deflate"},
    "bigtiff": {"bigtiff": True},
}
for _name, _options in _RGB_OPTIONS.items():
    LOSSLESS[f"tiff-rgb-{_name}"] = (tiff(RGB16, photometric="rgb", **_options), RGB16, None)
for _name in ("unassalpha", "assocalpha"):
    LOSSLESS[f"tiff-rgba-{_name}"] = (
        tiff(RGBA16, photometric="rgb", extrasamples=[_name]),
        RGBA16[..., :3],
        RGBA16[..., 3] != 0,
    )
LOSSLESS |= {
    "tiff-la": (
        tiff(LA, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]),
        LA[..., 0],
        LA[..., 1] != 0,
    ),
    "tiff-rgba-planar": (
        tiff(
            np.ascontiguousarray(np.moveaxis(RGBA, 2, 0)),
            photometric="rgb",
            planarconfig="separate",
            extrasamples=["unassalpha"],
        ),
        RGBA[..., :3],
        RGBA[..., 3] != 0,
    ),
    "tiff-rgb-unspecified": (tiff(RGBA, photometric="rgb", extrasamples=["unspecified"]), RGBA, None),
    "tiff-alpha-before-extra": (
        tiff(values(H, W, 5), photometric="rgb", extrasamples=["unassalpha", "unspecified"]),
        values(H, W, 5)[..., [0, 1, 2, 4]],
        values(H, W, 5)[..., 3] != 0,
    ),
    "tiff-white-is-zero": (tiff(255 - GREY, photometric="miniswhite"), GREY, None),
    "tiff-white-is-zero16": (tiff(65535 - GREY16, photometric="miniswhite"), GREY16, None),
    "tiff-white-is-zero1": (tiff(~BITS, photometric="miniswhite"), BITS, None),
    "tiff-palette": (
        tiff(GREY, photometric="palette", colormap=values(3, 256, seed=1).astype(np.uint16) * 257),
        values(3, 256, seed=1).T[GREY],
        None,
    ),
    "tiff-palette16": (
        tiff(GREY, photometric="palette", colormap=values(3, 256, dtype=np.uint16)),
        values(3, 256, dtype=np.uint16).T[GREY],
        None,
    ),
    "tiff-palette-unscaled": (
        tiff(GREY, photometric="palette", colormap=values(3, 256, seed=1).astype(np.uint16)),
        values(3, 256, seed=1).T[GREY],
        None,
    ),
    "tiff-float16": (
        tiff(values(H, W, dtype=np.float16)),
        values(H, W, dtype=np.float16).astype(np.float32),
        None,
    ),
    "tiff-by-pillow": (pillow(RGB, "TIFF", compression="tiff_lzw"), RGB, None),
    "tiff-by-pillow-1-bit": (pillow(BITS, "TIFF", compression="group4"), BITS, None),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_file_round_trip(kind: str, tmp_path: Path) -> None:
    data, pixels, valid = LOSSLESS[kind]
    path = tmp_path / f"image.{kind.partition('-')[0]}"
    path.write_bytes(data)
    image = read_image(path)
    check(image, pixels, valid)
    assert image.name == str(path)
    assert image.path == path
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert (image.page, image.page_count) == (1, 1)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("array", [GREY, RGB], ids=["grey", "rgb"])
def test_lossy_file_is_what_its_library_decodes(kind: str, array: Array, tmp_path: Path) -> None:
    if kind not in PIL.Image.registered_extensions().values():
        pytest.skip(f"this Pillow has no {kind}")
    path = tmp_path / "image"
    path.write_bytes(pillow(array, kind))
    with PIL.Image.open(path) as expected:
        check(read_image(path), np.asarray(expected))


def test_jpeg_in_tiff() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 64)[:, None, None], (64, 64, 3)).astype(np.uint8)
    image = read_image(tiff(smooth, photometric="rgb", compression="jpeg", compressionargs={"level": 95}))
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels.astype(int) - smooth).max() <= 4
    assert image.notes == ()


def test_formats_that_pillow_cuts_to_8_bits_keep_all() -> None:
    check(read_image(imagecodecs.jpeg2k_encode(RGB16, level=0)), RGB16)
    image = read_image(imagecodecs.avif_encode(RGB16 >> 6, level=100, bitspersample=10))
    assert image.pixels.dtype == np.uint16
    assert image.notes == ()
    assert 255 < image.pixels.max() < 1024


def test_cmyk_becomes_rgb_with_a_note() -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8] = 255, 0, 0, 0  # cyan
    inks[8:] = 0, 0, 0, 255  # black
    wanted = np.zeros((16, 16, 3), np.uint8)
    wanted[:8] = 0, 255, 255
    jpeg = read_image(pillow(PIL.Image.fromarray(inks, "CMYK"), "JPEG", quality=100))
    assert np.abs(jpeg.pixels.astype(int) - wanted).max() <= 2
    deep = read_image(tiff(inks.astype(np.uint16) * 257, photometric="separated"))
    check(deep, wanted.astype(np.uint16) * 257)
    memory = read_image(PIL.Image.fromarray(inks, "CMYK"))
    check(memory, wanted)
    for image in (jpeg, deep, memory):
        assert "converted from CMYK to RGB" in image.notes[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mixed_inks(dtype: Any) -> None:
    inks = values(H, W, 4, dtype=dtype)
    full = np.iinfo(dtype).max
    paper = 1 - inks / full
    image = read_image(tiff(inks, photometric="separated"))
    check(image, np.round(paper[..., :3] * paper[..., 3:] * full).astype(dtype))


def test_premultiplied_alpha_is_named() -> None:
    assert "multiplied by alpha" in read_image(LOSSLESS["tiff-rgba-assocalpha"][0]).notes[0]
    assert not any("multiplied" in note for note in read_image(LOSSLESS["tiff-rgba-unassalpha"][0]).notes)


# ---------------------------------------------------------------- orientation

CARRIERS = ["JPEG", "PNG", "PNG-after", "PNG16", "WEBP", "TIFF"]


def oriented(kind: str, array: Array, orientation: int) -> bytes:
    block = exif(orientation)
    if kind == "TIFF":
        alpha = {"extrasamples": ["unassalpha"]} if array.shape[2] == 4 else {}
        return tiff(array, photometric="rgb", extratags=[(274, 3, 1, orientation, True)], **alpha)
    if kind == "PNG-after":
        return png_of(array, after=(chunk(b"eXIf", block.removeprefix(b"Exif\0\0")),))
    if kind == "PNG16":
        return png_of(array.astype(np.uint16) * 257, chunk(b"eXIf", block.removeprefix(b"Exif\0\0")))
    options: dict[str, Any] = {"WEBP": {"lossless": True, "exact": True}, "JPEG": {"quality": 90}, "PNG": {}}
    return pillow(array, kind, exif=block, **options[kind])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", CARRIERS)
def test_orientation(kind: str, orientation: int) -> None:
    channels = 3 if kind == "JPEG" else 4
    array = values(H, W, channels)
    array[2:5, 7:30, -1] = 0  # where alpha, if any, says that there is nothing
    stored = array[..., :3]
    if kind == "JPEG":
        stored = read_image(oriented(kind, array, 1)).pixels
    if kind == "PNG16":
        stored = stored.astype(np.uint16) * 257
    opaque = array[..., 3] != 0 if channels == 4 else np.ones((H, W), bool)
    image = read_image(oriented(kind, array, orientation))
    check(image, seen(stored, orientation), seen(opaque, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_pil_image(orientation: int) -> None:
    with PIL.Image.open(io.BytesIO(oriented("WEBP", RGBA, orientation))) as source:
        image = read_image(source)
        check(image, seen(RGBA[..., :3], orientation), seen(RGBA[..., 3] != 0, orientation))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientation_counts_as_upright(orientation: int) -> None:
    check(read_image(oriented("PNG", RGB, orientation)), RGB)
    check(read_image(oriented("TIFF", RGB, orientation)), RGB)


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"junk" * 9, exif(6)[:-9], b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_does_not_hurt(block: bytes) -> None:
    check(read_image(png_of(RGB, chunk(b"eXIf", block))), RGB)
    check(read_image(pillow(RGB, "WEBP", lossless=True, exif=block)), RGB)


def test_damaged_animation_header_does_not_hurt() -> None:
    data = png_of(RGB, chunk(b"acTL", b"\0" * 8))
    with pytest.warns(UserWarning, match="Invalid APNG"), PIL.Image.open(io.BytesIO(data)):
        pass  # so Pillow says; but no warning leaves `read_image`, or it would be an error here
    check(read_image(data), RGB)


# ---------------------------------------------------------------- arrays, tensors, PIL images


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.data(),
    st.sampled_from(["?", "u1", "u2", ">u2", "i4", "u8", "f4", ">f8"]),
    st.integers(MIN_SIDE, 24),
    st.integers(MIN_SIDE, 24),
    st.sampled_from([(), (1,), (2,), (4,), (7,)]),
)
def test_array_round_trip(data: st.DataObject, dtype: str, height: int, width: int, rest: tuple[int]) -> None:
    array = data.draw(hnp.arrays(dtype, (height, width, *rest)))
    expected = np.atleast_3d(array).astype(np.dtype(dtype).newbyteorder("="))
    valid = np.isfinite(expected).all(axis=2)
    if valid.any():
        check(read_image(array), expected, valid)
        fortran = read_image(np.asfortranarray(array))
        check(fortran, expected, valid)
        assert fortran.sha256 == read_image(array).sha256
    else:
        with pytest.raises(errors.NoValidPixelsError):
            read_image(array)


@settings(max_examples=40, deadline=None)
@given(
    st.data(),
    st.sampled_from(["u1", "u2"]),
    st.integers(MIN_SIDE, 40),
    st.integers(MIN_SIDE, 40),
    st.sampled_from([1, 2, 3, 4]),
)
def test_png_round_trip(data: st.DataObject, dtype: str, height: int, width: int, channels: int) -> None:
    array = data.draw(hnp.arrays(dtype, (height, width, channels), fill=st.integers(0, 255)))
    if channels in (2, 4):
        array[0, 0, -1] = 1
        check(read_image(imagecodecs.png_encode(array)), array[..., :-1], array[..., -1] != 0)
    else:
        check(read_image(imagecodecs.png_encode(array.squeeze(axis=2) if channels == 1 else array)), array)


@settings(max_examples=40, deadline=None)
@given(
    st.data(),
    st.sampled_from(["?", "u1", "u2", "i4", "f4", "f8"]),
    st.integers(MIN_SIDE, 40),
    st.integers(MIN_SIDE, 40),
    st.integers(1, 6),
    st.sampled_from([None, "lzw", "deflate"]),
    st.booleans(),
)
def test_tiff_round_trip(
    data: st.DataObject,
    dtype: str,
    height: int,
    width: int,
    channels: int,
    compression: str | None,
    separate: bool,
) -> None:
    if dtype == "?":
        channels, compression = 1, None
    array = data.draw(hnp.arrays(dtype, (height, width, channels)))
    array[0, 0] = 1
    stored = np.ascontiguousarray(np.moveaxis(array, 2, 0)) if separate else array
    if channels == 1:
        stored = array[..., 0]
    plan = {} if channels == 1 else {"planarconfig": "separate" if separate else "contig"}
    image = read_image(tiff(stored, photometric="minisblack", compression=compression, **plan))
    check(image, array, np.isfinite(array).all(axis=2))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32, torch.float64, torch.bool])
@pytest.mark.parametrize("shape", [(H, W), (1, H, W), (4, H, W)])
def test_tensor(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.arange(math.prod(shape)).reshape(shape) % 200).to(dtype)
    expected = tensor.numpy()
    image = read_image(tensor)
    check(image, np.moveaxis(expected, 0, -1) if len(shape) == 3 else expected)
    assert image.name == "tensor"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_tensor_is_read_as_float32(dtype: torch.dtype) -> None:
    tensor = torch.rand(3, H, W, generator=torch.Generator().manual_seed(0)).to(dtype)
    check(read_image(tensor), tensor.float().permute(1, 2, 0).numpy())


def test_tensor_with_gradient() -> None:
    check(read_image(torch.ones(2, H, W, requires_grad=True)), np.ones((H, W, 2), np.float32))


PIL_IMAGES: dict[str, tuple[PIL.Image.Image, Array, Array | None]] = {
    "1": (PIL.Image.fromarray(BITS), BITS, None),
    "L": (PIL.Image.fromarray(GREY), GREY, None),
    "LA": (PIL.Image.fromarray(LA, "LA"), LA[..., 0], LA[..., 1] != 0),
    "RGB": (PIL.Image.fromarray(RGB), RGB, None),
    "RGBA": (PIL.Image.fromarray(RGBA), RGBA[..., :3], RGBA[..., 3] != 0),
    "P": (*palette_image(), None),
    "I;16": (PIL.Image.fromarray(GREY16), GREY16, None),
    "I": (PIL.Image.fromarray(values(H, W, dtype=np.int32)), values(H, W, dtype=np.int32), None),
    "F": (PIL.Image.fromarray(values(H, W, dtype=np.float32)), values(H, W, dtype=np.float32), None),
}


@pytest.mark.parametrize("mode", PIL_IMAGES)
def test_pil_image(mode: str) -> None:
    source, pixels, valid = PIL_IMAGES[mode]
    check(read_image(source), pixels, valid)
    assert read_image(source).name == "PIL image"


@pytest.mark.parametrize("kind", ["png-key1", "png-key8", "png-key16", "png-rgb-key", "png-palette-alpha"])
def test_transparency_of_an_opened_pil_image(kind: str) -> None:
    data, pixels, valid = LOSSLESS[kind]
    with PIL.Image.open(io.BytesIO(data)) as source:
        check(read_image(source), pixels, valid)


def test_pil_image_of_a_cut_file_is_refused() -> None:
    source = PIL.Image.open(io.BytesIO(png_of(RGB)[:900]))
    with source, pytest.raises(errors.ImageReadError, match="PIL image cannot be read"):
        read_image(source)


def test_bytes_like_and_path_like(tmp_path: Path) -> None:
    data = png_of(RGB16)
    path = tmp_path / "größe 1.png"
    path.write_bytes(data)
    for source in (data, bytearray(data), memoryview(data), path, str(path)):
        check(read_image(source), RGB16)


def test_four_channels_of_an_array_are_no_alpha() -> None:
    array = np.zeros((H, W, 4), np.uint8)
    check(read_image(array), array)
    check(read_image(torch.from_numpy(array).permute(2, 0, 1)), array)


def test_array_is_copied() -> None:
    for source in (values(H, W, 3), np.asfortranarray(values(H, W, 3)), values(H, W, 3)[::-1]):
        before = source.copy()
        image = read_image(source)
        source[:] = 7
        check(image, before)
    picture = PIL.Image.fromarray(GREY.copy())
    image = read_image(picture)
    picture.paste(7, (0, 0, W, H))
    check(image, GREY)
    tensor = torch.zeros(2, H, W)
    image = read_image(tensor)
    tensor += 1
    check(image, np.zeros((H, W, 2), np.float32))


def test_digest_tells_arrays_apart() -> None:
    zeros = np.zeros((16, 32), np.uint8)
    sources = [zeros, zeros.T, zeros.view(bool), zeros + np.uint8(1), zeros[..., None].repeat(2, axis=2)]
    assert len({read_image(source).sha256 for source in sources}) == len(sources)
    assert read_image(zeros).sha256 == read_image(zeros.copy()).sha256
    assert read_image(zeros).sha256 == read_image(torch.from_numpy(zeros)).sha256


# ---------------------------------------------------------------- missing pixels


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_not_finite_are_missing(value: float, dtype: Any) -> None:
    array = values(H, W, 3, dtype=dtype)
    array[4, 5, 1] = value
    valid = np.ones((H, W), bool)
    valid[4, 5] = False
    check(read_image(array), array, valid)
    check(read_image(tiff(array, photometric="minisblack", planarconfig="contig")), array, valid)
    check(read_image(torch.from_numpy(array).permute(2, 0, 1)), array, valid)


def test_partly_transparent_is_valid() -> None:
    array = np.full((H, W, 4), 200, np.uint16)
    array[..., 3] = 1
    array[3, 4, 3] = 0
    image = read_image(png_of(array))
    assert image.valid.sum() == H * W - 1
    assert not image.valid[3, 4]


def test_masked_array() -> None:
    mask = np.zeros((H, W, 3), bool)
    mask[2, 3, 1] = True
    check(read_image(np.ma.MaskedArray(RGB, mask)), RGB, np.logical_not(mask.any(axis=2)))
    check(read_image(np.ma.MaskedArray(RGB)), RGB)


@pytest.mark.parametrize(
    "source",
    [
        np.full((H, W), np.nan),
        png_of(np.zeros((H, W, 4), np.uint8)),
        tiff(np.full((H, W), np.inf, np.float32)),
    ],
    ids=["array", "alpha", "tiff"],
)
def test_nothing_valid(source: Any) -> None:
    with pytest.raises(errors.NoValidPixelsError, match="every pixel is missing"):
        read_image(source)


def roi_array() -> Array:
    roi = np.zeros((H, W), np.uint8)
    roi[3:9, 4:20] = 1
    return roi


def roi_kinds() -> dict[str, Any]:
    roi = roi_array()
    colour = np.zeros((H, W, 4), np.uint8)
    colour[..., 2] = roi * 9
    nan = np.where(roi, 1.0, np.nan)
    return {
        "array": roi,
        "bool": roi.astype(bool),
        "nan": nan,
        "tensor": torch.from_numpy(roi)[None],
        "pil": PIL.Image.fromarray(roi * np.uint8(255)),
        "png": png_of(roi),
        "alpha ignored": png_of(colour),
        "tiff": tiff(roi.astype(np.float32) * -1),
        "image": read_image(roi),
        "masked by nothing": png_of(np.stack([roi, np.zeros_like(roi)], axis=2)),
    }


@pytest.mark.parametrize("kind", roi_kinds())
def test_roi(kind: str) -> None:
    image = read_image(RGB, roi=roi_kinds()[kind])
    check(image, RGB, roi_array().astype(bool))


def test_roi_with_ringing_is_cut_at_half() -> None:
    roi = roi_array() * np.uint8(250)
    ringing = roi + values(H, W) % 6
    image = read_image(RGB, roi=ringing)
    np.testing.assert_array_equal(image.valid, roi_array() != 0)
    (note,) = image.notes
    assert note.startswith("roi: the mask is not only black and white; inside is what is above half of ")
    colour = np.stack([ringing, np.zeros_like(ringing)], axis=2)
    np.testing.assert_array_equal(read_image(RGB, roi=colour).valid, roi_array() != 0)


def test_roi_is_remembered() -> None:
    assert (read_image(RGB).roi_sha256, read_image(RGB).outside_roi) == (None, None)
    pixels = RGB.astype(np.float32)
    pixels[:2] = np.nan
    image = read_image(pixels, roi=roi_array())
    assert image.roi_sha256 == read_image(roi_array()).sha256
    assert image.outside_roi is not None
    np.testing.assert_array_equal(image.outside_roi, np.isfinite(pixels[..., 0]) & (roi_array() == 0))
    assert not image.outside_roi.flags.writeable
    again = read_image(image, roi=np.tri(H, W, dtype=bool))
    assert again.outside_roi is not None
    np.testing.assert_array_equal(again.outside_roi | again.valid, np.isfinite(pixels[..., 0]))


def test_roi_adds_to_what_is_missing_already() -> None:
    array = values(H, W, dtype=np.float32)
    array[3, 4] = np.nan
    first = read_image(array)
    image = read_image(first, roi=roi_array())
    expected = roi_array().astype(bool)
    expected[3, 4] = False
    check(image, array, expected)
    assert first.valid.sum() == H * W - 1
    assert image.sha256 == first.sha256
    assert read_image(first) is first


def test_roi_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "roi.png"
    path.write_bytes(png_of(roi_array()))
    assert read_image(RGB, roi=str(path)).valid.sum() == roi_array().sum()


def test_roi_errors(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"\(33, 20\).*\(20, 33\)"):
        read_image(RGB, roi=roi_array().T)
    with pytest.raises(errors.NoValidPixelsError, match="roi"):
        read_image(RGB, roi=np.zeros((H, W)))
    with pytest.raises(errors.ImageReadError, match=r"^roi: .*none\.png: there is no such file"):
        read_image(RGB, roi=tmp_path / "none.png")
    with pytest.raises(errors.UsageError, match="standard input"):
        read_image("-", roi="-")


# ---------------------------------------------------------------- pages

FRAMES = [values(H, W, 3, seed=seed) for seed in range(3)]


def animation(kind: str, frames: list[Array], **options: Any) -> bytes:
    first, *rest = map(PIL.Image.fromarray, frames)
    return pillow(first, kind, save_all=True, append_images=rest, **options)


HYPERSTACK = values(3, 2, H, W, dtype=np.uint16)
CHANNELS_FIRST = np.ascontiguousarray(np.swapaxes(HYPERSTACK, 0, 1))
HYPER = [page.transpose(1, 2, 0) for page in HYPERSTACK]
SIZES = [values(20, 33), values(40, 33), values(20, 33, seed=5)]
VOLUME = values(3, 32, 48)
PAGED: dict[str, tuple[bytes, list[Array]]] = {
    "tiff": (tiff(*FRAMES, photometric="rgb", compression="lzw"), FRAMES),
    "tiff stack": (tiff(np.stack(FRAMES), photometric="rgb", metadata={}), FRAMES),
    "tiff grey": (tiff(*(f[..., 0] for f in FRAMES)), [f[..., 0] for f in FRAMES]),
    "tiff sizes": (tiff(*SIZES), SIZES),
    "tiff sizes described": (tiff(*SIZES, metadata={}), SIZES),
    "tiff time and channels": (
        tiff(HYPERSTACK, photometric="minisblack", metadata={"axes": "TCYX"}),
        HYPER,
    ),
    "imagej": (tiff(HYPERSTACK, imagej=True, metadata={"axes": "TCYX"}), HYPER),
    "imagej without directories": (
        tiff(HYPERSTACK, imagej=True, metadata={"axes": "TCYX"}, truncate=True),
        HYPER,
    ),
    "ome": (tiff(HYPERSTACK, ome=True, photometric="minisblack", metadata={"axes": "TCYX"}), HYPER),
    "ome channels first": (
        tiff(CHANNELS_FIRST, ome=True, photometric="minisblack", metadata={"axes": "CTYX"}),
        HYPER,
    ),
    "volume": (tiff(VOLUME, photometric="minisblack", tile=(16, 16, 16), volumetric=True), list(VOLUME)),
    "apng": (animation("PNG", FRAMES), FRAMES),
    "webp": (animation("WEBP", FRAMES, lossless=True), FRAMES),
}


@pytest.mark.parametrize("kind", PAGED)
def test_pages(kind: str) -> None:
    data, pages = PAGED[kind]
    first = read_image(data)
    check(first, pages[0])
    word = "frame" if kind in ("apng", "webp") else "page"
    assert first.notes == (f"the file has 3 {word}s; {word} 1 was read (choose with --page)",)
    for number, page in enumerate(pages, 1):
        image = read_image(data, page=number)
        check(image, page)
        assert (image.page, image.page_count, image.notes) == (number, 3, ())
    with pytest.raises(errors.PageNotFoundError, match=f"no {word} 4; it has 3 {word}s"):
        read_image(data, page=4)


def test_pages_of_a_gif() -> None:
    frames = [np.full((H, W, 3), grey, np.uint8) for grey in (10, 90, 200)]
    frames[1][:4] = 30
    data = animation("GIF", frames)
    for number, frame in enumerate(frames, 1):
        image = read_image(data, page=number)
        assert (image.page, image.page_count) == (number, 3)
        np.testing.assert_array_equal(np.broadcast_to(image.pixels, frame.shape), frame)


def test_later_pages_of_a_deep_animation_are_refused() -> None:
    data = imagecodecs.apng_encode(np.stack([RGB16, RGB16[::-1]]))
    check(read_image(data), RGB16)
    assert read_image(data).page_count == 2
    with pytest.raises(errors.ImageReadError, match="16 bits"):
        read_image(data, page=2)


def test_levels_copies_and_masks_are_no_pages() -> None:
    big, small = values(64, 64), values(32, 32)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(small, metadata=None, subfiletype=1)
        writer.write(big, metadata=None, subifds=1)
        writer.write(small, metadata=None, subfiletype=1)
        writer.write(big > 9, metadata=None, subfiletype=4, photometric="minisblack")
    image = read_image(file.getvalue())
    check(image, big, big > 9)
    assert image.page_count == 1


@pytest.mark.parametrize("page", [0, -1, "2", True, np.True_, 1.0, [1]])
def test_pages_are_counted_from_one(page: Any) -> None:
    with pytest.raises(errors.UsageError, match="counted from 1"):
        read_image(tiff(*FRAMES, photometric="rgb"), page=page)


@pytest.mark.parametrize(
    "source", [RGB, torch.zeros(3, H, W), PIL.Image.fromarray(RGB), png_of(RGB), read_image(RGB)]
)
def test_sources_with_one_page(source: Any) -> None:
    check(read_image(source, page=1), read_image(source).pixels)
    with pytest.raises(errors.PageNotFoundError, match="page 2"):
        read_image(source, page=2)


def test_pil_image_is_read_at_its_frame() -> None:
    with PIL.Image.open(io.BytesIO(animation("PNG", FRAMES))) as source:
        source.seek(2)
        image = read_image(source)
        check(image, FRAMES[2])
        assert (image.page, image.page_count) == (3, 3)


# ---------------------------------------------------------------- limits

HUGE = {
    "png": huge_png(60_000, 50_000),
    "png16": huge_png(60_000, 50_000, depth=16),
    "jpeg": huge_jpeg(60_000, 50_000),
    "bmp": huge_bmp(60_000, 50_000),
    "webp": huge_webp(16_000, 16_000),
    "tiff": huge_tiff(60_000, 50_000),
    "gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02",
    "pgm": b"P5 60000 50000 255\n",
    "pgm16": b"P5 60000 50000 65535\n",
}


@pytest.mark.parametrize("kind", HUGE)
def test_too_large_is_refused_before_decoding(kind: str) -> None:
    assert len(HUGE[kind]) < 3000  # there is nothing in it to decode
    with pytest.raises(errors.ImageTooLargeError, match=r"bytes: .*000,000.*--max-pixels|--max-pixels"):
        read_image(HUGE[kind])
    if kind != "webp":  # of the canvas of which one frame is a valid part
        with pytest.raises(errors.ImageReadError):  # and that is what decoding would have said
            read_image(_with_size(kind, 64, 64), max_pixels=None)


def _with_size(kind: str, width: int, height: int) -> bytes:
    """The same file without pixels, of a harmless size."""
    if kind == "gif":
        return b"GIF89a\x40\0\x40\0\0\0\0,\0\0\0\0\x40\0\x40\0\0\x02"
    if kind.startswith("pgm"):
        return HUGE[kind].replace(b"60000 50000", b"64 64")
    makers: dict[str, Any] = {
        "png": huge_png,
        "png16": huge_png,
        "jpeg": huge_jpeg,
        "bmp": huge_bmp,
        "tiff": huge_tiff,
    }
    return bytes(makers[kind](width, height))


def test_limit_names_size_limit_and_option() -> None:
    with pytest.raises(errors.ImageTooLargeError) as caught:
        read_image(HUGE["png"])
    message = str(caught.value)
    for part in ("60000 × 50000", "3,000,000,000", f"{DEFAULT_MAX_PIXELS:,}", "--max-pixels"):
        assert part in message


@pytest.mark.parametrize("kind", ["png-rgb8", "png-rgb16", "bmp-rgb8", "webp-rgb8", "tiff-rgb-lzw", "pgm16"])
def test_limit_is_exact(kind: str) -> None:
    data, pixels, valid = LOSSLESS[kind]
    check(read_image(data, max_pixels=H * W), pixels, valid)
    check(read_image(data, max_pixels=None), pixels, valid)
    with pytest.raises(errors.ImageTooLargeError):
        read_image(data, max_pixels=H * W - 1)


@pytest.mark.parametrize("source", [GREY, torch.zeros(H, W), PIL.Image.fromarray(GREY), read_image(GREY)])
def test_limit_holds_in_memory(source: Any) -> None:
    with pytest.raises(errors.ImageTooLargeError):
        read_image(source, max_pixels=H * W - 1)


def test_crowd_of_channels_and_giant_tiles_are_refused() -> None:
    with pytest.raises(errors.ImageTooLargeError, match="60,000 channels"):
        read_image(huge_tiff(1000, 1000, samples=60_000))
    with pytest.raises(errors.ImageTooLargeError, match="tiles"):
        read_image(huge_tiff(64, 64, tile=65_520))


def test_jpeg_larger_than_the_tiff_around_it_is_refused() -> None:
    data = bytearray(tiff(values(64, 64), compression="jpeg"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xfd\xe8\xfd\xe8"
    with pytest.raises(errors.ImageReadError, match="larger than the image"):
        read_image(bytes(data))


def test_limit_holds_for_frames_that_enlarge_a_gif() -> None:
    frames = [np.full((H, W), 10, np.uint8), np.full((H, W), 20, np.uint8)]
    data = bytearray(animation("GIF", frames))
    second = data.index(b",", data.index(b",") + 10)
    data[second + 5 : second + 9] = b"\xff\xff\xff\xff"
    assert read_image(bytes(data)).pixels.shape[:2] == (H, W)
    with pytest.raises(errors.ImageTooLargeError):
        read_image(bytes(data), page=2)


def test_large_images_pass_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)  # as if it were beyond Pillow's own limit
    for kind in ("png-rgb8", "png-rgb16", "bmp-rgb8", "webp-rgb8", "gif-palette", "tiff-rgb-lzw"):
        data, pixels, valid = LOSSLESS[kind]
        check(read_image(data), pixels, valid)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


def test_threads_leave_the_switches_of_the_process_alone() -> None:
    limit, filters = PIL.Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    data = [png_of(RGB), pillow(RGB, "JPEG"), animation("GIF", FRAMES), b"no image" * 9]
    failures: list[BaseException] = []

    def work(which: int) -> None:
        try:
            for step in range(20):
                one = data[(which + step) % 4]
                if one is data[3]:
                    with pytest.raises(errors.ImageReadError):
                        read_image(one)
                else:
                    assert read_image(one).height == H
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert limit == PIL.Image.MAX_IMAGE_PIXELS
    assert filters == list(warnings.filters)


@pytest.mark.parametrize("shape", [(MIN_SIDE - 1, 300), (300, MIN_SIDE - 1), (1, 1)])
def test_too_small(shape: tuple[int, int]) -> None:
    height, width = shape
    for source in (values(*shape), png_of(values(*shape)), tiff(values(*shape)), torch.zeros(shape)):
        with pytest.raises(
            errors.ImageTooSmallError,
            match=f"{width} × {height} pixels.*at least 16 × 16 are needed",
        ):
            read_image(source)


def test_smallest() -> None:
    check(read_image(values(MIN_SIDE, MIN_SIDE)), values(MIN_SIDE, MIN_SIDE))


# ---------------------------------------------------------------- errors

CUT = {
    "png8": png_of(RGB),
    "png16": png_of(RGB16),
    "png-palette": pillow(palette_image()[0], "PNG"),
    "apng": animation("PNG", FRAMES),
    "jpeg": pillow(RGB, "JPEG"),
    "jpeg-progressive": pillow(RGB, "JPEG", progressive=True),
    "webp": pillow(RGB, "WEBP", lossless=True),
    "webp-lossy": pillow(RGB, "WEBP"),
    "bmp": pillow(RGB, "BMP"),
    "gif": pillow(palette_image()[0], "GIF"),
    "ppm": pillow(RGB, "PPM"),
    "ppm16": LOSSLESS["ppm16"][0],
    "tiff": tiff(RGB16, photometric="rgb"),
    "tiff-lzw": tiff(RGB16, photometric="rgb", compression="lzw", rowsperstrip=4),
    "tiff-deflate": tiff(RGB16, photometric="rgb", compression="deflate", tile=(16, 16)),
    "tiff-jpeg": tiff(values(64, 64), compression="jpeg"),
    "tiff-pillow": pillow(RGB, "TIFF"),
    "tiff-imagej": PAGED["imagej without directories"][0],
}


def read_if_possible(data: bytes, **options: Any) -> Image | None:
    """The image, or None for an error that says what is wrong with the input."""
    try:
        return read_image(data, **options)
    except errors.InputError:
        return None


@pytest.mark.parametrize("kind", CUT)
def test_cut_short_is_an_error_or_complete(kind: str) -> None:
    data = CUT[kind]
    page = 3 if kind in ("tiff-imagej", "apng") else 1
    whole = read_image(data, page=page)
    lengths = {*range(1, len(data), max(1, len(data) // 60)), *range(len(data) - 20, len(data))}
    images = [read_if_possible(data[:length], page=page) for length in lengths]
    for image in images:
        if image is not None:  # what was cut off was no pixel, such as the end mark
            np.testing.assert_array_equal(image.pixels, whole.pixels)
    assert images.count(None) > 0.7 * len(lengths)
    with pytest.raises((errors.ImageReadError, errors.PageNotFoundError), match=r"^bytes: "):
        read_image(data[: len(data) // 2], page=page)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "empty"),
        (b"hello world, this is a text\n" * 9, "not an image"),
        (b"%PDF-1.7\n" + b"x" * 99, "PDF is not supported; export the page as PNG"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 99, "HEIC file that cannot be decoded"),
        (b'<?xml version="1.0"?>\n<svg width="20">', "SVG is not supported; export it as PNG"),
        (b"\xef\xbb\xbf\n<svg>", "SVG is not supported; export it as PNG"),
        (b"<html><body></body></html>" * 9, "not an image"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n",
            "PostScript is not supported",
        ),
        (b"II*\0" + b"\xff" * 60, "this is a TIFF file that cannot be decoded"),
        (b"II*\0", "this is a TIFF file that cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n", "this is a PNG file that cannot be decoded"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 40, "this is a JPEG file that cannot be decoded"),
        (b"P5 33 20 300\n" + b"\xff" * 1320, "this is a Netpbm file that cannot be decoded"),
    ],
)
def test_content_that_is_no_image(content: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(errors.ImageReadError, match=cause) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_flipped_bits_raise_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for kind in ("png8", "png16", "jpeg", "webp", "bmp", "gif", "ppm16", "tiff-lzw", "tiff-jpeg", "apng"):
        for _ in range(25):
            damaged = bytearray(CUT[kind])
            for at in rng.integers(0, min(len(damaged), 400), 4):
                damaged[at] ^= 1 << int(rng.integers(8))
            image = read_if_possible(bytes(damaged), max_pixels=100_000)
            assert image is None or image.valid.shape == image.pixels.shape[:2]


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(errors.ImageReadError, match=r"none\.png: there is no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(errors.ImageReadError, match="this is a folder"):
        read_image(tmp_path)
    with pytest.raises(errors.ImageReadError, match="cannot be read"):
        read_image("a\0b.png")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(errors.ImageReadError, match=r"cannot be read \(Not a directory\)"):
        read_image(tmp_path / "file" / "image.png")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(png_of(RGB))
    path.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(errors.ImageReadError, match="no permission"):
            read_image(path)
    finally:
        os.seteuid(me)


class Foreign:
    """An image of another package, such as xarray's."""

    def __init__(self, pixels: Array) -> None:
        self.pixels = pixels

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return self.pixels


class Refusing:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise RuntimeError("on another machine")


@pytest.mark.parametrize("pixels", [GREY, RGB, GREY16, BITS, GREY.astype(np.float32)])
def test_what_numpy_makes_an_array_of_is_an_image(pixels: Array) -> None:
    check(read_image(Foreign(pixels)), pixels)
    for source in (pixels.tolist(), tuple(pixels.tolist()), list(pixels)):
        image = read_image(source)
        np.testing.assert_array_equal(image.pixels, np.atleast_3d(pixels))
        assert (image.name, image.path) == ("array", None)
    assert pixels.flags.writeable
    masked = read_image(Foreign(pixels), roi=(np.indices((H, W))[1] > 3).tolist())
    np.testing.assert_array_equal(masked.valid, np.indices((H, W))[1] > 3)


def test_an_image_of_another_package_stays_its_own() -> None:
    pixels = GREY.copy()
    image = read_image(Foreign(pixels))
    pixels[:] = 0
    np.testing.assert_array_equal(image.pixels[..., 0], GREY)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((H, W), complex), "complex128.*magnitude"),
        (np.full((H, W), "a"), "dtype .U1"),
        (np.full((H, W), None), "dtype object"),
        (np.zeros((H, W), "datetime64[s]"), "datetime64"),
        (np.zeros((H, W), [("r", "u1")]), "dtype"),
        (np.zeros(100), r"\(100,\) is not an image"),
        (np.zeros((2, 3, H, W)), "one image at a time"),
        (np.zeros((H, W, 0)), "no channels"),
        (torch.zeros(1, 3, H, W), "one image at a time"),
        (torch.zeros(H, W, dtype=torch.complex64), "complex64"),
        (torch.zeros(H, W).to_sparse(), "NumPy cannot read"),
        (None, "NoneType is not an image"),
        ([[1, 2], [3, 4, 5]], "list: NumPy cannot make an image of it"),
        ([["a"] * W] * H, "dtype .U1"),
        ([], r"\(0,\) is not an image"),
        ([png_of(RGB), png_of(RGB)], "one image at a time"),
        (Refusing(), "Refusing: NumPy cannot make an image of it: on another machine"),
        (np.float64(3), r"shape \(\) is not an image"),
        (3, "int is not an image"),
        ({"pixels": 3}, "dict is not an image"),
        (np.ndarray, "type is not an image"),
    ],
)
def test_sources_that_are_no_images(source: Any, message: str) -> None:
    with pytest.raises(errors.UsageError, match=message):
        read_image(source)


@pytest.mark.parametrize("shape", [(0, 0), (0, 40), (40, 0, 3)])
def test_empty_arrays(shape: tuple[int, ...]) -> None:
    with pytest.raises(errors.ImageTooSmallError):
        read_image(np.zeros(shape))


def test_channels_first_arrays_get_a_hint() -> None:
    with pytest.raises(errors.ImageTooSmallError, match=r"looks like \(C, H, W\).*moveaxis"):
        read_image(np.zeros((3, 40, 40)))
    with pytest.raises(errors.ImageTooSmallError) as caught:
        read_image(np.zeros((3, 40)))
    assert "looks like" not in str(caught.value)
    assert read_image(np.zeros((16, 40, 40))).channels == 40  # nothing is guessed


def test_channels_last_tensors_get_a_hint() -> None:
    with pytest.raises(errors.ImageTooSmallError, match=r"looks like \(H, W, C\).*movedim"):
        read_image(torch.zeros(40, 50, 3))
    with pytest.raises(errors.ImageTooSmallError) as caught:
        read_image(torch.zeros(3, 40, 5))
    assert "looks like" not in str(caught.value)


def test_addresses_are_not_downloaded() -> None:
    with pytest.raises(errors.ImageReadError, match=r"a\.png: download it first: ssdnet never uses"):
        read_image("https://example.org/a.png")


def test_complex_tiff_is_refused() -> None:
    with pytest.raises(errors.ImageReadError, match=r"complex64.*magnitude"):
        read_image(tiff(np.ones((H, W), np.complex64)))


@pytest.mark.parametrize("limit", [0, -5])
def test_limit_has_to_be_positive(limit: int) -> None:
    with pytest.raises(errors.UsageError, match="max_pixels"):
        read_image(RGB, max_pixels=limit)


# ---------------------------------------------------------------- the process around


def run(code: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], input=data, capture_output=True, check=False, timeout=60
    )


def test_standard_input() -> None:
    code = (
        "import hashlib; from ssdnet.image import read_image; i = read_image('-');"
        "print(i.name, i.path, i.sha256, i.pixels.dtype, i.pixels.shape,"
        "hashlib.sha256(i.pixels.tobytes()).hexdigest())"
    )
    data = png_of(RGB16)
    result = run(code, data)
    expected = (
        f"standard input None {hashlib.sha256(data).hexdigest()} uint16 {RGB16.shape} "
        f"{hashlib.sha256(RGB16.tobytes()).hexdigest()}"
    )
    assert result.stdout.decode().strip() == expected
    assert result.stderr == b""


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "ImageReadError standard input: it is empty"),
        (HUGE["png16"], "ImageTooLargeError standard input"),
    ],
    ids=["empty", "huge"],
)
def test_standard_input_errors(data: bytes, error: str) -> None:
    code = (
        "from ssdnet.image import read_image; from ssdnet.errors import SsdnetError\n"
        "try: read_image('-')\n"
        "except SsdnetError as error: print(type(error).__name__, error)"
    )
    result = run(code, data)
    assert result.stdout.decode().startswith(error)
    assert result.stderr == b""


def test_odd_files_make_no_noise() -> None:
    """Warnings are errors here; and nothing is printed by libraries written in C or by their loggers."""
    code = (
        "import pickle, sys; from ssdnet.image import read_image; from ssdnet.errors import SsdnetError\n"
        "for data in pickle.load(sys.stdin.buffer):\n"
        "    try: read_image(data)\n"
        "    except SsdnetError: pass\n"
    )
    import pickle

    files = [data[: len(data) * part // 4] for data in CUT.values() for part in (1, 2, 3)]
    files += [oriented("PNG", RGB, 9), png_of(RGB, chunk(b"eXIf", exif(6)[:-9])), b"II*\0" + b"\xff" * 60]
    result = run(code, pickle.dumps(files))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_import_and_arrays_need_no_decoders() -> None:
    code = (
        "import sys, numpy; from ssdnet.image import read_image; read_image(numpy.zeros((20, 30)));"
        "print(sorted({'PIL', 'torch', 'tifffile', 'imagecodecs', 'scipy'} & set(sys.modules)))"
    )
    result = run(code)
    assert result.stdout.strip() == b"[]", result.stderr


def test_log_of_tifffile_reaches_those_who_listen(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tifffile"), pytest.raises(errors.ImageReadError):
        read_image(tiff(RGB, photometric="rgb")[:200])
    assert any(record.name == "tifffile" for record in caplog.records)
