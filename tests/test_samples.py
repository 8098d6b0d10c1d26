"""The synthetic photographs: shapes, seeds, and masks that tell the truth."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from ssdnet import samples
from ssdnet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

PAIRS = [(texture, defect) for texture in samples.TEXTURES for defect in samples.defects_of(texture)]
SMALL = (64, 80)


@functools.cache
def clean_texture(texture: str, size: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    """The clean picture, made once."""
    return samples.texture(texture, size, seed=seed)


@pytest.mark.parametrize("size", [(16, 16), (33, 71), (128, 97), (16, 200)])
@pytest.mark.parametrize("texture", samples.TEXTURES)
def test_a_texture_has_the_asked_size_and_is_not_flat(texture: str, size: tuple[int, int]) -> None:
    image = samples.texture(texture, size, seed=5)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8
    # More than sensor noise, and neither black nor burnt out.
    smooth = ndimage.gaussian_filter(image.mean(axis=2), 0.7)
    assert smooth.std() > 2.5
    assert len(np.unique(image)) > 20
    assert 40 < image.mean() < 225
    assert np.mean((image == 0) | (image == 255)) < 0.05


@pytest.mark.parametrize("texture", samples.TEXTURES)
def test_the_seed_decides_every_byte(texture: str) -> None:
    first = samples.texture(texture, SMALL, seed=0)
    assert np.array_equal(first, samples.texture(texture, SMALL, seed=0))
    for other in (1, 2, 2**40):
        image = samples.texture(texture, SMALL, seed=other)
        grey = (first.mean(axis=2).ravel(), image.mean(axis=2).ravel())
        assert abs(np.corrcoef(*grey)[0, 1]) < 0.6
        assert not np.array_equal(first, image)


def test_the_default_seed_is_zero() -> None:
    assert np.array_equal(samples.texture("twill", SMALL), samples.texture("twill", SMALL, seed=0))


def test_nothing_depends_on_or_touches_the_global_generator() -> None:
    np.random.seed(1)  # noqa: NPY002 - the global state is what is tested
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    first = samples.sample("leather", "cut", SMALL, seed=3)
    assert np.random.random() == expected  # noqa: NPY002
    assert np.array_equal(first.image, samples.sample("leather", "cut", SMALL, seed=3).image)


@pytest.mark.parametrize("texture", samples.TEXTURES)
def test_a_texture_is_the_same_all_over(texture: str) -> None:
    image = samples.texture(texture, (256, 256), seed=2).astype(np.float32).mean(axis=2)
    detail = image - ndimage.gaussian_filter(image, 12)
    quarters = [detail[y : y + 128, x : x + 128].std() for y in (0, 128) for x in (0, 128)]
    assert max(quarters) < 1.5 * min(quarters)


@pytest.mark.parametrize("texture", samples.TEXTURES)
def test_the_scale_does_not_depend_on_the_size(texture: str) -> None:
    # How fast the picture changes from pixel to pixel, relative to how much it varies, is its scale.
    def roughness(size: tuple[int, int]) -> float:
        grey = samples.texture(texture, size, seed=4).astype(np.float32).mean(axis=2)
        detail = grey - ndimage.gaussian_filter(grey, 6)
        return float(
            np.hypot(np.diff(detail, axis=0)[:, 1:], np.diff(detail, axis=1)[1:]).mean() / detail.std()
        )

    assert roughness((400, 300)) == pytest.approx(roughness((128, 128)), rel=0.2)


def test_yarns_are_as_far_apart_in_a_large_picture_as_in_a_small_one() -> None:
    def pitch(size: tuple[int, int]) -> float:
        grey = samples.texture("plain_weave", size, seed=1).astype(np.float32).mean(axis=2)
        profile = grey.mean(axis=0)[: min(size[1], 256)]
        spectrum = np.abs(np.fft.rfft(profile - ndimage.gaussian_filter(profile, 10), 2048))
        return float(2048 / spectrum.argmax())

    assert pitch((48, 128)) == pytest.approx(pitch((96, 512)), rel=0.1)
    assert 6 < pitch((48, 128)) < 24


@pytest.mark.parametrize(("texture", "defect"), PAIRS)
@pytest.mark.parametrize(("size", "seed"), [((256, 256), 0), ((150, 180), 7)])
def test_the_mask_is_where_the_picture_changed(
    texture: str, defect: str, size: tuple[int, int], seed: int
) -> None:
    clean = clean_texture(texture, size, seed)
    sample = samples.sample(texture, defect, size, seed=seed)
    assert (sample.texture, sample.defect, sample.seed) == (texture, defect, seed)
    assert sample.image.shape == clean.shape
    assert sample.image.dtype == np.uint8
    assert sample.mask.shape == clean.shape[:2]
    assert sample.mask.dtype == np.bool_
    assert 0.002 < sample.mask.mean() < 0.3
    assert np.array_equal(sample.image[~sample.mask], clean[~sample.mask])
    change = np.abs(sample.image.astype(int) - clean.astype(int)).max(axis=2)[sample.mask]
    # Rounding may take up to a level; the gaps that were closed are a small part.
    assert np.mean(change >= samples.VISIBLE - 1) > 0.55
    assert change.mean() > samples.VISIBLE


@pytest.mark.parametrize(("texture", "defect"), PAIRS)
def test_a_defect_shows_in_the_smallest_picture(texture: str, defect: str) -> None:
    size = (samples.MIN_SIDE, samples.MIN_SIDE)
    sample = samples.sample(texture, defect, size, seed=1)
    assert sample.mask.any()
    assert not np.array_equal(sample.image, samples.texture(texture, size, seed=1))


@pytest.mark.parametrize("defect", samples.DEFECTS)
def test_a_defect_is_not_the_same_for_every_seed(defect: str) -> None:
    first, other, again = (samples.sample("plain_weave", defect, SMALL, seed=k).mask for k in (0, 1, 0))
    assert not np.array_equal(first, other)
    assert np.array_equal(first, again)


@pytest.mark.parametrize("defect", ["stain", "hole", "scratch"])
def test_contrast_scales_the_change(defect: str) -> None:
    clean = samples.texture("wood", seed=1).astype(int)

    def change(contrast: float) -> tuple[int, int]:
        sample = samples.sample("wood", defect, seed=1, contrast=contrast)
        return int(np.abs(sample.image - clean).sum()), int(sample.mask.sum())

    full, half, none = change(1.0), change(0.5), change(0.0)
    assert none == (0, 0)
    assert 0.35 * full[0] < half[0] < 0.6 * full[0]
    assert 0 < half[1] <= full[1]


def test_a_missing_yarn_is_a_narrow_line_along_the_yarns() -> None:
    mask = samples.sample("twill", "missing_yarn", seed=2).mask
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    assert columns.size < 40
    assert np.ptp(rows) > 90


def test_a_sample_without_defect_is_the_clean_texture() -> None:
    sample = samples.sample("tile", size=SMALL, seed=6)
    assert not sample.mask.any()
    assert sample.defect is None
    assert np.array_equal(sample.image, samples.texture("tile", SMALL, seed=6))


def test_the_demo_has_several_separate_defects() -> None:
    demo = samples.demo()
    assert demo.image.shape == (384, 512, 3)
    assert demo.defect == "knot+stain+hole"
    assert 0.005 < demo.mask.mean() < 0.1
    labels, count = ndimage.label(demo.mask, np.ones((3, 3)))
    areas = ndimage.sum_labels(demo.mask, labels, np.arange(1, count + 1))
    assert (areas > 300).sum() >= 3
    clean = samples.texture(demo.texture, (384, 512), seed=demo.seed)
    assert np.array_equal(demo.image[~demo.mask], clean[~demo.mask])
    assert np.array_equal(samples.demo(clean=True).image, clean)
    assert not samples.demo(clean=True).mask.any()


def test_a_sample_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        samples.sample("wood", size=(16, 16)).seed = 4  # type: ignore[misc]


def test_only_the_weaves_can_miss_a_yarn() -> None:
    woven = [texture for texture in samples.TEXTURES if "missing_yarn" in samples.defects_of(texture)]
    assert woven == ["plain_weave", "twill"]
    with pytest.raises(UsageError, match=r"leather cannot have 'missing_yarn'; it can have stain, .*blur"):
        samples.sample("leather", "missing_yarn")


@pytest.mark.parametrize(
    "call",
    [
        lambda: samples.texture("velvet"),
        lambda: samples.sample("velvet", "stain"),
        lambda: samples.defects_of("velvet"),
    ],
)
def test_an_unknown_texture_is_refused_with_the_list(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=r"'velvet'.*plain_weave, twill, .*asphalt"):
        call()


def test_an_unknown_defect_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"'moth'.*stain, hole, .*blur"):
        samples.sample("twill", "moth")


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (15, 64)},
        {"size": (64, 0)},
        {"size": (64, 64, 3)},
        {"size": (64.5, 64)},
        {"seed": -1},
        {"seed": 0.5},
        {"contrast": -0.1},
        {"contrast": float("nan")},
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        samples.sample("wood", "stain", **arguments)


def test_importing_the_package_loads_no_scipy() -> None:
    code = "import sys, ssdnet.samples; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
