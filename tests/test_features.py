"""The random-convolution features: symmetric bank and grids, missing pixels, bounded memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdnet.maths import random_features
from ssdnet.maths.grids import Axis, resample
from ssdnet.maths.pyramid import level_count, pyramid
from ssdnet.maths.random_features import RandomFeatures, dihedral_kernels


def maps(pixels, valid=None, *, levels=3, seed=0):
    if valid is None:
        valid = torch.ones(pixels.shape[1:], dtype=torch.bool)
    _, (found,) = RandomFeatures.fit(
        [pixels],
        [valid],
        levels=levels,
        orbits=2,
        kernel_size=3,
        pool=1,
        generator=torch.Generator().manual_seed(seed),
        progress=lambda *_: None,
    )
    return found


def everywhere(found):
    height, width = found.known.shape
    return found.at(torch.arange(height), torch.arange(width))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_kernels_are_closed_under_flips_and_quarter_turns():
    kernels = dihedral_kernels(3, 4, 3, torch.Generator().manual_seed(1))
    assert kernels.shape == (24, 4, 3, 3)
    torch.testing.assert_close(kernels.flatten(1).norm(dim=1), torch.ones(24))
    for moved in (kernels.flip(-1), kernels.flip(-2), torch.rot90(kernels, 1, (-2, -1))):
        distance = torch.cdist(moved.flatten(1), kernels.flatten(1))
        assert bool((distance.min(dim=1).values < 1e-6).all())
    assert torch.pdist(kernels.flatten(1)).min() > 0.1, "no two kernels alike"


@given(st.integers(1, 90))
def test_halving_twice_maps_back_onto_the_same_places(size):
    """A linear ramp survives: coordinates of every grid are exact, for odd and even sizes."""
    sizes = [size]
    while len(sizes) < 3:
        sizes.append(-(-sizes[-1] // 2))
    position = torch.arange(size, dtype=torch.float64)
    for finer in sizes[:-1]:
        position = (position[::2] + position[1::2]) / 2 if finer % 2 == 0 else position[::2]
    axis = Axis.between(sizes, torch.device("cpu"))
    back = torch.lerp(position[axis.low].float(), position[axis.high].float(), axis.share)
    inside = (torch.arange(size) >= position[0]) & (torch.arange(size) <= position[-1])
    torch.testing.assert_close(back[inside], torch.arange(size)[inside].float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (50, 35), (64, 17)])
@pytest.mark.parametrize(
    "move", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: torch.rot90(x, 1, (-2, -1))]
)
def test_a_turned_image_has_the_same_features_turned(shape, move):
    pixels = noise(3, *shape)
    straight = everywhere(maps(pixels)).permute(2, 0, 1)
    turned = everywhere(maps(move(pixels))).permute(2, 0, 1)
    # The order of the features differs; sorted along them, the values agree.
    torch.testing.assert_close(
        move(straight).sort(dim=0).values, turned.sort(dim=0).values, atol=2e-5, rtol=1e-4
    )


def test_features_stay_the_same_whatever_the_strip_size(monkeypatch):
    pixels = noise(2, 90, 61)
    whole = everywhere(maps(pixels))
    monkeypatch.setattr(random_features, "STRIP_POSITIONS", 64)
    found = maps(pixels)
    torch.testing.assert_close(everywhere(found), whole, atol=1e-6, rtol=1e-5)
    strips = list(found.strips())
    assert len(strips) > 10
    torch.testing.assert_close(torch.cat([values for _, values in strips]), everywhere(found), atol=0, rtol=0)


@given(
    st.integers(16, 40),
    st.integers(16, 40),
    st.floats(0.05, 0.95),
    st.integers(0, 2**31),
)
@settings(max_examples=25)
def test_values_of_missing_pixels_do_not_matter(height, width, missing, seed):
    generator = torch.Generator().manual_seed(seed)
    valid = torch.rand(height, width, generator=generator) > missing
    valid[height // 2, width // 2] = True
    pixels = torch.randn(2, height, width, generator=generator)
    other = torch.where(valid, pixels, torch.randn(2, height, width, generator=generator) * 1e6)
    other[:, ~valid] = torch.where(
        torch.rand(2, int((~valid).sum()), generator=generator) > 0.5, torch.nan, 1e9
    )
    first, second = maps(pixels, valid), maps(other, valid)
    for one, two in zip(first.levels, second.levels, strict=True):
        assert torch.equal(one, two)
    assert bool(torch.isfinite(everywhere(first)).all())


def test_a_hole_is_filled_from_its_surroundings():
    pixels = torch.full((1, 64, 64), 5.0)
    valid = torch.ones(64, 64, dtype=torch.bool)
    valid[10:50, 10:50] = False
    pixels[:, ~valid] = -1e6
    for level in pyramid(pixels, valid, 4):
        torch.testing.assert_close(level.pixels, torch.full_like(level.pixels, 5.0))
        assert float(level.known.min()) >= 0
        assert float(level.known.max()) <= 1 + 1e-6


def test_level_count_leaves_about_thirty_two_pixels():
    assert [level_count(side, 5 * side) for side in (16, 64, 128, 256, 512, 2048, 4096, 10**5)] == [
        2, 2, 3, 4, 5, 7, 7, 7,
    ]  # fmt: skip


def test_resample_interpolates_linearly():
    values = torch.arange(12.0).view(3, 4, 1)
    rows = Axis.between([6, 3], torch.device("cpu"))
    columns = Axis.between([8, 4], torch.device("cpu"))
    out = resample(values, rows, columns)[:, :, 0]
    assert out.shape == (6, 8)
    assert float(out[0, 0]) == 0
    assert float(out[-1, -1]) == 11
    torch.testing.assert_close(out[1, 1], torch.tensor(0.25 * 4 + 0.25))
