"""What is said about a region: the right words, none about clean places, and normal patches like it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from scipy import ndimage

import ssdnet.export
from ssdnet import samples
from ssdnet.calibration.regions import find_regions
from ssdnet.explanation import MOST_EXPLAINED, explain
from ssdnet.explanation.local_statistics import leading_components, periods
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.picture.layout import Layout
from ssdnet.picture.overlay import figure
from ssdnet.picture.reasons import wrapped
from ssdnet.pipeline import localize

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.result import Difference, Explanation, Region

SCHEMA = json.loads((Path(ssdnet.export.__file__).parent / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def explained(pixels: npt.NDArray[Any], mask: npt.NDArray[np.bool_], gap: int = 0) -> tuple[Region, ...]:
    """The regions of a mask with their explanations."""
    image = read_image(pixels)
    evidence = np.where(mask, -5.0, 1.0).astype(np.float32)
    evidence[~image.valid] = np.nan
    labels, regions = find_regions(-evidence, evidence, 1e-2, gap=(gap, gap))
    return explain(standardize(image), image.valid, -evidence, labels, regions)


def explanation(pixels: npt.NDArray[Any], mask: npt.NDArray[np.bool_], gap: int = 0) -> Explanation:
    told = explained(pixels, mask, gap)[0].explanation
    assert told is not None
    return told


def kinds(told: Explanation) -> dict[str, Difference]:
    assert told.differences is not None
    return {difference.kind: difference for difference in told.differences}


def spot(size: tuple[int, int] = (160, 160), at: tuple[int, int] = (70, 80), side: int = 24) -> Any:
    """A square."""
    mask = np.zeros(size, dtype=bool)
    mask[at[0] : at[0] + side, at[1] : at[1] + side] = True
    return mask


def cloud(seed: int = 0, size: tuple[int, int] = (160, 160), sigma: float = 1.5) -> npt.NDArray[np.float64]:
    """A random texture of mean 100 and standard deviation 10."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), sigma, mode="wrap")
    texture: npt.NDArray[np.float64] = 100 + 10 * noise / noise.std()
    return texture


def weave(size: tuple[int, int] = (160, 160), period: int = 12) -> npt.NDArray[np.float64]:
    """A regular texture with a little noise."""
    rows, columns = np.mgrid[: size[0], : size[1]] * (2 * np.pi / period)
    noise = np.random.default_rng(0).normal(0, 2, size)
    pattern: npt.NDArray[np.float64] = 100 + 12 * (np.sin(rows) + np.sin(columns)) + noise
    return pattern


# Words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "words"), [(-25, "darker"), (25, "brighter")])
def test_brightness(change: float, words: str) -> None:
    mask = spot()
    told = explanation(cloud() + change * mask, mask)
    assert told.differences is not None
    assert told.differences[0].words == words
    assert np.sign(told.differences[0].size) == np.sign(change)
    assert told.words.startswith(words)
    assert told.words.endswith("than normal places")


def test_uneven_light_hides_no_stain() -> None:
    mask = spot()
    light = np.linspace(0.5, 1.5, 160)[:, np.newaxis]
    assert kinds(explanation((cloud() - 15 * mask) * light, mask))["brightness"].words == "darker"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((30, 0, 0), "redder"),
        ((15, 15, -15), "more yellow"),
        ((0, 30, 0), "greener"),
        ((0, 0, 30), "bluer"),
        ((20, -20, 20), "more purple"),
        ((-20, 15, 15), "more blue-green"),
        ((25, 10, -20), "more orange"),
    ],
)
def test_colour(change: tuple[int, int, int], words: str) -> None:
    mask = spot()
    pixels = cloud()[..., np.newaxis] + np.random.default_rng(1).normal(0, 2, (160, 160, 3))
    told = kinds(explanation(pixels + mask[..., np.newaxis] * np.array(change), mask))
    assert told["colour"].words == words


def test_what_loses_its_colour_is_greyer() -> None:
    mask = spot()
    pixels = cloud()[..., np.newaxis] * np.array([1.2, 1.0, 0.7])
    pixels[mask] = pixels[mask].mean(axis=1, keepdims=True)
    assert kinds(explanation(pixels, mask))["colour"].words == "greyer"


def test_a_shadow_has_no_colour() -> None:
    mask = spot()
    pixels = cloud()[..., np.newaxis] * np.array([1.2, 1.0, 0.7])
    pixels[mask] *= 0.7
    told = kinds(explanation(pixels, mask))
    assert "brightness" in told
    assert "colour" not in told


def test_a_stain_in_colour() -> None:
    sample = samples.sample("leather", "stain", seed=1)
    told = kinds(explanation(sample.image, sample.mask, 20))
    assert told["brightness"].words == "darker"
    assert told["colour"].words == "more orange"


def test_contrast_and_scale() -> None:
    mask = spot(side=40)
    fine, coarse = cloud(), cloud(1, sigma=3)
    rough = explanation(np.where(mask, 100 + 3 * (fine - 100), fine), mask)
    assert kinds(rough)["contrast"].words == "rougher"
    smooth = explanation(np.where(mask, 100 + 0.3 * (fine - 100), fine), mask)
    assert kinds(smooth)["contrast"].words == "smoother"
    assert kinds(explanation(np.where(mask, coarse, fine), mask))["scale"].words == "coarser"
    assert kinds(explanation(np.where(mask, fine, coarse), mask))["scale"].words == "finer"


def test_another_direction_is_named_where_there_is_one() -> None:
    mask = spot(side=40)
    noise = np.random.default_rng(0).normal(size=(160, 160))
    across, down = (100 + 40 * ndimage.gaussian_filter(noise, sigma) for sigma in ((1, 8), (8, 1)))
    told = kinds(explanation(np.where(mask, down, across), mask))
    assert told["orientation"].words == "it runs in another direction"
    assert "orientation" not in kinds(explanation(np.where(mask, down, cloud()), mask))


def test_a_broken_pattern_is_named_where_there_is_one() -> None:
    mask = spot(side=30)
    told = explanation(np.where(mask, cloud(sigma=3), weave()), mask)
    assert kinds(told)["regularity"].words == "its regular pattern is broken"
    assert "its regular pattern is broken" in told.words
    shifted = np.where(mask, np.roll(weave(), (6, 6), (0, 1)), weave())
    assert "regularity" in kinds(explanation(shifted, mask))
    assert "regularity" not in kinds(explanation(np.where(mask, cloud(sigma=3), cloud()), mask))


def test_a_fold_has_two_sides() -> None:
    mask = spot(side=32)
    pixels = cloud()
    pixels[70:86, 80:112] += 20
    pixels[86:102, 80:112] -= 20
    told = kinds(explanation(pixels, mask))
    assert "brightness" not in told
    assert told["unevenness"].words == "it has lighter and darker parts"


@pytest.mark.parametrize(
    ("texture", "defect", "words"),
    [
        ("twill", "stain", "darker"),
        ("leather", "hole", "darker"),
        ("asphalt", "scratch", "brighter"),
        ("plain_weave", "blur", "smoother"),
        ("twill", "foreign", "its regular pattern is broken"),
        ("wood", "scratch", "it runs in another direction"),
    ],
)
def test_defects_of_samples(texture: str, defect: str, words: str) -> None:
    sample = samples.sample(texture, defect, seed=1)
    assert words in explanation(sample.image, sample.mask, 20).words


@pytest.mark.parametrize("channels", [2, 7])
def test_channels_that_are_no_colours_are_numbered(channels: int) -> None:
    mask = spot()
    pixels = np.stack([cloud(seed) for seed in range(channels)], axis=2)
    pixels[mask, 1] += 30
    told = kinds(explanation(pixels, mask))
    assert told["channel"].words == "channel 2 is higher"
    pixels[mask, 1] -= 60
    assert "channel 2 is lower" in explanation(pixels, mask).words


def test_clean_places_get_words_rarely() -> None:
    count = wordy = 0
    rng = np.random.default_rng(0)
    for texture in samples.TEXTURES:
        for seed in (200, 201):
            pixels = samples.texture(texture, (160, 160), seed=seed)
            for side in (5, 12, 24):
                mask = spot(
                    at=(int(rng.integers(0, 160 - side)), int(rng.integers(0, 160 - side))), side=side
                )
                told = explanation(pixels, mask)
                count += 1
                wordy += bool(told.differences)
                if not told.differences:
                    assert told.words == "unlike its surroundings in no single way"
    assert count == 42
    assert wordy <= 2


# Awkward images ---------------------------------------------------------------------------------------


def test_missing_pixels_are_not_compared() -> None:
    mask = spot()
    pixels = cloud() - 25 * mask
    pixels[74:80, 84:90] = np.nan
    pixels[:, 20:40] = np.nan
    told = explanation(pixels, mask)
    assert kinds(told)["brightness"].words == "darker"
    assert len(told.similar) == 3
    for patch in told.similar:
        x, y, wide, tall = patch.bbox
        assert np.isfinite(pixels[y : y + tall, x : x + wide]).all()


@pytest.mark.parametrize("at", [(0, 0), (0, 140), (140, 70)])
def test_a_region_at_the_border(at: tuple[int, int]) -> None:
    mask = spot(at=at, side=20)
    told = explanation(cloud() + 30 * mask, mask)
    assert "brighter" in told.words
    x, y, wide, tall = told.patch
    assert 0 <= x <= 160 - wide
    assert 0 <= y <= 160 - tall


def test_a_region_larger_than_half_of_the_image() -> None:
    mask = np.zeros((120, 120), dtype=bool)
    mask[:, :80] = True
    told = explanation(cloud(size=(120, 120)) - 40 * mask, mask)
    assert "darker" in told.words
    everything = explanation(cloud(size=(120, 120)), np.ones((120, 120), dtype=bool))
    assert everything.differences is None
    assert everything.words == "too few normal places to compare it with"
    assert everything.similar == ()


@pytest.mark.parametrize("shape", [(16, 16), (16, 400), (17, 23, 3)])
def test_tiny_images(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).normal(100, 5, shape)
    mask = np.zeros(shape[:2], dtype=bool)
    mask[6:9, 7:10] = True
    pixels[mask] += 60
    told = explanation(pixels, mask)
    assert "brighter" in told.words
    assert told.patch[2:] == (min(19, *shape[:2]),) * 2


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_a_drawing_without_noise(value: float) -> None:
    pixels = np.full((64, 64), value)
    mask = spot((64, 64), (20, 20), 6)
    told = explanation(pixels + 50 * mask, mask)
    assert "brighter" in told.words
    assert [patch.distance for patch in told.similar] == [told.similar[0].distance] * 3
    assert explanation(pixels, mask).differences == ()


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e306])
def test_the_unit_does_not_matter(unit: float) -> None:
    mask = spot()
    pixels = cloud()[..., np.newaxis] * np.array([1.2, 1.0, 0.7]) * unit
    pixels[mask] *= np.array([0.6, 0.4, 0.4])
    assert explanation(pixels, mask).words.startswith("redder, darker")


def test_numbers_below_zero_are_no_light() -> None:
    mask = spot()
    pixels = cloud()[..., np.newaxis] - 100 + np.random.default_rng(1).normal(0, 2, (160, 160, 3))
    pixels[mask, 2] += 40
    assert kinds(explanation(pixels, mask))["colour"].words == "bluer"


def test_one_pixel_is_enough() -> None:
    mask = spot(side=1)
    assert "brighter" in explanation(cloud() + 60 * mask, mask).words


def test_a_long_region_in_a_large_image_is_compared_where_it_ends() -> None:
    pixels = cloud(size=(900, 800))
    mask = np.zeros((900, 800), dtype=bool)
    mask[100:800, 0:500] = True
    told = explanation(pixels - 30 * mask, mask)
    assert "darker" in told.words
    assert told.similar


def test_of_a_large_region_the_most_unusual_place_is_shown() -> None:
    pixels = cloud()
    mask = spot(at=(20, 10), side=130)
    pixels[130:140, 20:30] += 80
    image = read_image(pixels)
    score = mask.astype(np.float32)
    score[130:140, 20:30] = 9
    labels, regions = find_regions(score, np.where(mask, -5, 1).astype(np.float32), 1e-2)
    told = explain(standardize(image), image.valid, score, labels, regions)[0].explanation
    assert told is not None
    x, y, wide, tall = told.patch
    assert wide == tall == 96
    assert x <= 20
    assert y + tall >= 140


def test_only_the_first_regions_are_explained() -> None:
    mask = np.zeros((160, 160), dtype=bool)
    mask[4::24, 4::24] = True
    regions = explained(cloud(), mask)
    assert len(regions) > MOST_EXPLAINED
    assert all((region.explanation is not None) == (region.id <= MOST_EXPLAINED) for region in regions)


def test_explaining_changes_nothing_and_repeats() -> None:
    image = read_image(cloud() + 30 * spot())
    standardized = standardize(image)
    before = standardized.pixels.copy()
    evidence = np.where(spot(), -5.0, 1.0).astype(np.float32)
    labels, regions = find_regions(-evidence, evidence, 1e-2)
    first = explain(standardized, image.valid, -evidence, labels, regions)
    np.testing.assert_array_equal(before, standardized.pixels)
    assert first == explain(standardized, image.valid, -evidence, labels, regions)
    assert [dataclasses.replace(region, explanation=None) for region in first] == list(regions)
    assert explain(standardized, image.valid, -evidence, np.zeros_like(labels), ()) == ()


# Similar patches --------------------------------------------------------------------------------------


def test_similar_patches_are_normal_inside_and_different_places() -> None:
    mask = spot(side=20) | spot(at=(10, 10), side=30)
    for region in explained(cloud() + 30 * mask, mask):
        told = region.explanation
        assert told is not None
        assert len(told.similar) == 3
        distances = [patch.distance for patch in told.similar]
        assert distances == sorted(distances)
        for number, patch in enumerate(told.similar):
            x, y, wide, tall = patch.bbox
            assert (wide, tall) == told.patch[2:]
            assert min(x, y) >= 0
            assert max(x + wide, y + tall) <= 160
            assert not mask[y : y + tall, x : x + wide].any()
            for other in told.similar[:number]:
                shared = max(0, wide - abs(x - other.bbox[0])) * max(0, tall - abs(y - other.bbox[1]))
                assert shared <= wide * tall / 2


def test_the_distance_is_the_root_mean_square() -> None:
    pixels = np.random.default_rng(0).normal(size=(60, 50, 3))
    mask = spot((60, 50), (20, 20), 4)
    told = explanation(pixels, mask)
    standard = standardize(read_image(pixels)).pixels

    def patch(bbox: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
        x, y, wide, tall = bbox
        return standard[:, y : y + tall, x : x + wide]

    assert len(told.similar) == 3
    for similar in told.similar:
        difference = patch(similar.bbox) - patch(told.patch)
        assert similar.distance == pytest.approx(float(np.sqrt(np.square(difference).mean())), rel=1e-4)


def test_in_a_regular_texture_they_are_at_the_same_phase() -> None:
    mask = spot(side=18)
    told = explanation(np.where(mask, 60.0, weave()), mask)
    assert len(told.similar) == 3
    for patch in told.similar:
        assert (patch.bbox[0] - told.patch[0]) % 12 in {0, 1, 11}
        assert (patch.bbox[1] - told.patch[1]) % 12 in {0, 1, 11}


def test_the_period_is_found() -> None:
    clean = np.ones((160, 160), dtype=bool)
    found = periods((weave() - 100).astype(np.float32), clean)
    assert sorted(found) == [(0, 12), (12, 0)]
    assert periods((cloud() - 100).astype(np.float32), clean) == ()
    stripes = np.broadcast_to(np.sin(np.arange(160) * 2 * np.pi / 10), (160, 160)).astype(np.float32)
    striped = periods(stripes, clean)
    assert striped
    assert all(across % 10 in {0, 1, 9} and across != 0 for _, across in striped)


def test_leading_components_keep_the_contrast_and_its_sign() -> None:
    pixels = np.stack([cloud(0), cloud(0), 100 + (cloud(1) - 100) / 10]).astype(np.float32) - 100
    clean = np.ones((160, 160), dtype=bool)
    (main,) = leading_components(pixels, clean, 1)
    assert np.corrcoef(main.ravel(), pixels[0].ravel())[0, 1] > 0.99
    np.testing.assert_array_equal(leading_components(pixels, clean, 3), pixels)


# Files ------------------------------------------------------------------------------------------------


def test_the_record_and_the_picture_of_a_whole_run(tmp_path: Path) -> None:
    sample = samples.sample("asphalt", "foreign", (160, 160), seed=1)
    result = localize(sample.image, alarms=1.0)
    assert result.regions
    record = result.to_dict()
    VALIDATOR.validate(record)
    region = record["regions"][0]
    assert region["expected"].endswith(("clean images", "clean image"))
    told = result.regions[0].explanation
    assert told is not None
    assert region["explanation"]["words"] == told.words
    assert region["explanation"]["patch"] == list(told.patch)
    assert len(region["explanation"]["similar"]) == len(told.similar)
    first, second = result.save(tmp_path / "a", formats=["overlay", "csv"])
    again, _ = result.save(tmp_path / "b", formats=["overlay", "csv"])
    assert first.read_bytes() == again.read_bytes()
    assert told.words in second.read_text()
    shown = [text.get_text() for text in figure(result).texts]
    assert any(text in told.words for text in shown if len(text) > 5)
    assert "most like it among normal places" in shown


def test_the_picture_has_a_strip_only_when_something_is_found() -> None:
    result = localize(samples.texture("asphalt", (64, 64)))
    assert not result.regions
    assert "in what way each differs" not in [text.get_text() for text in figure(result).texts]


@pytest.mark.parametrize("size", [(640, 640), (250, 2000), (2000, 60), (20, 640), (512, 16)])
@pytest.mark.parametrize("layers", [False, True])
def test_nothing_of_the_strip_overlaps(size: tuple[int, int], layers: bool) -> None:
    plain = Layout.of(*size)
    if layers:
        plain = plain.with_layers(*size)
    for sides in ([16], [96, 20], [48] * 20):
        layout = plain.with_reasons(sides)
        assert 1 <= len(layout.reasons) <= 4
        assert layout.width == plain.width
        boxes = []
        for cell, side in zip(layout.reasons, sides, strict=False):
            assert cell[1] > plain.height
            boxes.append(cell)
            for x, y, wide, tall in layout.patches(cell, side):
                assert cell[0] <= x
                assert cell[1] <= y
                assert x + wide <= cell[0] + cell[2]
                assert y + tall <= cell[1] + cell[3]
        for number, (x, y, wide, tall) in enumerate(boxes):
            assert x + wide <= layout.width
            assert y + tall <= layout.height
            for other in boxes[:number]:
                assert x >= other[0] + other[2] or y >= other[1] + other[3]
    assert plain.with_reasons([]) == plain


def test_the_longest_words_fit_into_two_lines() -> None:
    tail = (
        "its regular pattern is broken",
        "it has lighter and darker parts",
        "it runs in another direction",
    )
    longest = (
        "; ".join(tail),
        "darker, more blue-green and smoother than normal places",
        "smoother than normal places; channel 127 is higher; channel 129 is higher",
        "more blue-green than normal places; it has lighter and darker parts; it runs in another direction",
    )
    narrowest = min(
        Layout.of(*size).with_reasons([16] * 20).reasons[0][2]
        for size in ((640, 640), (2000, 60), (250, 800))
    )
    for words in longest:
        assert len(wrapped(words, narrowest - 29, 9)) <= 2
    assert wrapped("a bb", 1, 9) == ["a", "bb"]
