"""Colours: however a file stores them, what is read is what a viewer shows, or an error or a note says so."""

from __future__ import annotations

import io
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import tifffile
from scipy import ndimage

import ssdnet
from ssdnet import errors, read_image
from ssdnet.image.color import rgb_from_lab
from tests.image_files import Array, Tags, grey_tags, packed, pillow, raw_tiff, tiff, values

H, W = 24, 36
SMOOTH = np.stack(
    [
        np.linspace(40, 220, W)[None].repeat(H, 0),
        np.linspace(30, 200, H)[:, None].repeat(W, 1),
        np.full((H, W), 90),
    ],
    axis=2,
).astype(np.uint8)
"""Colours that no coding clips."""


def shown(data: bytes) -> Array:
    """What is read, in the colours that a person sees."""
    return read_image(data).seen().pixels


def close(data: bytes, rgb: Array, by: int) -> None:
    seen = shown(data)
    assert seen.dtype == rgb.dtype
    assert int(np.abs(seen.astype(int) - rgb).max()) <= by


# ---------------------------------------------------------------- L*a*b*


def lab_of(rgb: Array) -> Array:
    """L*a*b* (D50) of sRGB by littleCMS, an independent way; a* and b* with their sign."""
    transform = PIL.ImageCms.buildTransform(
        PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    image = PIL.ImageCms.applyTransform(PIL.Image.fromarray(rgb), transform)
    assert image is not None
    return np.asarray(image)


LAB = lab_of(SMOOTH)
SIGNED = LAB.view(np.int8)[..., 1:].astype(int)
LIGHT = LAB[..., :1].astype(int)


def lab_tiff(light: Array, ab: Array, dtype: str, photometric: str, **options: Any) -> bytes:
    stored = np.concatenate([light, ab], axis=2).astype(dtype)
    return tiff(stored, photometric=photometric, **options)


LABS = {
    "cielab": lab_tiff(LIGHT, SIGNED & 255, "u1", "cielab"),
    "cielab lzw": lab_tiff(LIGHT, SIGNED & 255, "u1", "cielab", compression="lzw"),
    "cielab as int8": lab_tiff((LIGHT + 128) % 256 - 128, SIGNED, "i1", "cielab"),
    "cielab 16": lab_tiff(LIGHT * 257, (SIGNED * 256) & 65535, "u2", "cielab"),
    "icclab": lab_tiff(LIGHT, SIGNED + 128, "u1", "icclab"),
    "icclab 16": lab_tiff(LIGHT * 256, (SIGNED + 128) * 256, "u2", "icclab"),
    "icclab planar": tiff(
        np.moveaxis(np.concatenate([LIGHT, SIGNED + 128], axis=2), 2, 0).astype("u1").copy(),
        photometric="icclab",
        planarconfig="separate",
    ),
}


@pytest.mark.parametrize("kind", LABS)
def test_lab(kind: str) -> None:
    image = read_image(LABS[kind])
    assert image.lab
    assert image.notes == ()
    bits = 8 * image.pixels.dtype.itemsize
    rgb = image.seen().pixels / (2**bits - 1) * 255
    assert np.abs(rgb - SMOOTH).max() <= 4  # of 8 bits of L*a*b*
    np.testing.assert_array_equal(image.pixels >> (bits - 8), read_image(LABS["icclab"]).pixels)


def test_lab_of_the_itu() -> None:
    stored = np.empty((H, W, 3), np.uint8)
    stored[..., 0] = LIGHT[..., 0]
    stored[..., 1] = np.rint(SIGNED[..., 0] * 255 / 169.4 + 128)
    stored[..., 2] = np.rint(SIGNED[..., 1] * 255 / 200 + 96)
    close(tiff(stored, photometric="itulab"), SMOOTH, 5)


def test_lab_of_pil_and_alone() -> None:
    image = PIL.ImageCms.applyTransform(
        PIL.Image.fromarray(SMOOTH),
        PIL.ImageCms.buildTransform(
            PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB"), "RGB", "LAB"
        ),
    )
    assert image is not None
    assert np.abs(read_image(image).seen().pixels.astype(int) - SMOOTH).max() <= 4
    grey = np.array([[[255, 128, 128], [0, 128, 128], [128, 128, 128]]], np.uint8)
    assert rgb_from_lab(grey, np.uint8)[0].tolist() == [[255] * 3, [0] * 3, [119] * 3]
    assert rgb_from_lab(grey.astype(np.float32), np.uint8).dtype == np.float32


def test_lab_of_other_numbers_is_refused() -> None:
    with pytest.raises(errors.ImageReadError, match=r"L\*a\*b\* of 3 channels of float32 is not supported"):
        read_image(tiff(SMOOTH.astype(np.float32), photometric="cielab"))


# ---------------------------------------------------------------- YCbCr


def ycbcr(rgb: Array) -> Array:
    return np.asarray(PIL.Image.fromarray(rgb).convert("YCbCr"))


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("planar", [False, True])
def test_ycbcr_without_jpeg(compression: str | None, planar: bool) -> None:
    stored = ycbcr(SMOOTH)
    data = tiff(
        np.moveaxis(stored, 2, 0).copy() if planar else stored,
        photometric="ycbcr",
        planarconfig="separate" if planar else "contig",
        compression=compression,
        extratags=[(530, "H", 2, (1, 1), True)],
    )
    close(data, SMOOTH, 3)  # Pillow cuts where it could round
    assert read_image(data).notes == ()


def test_ycbcr_by_other_coefficients_and_reference() -> None:
    full = SMOOTH.astype(float)
    luma = full @ [0.2126, 0.7152, 0.0722]
    stored = np.stack(
        [
            16 + luma * 219 / 255,
            128 + (full[..., 2] - luma) / 1.8556 * 224 / 255,
            128 + (full[..., 0] - luma) / 1.5748 * 224 / 255,
        ],
        axis=2,
    )
    tags: Tags = grey_tags(H, W, photometric=6) | {
        258: (3, (8, 8, 8)),
        277: (3, 3),
        529: (5, (2126, 10000, 7152, 10000, 722, 10000)),
        530: (3, (1, 1)),
        532: (5, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)),
    }
    close(raw_tiff((tags, np.rint(stored).astype(np.uint8).tobytes())), SMOOTH, 3)


def subsampled(order: str, across: int, down: int, compression: int = 1, orientation: int = 1) -> bytes:
    """The colours with fewer values of the differences than of luma, by hand."""
    stored = ycbcr(SMOOTH)
    blocks = stored.reshape(H // down, down, W // across, across, 3)
    luma = blocks[..., 0].swapaxes(1, 2).reshape(H // down, W // across, -1)
    units = np.concatenate([luma, np.rint(blocks[..., 1:].mean(axis=(1, 3))).astype(np.uint8)], axis=2)
    strip = units.tobytes()
    if compression == 5:
        strip = bytes(imagecodecs.lzw_encode(strip))
    tags: Tags = grey_tags(H, W, photometric=6) | {
        258: (3, (8, 8, 8)),
        259: (3, compression),
        274: (3, orientation),
        277: (3, 3),
        530: (3, (across, down)),
    }
    return raw_tiff((tags, strip), order=order)


@pytest.mark.parametrize(("across", "down"), [(2, 2), (2, 1), (4, 1), (4, 2), (1, 2)])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [1, 5])
def test_subsampled_ycbcr(order: str, across: int, down: int, compression: int) -> None:
    close(subsampled(order, across, down, compression), SMOOTH, 8 * max(across, down))


def test_subsampled_ycbcr_that_libtiff_cuts_is_refused() -> None:
    with pytest.raises(errors.ImageReadError, match="one colour for 4 rows is not supported"):
        read_image(subsampled("<", 4, 4))


@pytest.mark.parametrize("orientation", [3, 6])
def test_subsampled_ycbcr_is_turned_once(orientation: int) -> None:
    upright = np.rot90(SMOOTH, 2 if orientation == 3 else -1)
    close(subsampled("<", 2, 2, orientation=orientation), np.ascontiguousarray(upright), 16)


def test_subsampled_ycbcr_cut_short_is_an_error() -> None:
    tags: Tags = grey_tags(H, W, photometric=6) | {258: (3, (8, 8, 8)), 277: (3, 3), 530: (3, (2, 2))}
    with pytest.raises(errors.ImageReadError, match="TIFF file that cannot be decoded"):
        read_image(raw_tiff((tags, bytes(100))))


def test_a_grey_spot_in_ycbcr_is_only_darker() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((160, 160)), 1.2)
    luma = 140 + 20 * noise / noise.std()
    luma[40:54, 40:54] -= 70
    stored = np.full((160, 160, 3), 128, np.uint8)
    stored[..., 0] = np.clip(luma, 0, 255)
    result = ssdnet.localize(tiff(stored, photometric="ycbcr", extratags=[(530, "H", 2, (1, 1), True)]))
    kinds = [d.kind for r in result.regions if r.explanation for d in r.explanation.differences or ()]
    assert "brightness" in kinds
    assert "colour" not in kinds


def test_a_stain_in_lab_has_its_colour() -> None:
    rng = np.random.default_rng(0)
    light = ndimage.gaussian_filter(rng.standard_normal((128, 128)), 1.2)
    rows, columns = np.mgrid[:128, :128]
    ab = rng.normal(0, 1, (128, 128, 2))
    ab[..., 1] += 14 * np.exp(-((((columns - 80) ** 2 + (rows - 50) ** 2) / 162) ** 2))
    stored = np.dstack([np.clip(128 + 25 * light / light.std(), 0, 255), np.rint(ab)]).astype(np.int16)
    result = ssdnet.localize(tiff((stored & 255).astype(np.uint8), photometric="cielab"))
    (region,) = result.regions
    assert region.explanation is not None
    assert region.explanation.words == "more yellow than normal places"


# ---------------------------------------------------------------- inks


def test_cmyk_of_every_kind() -> None:
    inks = np.asarray(PIL.Image.fromarray(SMOOTH).convert("CMYK"))
    close(tiff(inks, photometric="separated"), SMOOTH, 1)
    close(tiff(inks, photometric="separated", compression="lzw"), SMOOTH, 1)
    planar = np.moveaxis(inks, 2, 0).copy()
    close(tiff(planar, photometric="separated", planarconfig="separate"), SMOOTH, 1)
    close(pillow(PIL.Image.fromarray(inks, "CMYK"), "TIFF", compression="jpeg", quality=95), SMOOTH, 8)
    close(pillow(PIL.Image.fromarray(inks, "CMYK"), "JPEG", quality=95), SMOOTH, 8)
    alpha = np.dstack([inks, np.full((H, W), 255, np.uint8)])
    close(tiff(alpha, photometric="separated", extrasamples=["unassalpha"]), SMOOTH, 1)


def test_inks_that_are_no_cmyk() -> None:
    for count in (3, 5):
        tags: Tags = grey_tags(H, W, photometric=5) | {258: (3, (8,) * count), 277: (3, count), 332: (3, 2)}
        data = raw_tiff((tags, values(H, W, count).tobytes()))
        if count == 3:  # which would pass for RGB
            with pytest.raises(errors.ImageReadError, match="3 channels of uint8 are inks"):
                read_image(data)
        else:
            assert read_image(data).channels == 5
            assert read_image(data).notes == (
                "channels are inks and were taken as stored: more ink is darker",
            )


# ---------------------------------------------------------------- white is zero, palettes, no word at all


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("order", "<>")
def test_white_is_zero_of_few_bits(bits: int, order: str) -> None:
    stored = values(H, W) & (2**bits - 1)
    strip = b"".join(packed(stored, bits))
    image = read_image(raw_tiff((grey_tags(H, W, bits, 0), strip), order=order))
    np.testing.assert_array_equal(image.pixels[..., 0].astype(int), 2**bits - 1 - stored.astype(int))
    plain = read_image(raw_tiff((grey_tags(H, W, bits, 1), strip), order=order))
    np.testing.assert_array_equal(plain.pixels[..., 0].astype(int), stored)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"])
def test_white_is_zero_turns_the_order_round(dtype: str) -> None:
    stored = values(H, W, dtype=dtype)
    image = read_image(tiff(stored, photometric="miniswhite"))
    assert image.pixels.dtype == stored.dtype
    darkest, brightest = np.argmin(image.pixels), np.argmax(image.pixels)
    assert (darkest, brightest) == (np.argmax(stored), np.argmin(stored))
    np.testing.assert_array_equal(
        np.diff(image.pixels[..., 0].ravel().astype(float)), -np.diff(stored.ravel().astype(float))
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("fine", [False, True])
def test_palettes_of_few_bits(bits: int, order: str, fine: bool) -> None:
    count = 2**bits
    indices = values(H, W) & (count - 1)
    table = (
        values(3, count, dtype=np.uint16, seed=3)
        if fine
        else values(3, count, seed=3).astype(np.uint16) * 257
    )
    tags = grey_tags(H, W, bits, 3) | {320: (3, tuple(int(n) for n in table.ravel()))}
    image = read_image(raw_tiff((tags, b"".join(packed(indices, bits))), order=order))
    wanted = table.T[indices] if fine else (table // 257).astype(np.uint8).T[indices]
    np.testing.assert_array_equal(image.pixels, wanted)


def test_palette_of_sixteen_bits_and_a_short_one() -> None:
    table = values(3, 65536, dtype=np.uint16)
    indices = values(H, W, dtype=np.uint16)
    tags = grey_tags(H, W, 16, 3) | {320: (3, tuple(int(n) for n in table.ravel()))}
    np.testing.assert_array_equal(read_image(raw_tiff((tags, indices.tobytes()))).pixels, table.T[indices])
    tags = grey_tags(H, W, 8, 3) | {320: (3, (0,) * 48)}
    with pytest.raises(errors.ImageReadError, match="palette"):
        read_image(raw_tiff((tags, values(H, W).tobytes())))


def test_a_file_that_does_not_say_what_it_means() -> None:
    grey = values(H, W)
    image = read_image(raw_tiff((grey_tags(H, W, photometric=None), grey.tobytes())))
    np.testing.assert_array_equal(image.pixels[..., 0], grey)
    (note,) = image.notes
    assert "does not say what its values mean" in note
    tags = grey_tags(H, W, photometric=None) | {258: (3, (8, 8, 8)), 277: (3, 3)}
    image = read_image(raw_tiff((tags, SMOOTH.tobytes())))
    np.testing.assert_array_equal(image.pixels, SMOOTH)
    assert "RGB" in image.notes[0]


def test_kinds_that_are_no_colours_are_named() -> None:
    for kind, words in (
        (32803, "raw sensor mosaic"),
        (34892, "not developed"),
        (51177, "depths"),
        (999, "not known"),
    ):
        data = raw_tiff((grey_tags(H, W, photometric=kind), values(H, W).tobytes()))
        image = read_if_possible(data)
        assert image is None or any(words in note for note in image.notes)


def read_if_possible(data: bytes) -> Any:
    try:
        return read_image(data)
    except errors.ImageReadError:
        return None


# ---------------------------------------------------------------- what libtiff reads


def test_sgi_log_luv() -> None:
    """24 bits: ten of the logarithm of luminance, fourteen of colour."""
    step = np.linspace(600, 780, W).astype(np.uint32)[None].repeat(H, 0)
    packed_values = step << 14 | 8000
    strip = np.stack([packed_values >> 16, packed_values >> 8 & 255, packed_values & 255], axis=2).astype(
        np.uint8
    )
    tags: Tags = grey_tags(H, W, 16, 32845) | {
        258: (3, (16, 16, 16)),
        259: (3, 34677),
        277: (3, 3),
        339: (3, (2, 2, 2)),
    }
    image = read_image(raw_tiff((tags, strip.tobytes())))
    assert image.pixels.shape == (H, W, 3)
    assert (np.diff(image.pixels[0].sum(axis=1).astype(int)) >= 0).all()
    assert "LogLuv" in image.notes[0]


def test_jpeg_of_tiff_6() -> None:
    stream = pillow(np.kron(SMOOTH, np.ones((2, 2, 1), np.uint8)), "JPEG", quality=95, subsampling=0)
    height, width = 2 * H, 2 * W
    tags: Tags = grey_tags(height, width, photometric=6) | {
        258: (3, (8, 8, 8)),
        259: (3, 6),
        277: (3, 3),
        512: (3, 1),
        513: (4, 8),
        514: (4, len(stream)),
        530: (3, (1, 1)),
    }
    data = raw_tiff((tags, stream))
    with PIL.Image.open(io.BytesIO(stream)) as image:
        expected = np.asarray(image).astype(int)
    assert np.abs(read_image(data).pixels.astype(int) - expected).max() <= 2


def test_aperio_jpeg_2000_is_ycbcr() -> None:
    stored = ycbcr(SMOOTH)
    data = bytearray(tiff(stored, photometric="rgb", compression="jpeg2000", compressionargs={"level": 0}))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        at = file.pages[0].tags[259].valueoffset  # type: ignore[union-attr]
    data[at : at + 2] = (33003).to_bytes(2, "little")
    close(bytes(data), SMOOTH, 3)
