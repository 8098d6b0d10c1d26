"""`localize` as a user calls it: invariances, missing pixels, seeds, clean images, errors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import ssdnet
from ssdnet import samples
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.rx import RX
from ssdnet.device import resolve
from ssdnet.errors import (
    Cancelled,
    DetectorError,
    DeviceUnavailableError,
    UnknownDetectorError,
    UsageError,
)
from ssdnet.progress import silent


@pytest.fixture(scope="module")
def stained():
    return samples.sample("plain_weave", "stain", (192, 224), seed=1, contrast=1.5)


def test_the_defect_is_found_and_nothing_else(stained):
    result = ssdnet.localize(stained.image)
    assert result.pred_label
    assert result.pred_score > 2
    assert (result.mask & stained.mask).sum() / stained.mask.sum() > 0.3
    assert not (result.mask & ~ndimage.binary_dilation(stained.mask, iterations=16)).any()
    assert result.anomaly_map.shape == result.log10_nfa.shape == result.labels.shape == (192, 224)
    assert result.detector == "texture"
    assert result.device == str(resolve("auto"))


@pytest.mark.parametrize("name", samples.TEXTURES)
def test_a_clean_texture_gives_nothing(name):
    """At `alarms=0.01`, 10 clean images give an alarm with probability 0.1; two have one of 0.005.

    Brushed metal is known to alarm more often, in some one of twelve pictures (docs/calibration.md).
    """
    alarms = sum(
        ssdnet.localize(samples.texture(name, (160, 160), seed=seed)).pred_label for seed in range(10)
    )
    assert alarms <= (3 if name == "brushed_metal" else 1)


def test_pure_noise_gives_nothing():
    """60 images with one expected false alarm in 100 each: four or more have a probability of 0.003."""
    generator = np.random.default_rng(7)
    alarms = 0
    for index in range(60):
        size = [(32, 32), (48, 64), (128, 128), (200, 90)][index % 4]
        shape = (*size, 3) if index % 2 else size
        noise = generator.normal(128, 20, shape) if index % 3 else generator.integers(0, 256, shape, np.uint8)
        alarms += ssdnet.localize(noise).pred_label
    assert alarms <= 3


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("shape", [(64, 64), (100, 37, 3)])
def test_a_constant_image_gives_nothing(value, shape):
    result = ssdnet.localize(np.full(shape, value, dtype=np.uint8))
    assert not result.pred_label
    assert not result.mask.any()
    assert np.isfinite(result.pred_score)
    assert any("same value" in note for note in result.notes)


def test_a_lone_spot_on_a_constant_image_is_found():
    image = np.full((64, 64), 40, dtype=np.uint8)
    image[20:26, 30:36] = 90
    result = ssdnet.localize(image)
    assert result.mask[22, 32]
    assert not result.mask[45:, :].any()


@given(
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.bool_]),
    st.integers(16, 48),
    st.integers(16, 48),
    st.sampled_from([None, 1, 2, 3, 5]),
)
@settings(max_examples=20)
def test_maps_have_the_shape_of_the_input(dtype, height, width, channels):
    shape = (height, width) if channels is None else (height, width, channels)
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    result = ssdnet.localize(image)
    assert result.anomaly_map.shape == result.log10_nfa.shape == result.mask.shape == (height, width)
    assert result.anomaly_map.dtype == result.log10_nfa.dtype == np.float32
    assert result.image.pixels.dtype == dtype
    assert np.isfinite(result.anomaly_map).all()


@given(st.sampled_from([0.5, 2.0, 3.7, -1.0]), st.floats(-50, 1e5))
@settings(max_examples=8)
def test_an_affine_change_of_intensity_changes_no_finding(gain, offset):
    image = samples.sample("twill", "hole", (96, 96), seed=5).image.astype(np.float64)
    before, after = ssdnet.localize(image), ssdnet.localize(image * gain + offset)
    assert before.regions
    assert [region.bbox for region in before.regions] == [region.bbox for region in after.regions]
    np.testing.assert_allclose(after.log10_nfa, before.log10_nfa, atol=0.05)


def test_a_turned_image_gives_the_turned_regions(stained):
    straight = ssdnet.localize(stained.image)
    turned = ssdnet.localize(np.ascontiguousarray(np.rot90(stained.image)))
    # The patches that the components are learned from are others, a fifth of them all, and so are the
    # responses whose energies are looked at, every second one.
    there, back = (np.log(values) for values in (turned.anomaly_map, np.rot90(straight.anomaly_map)))
    assert np.corrcoef(there.ravel(), back.ravel())[0, 1] > 0.98
    assert np.median(np.abs(there - back)) < 0.1
    assert straight.regions
    width = stained.mask.shape[1]
    for region, other in zip(straight.regions, turned.regions, strict=True):
        x, y, columns, rows = region.bbox
        assert other.bbox == pytest.approx((y, width - x - columns, rows, columns), abs=4)


@pytest.mark.parametrize("kind", ["nan", "roi", "alpha"])
def test_missing_pixels_have_no_influence(stained, kind):
    """Whatever stands in missing pixels: the same bytes come out."""
    generator = np.random.default_rng(3)
    missing = np.zeros(stained.mask.shape, dtype=bool)
    missing[40:90, 60:120] = True
    missing |= generator.random(missing.shape) < 0.1
    results = []
    for _ in range(2):
        image = stained.image.copy()
        image[missing] = generator.integers(0, 256, image[missing].shape)
        if kind == "nan":
            values = image.astype(np.float64)
            values[missing, generator.integers(0, 3)] = generator.choice([np.nan, np.inf, -np.inf])
            results.append(ssdnet.localize(values))
        elif kind == "roi":
            results.append(ssdnet.localize(image, roi=~missing))
        else:
            from PIL import Image

            opaque = np.where(missing, 0, 255).astype(np.uint8)
            results.append(ssdnet.localize(Image.fromarray(np.dstack([image, opaque]))))
    first, second = results
    assert first.anomaly_map.tobytes() == second.anomaly_map.tobytes()
    assert first.log10_nfa.tobytes() == second.log10_nfa.tobytes()
    np.testing.assert_array_equal(np.isnan(first.anomaly_map), missing)
    np.testing.assert_array_equal(np.isnan(first.log10_nfa), missing)
    assert not first.mask[missing].any()


def test_same_seed_same_bytes_and_zero_is_a_seed(stained):
    first, again, other = (ssdnet.localize(stained.image, detector=RX(), seed=seed) for seed in (0, 0, 1))
    assert first.anomaly_map.tobytes() == again.anomaly_map.tobytes()
    assert first.anomaly_map.tobytes() != other.anomaly_map.tobytes()
    assert (first.seed, other.seed) == (0, 1)


def test_global_random_state_is_neither_used_nor_changed(stained):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = ssdnet.localize(stained.image)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert ssdnet.localize(stained.image).anomaly_map.tobytes() == first.anomaly_map.tobytes()


def test_arrays_tensors_and_pictures_of_the_same_pixels_agree(stained):
    from PIL import Image

    sources = [
        stained.image,
        torch.from_numpy(stained.image).permute(2, 0, 1),
        Image.fromarray(stained.image),
    ]
    maps = [ssdnet.localize(source).anomaly_map.tobytes() for source in sources]
    assert len(set(maps)) == 1


def test_a_configured_detector_is_used_and_recorded(stained):
    result = ssdnet.localize(stained.image, detector=RX(levels=2, smoothing=1.0))
    assert result.detector_settings == {**dataclasses.asdict(RX()), "levels": 2, "smoothing": 1.0}
    assert result.anomaly_map.tobytes() != ssdnet.localize(stained.image).anomaly_map.tobytes()


def test_a_detector_of_ones_own():
    @dataclass(frozen=True)
    class Darkest(Detector):
        name: ClassVar[str] = "darkest"
        summary: ClassVar[str] = "dark is anomalous"
        assumes: ClassVar[str] = "a bright surface"
        source: ClassVar[str] = "this test"

        def score(self, pixels, valid, *, generator, progress=silent):
            return -pixels.mean(0)

    image = np.random.default_rng(0).normal(200, 5, (64, 64))
    image[30:34, 30:34] = 0
    result = ssdnet.localize(image, detector=Darkest())
    assert result.detector == "darkest"
    assert result.mask[31, 31]
    assert result.mask.sum() == 16


@pytest.mark.parametrize("made", ["a list", "too small", "not finite"])
def test_a_detector_that_gives_no_score_is_named(made):
    @dataclass(frozen=True)
    class Odd(Detector):
        name: ClassVar[str] = "odd"
        summary: ClassVar[str] = ""
        assumes: ClassVar[str] = ""
        source: ClassVar[str] = ""

        def score(self, pixels, valid, *, generator, progress=silent):
            if made == "a list":
                return [1.0]
            return torch.zeros(3, 3) if made == "too small" else torch.full(valid.shape, torch.inf)

    with pytest.raises(DetectorError, match="'odd'"):
        ssdnet.localize(np.random.default_rng(0).normal(size=(32, 32)), detector=Odd())


def test_a_detector_may_train():
    @dataclass(frozen=True)
    class Trained(Detector):
        name: ClassVar[str] = "trained"
        summary: ClassVar[str] = ""
        assumes: ClassVar[str] = ""
        source: ClassVar[str] = ""

        def score(self, pixels, valid, *, generator, progress=silent):
            weight = torch.ones(pixels.shape[0], requires_grad=True)
            loss = (pixels * weight[:, None, None]).square().mean()
            loss.backward()
            assert weight.grad is not None
            return (pixels * weight[:, None, None]).mean(0)

    image = np.random.default_rng(0).normal(size=(32, 32, 3))
    assert ssdnet.localize(image, detector=Trained()).detector == "trained"


def test_a_small_region_of_interest_gives_what_its_crop_gives(stained):
    """What lies around it costs nothing and changes nothing."""
    large = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    large[300 : 300 + 192, 400 : 400 + 224] = stained.image
    roi = np.zeros((700, 900), dtype=np.uint8)
    roi[300 : 300 + 192, 400 : 400 + 224] = 255
    inside, crop = ssdnet.localize(large, roi=roi), ssdnet.localize(stained.image)
    assert inside.anomaly_map[300:492, 400:624].tobytes() == crop.anomaly_map.tobytes()
    assert inside.log10_nfa[300:492, 400:624].tobytes() == crop.log10_nfa.tobytes()
    assert inside.regions[0].bbox[0] == crop.regions[0].bbox[0] + 400
    assert np.isnan(inside.anomaly_map).sum() == roi.size - 192 * 224


def test_a_handful_of_pixels_is_too_little_to_judge():
    image = np.full((200, 300), np.nan)
    image[100, 150:153] = [1.0, 5.0, 900.0]
    result = ssdnet.localize(image)
    assert not result.pred_label
    assert any("too few pixels" in note for note in result.notes)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_extreme_values_do_not_overflow(scale, stained):
    values = stained.image.astype(np.float64)
    result = ssdnet.localize(values * scale)
    assert [region.bbox for region in result.regions] == [
        region.bbox for region in ssdnet.localize(values).regions
    ]


def test_an_image_of_rounding_says_so():
    image = np.full((128, 128), 100, dtype=np.uint8)
    image[np.random.default_rng(0).random(image.shape) < 0.001] += 1
    assert any("rounding" in note for note in ssdnet.localize(image).notes)


@pytest.mark.parametrize("shape", [(16, 16), (16, 200), (33, 16)])
def test_the_smallest_images_work(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert ssdnet.localize(image).anomaly_map.shape == shape


@pytest.mark.slow
def test_a_large_image_works():
    # Not one small picture repeated: a null model that sees the same peaks again and again learns little.
    image = np.random.default_rng(0).integers(0, 255, (4096, 4096), dtype=np.uint8)
    image[3000:3030, 1000:1030] = 255
    result = ssdnet.localize(image)
    assert result.anomaly_map.shape == (4096, 4096)
    assert result.mask[3015, 1015]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"alarms": 0}, UsageError),
        ({"alarms": float("nan")}, UsageError),
        ({"alarms": float("inf")}, UsageError),
        ({"detector": "magic"}, UnknownDetectorError),
        ({"device": "abacus"}, DeviceUnavailableError),
        ({"device": "cuda:99"}, DeviceUnavailableError),
        ({"roi": np.ones((20, 20))}, UsageError),
        ({"seed": -1}, UsageError),
        ({"seed": 0.5}, UsageError),
        ({"alarms": "few"}, UsageError),
        ({"detector": 3}, UsageError),
        ({"detector": RX}, UsageError),
        ({"seed": 2**64}, UsageError),
    ],
)
def test_wrong_arguments_are_named(stained, arguments, error):
    with pytest.raises(error) as raised:
        ssdnet.localize(stained.image, **arguments)
    assert str(next(iter(arguments.values()))) in str(raised.value) or "roi" in arguments


def test_progress_can_stop_the_work(stained):
    def stop(fraction, message):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        ssdnet.localize(stained.image, progress=stop)
