"""How unusual each position is among all of the image: a robust Gaussian, and what goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

_SUPPORT_GROUPS = 48
"""Classes of equal known support, beside holes."""

_SMALLEST_GROUP = 16
"""Fewest positions whose median says something."""

_SMALLEST = 1e-12
"""Squared distances below this are this: the logarithm of none is not a number."""


@dataclass(frozen=True)
class RobustGaussian:
    """A Gaussian of the central part of some samples, shrunk towards independent features."""

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
                limit = distance.sort().values[math.ceil((1 - trim) * len(distance)) - 1]
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
    """`(D, min(count, D, N))` orthonormal directions in which `(N, D)` samples vary most, largest first."""
    # The smaller of the two Gram matrices, in float64: small, and not every device has float64.
    wide = centred.shape[1] > centred.shape[0]
    gram = centred @ centred.T if wide else centred.T @ centred
    vectors = torch.linalg.eigh(gram.cpu().double()).eigenvectors.flip(1)[:, :count]
    directions: torch.Tensor = vectors.to(centred)
    if wide:
        # From weights of the samples to sums of them; orthonormal even where nothing varies.
        directions = torch.linalg.qr(centred.T @ directions).Q
    return directions


def excess(logarithm: torch.Tensor, known: torch.Tensor, support: torch.Tensor, reach: int) -> torch.Tensor:
    """`(h, w)` by how much positions that look beyond the known lie above the others, in the median.

    Beside the edge and beside holes a window holds a part of a texture's period only, and what is left of a
    regular texture looks unlike all the rest. So positions are compared with others that saw as much: those
    of the same row or column along an edge, and those with the same share of known support elsewhere. A
    defect still stands out from its own kind.

    Args:
        logarithm: `(h, w)` log distance of each position.
        known: `(h, w)`, the share of the position itself that was not missing, in [0, 1].
        support: `(h, w)`, the same for all it looks at.
        reach: how many positions from the edge still look beyond it.
    """
    group = (support / support.max() * _SUPPORT_GROUPS).ceil().long()
    known = known > 0
    full = logarithm[group == _SUPPORT_GROUPS].median()
    along = [_edge_excess(logarithm, known, full, reach)]
    along.append(_edge_excess(logarithm.T, known.T, full, reach))
    edges = along[0][:, None] + along[1]
    elsewhere = known & (group < _SUPPORT_GROUPS)
    elsewhere[:reach] = elsewhere[-reach:] = False
    elsewhere[:, :reach] = elsewhere[:, -reach:] = False
    keys, order = group[elsewhere].sort(stable=True)
    if len(keys) == 0:
        return edges
    numbers, sizes = torch.unique_consecutive(keys, return_counts=True)
    members = torch.split(logarithm[elsewhere][order], sizes.tolist())
    holes = torch.zeros(_SUPPORT_GROUPS + 1, device=logarithm.device)
    better = full.new_zeros(())
    # From the better to the worse known.
    for number, distances in reversed(list(zip(numbers.tolist(), members, strict=True))):
        # Too few say little: they are taken for what the next better group is.
        if len(distances) >= _SMALLEST_GROUP:
            better = (distances.median() - full).clamp_min(0)
        holes[number] = better
    return torch.where(elsewhere, holes[group], edges)


def _edge_excess(
    logarithm: torch.Tensor, known: torch.Tensor, full: torch.Tensor, reach: int
) -> torch.Tensor:
    """`(h,)` excess of the first and last `reach` rows; 0 for the others."""
    height = len(logarithm)
    excess = torch.zeros(height, device=logarithm.device)
    for row in {*range(min(reach, height)), *range(max(0, height - reach), height)}:
        distances = logarithm[row][known[row]]
        if len(distances) >= _SMALLEST_GROUP // 2:
            excess[row] = (distances.median() - full).clamp_min(0)
    return excess


def smooth(values: torch.Tensor, weight: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian mean of `(h, w)` values over what is known; nothing is known beyond the edge."""
    if sigma == 0:
        return values
    both = blur(torch.stack([values * weight, weight]), sigma)
    return both[0] / both[1].clamp_min(1e-6)


def blur(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """`(N, h, w)` planes convolved with a Gaussian of sum 1; zeros lie beyond the edge."""
    radius = math.ceil(3 * sigma)
    padded = F.pad(planes, (radius,) * 4)
    return separable_filter(padded, gaussian_taps(radius, sigma))


def gaussian_taps(radius: int, sigma: float) -> list[float]:
    """`2 radius + 1` samples of a Gaussian, of sum 1."""
    taps = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    return [tap / math.fsum(taps) for tap in taps]


def separable_filter(x: torch.Tensor, taps: list[float]) -> torch.Tensor:
    """Correlate `(..., h, w)` with the same taps along rows and columns, where all of them fit.

    A sum of shifted images: for one-dimensional filters this is several times faster than a convolution
    on a CPU, which is made for many channels.
    """
    for axis in (-2, -1):
        length = x.shape[axis] - len(taps) + 1
        total = x.narrow(axis, 0, length) * taps[0]
        for offset, tap in enumerate(taps[1:], start=1):
            total.add_(x.narrow(axis, offset, length), alpha=tap)
        x = total
    return x
