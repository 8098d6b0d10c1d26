"""Energies: what is smoother or rougher than usual, whatever is missing, in windows as in the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssdnet.maths import energies
from ssdnet.maths.energies import Energies, FilterBank
from ssdnet.maths.pyramid import enlarged, pyramid
from ssdnet.maths.trend import Trend, terms
from ssdnet.maths.window import Window


def fitted(energies_, images, valid):
    """The model, and the maps at the resolution of the pixels."""
    model, maps = energies_.fit(images, valid)
    return model, [enlarged(one.values, one.places, one.places[0]) for one in maps]


def surface(shape=(160, 180), channels=1, seed=0):
    """Noise with a grain of two pixels."""
    noise = torch.randn(channels, *shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise[None], 3, stride=1, padding=1)[0] * 3


def known_everywhere(image):
    return torch.ones(image.shape[1:], dtype=torch.bool)


@pytest.mark.parametrize("factor", [0.4, 2.0])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_less_and_more_than_usual_are_both_found(factor, channels):
    image = surface(channels=channels)
    image[:, 60:90, 100:130] *= factor
    _, (evidence,) = fitted(Energies(), [image], [known_everywhere(image)])
    inside = evidence[66:84, 106:124]
    outside = torch.cat([evidence[:50].flatten(), evidence[100:].flatten()])
    assert evidence.shape == image.shape[1:]
    assert inside.median() > outside.quantile(0.999)


@pytest.mark.parametrize("shape", [(33, 41), (64, 40), (127, 130), (16, 200)])
def test_every_shape_has_a_finite_map_of_its_own(shape):
    image = surface(shape)
    _, (evidence,) = fitted(Energies(), [image], [known_everywhere(image)])
    assert evidence.shape == shape
    assert bool(evidence.isfinite().all())


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_image_has_a_finite_map(value):
    image = torch.full((1, 64, 64), value)
    _, (evidence,) = fitted(Energies(), [image], [known_everywhere(image)])
    assert bool(evidence.isfinite().all())


def test_missing_pixels_have_no_say():
    image = surface()
    known = known_everywhere(image)
    known[40:70, 20:50] = False
    known[torch.rand(known.shape, generator=torch.Generator().manual_seed(1)) < 0.03] = False
    maps = []
    for filling in (0.0, 1000.0):
        filled = torch.where(known, image, filling)
        _, (evidence,) = fitted(Energies(), [filled], [known])
        maps.append(evidence)
    assert torch.equal(maps[0], maps[1])
    # What is beside a hole is as usual as the rest.
    beside = torch.zeros_like(known)
    beside[36:74, 16:54] = True
    beside &= known
    far = known & ~beside
    spread = maps[0][far].std()
    assert abs(maps[0][beside].median() - maps[0][far].median()) < spread


@pytest.mark.parametrize(
    ("shape", "octaves"), [((300, 320), 2), ((301, 331), 2), ((420, 400), 3), ((403, 415), 3)]
)
@pytest.mark.parametrize("holes", [False, True])
def test_a_window_equals_the_same_part_of_the_whole(shape, octaves, holes):
    image = surface(shape, channels=2)
    known = known_everywhere(image)
    if holes:
        known[110:140, 90:130] = False
        image = torch.where(known, image, 50.0)
    model, (whole,) = fitted(Energies(octaves=octaves, lengths=(2.0, 6.0)), [image], [known])
    inner = Window(121, 171, 150, 203, shape)
    outer = inner.around(model.halo)
    evidence, place = model.of(image[(slice(None), *outer.slices)], known[outer.slices], outer)
    assert place.size == evidence.shape
    assert outer.size != shape
    torch.testing.assert_close(evidence[inner.within(place)], whole[inner.slices], atol=2e-4, rtol=0)


def test_the_whole_scored_again_is_what_was_learned():
    image = surface((90, 101))
    known = known_everywhere(image)
    model, (learned,) = fitted(Energies(), [image], [known])
    again, place = model.of(image, known, Window.whole((90, 101)))
    assert place == Window.whole((90, 101))
    torch.testing.assert_close(again, learned, atol=1e-5, rtol=0)


def test_a_large_image_is_worked_on_in_parts(monkeypatch):
    image = surface((270, 333))
    known = known_everywhere(image)
    known[100:120, 200:230] = False
    _, (at_once,) = fitted(Energies(), [image], [known])
    monkeypatch.setattr(energies, "_TILE", 64)
    _, (in_parts,) = fitted(Energies(), [image], [known])
    torch.testing.assert_close(in_parts, at_once, atol=1e-3, rtol=0)


def test_several_images_of_one_surface_are_learned_together():
    images = [surface((96, 120), seed=1), surface((128, 100), seed=2)]
    images[1][0, 30:60, 30:60] *= 0.3
    model, maps = fitted(Energies(), images, [known_everywhere(image) for image in images])
    assert [tuple(values.shape) for values in maps] == [(96, 120), (128, 100)]
    assert maps[1][36:54, 36:54].median() > maps[0].quantile(0.99)
    assert model.bank.octaves == 2


def test_light_that_falls_off_is_usual_everywhere(monkeypatch):
    image = surface((200, 200))
    image *= torch.linspace(-1.2, 0.4, 200).exp()[None, :, None]  # contrast falls off upwards
    image[0, 150:170, 150:170] *= 0.4

    def height():
        """Of the defect above the darkest part, in units of what varies elsewhere."""
        _, (evidence,) = fitted(Energies(), [image], [known_everywhere(image)])
        rest = torch.cat([evidence[:60].flatten(), evidence[90:130].flatten()])
        return float((evidence[154:166, 154:166].median() - evidence[10:40].median()) / rest.std())

    with_trend = height()
    monkeypatch.setattr(Trend, "fit", lambda samples, *_, **__: Trend(torch.zeros(6, samples.shape[1])))
    assert with_trend > 4
    assert with_trend > 2 * height()


def test_pictures_of_a_thousand_pixels_are_averaged_more():
    image, large = surface((256, 256)), surface((832, 810))
    model, _ = fitted(Energies(), [image], [known_everywhere(image)])
    wider, (evidence,) = fitted(Energies(), [large], [known_everywhere(large)])
    assert (model.bank.base, wider.bank.base) == (1, 2)
    assert evidence.shape == (832, 810)


def test_derivatives_see_no_constant():
    levels = pyramid(surface((40, 40), channels=2), torch.ones(40, 40, dtype=torch.bool), 2)
    bank = FilterBank.fit([levels], octaves=2, components=8, base=1)
    assert bank.kernels[0].shape == (18, 2, 3, 3)
    assert float(bank.kernels[0][:10].sum((-3, -2, -1)).abs().max()) == 0.0


def test_a_trend_is_not_bent_by_a_defect():
    rows, columns = torch.meshgrid(torch.arange(50), torch.arange(60), indexing="ij")
    places = terms(rows.flatten(), columns.flatten(), (50, 60))
    truth = torch.from_numpy(np.array([[1.0], [0.5], [-2.0], [0.3], [0.0], [0.7]], dtype=np.float32))
    samples = places @ truth
    samples.view(50, 60)[10:25, 10:30] += 40.0
    trend = Trend.fit(samples, places, torch.ones(len(samples)), trim=0.25, rounds=4)
    torch.testing.assert_close(trend.coefficients, truth, atol=0.02, rtol=0)
