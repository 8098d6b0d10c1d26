"""How unusual each sample is among all: a robust Gaussian, and principal components."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

_SMALLEST = 1e-12
"""Squared distances below this are this: the logarithm of none is not a number."""


@dataclass(frozen=True, eq=False)
class RobustGaussian:
    """A Gaussian of the central part of some samples, shrunk towards independent features.

    >>> samples = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> samples[:50] += 20.0  # a defect, which must not say what is usual
    >>> usual = RobustGaussian.fit(samples, torch.ones(500), trim=0.25, rounds=2, shrinkage=0.1)
    >>> bool(usual.mean.abs().max() < 0.5)
    True
    >>> distance = usual.log_distance(samples)
    >>> bool(distance[:50].min() > distance[50:].max())
    True
    """

    mean: torch.Tensor
    """`(D,)`."""
    whitening: torch.Tensor
    """`(D, D)`, `W` such that `W @ W.T` is the inverse of the shrunk covariance."""

    @classmethod
    def fit(
        cls, samples: torch.Tensor, weight: torch.Tensor, *, trim: float, rounds: int, shrinkage: float
    ) -> RobustGaussian:
        """Estimate from `(N, D)` samples that count by `(N,)` positive weights.

        Args:
            samples: one row each.
            weight: how much each counts.
            trim: share of the samples, the most distant, that is left out, in [0, 1).
            rounds: how often it is estimated again without them.
            shrinkage: added to each variance as a share of it.
        """
        kept = weight
        for round_ in range(rounds + 1):
            mean = (kept @ samples) / kept.sum()
            centred = samples - mean
            covariance = (centred.T * kept) @ centred / kept.sum()
            whitening = _whitening(covariance, shrinkage)
            if round_ < rounds:
                distance = (centred @ whitening).square_().sum(-1)
                limit = distance.kthvalue(max(1, math.ceil((1 - trim) * len(distance)))).values
                kept = weight * (distance <= limit)
        return cls(mean, whitening)

    def log_distance(self, features: torch.Tensor) -> torch.Tensor:
        """`(...)` logarithm of the Mahalanobis distance of `(..., D)` features."""
        squared = ((features - self.mean) @ self.whitening).square_().sum(-1)
        return squared.clamp_min_(_SMALLEST).log_().mul_(0.5)


def _whitening(covariance: torch.Tensor, shrinkage: float) -> torch.Tensor:
    exact = covariance.cpu().double()  # small, and not every device has float64
    variance = exact.diagonal()
    # A feature that never varies (a constant image) must not divide by zero: it gets the tiniest share
    # of the mean variance, or 1 when nothing varies at all.
    floor = 1e-6 * variance.mean() if variance.mean() > 0 else torch.ones((), dtype=torch.float64)
    factor = torch.linalg.cholesky(exact + torch.diag(shrinkage * variance + floor))
    identity = torch.eye(len(exact), dtype=torch.float64)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    whitening: torch.Tensor = inverse.T.float().to(covariance.device)
    return whitening


def principal_components(centred: torch.Tensor, count: int) -> torch.Tensor:
    """`(D, min(count, D, N))` orthonormal directions in which `(N, D)` samples vary most, largest first.

    >>> direction = principal_components(torch.tensor([[3.0, 4.0], [-3.0, -4.0]]), 1)
    >>> [round(part, 2) for part in direction[:, 0].abs().tolist()]
    [0.6, 0.8]
    """
    # The smaller of the two Gram matrices, in float64: small, and not every device has float64.
    wide = centred.shape[1] > centred.shape[0]
    gram = centred @ centred.T if wide else centred.T @ centred
    vectors = torch.linalg.eigh(gram.cpu().double()).eigenvectors.flip(1)[:, :count]
    directions: torch.Tensor = vectors.to(centred)
    if wide:
        # From weights of the samples to sums of them; orthonormal even where nothing varies.
        directions = torch.linalg.qr(centred.T @ directions).Q
    return directions
