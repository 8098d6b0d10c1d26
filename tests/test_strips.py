"""Maps made a few rows at a time are those made at once."""

from __future__ import annotations

import pytest
import torch

from ssdnet.maths import strips
from ssdnet.maths.lines import LineAverages, LineWindows, along_lines
from ssdnet.maths.parallel import workers
from ssdnet.maths.pyramid import pyramid, upsample, upsample_part
from ssdnet.maths.window import Window


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("shape", [(64, 64), (37, 50), (90, 31)])
def test_the_pyramid_is_the_same_by_few_rows(monkeypatch, shape, holes):
    image, known = noise(2, *shape), torch.ones(shape, dtype=torch.bool)
    if holes:
        known[3:9, 4:20] = False
    whole = pyramid(image, known, 4)
    monkeypatch.setattr(strips, "STRIP_VALUES", 1)
    with workers(2):
        parts = pyramid(image, known, 4)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.pixels, other.pixels, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.known, other.known, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 20), (17, 21), (15, 8)])
def test_a_part_is_upsampled_as_the_whole_is(shape):
    window = Window.whole(shape)
    coarse = noise(1, 2, *window.halved().size)
    whole = upsample(coarse, window)
    for top in range(0, shape[0] - 4, 3):
        for left in range(0, shape[1] - 4, 5):
            part = Window(top, top + 4, left, left + 4, shape)
            expected = whole[:, :, top : top + 4, left : left + 4]
            torch.testing.assert_close(upsample_part(coarse, window, part), expected, rtol=0, atol=1e-6)


def test_strips_cover_all_rows_once_and_begin_at_even_ones():
    rows = [row for part in strips.strips(101, 1 << 16) for row in range(101)[part]]
    assert rows == list(range(101))
    assert all(part.start % 2 == 0 for part in strips.strips(101, 1 << 16))
    assert len(strips.strips(101, 1 << 16)) > 1


def test_wide_lines_at_half_the_resolution_are_what_the_full_one_gives(monkeypatch):
    values, known = noise(160, 150), torch.ones(160, 150, dtype=torch.bool)
    values[80, 20:130] += 1.5
    half = along_lines(values, known, length=20.0, width=1.6, usual=0.0)
    assert LineWindows.of(20.0, 1.6).halved
    assert not LineWindows.of(20.0, 1.5).halved
    full = along_lines(values, known, length=20.0, width=1.5, usual=0.0)
    both = torch.stack([half.flatten(), full.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.95
    assert half[80, 75] == pytest.approx(float(full[80, 75]), rel=0.15)


def test_combined_maps_are_made_of_the_maps_of_all_lengths():
    values, known = noise(300, 270), torch.ones(300, 270, dtype=torch.bool)
    known[40:60, 50:90] = False
    averages = LineAverages.fit((3.0, 20.0), (0.7, 1.6), [values], [known])
    short, long = averages.of(values, known)
    with workers(2):
        (together,) = averages.combined(
            values, known, Window.whole((300, 270)), 1, lambda maps, _: [maps[0] - maps[1]]
        )
    torch.testing.assert_close(together, short - long, rtol=0, atol=1e-6)
