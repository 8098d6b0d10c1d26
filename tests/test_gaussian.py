"""A Gaussian of the central part of some samples, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssdnet.maths.gaussian import RobustGaussian


def drawn(count: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


def plain(samples: torch.Tensor, weight: torch.Tensor | None = None, shrinkage: float = 1e-6):
    """Of all samples, none left out."""
    weight = torch.ones(len(samples)) if weight is None else weight
    return RobustGaussian.fit(samples, weight, trim=0.0, rounds=0, shrinkage=shrinkage)


def test_the_log_distance_is_that_of_numpy():
    samples = drawn(500, 4) @ drawn(4, 4, seed=1) + 7
    exact = samples.double().numpy()
    centred = exact - exact.mean(axis=0)
    inverse = np.linalg.inv(np.cov(exact.T, ddof=0))
    expected = np.log(np.einsum("nd,de,ne->n", centred, inverse, centred)) / 2
    np.testing.assert_allclose(plain(samples).log_distance(samples), expected, atol=1e-3)


def test_a_weight_of_three_is_being_there_three_times():
    samples = drawn(60, 3)
    times = torch.arange(60) % 3 + 1
    repeated = samples.repeat_interleave(times, dim=0)
    weighted, counted = plain(samples, times.float()), plain(repeated)
    torch.testing.assert_close(weighted.mean, counted.mean)
    torch.testing.assert_close(weighted.whitening, counted.whitening, rtol=1e-4, atol=1e-5)


def test_the_most_distant_are_left_out_and_the_rest_estimated_as_if_they_had_not_been_there():
    samples = drawn(400, 3)
    samples[:16] += 30
    weight = torch.linspace(0.5, 1.5, 400)
    robust = RobustGaussian.fit(samples, weight, trim=0.04, rounds=1, shrinkage=1e-6)
    alone = plain(samples[16:], weight[16:])
    torch.testing.assert_close(robust.mean, alone.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(robust.whitening, alone.whitening, rtol=1e-4, atol=1e-5)
    # Where they count, they make themselves usual.
    hidden, shown = (each.log_distance(samples[:16]) for each in (plain(samples, weight), robust))
    assert shown.min() > hidden.max() + 1


def test_more_rounds_uncover_what_one_does_not():
    samples = drawn(1000, 2)
    samples[:60] += 6
    samples[60:90] += 60  # they hide the others at first
    once, often = (
        RobustGaussian.fit(samples, torch.ones(1000), trim=0.1, rounds=rounds, shrinkage=1e-6)
        for rounds in (1, 4)
    )
    assert often.mean.abs().max() < once.mean.abs().max()
    assert often.log_distance(samples[:60]).min() > once.log_distance(samples[:60]).min()


@pytest.mark.parametrize("shrinkage", [0.01, 0.5])
def test_each_variance_is_raised_by_its_share(shrinkage):
    samples = drawn(300, 3) @ torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 20.0]])
    covariance = np.cov(samples.double().numpy().T, ddof=0)
    expected = np.linalg.inv(covariance + shrinkage * np.diag(np.diag(covariance)))
    whitening = plain(samples, shrinkage=shrinkage).whitening.double().numpy()
    # The floor below which no variance may fall adds a millionth of the mean one.
    np.testing.assert_allclose(whitening @ whitening.T, expected, rtol=2e-2, atol=1e-3)


def test_shrinkage_keeps_two_features_that_always_agree_from_shouting_when_they_do_not():
    same = drawn(200, 1)
    samples = torch.cat([same, same], dim=1)
    apart = torch.tensor([[0.3, -0.3]])
    shrunk, barely = (plain(samples, shrinkage=share).log_distance(apart) for share in (0.1, 1e-6))
    assert shrunk < np.log(2) < 4 < barely


def test_a_feature_that_never_varies_and_the_mean_itself_have_finite_distances():
    samples = torch.cat([drawn(100, 2), torch.full((100, 1), 5.0)], dim=1)
    gaussian = plain(samples)
    assert torch.isfinite(gaussian.log_distance(samples)).all()
    assert gaussian.log_distance(gaussian.mean) == pytest.approx(np.log(1e-12) / 2)
    flat = plain(torch.full((100, 3), 5.0))
    assert torch.isfinite(flat.log_distance(torch.full((2, 3), 6.0))).all()
