"""Damaged files through `ssdnet.read_image`: an image or an error of ours, in bounded memory and time.

    python benchmarks/fuzz.py [--inputs 1000000] [--state fuzz-state.json]

Input number n is made of n alone: a small valid file of some format, damaged by a few changes: of bytes, of
chunks whose check sums are put right, of the entries of TIFF directories. The work is done by a process that
is started anew every few thousand inputs; one that crashes it, or keeps it busy for too long, is written down
and passed over. The state is written after each such part, and a run goes on where the last one stopped.
`--show N` prints what becomes of one input, `--keep N FILE` writes it.

A finding is: an error that is not ours; a crash; more CPU time than `SECONDS`; more memory than `MEMORY` on
top of what the process had before.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import PIL.Image
import tifffile

from ssdnet import read_image
from ssdnet.errors import SsdnetError
from ssdnet.export.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUTS = 1_000_000
PART = 5_000
"""Inputs for each process."""
MAX_PIXELS = 1_000_000
"""That a damaged header may ask for; with four values a pixel of at most eight bytes, 32 MB."""
SECONDS = 10
"""CPU time for one input."""
MEMORY = 512 << 20
"""Bytes of address space for one input."""


@cache
def seeds() -> dict[str, bytes]:
    """Small valid files of each format that is read, by name."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (20, 24), np.uint8)
    colour = rng.integers(0, 256, (20, 24, 3), np.uint8)
    alpha = rng.integers(0, 256, (20, 24, 4), np.uint8)
    deep = rng.integers(0, 65536, (20, 24), np.uint16)
    real = rng.normal(size=(20, 24)).astype(np.float32)
    files: dict[str, bytes] = {}

    def pillow(name: str, pixels: Any, kind: str, mode: str | None = None, **options: Any) -> None:  # noqa: ANN401 - Pillow's
        image = PIL.Image.fromarray(pixels)
        file = io.BytesIO()
        (image.convert(mode) if mode else image).save(file, kind, **options)
        files[name] = file.getvalue()

    def tiff(
        name: str,
        *pages: Any,  # noqa: ANN401 - tifffile's
        byteorder: Literal["<", ">"] = "<",
        big: bool = False,
        **options: Any,  # noqa: ANN401 - tifffile's
    ) -> None:
        file = io.BytesIO()
        options.setdefault("metadata", None)
        with tifffile.TiffWriter(file, byteorder=byteorder, bigtiff=big) as writer:
            for page in pages:
                writer.write(page, **options)
        files[name] = file.getvalue()

    frames = [PIL.Image.fromarray(255 - colour), PIL.Image.fromarray(colour // 2)]
    lying = PIL.Image.Exif()
    lying[274] = 6
    pillow("grey.png", grey, "PNG")
    pillow("deep.png", deep, "PNG")
    pillow("colour.png", colour, "PNG", exif=lying)
    pillow("alpha.png", alpha, "PNG")
    pillow("palette.png", colour, "PNG", "P", transparency=3)
    pillow("bits.png", grey, "PNG", "1")
    pillow("animated.png", colour, "PNG", save_all=True, append_images=frames)
    pillow("grey.jpg", grey, "JPEG")
    pillow("colour.jpg", colour, "JPEG", exif=lying)
    pillow("progressive.jpg", colour, "JPEG", progressive=True)
    pillow("inks.jpg", colour, "JPEG", "CMYK")
    pillow("grey.bmp", grey, "BMP")
    pillow("colour.bmp", colour, "BMP")
    pillow("alpha.bmp", alpha, "BMP")
    pillow("lossy.webp", colour, "WEBP")
    pillow("lossless.webp", alpha, "WEBP", lossless=True)
    pillow("animated.webp", colour, "WEBP", save_all=True, append_images=frames)
    pillow("still.gif", grey, "GIF")
    pillow("animated.gif", colour, "GIF", save_all=True, append_images=frames)
    pillow("grey.pgm", grey, "PPM")
    pillow("colour.ppm", colour, "PPM")
    files["deep.pgm"] = b"P5\n24 20\n65535\n" + deep.astype(">u2").tobytes()
    files["plain.pgm"] = b"P2 24 20 1000\n" + b" ".join(b"%d" % (value % 1001) for value in deep.flat)
    files["bits.pbm"] = b"P4\n24 20\n" + np.packbits(grey > 99, axis=1).tobytes()
    pillow("colour.jp2", colour, "JPEG2000")
    pillow("grey.j2k", grey, "JPEG2000", no_jp2=True)
    pillow("colour.avif", colour, "AVIF")
    pillow("colour.qoi", colour, "QOI")
    tiff("grey.tif", grey)
    tiff("deep-be.tif", deep, byteorder=">")
    tiff("real.tif", real)
    tiff("big.tif", colour, big=True, photometric="rgb")
    tiff("big-be.tif", deep, big=True, byteorder=">")
    tiff("pages.tif", grey, deep, colour)
    tiff("stack.tif", np.stack([deep, deep, deep]), photometric="minisblack")
    tiff("named.tif", np.stack([deep, deep]), photometric="minisblack", metadata={"axes": "ZYX"})
    tiff("planes.tif", colour.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    tiff("tiles.tif", colour, tile=(16, 16), photometric="rgb", compression="zlib", predictor=True)
    tiff("palette.tif", grey, photometric="palette", colormap=rng.integers(0, 65536, (3, 256), np.uint16))
    tiff("alpha.tif", alpha, photometric="rgb", extrasamples=("unassalpha",))
    tiff("inks.tif", alpha, photometric="separated")
    tiff("real-predictor.tif", real, compression="zlib", predictor=3)
    for method in ("lzw", "packbits", "zstd", "lzma", "jpeg", "jpeg2000", "webp"):
        tiff(f"{method}.tif", colour, photometric="rgb", compression=method, rowsperstrip=8)
    pillow("fax.tif", grey, "TIFF", "1", compression="group4")
    return files


_BYTES = (0, 1, 2, 3, 4, 8, 16, 32, 64, 127, 128, 129, 254, 255)
_NUMBERS = (0, 1, 2, 3, 15, 16, 17, 255, 256, 999, 1000, 4095, 4096, 32767, 32768, 65535, 65536, 999_999)
_LARGE = (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**64 - 1)


def mutant(number: int) -> tuple[str, bytes]:
    """Input of that number: the name of the file that it was made of, and its bytes.

    >>> mutant(7) == mutant(7)
    True
    """
    rng = random.Random(number)  # noqa: S311 - nothing secret
    name, data = rng.choice(list(seeds().items()))
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        structure = _structure(name)
        if structure is not None and rng.random() < 0.6:
            structure(damaged, rng)
        else:
            _change_bytes(damaged, rng)
    if name.endswith(".png") and rng.random() < 0.7:
        damaged = _checked_png(damaged)
    return name, bytes(damaged)


def _structure(name: str) -> Any:  # noqa: ANN401 - a function or nothing
    """What knows how files of this format are built."""
    return _change_directory if name.endswith(".tif") else None


def _change_bytes(data: bytearray, rng: random.Random) -> None:
    """One change that knows nothing of the format."""
    if not data:
        return
    # Headers decide most: half of the changes are among the first bytes.
    limit = min(len(data), 64) if rng.random() < 0.5 else len(data)
    at = rng.randrange(limit)
    length = min(rng.choice((1, 2, 4, 8, 64, 500)), len(data) - at)
    kind = rng.randrange(9)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at] = rng.choice(_BYTES)
    elif kind == 2:
        data[at] = rng.randrange(256)
    elif kind == 3:
        code = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
        size = struct.calcsize(code)
        value = rng.choice((*_NUMBERS, *_LARGE, len(data), at)) % 256**size
        data[at : at + size] = struct.pack(code, value)
    elif kind == 4:
        del data[at : at + length]
    elif kind == 5:
        data[at:at] = data[at : at + length] * rng.choice((1, 1, 2, 20))
    elif kind == 6:
        data[at:at] = rng.randbytes(length)
    elif kind == 7:
        del data[max(1, rng.randrange(len(data))) :]
    else:
        other = rng.choice(list(seeds().values()))
        start = rng.randrange(len(other))
        data[at : at + length] = other[start : start + length]


def _checked_png(data: bytearray) -> bytearray:
    """The same with right check sums as far as the chunks can be followed, so that damage gets past them."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


_TAGS = (
    *(254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 284, 285, 292, 293, 317, 320),
    *(322, 323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 529, 530, 531, 532, 32996, 32997, 33550, 33628),
    *(34665, 42113, 50838, 50839, 65000),
)
_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 33003, 34712, 34887, 34892, 34925, 50000, 50001, 50002, 52546)


def _change_directory(data: bytearray, rng: random.Random) -> None:
    """One change of an entry of a TIFF directory, or of where the next directory is."""
    directories = list(_directories(data))
    if not directories:
        _change_bytes(data, rng)
        return
    order, big, entries, next_at = rng.choice(directories)
    number, size = (order + "Q", 20) if big else (order + "I", 12)
    if rng.random() < 0.1 or not entries:
        target = rng.choice(
            (0, 8, 4, 16, len(data), next_at, rng.randrange(len(data)), entries and entries[0])
        )
        _put(data, next_at, number, int(target or 0))
        return
    at = rng.choice(entries)
    kind = rng.randrange(8)
    if kind == 0:
        _put(data, at, order + "H", rng.choice(_TAGS))
    elif kind == 1:
        _put(data, at + 2, order + "H", rng.choice((*range(20), 255, 65535)))
    elif kind == 2:
        _put(data, at + 4, number, rng.choice((*_NUMBERS, *_LARGE)))
    elif kind in (3, 4):
        _put(
            data, at + size - struct.calcsize(number), number, rng.choice((*_NUMBERS, *_LARGE, len(data), at))
        )
    elif kind == 5:
        _put(data, at + size - struct.calcsize(number), order + "H", rng.choice((*_NUMBERS, *_COMPRESSIONS)))
    elif kind == 6:
        other = rng.choice(entries)
        data[at : at + size] = data[other : other + size]
    else:
        # A value of a few bytes that lies elsewhere, such as the offsets of strips.
        offset = int.from_bytes(data[at + size - 4 : at + size], "little" if order == "<" else "big")
        _put(data, offset, number, rng.choice((*_NUMBERS, *_LARGE)))


def _directories(data: bytearray) -> Iterator[tuple[str, bool, list[int], int]]:
    """Byte order, whether BigTIFF, where the entries are, and where the offset of the next directory is."""
    order = ">" if data[:2] == b"MM" else "<"
    big = len(data) > 16 and 43 in data[2:4]
    count, number, size = ("Q", "Q", 20) if big else ("H", "I", 12)
    place = 8 if big else 4
    for _ in range(8):
        try:
            (at,) = struct.unpack_from(order + number, data, place)
            (entries,) = struct.unpack_from(order + count, data, at)
        except (struct.error, OverflowError):
            return
        first = at + struct.calcsize(count)
        if at == 0 or entries > 100 or first + entries * size + 8 > len(data):
            return
        place = first + entries * size
        yield order, big, [first + index * size for index in range(entries)], place


def _put(data: bytearray, at: int, code: str, value: int) -> None:
    size = struct.calcsize(code)
    if at + size <= len(data):
        data[at : at + size] = struct.pack(code, value % 256**size)


def outcome(data: bytes) -> tuple[str, str]:
    """What becomes of a file: `image` or the class of our error; and what is wrong with that, if anything."""
    try:
        image = read_image(data, max_pixels=MAX_PIXELS)
    except SsdnetError as error:
        cause = error.__cause__
        fault = "out of memory" if isinstance(cause, MemoryError) else ""
        return type(error).__name__, fault
    except BaseException as error:  # also what no library should raise
        return type(error).__name__, f"{type(error).__name__}: {error}"
    height, width = image.valid.shape
    right = image.pixels.shape[:2] == (height, width) and min(height, width) >= 16 and image.pixels.ndim == 3
    return "image", "" if right else f"an image of shape {image.pixels.shape}"


def peak() -> int:
    """Most memory that this process has held, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def address_space() -> int:
    """What this process has of it, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def work(start: int, stop: int, place: Path) -> None:
    """Try the inputs from `start` to `stop`; prints one line of JSON at the end."""
    for name, data in seeds().items():  # so that all libraries are loaded
        kind, fault = outcome(data)
        if kind != "image":
            raise SystemExit(f"{name}, which is whole, gives {kind} {fault}")
    base = peak()
    limit = address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, inside of a decoder too
    counts: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    longest, longest_number = 0.0, start
    file = os.open(place, os.O_RDWR | os.O_CREAT)
    for number in range(start, stop):
        os.pwrite(file, b"%20d" % number, 0)
        _, data = mutant(number)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        begin = time.process_time()
        kind, fault = outcome(data)
        taken = time.process_time() - begin
        signal.setitimer(signal.ITIMER_PROF, 0)
        counts[kind] += 1
        if taken > longest:
            longest, longest_number = taken, number
        if fault:
            findings.append({"number": number, "what": fault[:200]})
    print(
        json.dumps(
            {
                "counts": counts,
                "findings": findings,
                "seconds": longest,
                "slowest": longest_number,
                "memory": peak() - base,
            }
        )
    )


def run(inputs: int, path: Path) -> dict[str, Any]:
    """Go on with a state until so many inputs were tried."""
    fresh = {"tried": 0, "counts": {}, "findings": [], "seconds": 0.0, "slowest": 0, "memory": 0, "cpu": 0.0}
    state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else fresh
    place = path.with_suffix(".place")
    while state["tried"] < inputs:
        start = state["tried"]
        stop = min(inputs, start + PART)
        _part(state, start, stop, place)
        state["tried"] = stop
        state["cpu"] = state["cpu"] + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - _spent[0]
        _spent[0] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        write_file(path, json.dumps(state, indent=1).encode())
        print(f"{stop:,} of {inputs:,}, {len(state['findings'])} findings", file=sys.stderr, flush=True)
    return state


_spent = [0.0]


def _part(state: dict[str, Any], start: int, stop: int, place: Path) -> None:
    """Try some inputs in a process of their own; what ends it is a finding, and the rest is tried again."""
    while start < stop:
        command = [sys.executable, __file__, "--part", str(start), str(stop), "--state", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            _add(state, json.loads(done.stdout.splitlines()[-1]))
            return
        if done.returncode > 0:
            raise SystemExit(done.stderr)
        number = int(place.read_bytes())
        what = signal.Signals(-done.returncode).name
        what = f"more than {SECONDS} s" if what == "SIGPROF" else f"crash: {what}"
        if number > start:
            _part(state, start, number, place)
        state["findings"].append({"number": number, "what": what})
        state["counts"]["crash"] = state["counts"].get("crash", 0) + 1
        start = number + 1


def _add(state: dict[str, Any], part: dict[str, Any]) -> None:
    state["counts"] = dict(Counter(state["counts"]) + Counter(part["counts"]))
    state["findings"] += part["findings"]
    if part["seconds"] > state["seconds"]:
        state["seconds"], state["slowest"] = part["seconds"], part["slowest"]
    state["memory"] = max(state["memory"], part["memory"])


def table(state: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    lines = ["| what came out | inputs |", "| --- | ---: |"]
    for name, count in sorted(state["counts"].items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {count:,} |")
    lines.append(f"| all | {state['tried']:,} |")
    lines.append("")
    kinds = Counter(finding["what"] for finding in state["findings"])
    listed = "; ".join(f"{count} × {what}" for what, count in kinds.most_common()) or "none"
    lines.append(f"Findings: {listed}.")
    lines.append(
        f"The slowest input took {state['seconds']:.2f} s, all of them together {state['cpu'] / 60:.0f} "
        f"minutes of one core; no process grew by more than {state['memory'] >> 20} MiB."
    )
    return "\n".join(lines)


def main() -> int:
    """Try inputs, or show one; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--state", type=Path, default=Path("fuzz-state.json"))
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--show", type=int, metavar="N")
    parser.add_argument("--keep", nargs=2, metavar=("N", "FILE"))
    arguments = parser.parse_args()
    if arguments.part:
        work(arguments.part[0], arguments.part[1], arguments.state)
        return 0
    if arguments.keep:
        Path(arguments.keep[1]).write_bytes(mutant(int(arguments.keep[0]))[1])
        return 0
    if arguments.show is not None:
        name, data = mutant(arguments.show)
        print(name, *outcome(data))
        return 0
    state = run(arguments.inputs, arguments.state)
    print(table(state))
    return int(bool(state["findings"]))


if __name__ == "__main__":
    sys.exit(main())
