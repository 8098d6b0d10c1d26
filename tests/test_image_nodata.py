"""Pixels that are missing: by a file's no-data value, its mask or alpha, or because somebody says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest

import ssdnet
from ssdnet import errors, read_image
from ssdnet.image import nodata
from tests.image_files import Array, chunk, grey_tags, packed, png, png_of, raw_tiff, tiff, values

H, W = 20, 33
CORNER = np.zeros((H, W), bool)
CORNER[:5, :8] = True


def with_corner(array: Array, value: Any) -> Array:
    """A copy with that value in the corner, and nowhere else."""
    out = array.copy()
    other = np.array(50, out.dtype)
    out[out == np.array(value, out.dtype)] = other
    out[CORNER] = value
    return out


def gdal(text: str, array: Array, **options: Any) -> bytes:
    return tiff(array, extratags=[(42113, "s", 0, text, True)], **{"photometric": "minisblack", **options})


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("-9999", "f4", -9999),
        ("-9999 ", "i2", -9999),
        (" -9999\n\0", "i4", -9999),
        ("-32768", "i2", -32768),
        ("0", "u1", 0),
        ("255", "u1", 255),
        ("65535", "u2", 65535),
        ("42.0", "u1", 42),
        ("nan", "f4", np.nan),
        ("NaN", "f8", np.nan),
        ("-3.4028234663852886e+38", "f4", np.float32(-3.4028234663852886e38)),
        ("-3.40282346638529e+38", "f4", np.float32(-3.4028234663852886e38)),
        ("0.1", "f4", np.float32(0.1)),
        ("1e20", "f8", 1e20),
        ("-9223372036854775808", "i8", -(2**63)),
        ("18446744073709551615", "u8", 2**64 - 1),
    ],
)
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_gdal_value(text: str, dtype: str, value: Any, compression: str | None) -> None:
    array = with_corner(values(H, W, dtype=dtype), value)
    image = read_image(gdal(text, array, compression=compression))
    np.testing.assert_array_equal(image.valid, ~CORNER)
    (note,) = image.notes
    assert note.startswith("40 pixels (6.1 %) are missing: ")


@pytest.mark.parametrize(
    ("text", "dtype", "words"),
    [
        ("-9999", "u1", "the file's no-data value -9999 cannot occur among uint8 and was ignored"),
        ("0.5", "u2", "the file's no-data value 0.5 cannot occur"),
        ("1e40", "f4", "cannot occur among float32"),
        ("none", "u1", "the file's no-data entry 'none' is not a number and was ignored"),
        ("1 2", "u1", None),
    ],
)
def test_gdal_value_that_makes_no_sense_is_ignored_and_said(text: str, dtype: str, words: str | None) -> None:
    image = read_image(gdal(text, values(H, W, dtype=dtype)))
    if words is None:  # more values than channels: those of the channels count
        assert not image.valid.all()
    else:
        assert image.valid.all()
        assert words in image.notes[0]


@pytest.mark.parametrize("text", ["nan", "", " ", "\0"])
def test_gdal_value_that_says_nothing(text: str) -> None:
    image = read_image(gdal(text, values(H, W)))
    assert (bool(image.valid.all()), image.notes) == (True, ())


def test_gdal_value_of_each_band() -> None:
    array = values(H, W, 3, dtype=np.int16)
    array[..., 0][CORNER], array[..., 1][10:12] = -1, -2
    array[..., 2][array[..., 2] == -3] = 0
    array[..., 0][(array[..., 0] == -1) & ~CORNER] = 0
    missing = (array[..., 0] == -1) | (array[..., 1] == -2)
    image = read_image(gdal("-1 -2 -3", array, planarconfig="contig"))
    np.testing.assert_array_equal(image.valid, ~missing)


def test_black_is_missing_only_where_all_colours_are() -> None:
    colours = np.maximum(values(H, W, 3), 1)
    colours[CORNER] = 0
    colours[10:, :, 2] = 0  # yellow, not missing
    image = read_image(gdal("0", colours, photometric="rgb"))
    np.testing.assert_array_equal(image.valid, ~CORNER)
    floats = colours.astype(np.float32)
    floats[10:, :, 2] = -9999  # of which no measurement is
    assert int((~read_image(floats, nodata=-9999).valid).sum()) == 10 * W


def test_nodata_of_a_palette_is_an_index() -> None:
    palette = values(3, 256, seed=1).astype(np.uint16) * 257
    palette[:, 7] = palette[:, 8]  # two indices of one colour
    indices = values(H, W)
    image = read_image(gdal("7", indices, photometric="palette", colormap=palette))
    np.testing.assert_array_equal(image.valid, indices != 7)


def test_white_is_zero_keeps_its_nodata() -> None:
    stored = with_corner(values(H, W), 0)
    image = read_image(gdal("0", stored, photometric="miniswhite"))
    np.testing.assert_array_equal(image.valid, ~CORNER)
    assert int(image.pixels[0, 0, 0]) == 255


@pytest.mark.parametrize("alpha", ["unassalpha", "assocalpha"])
def test_alpha_band(alpha: str) -> None:
    array = np.dstack([values(H, W, 3), np.where(CORNER, 0, 255).astype(np.uint8)])
    image = read_image(tiff(array, photometric="rgb", extrasamples=[alpha]))
    np.testing.assert_array_equal(image.valid, ~CORNER)
    assert "40 pixels (6.1 %) are missing: fully transparent" in image.notes


def test_unspecified_band_is_alpha_where_gdal_says_so() -> None:
    array = np.dstack([values(H, W, 3), np.where(CORNER, 0, 255).astype(np.uint8)])
    xml = '<GDALMetadata><Item name="COLORINTERP" sample="3" role="colorinterp">Alpha</Item></GDALMetadata>'
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unspecified"]}
    image = read_image(tiff(array, extratags=[(42112, "s", 0, xml, True)], **options))
    np.testing.assert_array_equal(image.valid, ~CORNER)
    assert image.channels == 3
    assert read_image(tiff(array, **options)).channels == 4


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pages", [1, 2])
def test_transparency_mask_of_a_tiff(bits: int, order: str, pages: int) -> None:
    there = ~CORNER
    strip = b"".join(packed(there.astype(np.uint8), 1)) if bits == 1 else (there * np.uint8(255)).tobytes()
    stored = [values(H, W, seed=seed) for seed in range(pages)]
    mask = (grey_tags(H, W, bits, 4, t_254=(4, 4)), strip)
    other = (grey_tags(H, W, bits, 4, t_254=(4, 4)), bytes([255]) * len(strip))
    parts = [(grey_tags(H, W), array.tobytes()) for array in stored]
    data = raw_tiff(parts[0], mask, *[p for part in parts[1:] for p in (part, other)], order=order)
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels[..., 0], stored[0])
    np.testing.assert_array_equal(image.valid, there)
    assert image.page_count == pages
    assert image.notes[-1] == "40 pixels (6.1 %) are missing: hidden by the file's transparency mask"
    if pages == 2:
        second = read_image(data, page=2)
        np.testing.assert_array_equal(second.pixels[..., 0], stored[1])
        assert second.valid.all()


def test_mask_of_another_size_is_said() -> None:
    mask = (grey_tags(H // 2, W, 8, 4, t_254=(4, 4)), bytes(H // 2 * W))
    image = read_image(raw_tiff((grey_tags(H, W), values(H, W).tobytes()), mask))
    assert image.valid.all()
    assert image.notes == ("the file has a transparency mask of another size, which was ignored",)


INDICES = values(H, W) % 4
TRNS: dict[str, tuple[bytes, Array]] = {
    "grey8": (png_of(with_corner(values(H, W), 7), chunk(b"tRNS", b"\0\7")), CORNER),
    "grey16": (
        png_of(with_corner(values(H, W, dtype=np.uint16), 300), chunk(b"tRNS", b"\1\x2c")),
        CORNER,
    ),
    "grey4": (png(packed(values(H, W) % 16, 4), W, 4, 0, chunk(b"tRNS", b"\0\3")), values(H, W) % 16 == 3),
    "rgb16": (
        png_of(with_corner(values(H, W, 3, dtype=np.uint16), 300), chunk(b"tRNS", b"\1\x2c" * 3)),
        CORNER,
    ),
    "palette2": (
        png(packed(INDICES, 2), W, 2, 3, chunk(b"PLTE", bytes(range(12))), chunk(b"tRNS", b"\xff\0\x80")),
        INDICES == 1,
    ),
}


@pytest.mark.parametrize("kind", TRNS)
def test_trns(kind: str) -> None:
    data, missing = TRNS[kind]
    image = read_image(data)
    np.testing.assert_array_equal(image.valid, ~missing)
    assert f"{missing.sum():,} pixels" in image.notes[0]


@pytest.mark.parametrize("given", [-9999, -9999.0, [-9999], (7, -9999), np.float32(-9999), np.array([-9999])])
def test_value_that_is_given(given: Any) -> None:
    array = with_corner(values(H, W, dtype=np.float32), -9999)
    for source in (array, tiff(array), read_image(array)):
        image = read_image(source, nodata=given)
        np.testing.assert_array_equal(image.valid, ~CORNER)
        assert "are missing: with the no-data value -9999 that was given" in image.notes[-1]


def test_value_that_is_given_and_cannot_occur_is_said() -> None:
    image = read_image(values(H, W), nodata=-1)
    assert image.notes == ("the no-data value -1 cannot occur among uint8 and was ignored",)
    assert read_image(values(H, W), nodata=float("nan")).notes == ()


@pytest.mark.parametrize("given", ["black", [None], {}, True, [[1]], "1"])
def test_values_that_are_no_numbers(given: Any) -> None:
    if given == "1":
        assert nodata.check(given) == (1,)
    else:
        with pytest.raises(errors.UsageError, match="give a number, nan, or several numbers"):
            read_image(values(H, W), nodata=given)


def test_all_missing_says_why() -> None:
    with pytest.raises(
        errors.NoValidPixelsError, match="every pixel is missing: with the no-data value 3 that"
    ):
        read_image(np.full((H, W), 3.0), nodata=3)


def test_reasons_are_counted_apart() -> None:
    array = values(H, W, dtype=np.float32)
    array[0, :3], array[1, :2] = np.nan, -5
    assert read_image(array, nodata=-5).notes == (
        "3 pixels (0.45 %) are missing: NaN or infinite",
        "2 pixels (0.3 %) are missing: with the no-data value -5 that was given",
    )
    masked = np.ma.MaskedArray(array, array == -5)
    assert read_image(masked).notes == ("5 pixels (0.76 %) are missing: 2 masked, 3 NaN or infinite",)


def test_every_door_takes_it() -> None:
    noise = np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.float32)
    scene = noise.copy()
    scene[:20, :30] = -9999
    wanted = ssdnet.localize(np.where(scene == -9999, np.nan, scene), detector="rx").anomaly_map
    for result in (
        ssdnet.localize(scene, detector="rx", nodata=-9999),
        ssdnet.localize_many([scene], detector="rx", nodata=-9999)[0],
        ssdnet.fit(scene, detector="rx", nodata=-9999).localize(scene, nodata=-9999),
    ):
        np.testing.assert_array_equal(result.anomaly_map, wanted)


# ---------------------------------------------------------------- frames of one value


def scan(height: int = 120, width: int = 160) -> Array:
    return np.random.default_rng(0).integers(60, 190, (height, width)).astype(np.uint8)


def rotated(value: int) -> Array:
    return np.asarray(PIL.Image.fromarray(scan()).rotate(3, fillcolor=value))


def letterbox(value: int) -> Array:
    picture = scan()
    picture[:20] = picture[-20:] = value
    return picture


@pytest.mark.parametrize("value", [0, 255, 128])
@pytest.mark.parametrize("make", [rotated, letterbox])
def test_frame_of_one_value_is_said(make: Any, value: int) -> None:
    picture = make(value)
    (note,) = read_image(picture).notes
    assert f"all have the value {value};" in note
    assert f"--nodata {value} " in note
    assert "--roi" in note
    assert read_image(np.dstack([picture] * 3)).notes == (note,)


def test_frame_of_a_colour_is_said() -> None:
    picture = np.dstack([letterbox(0), letterbox(10), letterbox(20)])
    (note,) = read_image(picture).notes
    assert "the value (0, 10, 20)" in note
    assert "--nodata" not in note


def test_frame_that_is_left_out_is_not_said() -> None:
    picture = letterbox(0)
    assert "missing" in read_image(picture, nodata=0).notes[0]
    assert len(read_image(picture, nodata=0).notes) == 1
    assert read_image(picture, roi=picture > 0).notes == ()


@pytest.mark.parametrize(
    "picture",
    [
        scan(),
        np.full((64, 64), 7, np.uint8),
        np.where(np.indices((64, 64)).sum(axis=0) // 8 % 2, 200, 50).astype(np.uint8),
        np.kron(values(16, 16) % 3, np.ones((8, 8), np.uint8)),
        np.clip(scan().astype(int) - 120, 0, 255).astype(np.uint8),
    ],
    ids=["noise", "constant", "board", "flat patches", "underexposed"],
)
def test_sound_pictures_have_no_frame(picture: Array) -> None:
    assert read_image(picture).notes == ()
