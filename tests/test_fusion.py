"""Several maps of log distances made one, and a score made of it."""

from __future__ import annotations

import pytest
import torch

from ssdnet.maths.fusion import Fusion, SquaredDistance


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fused(maps, doubts=()):
    """One map of several and of doubts, a weight and a map each, where all pixels are known."""
    valid = torch.ones(maps[0][1].shape, dtype=torch.bool)
    weights, values = zip(*maps, *doubts, strict=True)
    return Fusion.fit([values], [valid], weights, doubts=len(doubts)).of(values)


def squared_distance(values, valid):
    """The score of one map, by what is usual in it."""
    return SquaredDistance.fit([values], [valid]).of(values)


def test_fusing_keeps_the_order_inside_a_defect_of_a_flat_image():
    values = torch.zeros(60, 60)
    values[10:20, 10:20] = torch.rand(10, 10, generator=generator()) + 1
    score = fused([(1.0, values), (1.0, values)])[10:20, 10:20].flatten()
    assert torch.equal(score.argsort(), values[10:20, 10:20].flatten().argsort())
    assert len(score.unique()) == 100


def test_fusing_one_map_keeps_its_order_and_a_flat_one_adds_nothing():
    values = torch.randn(40, 40, generator=generator())
    alone = fused([(1.0, values)])
    assert torch.equal(alone.flatten().argsort(), values.flatten().argsort())
    both = fused([(1.0, values), (1.0, torch.zeros(40, 40))])
    assert torch.equal(both.flatten().argsort(), values.flatten().argsort())


def test_doubts_raise_what_is_doubtful_and_leave_the_rest_in_its_order():
    values = torch.randn(40, 40, generator=generator())
    doubt = torch.randn(40, 40, generator=generator(1))
    doubt[20, 20] = 30.0
    usual = doubt <= doubt.median()

    def order(score: torch.Tensor) -> torch.Tensor:
        return score[usual].argsort()

    one_sided = fused([(1.0, values)], [(1.0, doubt)])
    assert torch.equal(order(one_sided), order(values))
    assert not torch.equal(order(fused([(1.0, values), (1.0, doubt)])), order(values))
    assert int(one_sided.argmax()) == 20 * 40 + 20


def test_a_doubt_counts_from_its_own_upper_spread_on():
    values, doubt = (torch.randn(60, 60, generator=generator(seed)) for seed in (0, 1))
    middle, upper = doubt.quantile(0.5), doubt.quantile(0.84)
    spread = values.quantile(0.84) - values.quantile(0.5)
    alone, both = fused([(1.0, values)]), fused([(1.0, values)], [(0.5, doubt)])
    # Both are in units of the mean spread, by weight.
    unit = (spread + 0.5 * (upper - middle)) / 1.5
    added = both / unit * 1.5 - alone / spread
    torch.testing.assert_close(
        added, 0.5 * ((doubt - upper) / (upper - middle)).clamp_min(0), atol=1e-4, rtol=1e-4
    )
    assert (added[doubt < upper].abs() < 1e-4).all()


def test_twice_the_weight_is_twice_the_say():
    values, other = (torch.randn(50, 50, generator=generator(seed)) for seed in (0, 1))
    thrice = fused([(1.0, values), (2.0, other)])
    torch.testing.assert_close(thrice, fused([(1.0, values), (1.0, other), (1.0, other)]))


@pytest.mark.parametrize(("spread", "power"), [(0.05, 2.0), (0.2, 2.0), (1.0, 0.4)])
def test_a_score_is_the_square_of_a_distance_but_no_wilder_than_its_tail_may_be(spread, power):
    values = 5 + spread * torch.randn(200, 200, generator=generator())
    valid = torch.ones(200, 200, dtype=torch.bool)
    score = squared_distance(values, valid)
    expected = power * (values - values.median())
    # What is usual comes from every third pixel along both axes.
    torch.testing.assert_close(score.log(), expected, rtol=0.05, atol=0.05 * spread * power)


def test_what_is_missing_does_not_change_a_score_and_nothing_overflows():
    values = torch.randn(50, 60, generator=generator())
    valid = torch.rand(50, 60, generator=generator(1)) > 0.3
    other = torch.where(valid, values, 1e6)
    assert torch.equal(squared_distance(values, valid)[valid], squared_distance(other, valid)[valid])
    flat = torch.zeros(50, 60)
    flat[0, 0] = 1e6
    assert torch.isfinite(squared_distance(flat, torch.ones(50, 60, dtype=torch.bool))).all()
