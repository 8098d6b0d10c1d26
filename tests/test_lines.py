"""Averages along lines: what they are, and that neither tiles, turns nor holes show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from ssdnet.maths import lines
from ssdnet.maths.lines import along_lines
from ssdnet.maths.smoothing import smooth


def noise(height, width, seed=0):
    return torch.randn(height, width, generator=torch.Generator().manual_seed(seed))


def everywhere(values):
    return torch.ones(values.shape, dtype=torch.bool)


def test_it_is_the_largest_of_the_averages_that_scipy_computes():
    values = noise(30, 41)
    reach = int(np.ceil(2.5 * 3))
    rows, columns = np.indices((2 * reach + 1,) * 2) - reach
    centred = values.numpy() - values.median().item()
    expected = []
    for angle in np.arange(8) * np.pi / 8:
        along = columns * np.cos(angle) + rows * np.sin(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        window = np.exp(-0.5 * (along / 3) ** 2 - 0.5 * (across / 0.6) ** 2)
        expected.append(correlate(centred, window / window.sum(), mode="constant"))
    found = along_lines(values, everywhere(values), length=3.0, width=0.6)
    np.testing.assert_allclose(found, np.max(expected, axis=0) + values.median().item(), atol=1e-5)


@pytest.mark.parametrize("turn", [lambda x: x.flip(0), lambda x: x.flip(1), lambda x: x.rot90(1)])
@pytest.mark.parametrize(("length", "width"), [(3.0, 0.7), (20.0, 1.0)])
def test_turning_the_map_turns_the_averages(turn, length, width):
    values = noise(70, 45)
    straight = along_lines(values, everywhere(values), length=length, width=width)
    turned = along_lines(turn(values), everywhere(turn(values)), length=length, width=width)
    torch.testing.assert_close(turned, turn(straight), atol=1e-4, rtol=0)


def test_tiles_leave_no_seams(monkeypatch):
    values = noise(75, 101)
    whole = along_lines(values, everywhere(values), length=8.0, width=1.0)
    monkeypatch.setattr(lines, "_TILE", 32)
    torch.testing.assert_close(along_lines(values, everywhere(values), length=8.0, width=1.0), whole)


def test_what_is_unknown_counts_as_what_is_usual():
    values = noise(40, 50) + 7
    known = torch.rand(40, 50, generator=torch.Generator().manual_seed(1)) > 0.3
    filled = torch.where(known, values, values[known].median())
    holes = torch.where(known, values, torch.nan)
    found = along_lines(holes, known, length=4.0, width=1.0)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, along_lines(filled, everywhere(filled), length=4.0, width=1.0))


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, 2.5])
def test_a_faint_line_stands_out_more_than_from_round_windows(angle):
    rows, columns = torch.meshgrid(torch.arange(160.0) - 80, torch.arange(160.0) - 80, indexing="ij")
    across = rows * np.cos(angle) - columns * np.sin(angle)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    line = (across.abs() < 1) & (along.abs() < 40)
    values = noise(160, 160) + 0.8 * line

    def contrast(averages):
        far = across.abs() > 20
        return (averages[line & (along.abs() < 20)].mean() - averages[far].mean()) / averages[far].std()

    found = along_lines(values, everywhere(values), length=20.0, width=1.0)
    best = max(contrast(smooth(values, torch.ones(160, 160), sigma)) for sigma in (0.7, 1.5, 3.0, 6.0))
    assert contrast(found) > 1.5 * best
