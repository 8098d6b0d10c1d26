"""The shape of a region at normal places: when a difference is one, and which are worth saying."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from ssdnet.explanation.comparison import compare, distance, telling
from ssdnet.explanation.differences import _hue, differences
from ssdnet.explanation.surroundings import Surroundings


def around(pixels, mask, valid=None, offset=0.0):
    pixels = np.asarray(pixels, dtype=np.float32)
    count = len(pixels)
    return Surroundings(
        top=0,
        left=0,
        pixels=pixels,
        offset=np.full(count, offset),
        scale=np.ones(count),
        score=mask.astype(np.float32),
        labels=mask.astype(np.uint16),
        valid=np.ones(mask.shape, dtype=bool) if valid is None else valid,
    )


def box(shape, rows, columns):
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def noise(shape=(1, 120, 120), seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def kinds(pixels, mask, offset=0.0):
    told = differences(around(pixels, mask, offset=offset), np.argwhere(mask))
    assert told is not None
    return {difference.kind: difference for difference in told}


# When a difference is one -------------------------------------------------------------------------------


def test_a_distance_is_in_median_absolute_deviations_of_the_others():
    others = np.random.default_rng(0).normal(3, 2, 20_001)
    assert distance(np.array([3 + 2 * 5, *others]), 1e-9)[0] == pytest.approx(5, rel=0.03)
    # What has no spread is divided by the least that is seen.
    np.testing.assert_allclose(distance(np.array([4.0, 3.0, 3.0, 3.0]), 0.5), [2, 0, 0, 0])


def test_it_tells_from_the_limit_on_and_beyond_99_of_100_others():
    calm = np.linspace(-1, 1, 1000)
    assert telling(np.array([4.0, *calm]), 4.0)
    assert telling(np.array([-4.0, *calm]), 4.0)
    assert not telling(np.array([3.99, *calm]), 4.0)
    for wild, tells in ((5, True), (20, False)):
        others = calm.copy()
        others[:wild] = 9
        assert telling(np.array([6.0, *others]), 4.0) == tells


def test_the_fewer_places_there_are_the_larger_a_difference_must_be():
    limits = []
    for size in (60, 120, 240):
        mask = box((size, size), slice(20, 30), slice(20, 30))
        surroundings = around(noise((1, size, size)), mask)
        comparison = compare(surroundings, np.argwhere(mask))
        assert comparison is not None
        places = np.count_nonzero(surroundings.clean) / 100
        assert comparison.limit == pytest.approx(4 * (1 + 2 / places))
        limits.append(comparison.limit)
    assert limits == sorted(limits, reverse=True)


def test_normal_places_are_normal_and_at_most_256():
    pixels = np.zeros((1, 120, 120))
    mask, valid = box((120, 120), slice(50, 60), slice(50, 60)), np.ones((120, 120), dtype=bool)
    valid[:, 80:90] = False
    # What is not normal, and three pixels about it, is loud.
    pixels[:, 47:63, 47:63] = pixels[:, :, 77:93] = 1000
    comparison = compare(around(pixels, mask, valid), np.argwhere(mask))
    assert comparison is not None
    assert len(comparison.channels) <= 257
    assert len(comparison.channels) > 200
    quiet = around(np.where(pixels > 0, 0, pixels), mask, valid)
    light = around(pixels, mask, valid).evened - quiet.evened
    assert (
        np.abs(comparison.channels[1:]).max() <= np.abs(light[0][around(pixels, mask, valid).clean]).max() * 2
    )


def test_with_fewer_than_twelve_places_nothing_is_said():
    def places(size):
        mask = box((size, 16), slice(0, 10), slice(3, 13))
        comparison = compare(around(noise((1, size, 16)), mask), np.argwhere(mask))
        return 0 if comparison is None else len(comparison.channels) - 1

    # Below the region and the three rows after it, a shape of ten rows and columns has seven places a row.
    assert places(23) == 0  # one row
    assert places(24) == 14


def test_a_normal_place_is_a_part_of_the_light_that_was_taken_off():
    mask = box((120, 120), slice(50, 60), slice(50, 70))
    surroundings = around(noise(), mask)
    comparison = compare(surroundings, np.argwhere(mask))
    assert comparison is not None
    evened = surroundings.evened[0]
    means = ndimage.uniform_filter(evened.astype(np.float64), (10, 20), origin=(-5, -10))[:111, :101]
    share = 200 / (41 * 41)
    for value in comparison.channels[1:, 0]:
        assert np.abs(means / (1 - share) - value).min() < 1e-5
    assert comparison.channels[0, 0] == pytest.approx(evened[mask].mean(), abs=1e-5)


@pytest.mark.parametrize(("thickness", "scales"), [(1, 1), (9, 1), (10, 2), (20, 3), (42, 4)])
def test_only_scales_finer_than_a_shape_tell_about_its_texture(thickness, scales):
    mask = box((160, 160), slice(60, 60 + thickness), slice(50, 100))
    comparison = compare(around(noise((1, 160, 160)), mask), np.argwhere(mask))
    assert comparison is not None
    assert comparison.energies.shape[1] == scales


# Which are worth saying ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "words"),
    [
        (0, "redder"),
        (14, "redder"),
        (16, "more orange"),
        (41, "more orange"),
        (43, "more yellow"),
        (79, "more yellow"),
        (81, "greener"),
        (159, "greener"),
        (161, "more blue-green"),
        (199, "more blue-green"),
        (201, "bluer"),
        (259, "bluer"),
        (261, "more purple"),
        (329, "more purple"),
        (331, "redder"),
        (359, "redder"),
    ],
)
def test_the_colour_circle(degrees, words):
    change = np.cos(np.radians(degrees - np.array([0, 120, 240]))) / 10
    assert _hue(change, np.full(3, 1 / 3)) == words
    assert _hue(change + 0.7, np.full(3, 1 / 3)) == words  # brightness has no colour


@pytest.mark.parametrize(
    ("share", "words"), [(-0.5, "greyer"), (-1.9, "greyer"), (-2.1, "more blue-green"), (0.5, "redder")]
)
def test_greyer_is_what_keeps_less_of_its_colour(share, words):
    coloured = np.array([0.5, 0.25, 0.25])
    assert _hue(share * (coloured - 1 / 3), coloured) == words


def test_what_was_grey_cannot_get_greyer():
    nearly = np.array([1 / 3 + 0.02, 1 / 3 - 0.01, 1 / 3 - 0.01])
    assert _hue(-0.5 * (nearly - 1 / 3), nearly) == "more blue-green"


@pytest.mark.parametrize(("light", "seen"), [(0.25, False), (0.6, True)])
def test_in_the_dark_no_colour_is_seen(light, seen):
    mask = box((120, 120), slice(50, 70), slice(50, 70))
    pixels = 100 + noise((3, 120, 120))
    pixels[:, mask] *= light * np.array([[1.3], [1.0], [0.7]])
    assert ("colour" in kinds(pixels - 100, mask, offset=100.0)) == seen


@pytest.mark.parametrize(("degrees", "said"), [(8, False), (30, True), (90, True)])
def test_another_direction_is_one_from_fifteen_degrees_on(degrees, said):
    mask = box((120, 120), slice(45, 75), slice(45, 75))
    rows, columns = np.indices((120, 120))
    angle = math.radians(degrees)
    straight = np.sin(columns * 2 * np.pi / 7)
    turned = np.sin((columns * math.cos(angle) + rows * math.sin(angle)) * 2 * np.pi / 7)
    pixels = np.where(mask, turned, straight)[np.newaxis] + 0.1 * noise()
    assert ("orientation" in kinds(pixels, mask)) == said


def test_of_many_channels_one_must_differ_more_and_two_are_named():
    mask = box((120, 120), slice(50, 62), slice(50, 62))
    pixels = noise((40, 120, 120))
    for channel, step in ((7, 4.0), (20, -6.0), (30, 5.0)):
        pixels[channel, mask] += step
    told = differences(around(pixels, mask), np.argwhere(mask))
    assert told is not None
    named = [difference.words for difference in told if difference.kind == "channel"]
    assert named == ["channel 21 is lower", "channel 31 is higher"]
    single = kinds(pixels[7:8], mask)["brightness"]
    assert single.words == "brighter"


def test_where_contrast_is_lost_no_finer_texture_is_claimed():
    mask = box((160, 160), slice(40, 70), slice(40, 70))
    texture = 10 * ndimage.gaussian_filter(noise((160, 160)), 2, mode="wrap")
    pixels = np.where(mask, 0, texture)[np.newaxis] + 0.05 * noise((1, 160, 160), seed=1)
    told = kinds(pixels, mask)
    assert told["contrast"].words == "smoother"
    assert "scale" not in told
