"""Several maps of log distances made one, and a score made of it."""

from __future__ import annotations

import pytest
import torch

from ssdnet.maths.fusion import fuse, squared_distance


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_fusing_keeps_the_order_inside_a_defect_of_a_flat_image():
    valid = torch.ones(60, 60, dtype=torch.bool)
    values = torch.zeros(60, 60)
    values[10:20, 10:20] = torch.rand(10, 10, generator=generator()) + 1
    score = fuse([(1.0, values), (1.0, values)], valid)[10:20, 10:20].flatten()
    assert torch.equal(score.argsort(), values[10:20, 10:20].flatten().argsort())
    assert len(score.unique()) == 100


def test_fusing_one_map_keeps_its_order_and_a_flat_one_adds_nothing():
    valid = torch.ones(40, 40, dtype=torch.bool)
    values = torch.randn(40, 40, generator=generator())
    alone = fuse([(1.0, values)], valid)
    assert torch.equal(alone.flatten().argsort(), values.flatten().argsort())
    both = fuse([(1.0, values), (1.0, torch.zeros(40, 40))], valid)
    assert torch.equal(both.flatten().argsort(), values.flatten().argsort())


def test_doubts_raise_what_is_doubtful_and_leave_the_rest_in_its_order():
    valid = torch.ones(40, 40, dtype=torch.bool)
    values = torch.randn(40, 40, generator=generator())
    doubt = torch.randn(40, 40, generator=generator(1))
    doubt[20, 20] = 30.0
    usual = doubt <= doubt.median()

    def order(score: torch.Tensor) -> torch.Tensor:
        return score[usual].argsort()

    one_sided = fuse([(1.0, values)], valid, doubts=[(1.0, doubt)])
    assert torch.equal(order(one_sided), order(values))
    assert not torch.equal(order(fuse([(1.0, values), (1.0, doubt)], valid)), order(values))
    assert int(one_sided.argmax()) == 20 * 40 + 20


@pytest.mark.parametrize(("spread", "power"), [(0.05, 2.0), (0.2, 2.0), (1.0, 0.4)])
def test_a_score_is_the_square_of_a_distance_but_no_wilder_than_its_tail_may_be(spread, power):
    values = 5 + spread * torch.randn(200, 200, generator=generator())
    valid = torch.ones(200, 200, dtype=torch.bool)
    score = squared_distance(values, valid)
    expected = power * (values - values.median())
    torch.testing.assert_close(score.log(), expected, rtol=0.03, atol=1e-4)


def test_what_is_missing_does_not_change_a_score_and_nothing_overflows():
    values = torch.randn(50, 60, generator=generator())
    valid = torch.rand(50, 60, generator=generator(1)) > 0.3
    other = torch.where(valid, values, 1e6)
    assert torch.equal(squared_distance(values, valid)[valid], squared_distance(other, valid)[valid])
    flat = torch.zeros(50, 60)
    flat[0, 0] = 1e6
    assert torch.isfinite(squared_distance(flat, torch.ones(50, 60, dtype=torch.bool))).all()
