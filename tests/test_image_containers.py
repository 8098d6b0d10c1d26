"""Rare formats and odd files: read with all their bits, or refused by name in bounded time."""

from __future__ import annotations

import io
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile

from ssdnet import errors, read_image
from tests.image_files import Array, grey_tags, pillow, raw_tiff, tiff, values

if TYPE_CHECKING:
    from pathlib import Path

H, W = 20, 33
RGB, RGB16 = values(H, W, 3), values(H, W, 3, dtype=np.uint16)
SMOOTH12 = (np.add.outer(np.arange(H), np.arange(W)) * 60).astype(np.uint16)


def check(data: bytes, pixels: Array) -> None:
    image = read_image(data)
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels, np.atleast_3d(pixels))


# ---------------------------------------------------------------- the JPEGs


@pytest.mark.parametrize("name", ["jpegxl", "jpegls", "jpegxr"])
@pytest.mark.parametrize(
    "array", [RGB, RGB16, RGB[..., 0], RGB16[..., 0]], ids=["rgb", "rgb16", "grey", "grey16"]
)
def test_lossless(name: str, array: Array) -> None:
    encode: Any = getattr(imagecodecs, f"{name}_encode")
    array = np.ascontiguousarray(array)
    data = bytes(encode(array, lossless=True) if name == "jpegxl" else encode(array))
    check(data, array)
    with pytest.raises(errors.ImageTooLargeError):
        read_image(data, max_pixels=H * W - 1)
    with pytest.raises(errors.PageNotFoundError):
        read_image(data, page=2)


def test_jpeg_xl_with_alpha() -> None:
    array = values(H, W, 4)
    image = read_image(imagecodecs.jpegxl_encode(array, lossless=True))
    np.testing.assert_array_equal(image.valid, array[..., 3] != 0)


@pytest.mark.parametrize("size", [(16, 16), (24, 32), (20, 33), (8200, 17), (96, 192), (48, 64)])
def test_jpeg_xl_size_is_known_before_decoding(size: tuple[int, int]) -> None:
    from ssdnet.image import jpegxl

    assert jpegxl.size(bytes(imagecodecs.jpegxl_encode(np.zeros(size, np.uint8)))) == size


def test_huge_jpeg_xl_is_refused_before_decoding() -> None:
    size = 1 << 29
    bits = 0 | 3 << 1 | (size - 1) << 3 | 1 << 33  # not small, 30 bits, square
    with pytest.raises(errors.ImageTooLargeError):
        read_image(b"\xff\x0a" + bits.to_bytes(12, "little") + bytes(50))


def test_jpeg_of_12_bits() -> None:
    data = bytes(imagecodecs.jpeg8_encode(SMOOTH12, bitspersample=12, level=99))
    image = read_image(data)
    assert image.pixels.dtype == np.uint16
    assert np.abs(image.pixels[..., 0].astype(int) - SMOOTH12).max() < 20


def test_jpeg_lossless() -> None:
    check(bytes(imagecodecs.ljpeg_encode(SMOOTH12, bitspersample=16)), SMOOTH12)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_keeps_its_bits(bits: int) -> None:
    array = (SMOOTH12 >> (12 - bits)).astype(np.uint16)
    image = read_image(imagecodecs.avif_encode(np.dstack([array] * 3), level=100, bitspersample=bits))
    assert image.pixels.dtype == np.uint16
    assert np.abs(image.pixels[..., 0].astype(int) - array).max() <= 2


@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_2000_keeps_its_bits(bits: int) -> None:
    array = RGB16 >> (16 - bits)
    check(bytes(imagecodecs.jpeg2k_encode(array, level=0, bitspersample=bits)), array)


# ---------------------------------------------------------------- BMP


def bmp(alpha: int) -> bytes:
    pixels = values(64, 64, 4)
    pixels[..., 3] = alpha
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiIIIIII", 124, 64, 64, 1, 32, 3, pixels.size, 0, 0, 0, 0, *masks)
    start = b"BM" + struct.pack("<IHHI", 138 + pixels.size, 0, 0, 138)
    return start + header.ljust(124, b"\0") + pixels.tobytes()


@pytest.mark.parametrize("alpha", [0, 255])
def test_bmp_with_alpha_of_one_value_is_opaque(alpha: int) -> None:
    image = read_image(bmp(alpha))
    assert image.valid.all()
    np.testing.assert_array_equal(image.pixels[::-1], values(64, 64, 4)[..., 2::-1])


# ---------------------------------------------------------------- images in several files


def ome(attributes: str, times: int, planes: str) -> str:
    """A description of an image of some points in time."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{attributes}><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{W}" SizeY="{H}" SizeC="1" '
        f'SizeZ="1" SizeT="{times}"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image>'
        "</OME>"
    )


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """An OME-TIFF of two planes in two files."""
    names = ("a.ome.tif", "b.ome.tif")
    uuids = [f"urn:uuid:0000000{n}-0000-0000-0000-000000000000" for n in (1, 2)]
    for number, name in enumerate(names):
        planes = "".join(
            f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1">'
            f'<UUID FileName="{names[t]}">{uuids[t]}</UUID></TiffData>'
            for t in (0, 1)
        )
        xml = ome(f' UUID="{uuids[number]}"', 2, planes)
        tifffile.imwrite(tmp_path / name, values(H, W, seed=number), description=xml, metadata=None)
    return tmp_path


def test_ome_of_two_files(split: Path) -> None:
    for number in (0, 1):
        image = read_image(split / "a.ome.tif", page=number + 1)
        np.testing.assert_array_equal(image.pixels[..., 0], values(H, W, seed=number))
        assert image.page_count == 2


def test_ome_whose_other_file_is_not_there(split: Path) -> None:
    (split / "b.ome.tif").unlink()
    np.testing.assert_array_equal(read_image(split / "a.ome.tif").pixels[..., 0], values(H, W))
    with pytest.raises(errors.ImageReadError, match="the page is in another file of this image"):
        read_image(split / "a.ome.tif", page=2)
    with pytest.raises(errors.ImageReadError, match="give the path of the file"):
        read_image((split / "a.ome.tif").read_bytes(), page=2)


# ---------------------------------------------------------------- TIFFs that waste time


def many(count: int, *, circle: bool = False) -> bytes:
    data = bytearray(raw_tiff(*[(grey_tags(16, 16), bytes(256))] * count))
    if circle:
        (first,) = struct.unpack_from("<I", data, 4)
        data[-4:] = struct.pack("<I", first)
    return bytes(data)


def test_directories_in_a_circle_are_refused_at_once() -> None:
    start = time.perf_counter()
    with pytest.raises(errors.ImageReadError, match="runs in a circle"):
        read_image(many(300, circle=True))
    assert time.perf_counter() - start < 2


def test_many_pages_take_bounded_time() -> None:
    assert read_image(many(5000), page=5000).page_count == 5000


def test_ome_of_absurd_sizes_is_refused() -> None:
    xml = ome("", 999_999_999, '<TiffData FirstT="0" IFD="0" PlaneCount="999999999"/>')
    with pytest.raises(errors.ImageReadError, match="more planes than any file has"):
        read_image(tiff(values(H, W), description=xml))


# ---------------------------------------------------------------- what needs another package


def test_heic() -> None:
    library = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    library.from_pillow(PIL.Image.fromarray(np.kron(RGB // 8 * 8, np.ones((8, 8, 1), np.uint8)))).save(
        file, quality=-1
    )
    image = read_image(file.getvalue())
    assert image.pixels.shape == (8 * H, 8 * W, 3)
    with PIL.Image.open(
        io.BytesIO(pillow(np.kron(RGB // 8 * 8, np.ones((8, 8, 1), np.uint8)), "PNG"))
    ) as same:
        assert np.abs(image.pixels.astype(int) - np.asarray(same)).mean() < 3
    with pytest.raises(errors.ImageTooLargeError):
        read_image(file.getvalue(), max_pixels=1000)


def fits(*arrays: Any, **header: Any) -> bytes:
    library = pytest.importorskip("astropy.io.fits")
    units = [library.PrimaryHDU(arrays[0]), *map(library.ImageHDU, arrays[1:])]
    units[0].header.update(header)
    file = io.BytesIO()
    library.HDUList(units).writeto(file)
    return file.getvalue()


def test_fits() -> None:
    stored = values(H, W, dtype=np.float32)
    stored[2, 3] = np.nan
    image = read_image(fits(stored))
    np.testing.assert_array_equal(image.pixels[..., 0], stored)
    assert not image.valid[2, 3]
    assert int((~image.valid).sum()) == 1
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float64):
        check(fits(values(H, W, dtype=dtype)), values(H, W, dtype=dtype))


def test_fits_blank_and_scale() -> None:
    stored = values(H, W, dtype=np.int16)
    stored[stored == -7] = 0
    stored[3, 4] = -7
    data = fits(stored, BLANK=-7)
    image = read_image(data)
    assert (int((~image.valid).sum()), bool(image.valid[3, 4])) == (1, False)
    library = pytest.importorskip("astropy.io.fits")
    unit = library.PrimaryHDU((stored * 0.5 + 10).astype(np.float32))
    unit.scale("int16", bscale=0.5, bzero=10)
    file = io.BytesIO()
    unit.writeto(file)
    np.testing.assert_allclose(read_image(file.getvalue()).pixels[..., 0], stored * 0.5 + 10)


def test_fits_of_several_images() -> None:
    cube = values(3, H, W, seed=4)
    data = fits(values(H, W), cube)
    assert read_image(data).page_count == 4
    for page in (2, 3, 4):
        np.testing.assert_array_equal(read_image(data, page=page).pixels[..., 0], cube[page - 2])
    with pytest.raises(errors.ImageTooLargeError):
        read_image(data, max_pixels=100)


def dicom(stored: Array, **tags: Any) -> bytes:
    library = pytest.importorskip("pydicom")
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    file = library.Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    frames = stored if stored.ndim == 3 else stored[None]
    file.Rows, file.Columns = frames.shape[1:]
    file.NumberOfFrames = len(frames)
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 8 * stored.dtype.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(stored.dtype.kind == "i")
    file.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_dicom() -> None:
    stored = values(H, W, dtype=np.int16)
    check(dicom(stored), stored)
    frames = values(3, H, W, dtype=np.uint16)
    data = dicom(frames)
    for page in (1, 2, 3):
        np.testing.assert_array_equal(read_image(data, page=page).pixels[..., 0], frames[page - 1])
    with pytest.raises(errors.PageNotFoundError):
        read_image(data, page=4)
    with pytest.raises(errors.ImageTooLargeError):
        read_image(data, max_pixels=100)


def test_dicom_in_the_values_it_means() -> None:
    stored = (values(H, W, dtype=np.uint16) >> 4).astype(np.uint16)
    stored[stored == 63] = 0
    stored[:2] = 63
    image = read_image(dicom(stored, RescaleSlope=2, RescaleIntercept=-1024, PixelPaddingValue=63))
    np.testing.assert_array_equal(image.pixels[..., 0], stored * 2.0 - 1024)
    np.testing.assert_array_equal(image.valid, stored != 63)
    white = read_image(dicom(stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(white.pixels[..., 0], 4095 - stored)
    assert any("MONOCHROME1" in note for note in white.notes)


@pytest.mark.parametrize(
    ("data", "module", "extra"),
    [
        (bytes(128) + b"DICM" + bytes(99), "pydicom", "dicom"),
        (b"SIMPLE  =                    T" + b" " * 99, "astropy.io.fits", "fits"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "pillow_heif", "heic"),
    ],
)
def test_missing_package_is_named(
    data: bytes, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.ImageReadError, match=rf'pip install "ssdnet\[{extra}\]", or convert it'):
        read_image(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"8BPS\0\1" + bytes(99), "PSD is not supported; export it as PNG or TIFF"),
        (b"\x93NUMPY\1\0" + bytes(99), "npy is not supported; load it in Python"),
        (b"PK\3\4" + bytes(99), "ZIP is not supported; unpack it first"),
        (b"\0\0\0\x18ftypcrx " + bytes(99), "camera raw is not supported; develop it"),
        (b"\0\0\0\x18ftypisom" + bytes(99), "movies are not supported; export the frame"),
        (bytes(344) + b"n+1\0" + bytes(99), "NIfTI is not supported"),
        (b"RIFF\0\0\0\0AVI " + bytes(99), "not an image of a kind that is known here"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, words: str) -> None:
    with pytest.raises(errors.ImageReadError) as caught:
        read_image(data)
    assert words in str(caught.value)
    assert "damaged" not in str(caught.value)
