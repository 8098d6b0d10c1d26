"""Averages along lines: what they are, and that neither tiles, turns nor holes show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from ssdnet.maths import strips
from ssdnet.maths.lines import LineWindows, along_lines
from ssdnet.maths.smoothing import blur, smooth


def noise(height, width, seed=0):
    return torch.randn(height, width, generator=torch.Generator().manual_seed(seed))


def everywhere(values):
    return torch.ones(values.shape, dtype=torch.bool)


def windows(length, width):
    """All windows, `(directions, side, side)`: what a single pixel becomes before the largest is taken."""
    side = 2 * LineWindows.of(length, width).reach + 9
    found = []

    def follow(values, nodes):
        for node in nodes:
            total = (
                sum(values.roll((way * node.step[0], way * node.step[1]), (0, 1)) for way in (-1, 0, 0, 1))
                / 4
            )
            if node.following:
                follow(total, node.following)
            else:
                found.append(total)

    point = torch.zeros(side, side)
    point[side // 2, side // 2] = 1
    chosen = LineWindows.of(length, width)
    follow(blur(point[None], chosen.sigma)[0], chosen.nodes)
    return torch.stack(found)


@pytest.mark.parametrize(("length", "width", "directions"), [(3.0, 0.7, 8), (8.0, 1.0, 16), (20.0, 1.0, 32)])
def test_windows_are_long_and_thin_and_point_in_all_directions(length, width, directions):
    found = windows(length, width)
    assert len(found) == directions
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(directions))
    offset = torch.arange(found.shape[1]) - found.shape[1] // 2.0
    rows, columns = offset[:, None], offset
    moments = [(found * product).sum((1, 2)) for product in (columns**2, rows**2, rows * columns)]
    angles = 0.5 * torch.atan2(2 * moments[2], moments[0] - moments[1]) % math.pi
    gaps = torch.cat([angles.sort().values, angles.sort().values[:1] + math.pi]).diff()
    # Steps end on whole pixels, so that a direction is off by a part of what lies between two of them.
    assert gaps.min() > 0.4 * math.pi / directions
    assert gaps.max() < 1.6 * math.pi / directions
    for xx, yy, xy in zip(*moments, strict=True):
        across, along = torch.linalg.eigvalsh(torch.tensor([[xx, xy], [xy, yy]])).sqrt().tolist()
        assert along == pytest.approx(length, rel=0.12)
        assert across == pytest.approx(width, rel=0.2)


def test_it_is_the_largest_of_the_averages_that_scipy_computes():
    values = noise(30, 41)
    centred = values.numpy() - values.median().item()
    expected = [correlate(centred, window.numpy(), mode="constant") for window in windows(3.0, 0.6)]
    found = along_lines(values, everywhere(values), length=3.0, width=0.6)
    np.testing.assert_allclose(found, np.max(expected, axis=0) + values.median().item(), atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 3 * math.pi / 32, math.pi / 4, 13 * math.pi / 32])
def test_along_a_line_it_is_what_rotated_gaussians_give(angle):
    values = noise(90, 90)
    rows, columns = torch.meshgrid(*[torch.arange(90.0) - 45] * 2, indexing="ij")
    values[(rows * math.cos(angle) - columns * math.sin(angle)).abs() < 1] += 1.0
    offset = torch.arange(-50, 51.0)
    along = offset * math.cos(angle) + offset[:, None] * math.sin(angle)
    across = offset[:, None] * math.cos(angle) - offset * math.sin(angle)
    window = torch.exp(-0.5 * (along / 20) ** 2 - 0.5 * across**2)
    expected = correlate(
        values.numpy() - values.median().item(), (window / window.sum()).numpy(), mode="constant"
    )
    found = along_lines(values, everywhere(values), length=20.0, width=1.0) - values.median()
    assert float(found[45, 45]) == pytest.approx(expected[45, 45], rel=0.15)


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
    monkeypatch.setattr(strips, "SQUARE", 32)
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
