"""Runs that are killed, damaged files and odd surfaces: the scripts of `benchmarks/`, in small."""

from __future__ import annotations

import importlib.util
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import ssdnet
from ssdnet.errors import ImageReadError, SsdnetError
from tests.image_files import tiff

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = script("fuzz")


def test_damaged_files_give_an_image_or_an_error_of_ours():
    start = time.process_time()
    faults = {}
    kinds = set()
    for number in range(3000):
        kind, fault = fuzz.outcome(fuzz.mutant(number)[1])
        kinds.add(kind)
        if fault:
            faults[number] = fault
    assert faults == {}
    assert {"image", "ImageReadError", "ImageTooLargeError", "ImageTooSmallError"} <= kinds
    assert time.process_time() - start < 60


@pytest.mark.parametrize("number", [34, 244, 376, 55418, 77273])
def test_what_was_found_once_stays_mended(number):
    """Circles of directories, a depth that is a text, a palette without colours."""
    start = time.process_time()
    with pytest.raises(ImageReadError):
        ssdnet.read_image(fuzz.mutant(number)[1])
    assert time.process_time() - start < 2


def chained(count, *, circle=False):
    """A TIFF of so many directories, all of which describe the same strip."""
    strip = bytes(20 * 24)
    tags = [(256, 4, 24), (257, 4, 20), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 4, 20), (279, 4, len(strip))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    first, size = 8 + len(strip), 2 + len(entries) + 4
    parts = [b"II*\0", struct.pack("<I", first), strip]
    for number in range(count):
        last = number == count - 1
        following = (first if circle else 0) if last else first + (number + 1) * size
        parts.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))
    return b"".join(parts)


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 500])
def test_directories_that_go_round_in_a_circle(count):
    assert ssdnet.read_image(chained(count)).page_count == count
    with pytest.raises(ImageReadError, match="circle"):
        ssdnet.read_image(chained(count, circle=True))


@pytest.mark.slow
def test_a_hundred_thousand_pages():
    start = time.process_time()
    image = ssdnet.read_image(chained(100_000))
    assert image.page_count == 100_000
    assert time.process_time() - start < 120


def test_a_count_that_is_a_text_or_a_list():
    plain = tiff(np.zeros((20, 24), np.uint8))
    at = plain.index(struct.pack("<HHI", 277, 3, 1))
    for kind, count in ((2, 12), (1, 1), (3, 5), (12, 1)):
        damaged = bytearray(plain)
        damaged[at : at + 8] = struct.pack("<HHI", 277, kind, count)
        with pytest.raises(ImageReadError, match="whole number"):
            ssdnet.read_image(bytes(damaged))


@pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")
@pytest.mark.slow
def test_runs_that_are_killed_end_as_if_they_were_not(tmp_path):
    killed, ended, faults = script("kill").try_kills(tmp_path, kills=6, images=3, seed=1)
    assert (killed, faults) == (6, [])
    assert ended >= 1


@pytest.mark.slow
def test_memory_does_not_grow():
    points = script("soak").measure(150, 64)
    assert points[-1][1] - points[4][1] < 20


def columns(height, width):
    image = np.full((height, width), 90, np.uint8)
    image[:, width // 2] = 200
    return image


def one_bright(height, width):
    image = np.full((height, width), 90, np.uint8)
    image[height // 2, width // 3] = 255
    return image


def with_few_left(height, width):
    image = np.full((height, width), np.nan)
    image[3:6, 4:9] = np.arange(15).reshape(3, 5)
    return image


RNG = np.random.default_rng(0)
SURFACES = {
    "constant": np.full((64, 64), 7, np.uint8),
    "constant floats": np.full((64, 64), 1e30),
    "zeros": np.zeros((64, 64, 3)),
    "two values": RNG.integers(0, 2, (64, 64)).astype(np.uint8),
    "saturated": np.minimum(RNG.integers(200, 600, (64, 64)), 255).astype(np.uint8),
    "one bright pixel": one_bright(64, 64),
    "one column": columns(64, 64),
    "periodic to the bit": np.tile(np.array([[10, 90], [60, 30]], np.uint8), (32, 32)),
    "a ramp": np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8),
    "tiny floats": RNG.normal(size=(64, 64)) * 1e-300,
    "huge floats": RNG.normal(size=(64, 64)) * 1e300,
    "mostly missing": with_few_left(64, 64),
    "one valid pixel": np.where(np.arange(4096).reshape(64, 64) == 99, 1.0, np.nan),
    "15 x 15": RNG.integers(0, 255, (15, 15)).astype(np.uint8),
    "8 x 20 000": RNG.integers(0, 255, (8, 20_000)).astype(np.uint8),
    "16 x 2 000": RNG.integers(0, 255, (16, 2_000)).astype(np.uint8),
}
NOTHING_TO_FIND = ("constant", "constant floats", "zeros", "periodic to the bit", "two values")


@pytest.mark.parametrize("detector", ["texture", "rx"])
@pytest.mark.parametrize("name", SURFACES)
def test_odd_surfaces_get_a_right_answer_or_a_clear_one(detector, name):
    answer(name, detector)


NOISE_FREE = {("lowrank", "periodic to the bit"), ("patchpca", "periodic to the bit")}
"""Rivals that report the border of a pattern without noise, which the README names as a limit of all."""


def answer(name, detector, quality=None):
    image = SURFACES[name]
    if min(image.shape[:2]) < 16:
        with pytest.raises(ssdnet.errors.ImageTooSmallError, match="at least 16"):
            ssdnet.localize(image, detector=detector, quality=quality)
        return
    result = ssdnet.localize(image, detector=detector, quality=quality)
    valid = result.image.valid
    assert result.anomaly_map.shape == image.shape[:2]
    assert np.isfinite(result.anomaly_map[valid]).all()
    assert np.isnan(result.anomaly_map[~valid]).all()
    assert not result.mask[~valid].any()
    if name in NOTHING_TO_FIND and (detector, name) not in NOISE_FREE:
        assert result.regions == ()


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["phot", "fca", "selfsim", "lowrank", "aota", "patchpca"])
@pytest.mark.parametrize("name", SURFACES)
def test_rivals_on_odd_surfaces(detector, name):
    try:
        answer(name, detector)
    except SsdnetError as error:
        assert len(str(error)) > 20  # noqa: PT017 - a clear one


@pytest.mark.slow
@pytest.mark.parametrize("name", SURFACES)
def test_a_network_on_odd_surfaces(name):
    answer(name, "ssdnet", "draft")
