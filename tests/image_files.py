"""Real image files of every kind, as bytes, for the tests of reading them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile

Array = npt.NDArray[Any]


def values(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> Array:
    """Random values over the whole range of an integer dtype, or -1 to 1 for floats; deterministic."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind == np.bool_:
        return rng.random(shape) < 0.5
    if kind.kind == "f":
        return (rng.random(shape) * 2 - 1).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


def pillow(source: Array | PIL.Image.Image, kind: str, **options: Any) -> bytes:
    """A file written by Pillow."""
    image = source if isinstance(source, PIL.Image.Image) else PIL.Image.fromarray(source)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(*pages: Array, **options: Any) -> bytes:
    """A file written by tifffile, one `write` a page; without tifffile's own metadata unless asked for."""
    options.setdefault("metadata", None)
    file = io.BytesIO()
    writer = {key: options.pop(key) for key in ("bigtiff", "byteorder", "imagej", "ome") if key in options}
    with tifffile.TiffWriter(file, **writer) as target:
        for page in pages:
            target.write(page, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    rows: list[bytes], width: int, depth: int, colour: int, *before: bytes, after: tuple[bytes, ...] = ()
) -> bytes:
    """A PNG file of packed rows; `before` and `after` are chunks around the pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = (chunk(b"IHDR", header), *before, chunk(b"IDAT", body), *after, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_of(array: Array, *before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    """A PNG file of `(H, W)` or `(H, W, 1 to 4)` uint8 or uint16."""
    array = np.atleast_3d(array)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]
    big = array.astype(array.dtype.newbyteorder(">"))
    rows = [row.tobytes() for row in big]
    return png(rows, array.shape[1], array.dtype.itemsize * 8, colour, *before, after=after)


def packed(array: Array, bits: int) -> list[bytes]:
    """Rows of `(H, W)` values below `2**bits`, packed as PNG does."""
    expanded = (array[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row).tobytes() for row in expanded.reshape(len(array), -1).astype(np.uint8)]


def exif(orientation: int) -> bytes:
    """An EXIF block that says nothing but the orientation."""
    block = PIL.Image.Exif()
    block[274] = orientation
    return block.tobytes()


def seen(stored: Array, orientation: int) -> Array:
    """What a viewer shows of stored pixels, from the table of TIFF 6.0: where row 0 and column 0 are."""
    turned: Array = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: np.rot90(a, 2),
        4: lambda a: a[::-1],
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation](stored)
    return turned


def huge_png(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """The header of a PNG, and no pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def huge_jpeg(width: int, height: int) -> bytes:
    """The header of a JPEG, and no pixels."""
    component = b"\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">HBHHB", 11, 8, height, width, 1)
        + component
        + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    )


def huge_bmp(width: int, height: int) -> bytes:
    """The header of a BMP, and no pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def huge_webp(width: int, height: int) -> bytes:
    """An animated WebP of a large canvas with one frame of 16 by 16 in its corner."""
    still = pillow(values(16, 16, 3), "WEBP", lossless=True)

    def three(number: int) -> bytes:
        return struct.pack("<I", number)[:3]

    def part(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    canvas = part(b"VP8X", b"\x02\0\0\0" + three(width - 1) + three(height - 1))
    animation = part(b"ANIM", b"\0" * 6)
    frame = part(b"ANMF", three(0) * 2 + three(15) * 2 + three(100) + b"\0" + still[12:])
    body = b"WEBP" + canvas + animation + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def huge_tiff(width: int, height: int, samples: int = 1, tile: int = 0) -> bytes:
    """The header of a TIFF, and no pixels."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 4, samples)]
    if tile:
        tags += [(322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, 1)]
    else:
        tags += [(273, 4, 8), (278, 4, height), (279, 4, 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, number) for tag, kind, number in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + b"\0" * 4


_TIFF_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 12: "d"}
"""Layouts of the types of tags: BYTE, ASCII, SHORT, LONG, RATIONAL (numerator and denominator), DOUBLE."""

Tags = dict[int, tuple[int, Any]]


def raw_tiff(*pages: tuple[Tags, bytes], order: str = "<") -> bytes:
    """A TIFF made by hand, for what no library writes; offsets and counts of one strip are filled in.

    Args:
        pages: of each the tags, as type and value (bytes of ASCII, a number or several), and its strip.
        order: of bytes.
    """
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    link = 4
    for tags, strip in pages:
        strip_at = len(out)
        out += strip + b"\0" * (len(strip) % 2)
        entries = {**tags, 273: (4, strip_at), 279: (4, len(strip))}
        packed_values = {}
        for tag, (kind, value) in entries.items():
            if kind == 2:
                data, count = value, len(value)
            else:
                several = value if isinstance(value, (tuple, list)) else (value,)
                count = len(several) // len(_TIFF_TYPES[kind])
                data = struct.pack(order + _TIFF_TYPES[kind][0] * len(several), *several)
            if len(data) > 4:
                at = len(out)
                out += data + b"\0" * (len(data) % 2)
                data = struct.pack(order + "I", at)
            packed_values[tag] = struct.pack(order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
        out[link : link + 4] = struct.pack(order + "I", len(out))
        out += struct.pack(order + "H", len(entries)) + b"".join(
            packed_values[tag] for tag in sorted(entries)
        )
        link = len(out)
        out += b"\0" * 4
    return bytes(out)


def grey_tags(height: int, width: int, bits: int = 8, photometric: int | None = 1, **more: Any) -> Tags:
    """Tags of one grey strip without compression; `more` as `t_262=(3, 1)`."""
    tags: Tags = {
        256: (4, width),
        257: (4, height),
        258: (3, bits),
        259: (3, 1),
        277: (3, 1),
        278: (4, height),
        284: (3, 1),
    }
    if photometric is not None:
        tags[262] = (3, photometric)
    return tags | {int(name[2:]): value for name, value in more.items()}
