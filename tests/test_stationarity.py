"""One texture, or a picture of things."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

import ssdnet
from ssdnet import samples
from ssdnet.diagnosis import STATIONARY, _gradient, stationarity
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize

WARNING = "does not look like one texture"


def judged(pixels: np.ndarray) -> float:
    image = read_image(pixels)
    return stationarity(standardize(image).pixels, image.valid)


@pytest.mark.parametrize("texture", samples.TEXTURES)
def test_textures_are_stationary_in_any_light_and_with_a_defect(texture):
    clean = samples.texture(texture, (160, 200), seed=5)
    assert judged(clean) > STATIONARY
    light = np.linspace(0.5, 1.0, 200)[None, :, None]
    assert judged((clean * light).astype(np.uint8)) > 0.6
    clean[4:34, 4:40] = 40  # inside one block
    assert judged(clean) > STATIONARY


@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
def test_photographs_of_textures_are_stationary(name):
    assert judged(getattr(skimage.data, name)()) > STATIONARY


@pytest.mark.parametrize("name", ["camera", "astronaut", "chelsea", "rocket", "clock", "page"])
def test_pictures_of_things_are_not(name):
    assert judged(getattr(skimage.data, name)()) < STATIONARY


def test_it_is_the_spread_of_the_structure_of_four_by_four_blocks():
    noise = np.random.default_rng(0).normal(size=(512, 512))
    for step in (0.0, 0.15, 0.3):
        contrast = np.exp(step * np.arange(4)).repeat(128)[:, np.newaxis]
        # Of a Gaussian these quantiles are 1.683 standard deviations apart.
        low, high = np.quantile(np.repeat(step * np.arange(4), 4), [0.2, 0.8])
        assert judged(noise * contrast) == pytest.approx(np.exp(-(high - low) / 1.683), abs=0.04)


def test_a_defect_on_three_blocks_of_sixteen_says_nothing_of_the_others():
    noise = np.random.default_rng(1).normal(size=(256, 256))
    whole = judged(noise)
    noise[:64, :192] *= 5
    assert judged(noise) == pytest.approx(whole, abs=0.05)
    noise[:64, 192:] *= 5  # a fourth
    assert judged(noise) < STATIONARY


def test_missing_pixels_do_not_count():
    clean = samples.texture("twill", (160, 200), seed=5).astype(np.float64)
    whole = judged(clean)
    clean[:, 120:] = np.nan
    assert judged(clean) == pytest.approx(whole, abs=0.1)


def test_a_flat_picture_and_a_tiny_one_do_not_fail():
    assert judged(np.full((40, 40), 7, dtype=np.uint8)) == 1
    assert 0 < judged(np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)) <= 1


@pytest.mark.parametrize("shape", [(16, 6200), (6200, 16), (48, 5000)])
def test_strips_do_not_fail(shape):
    assert judged(np.random.default_rng(0).normal(size=shape)) > STATIONARY


def test_only_the_region_of_interest_counts():
    picture = skimage.data.camera()
    box = slice(100, 260), slice(150, 310)
    roi = np.zeros(picture.shape, dtype=np.uint8)
    roi[box] = 255
    inside = ssdnet.localize(picture, detector="rx", roi=roi)
    assert inside.stationarity == pytest.approx(judged(picture[box]), abs=0.02)


def test_the_result_and_its_json_say_so(tmp_path):
    result = ssdnet.localize(skimage.data.camera()[::2, ::2], detector="rx")
    assert any(WARNING in note for note in result.notes)
    result.save(tmp_path, stem="photo", formats=["json"])
    record = json.loads((tmp_path / "photo.json").read_text())
    assert record["stationarity"] == pytest.approx(result.stationarity)
    assert any(WARNING in note for note in record["notes"])
    calm = ssdnet.localize(samples.texture("twill", (160, 200), seed=5), detector="rx")
    assert not any(WARNING in note for note in calm.notes)


@pytest.mark.parametrize("shape", [(3, 9), (40, 31), (200, 300)])
@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (3, 4)])
def test_the_gradient_is_that_of_scipy(shape, steps):
    grey = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    along, across = (ndimage.gaussian_filter(grey, 1.0, order=order) for order in ((1, 0), (0, 1)))
    expected = np.hypot(along, across)[:: steps[0], :: steps[1]]
    np.testing.assert_allclose(_gradient(np.stack([grey + 1, grey - 1]), *steps), expected, atol=1e-6)
