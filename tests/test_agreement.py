"""Who is heard how far, who is to blame, and the inside of what was found."""

from __future__ import annotations

import pytest
import torch

from ssdnet.maths.agreement import Agreement
from ssdnet.maths.cores import Cores
from ssdnet.maths.discriminant import Discriminant
from ssdnet.maths.patch_components import LevelMaps
from ssdnet.maths.pyramid import pyramid
from ssdnet.maths.window import Window

SHAPE = (120, 140)


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def everywhere():
    return torch.ones(SHAPE, dtype=torch.bool)


def fitted(maps, known):
    distances, energies, cores = maps
    return Agreement.fit([distances], [energies], [cores], [known])


def scales(values, levels=3):
    """Maps of a value and of its square at several scales."""
    known = torch.ones(values.shape, dtype=torch.bool)
    return [
        LevelMaps((level.pixels[0, 0], level.pixels[0, 0] * 2), level.known[0, 0], level.window)
        for level in pyramid(values[None], known, levels)
    ]


@pytest.mark.parametrize(("share", "distances", "cores"), [(0.0, 0.25, 0.0), (3.0, 1.0, 0.5)])
def test_witnesses_count_as_far_as_they_agree(share, distances, cores):
    energies = noise(0, *SHAPE)
    near = noise(1, *SHAPE) + share * energies
    agreement = Agreement.fit([near], [energies], [near], [everywhere()])
    assert agreement.distances == pytest.approx(distances, abs=0.05)
    assert agreement.cores == pytest.approx(cores, abs=0.01)
    assert 0.4 <= agreement.energies <= 1.0


def test_what_only_the_energies_see_is_found_where_distances_mislead():
    energies, near = noise(0, *SHAPE), noise(1, *SHAPE)
    energies[30:60, 40:70] += 6.0
    near[30:60, 40:70] -= 6.0  # smoother than usual
    agreement = Agreement.fit([near], [energies], [near], [everywhere()])
    level = agreement.of(near, energies, near)
    assert level[30:60, 40:70].median() > level[70:].quantile(0.999)


def test_missing_pixels_have_no_say_in_the_agreement():
    known = everywhere()
    known[20:50, 30:60] = False
    maps = [noise(seed, *SHAPE) for seed in range(3)]
    first = fitted(maps, known)
    second = fitted([torch.where(known, values, 1e6) for values in maps], known)
    assert first == second


def test_a_part_has_the_levels_of_the_whole():
    maps = [noise(seed, *SHAPE) for seed in range(3)]
    agreement = fitted(maps, everywhere())
    part = slice(11, 57), slice(8, 99)
    whole = agreement.of(*maps)
    torch.testing.assert_close(agreement.of(*(values[part] for values in maps)), whole[part])
    torch.testing.assert_close(
        agreement.decision(maps[0][part], maps[1][part]), agreement.decision(maps[0], maps[1])[part]
    )


def test_maps_are_not_changed():
    maps = [noise(seed, *SHAPE) for seed in range(3)]
    before = [values.clone() for values in maps]
    agreement = fitted(maps, everywhere())
    level = agreement.of(*maps)
    agreement.decision(maps[0], maps[1])
    agreement.blamed(level, torch.zeros(SHAPE))
    assert all(torch.equal(one, other) for one, other in zip(maps, before, strict=True))


def test_the_blame_raises_and_lowers():
    maps = [noise(seed, *SHAPE) for seed in range(3)]
    agreement = fitted(maps, everywhere())
    level = torch.full(SHAPE, 4.0)
    assert bool((agreement.blamed(level, torch.ones(SHAPE)) > level).all())
    assert bool((agreement.blamed(level, torch.zeros(SHAPE)) < level).all())


def defect(channels=1):
    """An image, the filters to see it with, and a map wider than its defect."""
    image = noise(2, channels, *SHAPE)
    image[:, 50:58, 60:68] += 2.5
    level = torch.zeros(SHAPE)
    level[44:64, 54:74] = 5.0
    filters = [
        (noise(3, 6, channels, 5, 5) / 5, torch.zeros(6)),
        (torch.ones(1, channels, 3, 3) / 9, torch.zeros(1)),
    ]
    return image, level, filters


@pytest.mark.parametrize("channels", [1, 3])
def test_the_blame_is_narrower_than_the_map(channels):
    image, level, filters = defect(channels)
    blame = Discriminant.fit([image], [everywhere()], [level], filters).of(image)
    assert blame.shape == SHAPE
    assert blame[51:57, 61:67].median() > 0.8
    assert blame[45:48, 55:73].median() < 0.5
    assert abs(blame[70:].median()) < 0.2
    assert blame.min() >= -0.5
    assert blame.max() <= 1.5


def test_blame_of_a_window_is_that_of_the_whole():
    image, level, filters = defect(3)
    model = Discriminant.fit([image], [everywhere()], [level], filters)
    inner = Window(31, 77, 40, 95, SHAPE)
    outer = inner.around(model.halo)
    part = model.of(image[(slice(None), *outer.slices)])[inner.within(outer)]
    torch.testing.assert_close(part, model.of(image)[inner.slices], atol=1e-5, rtol=0)


def test_blame_is_learned_from_known_pixels_only():
    image, level, filters = defect()
    known = everywhere()
    known[80:100, 20:40] = False
    other = level.clone()
    other[80:100, 20:40] = 100.0
    first, second = (Discriminant.fit([image], [known], [values], filters) for values in (level, other))
    assert torch.equal(first.weights, second.weights)


def test_a_map_without_a_finding_gives_a_finite_blame():
    image, _, filters = defect()
    blame = Discriminant.fit([image], [everywhere()], [torch.zeros(SHAPE)], filters).of(image)
    assert bool(blame.isfinite().all())


def test_cores_lose_the_halo():
    values = noise(4, *SHAPE)
    values[40:70, 50:80] += 20.0
    _, (inside,) = Cores.fit([scales(values)], reach=4)
    assert inside[50:60, 60:70].median() > 2 * inside[40, 52:78].median()
    assert inside.shape == SHAPE


def test_cores_of_a_window_are_those_of_the_whole():
    values = noise(5, *SHAPE)
    whole = scales(values)
    model, (learned,) = Cores.fit([whole], reach=4)
    outer = Window(16, 112, 24, 128, SHAPE)
    cut, window = [], outer
    for number, scale in enumerate(whole):
        inside = window.within(scale.window)
        level = model.level([some[inside] for some in scale.maps], number)
        cut.append(LevelMaps((level,), scale.known[inside], window))
        window = window.halved()
    inner = Window(45, 80, 60, 95, SHAPE)
    part = model.inside(cut)
    torch.testing.assert_close(part.part(inner), learned[inner.slices], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.whole()[inner.within(outer)], learned[inner.slices], atol=1e-5, rtol=0)
