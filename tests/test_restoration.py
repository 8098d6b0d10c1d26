"""The image without its findings: in the texture's own grain, without a seam, and nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import ssdnet
from ssdnet import read_image, samples
from ssdnet.restoration import restore

PICTURES = [
    ("leather", "stain"),
    ("asphalt", "stain"),
    ("twill", "hole"),
    ("twill", "stain"),
    ("wood", "scratch"),
    ("leather", "scratch"),
]


def steepness(pixels, where):
    """Mean squared gradient of the grey picture."""
    grey = np.asarray(pixels, float).mean(axis=2) if pixels.ndim == 3 else np.asarray(pixels, float)
    down, right = np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1]
    return float((down**2 + right**2)[where[:-1, :-1]].mean())


def around(mask, near, far):
    grown = [ndimage.binary_dilation(mask, iterations=by) for by in (near, far)]
    return grown[1] & ~grown[0]


@pytest.mark.parametrize(("texture", "defect"), PICTURES)
@pytest.mark.parametrize("seed", [1, 2])
def test_it_has_the_grain_of_what_is_around_and_no_seam(texture, defect, seed):
    picture = samples.sample(texture, defect, (256, 256), seed=seed)
    restored = restore(read_image(picture.image), picture.mask)
    beside = steepness(restored, around(picture.mask, 8, 30))
    assert 0.7 < steepness(restored, picture.mask) / beside < 1.3
    seam = around(picture.mask, 1, 6)  # the rim, and a pixel more
    assert 0.6 < steepness(restored, seam) / beside < 1.5


def test_nothing_else_is_touched_and_the_kind_of_numbers_stays():
    picture = samples.sample("leather", "hole", (128, 160), seed=0)
    for dtype, factor in ((np.uint8, 1), (np.uint16, 256), (np.float32, 0.01), (np.float64, 1e200)):
        pixels = (picture.image * np.asarray(factor, np.float64)).astype(dtype)
        restored = restore(read_image(pixels), picture.mask)
        assert restored.dtype == dtype
        changed = (restored != pixels).any(axis=2)
        assert changed[picture.mask].mean() > 0.5
        assert not changed[~ndimage.binary_dilation(picture.mask, np.ones((3, 3)), iterations=4)].any()


def test_light_that_falls_off_goes_on():
    rows, columns = np.mgrid[:128, :128].astype(float)
    noise = np.random.default_rng(0).normal(0, 1, (128, 128))
    pixels = 0.5 * columns + 0.2 * rows + noise
    mask = np.zeros((128, 128), bool)
    mask[40:80, 50:90] = True
    spoiled = np.where(mask, 200.0, pixels)
    restored = np.asarray(restore(read_image(spoiled), mask), float)[:, :, 0]
    off = ndimage.uniform_filter(restored - (0.5 * columns + 0.2 * rows), 9)[mask]
    assert np.abs(off).max() < 3  # the slope alone makes 28 from one side of the hole to the other


def test_a_pattern_keeps_its_phase():
    columns = np.arange(160)
    pixels = np.tile((columns % 16 < 8) * 100.0, (140, 1)) + np.random.default_rng(0).normal(0, 1, (140, 160))
    mask = np.zeros(pixels.shape, bool)
    mask[50:90, 60:100] = True
    restored = np.asarray(restore(read_image(np.where(mask, 300.0, pixels)), mask), float)[:, :, 0]
    assert np.abs(restored - pixels)[mask].mean() < 5


def test_missing_pixels_are_neither_copied_nor_filled():
    picture = samples.sample("leather", "stain", (128, 128), seed=0)
    pixels = picture.image.astype(np.float32)
    pixels[:20] = np.nan
    pixels[:, 100:] = np.inf
    restored = restore(read_image(pixels), picture.mask)
    missing = ~np.isfinite(pixels)
    np.testing.assert_array_equal(np.asarray(restored)[missing], pixels[missing])
    assert np.isfinite(restored[~missing]).all()


def test_where_nothing_is_left_to_copy_the_course_of_the_surroundings_is():
    pixels = np.random.default_rng(0).normal(50, 1, (40, 40))
    mask = np.ones((40, 40), bool)
    mask[:10] = False
    pixels[mask] = 90
    restored = np.asarray(restore(read_image(pixels), mask), float)
    assert np.abs(restored - 50).max() < 5
    everything = restore(read_image(pixels), np.ones((40, 40), bool))
    np.testing.assert_array_equal(everything[:, :, 0], pixels)


def test_of_a_result():
    picture = samples.sample("twill", "hole", (128, 128), seed=3)
    result = ssdnet.localize(picture.image)
    assert result.regions
    restored = result.restored
    assert restored is result.restored
    assert not restored.flags.writeable
    assert (restored != picture.image).any(axis=2)[result.mask].mean() > 0.5
    again = ssdnet.localize(restored, alarms=1e-3)
    assert not again.mask[picture.mask].any()


def test_of_a_result_without_findings_it_is_the_image():
    picture = samples.texture("leather", (64, 64), seed=0)
    result = ssdnet.localize(picture)
    assert not result.regions
    np.testing.assert_array_equal(result.restored, result.image.pixels)


def test_nothing_of_the_finding_is_left():
    pixels = np.random.default_rng(0).normal(0, 0.1, (64, 64))
    mask = np.zeros((64, 64), bool)
    mask[20:26, 30:36] = mask[40, 10:50] = True
    pixels[mask] = 9.0
    assert np.abs(np.asarray(restore(read_image(pixels), mask), float)).max() < 1.0
