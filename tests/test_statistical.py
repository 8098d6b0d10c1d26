"""The detectors `texture` and `rx`: find defects, know their symmetries, leave borders and holes alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdnet import samples
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.rx import RX
from ssdnet.detectors.texture import Texture
from ssdnet.errors import Cancelled, UsageError
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize


@pytest.fixture(scope="module", params=[Texture, RX], ids=lambda kind: kind.name)
def kind(request):
    """The class of the detector."""
    return request.param


@pytest.fixture(scope="module")
def score(kind):
    """A function that gives the `(H, W)` score of an array."""

    def run(image, *, seed=0, progress=lambda *_: None, **configuration):
        picture = read_image(image)
        scores = kind(**configuration).score(
            torch.from_numpy(standardize(picture).pixels),
            torch.tensor(picture.valid),
            generator=torch.Generator().manual_seed(seed),
            progress=progress,
        )
        return (scores[0] if scores.ndim == 3 else scores).numpy()  # by which pixels are ranked

    return run


def auroc(values, mask):
    """Probability that a defective pixel scores above a normal one."""
    order = values.ravel().argsort().argsort()
    positive = mask.ravel()
    ranks = order[positive].sum() - positive.sum() * (positive.sum() - 1) / 2
    return ranks / (positive.sum() * (~positive).sum())


def test_it_is_a_detector(kind):
    assert isinstance(kind(), Detector)


@pytest.mark.parametrize("texture", samples.TEXTURES)
def test_it_finds_a_foreign_patch_and_beats_distance_from_the_mean_colour(score, texture):
    sample = samples.sample(texture, "foreign", (192, 192), seed=3)
    values = sample.image.astype(np.float64)
    baseline = np.linalg.norm(values - np.median(values, axis=(0, 1)), axis=2)
    found = auroc(score(sample.image), sample.mask)
    assert found > max(0.9, auroc(baseline, sample.mask))


@pytest.mark.parametrize(
    "move", [lambda x: x[:, ::-1], lambda x: x[::-1], lambda x: np.rot90(x), lambda x: np.rot90(x, 2)]
)
@pytest.mark.parametrize("size", [(128, 128), (97, 131), (513, 700)])
def test_turning_the_image_turns_the_map(score, kind, move, size):
    image = samples.texture("leather", size, seed=1)
    straight = score(image)
    turned = score(np.ascontiguousarray(move(image)))
    if kind is not Texture:
        np.testing.assert_allclose(turned, move(straight), rtol=0, atol=5e-3)
        return
    # It learns its components from some of the patches only, and then from others; of sides that are even,
    # every second response is another one, too.
    there, back = np.log(turned), np.log(move(straight))
    assert np.corrcoef(there.ravel(), back.ravel())[0, 1] > 0.97
    assert np.median(np.abs(there - back)) < 0.15 * (np.quantile(back, 0.84) - np.quantile(back, 0.5))


@given(st.floats(0.01, 100), st.floats(-1e4, 1e4))
@settings(max_examples=10)
def test_an_affine_change_of_intensity_changes_nothing(score, gain, offset):
    image = samples.texture("twill", (64, 64), seed=2).astype(np.float64)
    np.testing.assert_allclose(score(image * gain + offset), score(image), atol=1e-3)


def test_a_large_offset_does_not_drown_the_contrast(score):
    image = samples.texture("twill", (64, 64), seed=2).astype(np.float64)
    np.testing.assert_allclose(score(image + 1e9), score(image), atol=1e-3)


def test_same_seed_same_bytes_and_zero_is_a_seed(score, kind):
    image = samples.texture("tile", (96, 80), seed=0)
    assert score(image, seed=0).tobytes() == score(image, seed=0).tobytes()
    random = kind is RX
    assert (score(image, seed=0).tobytes() != score(image, seed=1).tobytes()) == random


def _noise(generator, rows, columns):
    return generator.normal(size=rows.shape)


def _mesh(generator, rows, columns):
    return 200.0 * ((columns % 12 < 3) | (rows % 12 < 3)) + generator.normal(size=rows.shape) * 10


def _stripes(generator, rows, columns):
    return 100 * np.sin(columns / 3) + generator.normal(size=rows.shape) * 5


def _checkerboard(generator, rows, columns):
    return 255.0 * ((columns // 8 + rows // 8) % 2) + generator.normal(size=rows.shape) * 10


@pytest.mark.parametrize("texture", [_noise, _mesh, _stripes, _checkerboard])
@pytest.mark.parametrize("size", [(128, 128), (255, 301)])
def test_borders_are_not_brighter_than_the_rest(score, texture, size):
    """The outer pixels exceed the 99 % quantile of the inside about as often as the inside itself does."""
    generator = np.random.default_rng(5)
    shares = []
    for _ in range(3):
        values = score(texture(generator, *np.indices(size)))
        rim = np.ones(size, dtype=bool)
        rim[6:-6, 6:-6] = False
        shares.append(np.mean(values[rim] > np.quantile(values[30:-30, 30:-30], 0.99)))
    assert np.mean(shares) < 0.05


def test_the_rim_of_a_hole_is_not_brighter_than_the_rest(score):
    generator = np.random.default_rng(6)
    image = generator.normal(size=(256, 256))
    image[100:160, 90:150] = np.nan
    values = score(image)
    near = np.zeros(image.shape, dtype=bool)
    near[94:166, 84:156] = True
    near &= np.isfinite(image)
    far = np.isfinite(image) & ~near
    assert abs(values[near].mean() - values[far].mean()) < values[far].std()


@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (301, 17), (40, 40, 1), (40, 40, 2), (40, 40, 12)])
def test_any_shape_and_channel_count(score, shape):
    values = score(np.random.default_rng(0).normal(size=shape))
    assert values.shape == shape[:2]
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert values.std() > 0


def test_an_anomaly_in_one_of_many_channels_is_found(score):
    generator = np.random.default_rng(1)
    image = generator.normal(size=(96, 96, 8))
    image[40:52, 30:42, 6] += 3
    mask = np.zeros((96, 96), dtype=bool)
    mask[40:52, 30:42] = True
    assert auroc(score(image), mask) > 0.9


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_the_unit_of_one_channel_does_not_hide_another(score, unit):
    generator = np.random.default_rng(2)
    image = generator.normal(size=(96, 96, 3))
    image[40:52, 30:42, 1] += 4
    image[:, :, 0] *= unit
    mask = np.zeros((96, 96), dtype=bool)
    mask[40:52, 30:42] = True
    assert auroc(score(image), mask) > 0.95


def test_a_defect_is_found_with_half_of_the_pixels_missing(score):
    sample = samples.sample("twill", "stain", (192, 192), seed=4)
    image = sample.image.astype(np.float64)
    image[np.random.default_rng(0).random(sample.mask.shape) < 0.5] = np.nan
    values = score(image)
    seen = np.isfinite(image).all(axis=2)
    assert auroc(values[seen], sample.mask[seen]) > 0.9


def test_a_constant_image_has_a_constant_map(score):
    values = score(np.full((64, 64, 3), 7, dtype=np.uint8))
    assert np.isfinite(values).all()
    assert np.ptp(values) < 1e-6


def test_progress_rises_to_one_and_can_stop_the_work(score):
    seen = []
    score(np.random.default_rng(0).normal(size=(64, 64)), progress=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(share, message):
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        score(np.zeros((64, 64)), progress=stop)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *(
            (kind, wrong)
            for kind in (RX, Texture)
            for wrong in ({"trim": 1.0}, {"shrinkage": 0.0}, {"levels": 0})
        ),
        (RX, {"smoothing": -1.0}),
        (RX, {"orbits": 0}),
        (RX, {"kernel_size": 4}),
        (RX, {"kernel_size": 1}),
        (RX, {"pool": 1.5}),
        (RX, {"smoothing": float("inf")}),
        (Texture, {"patches": (4, 3)}),
        (Texture, {"patches": (5,)}),
        (Texture, {"patches": (), "components": ()}),
        (Texture, {"components": (12, 0)}),
        (Texture, {"components": (12.5, 8)}),
        (Texture, {"lengths": (3.0, float("inf"))}),
        (Texture, {"lengths": (3.0, 1e6)}),
        (Texture, {"widths": (0.7, "1")}),
        (Texture, {"widths": 0.7}),
    ],
)
def test_a_senseless_configuration_is_refused(kind, wrong):
    with pytest.raises(UsageError):
        kind(**wrong)
