"""Separable filters, and means over what is known."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it


def smooth(values: torch.Tensor, weight: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian mean of `(h, w)` values over what is known; nothing is known beyond the edge.

    >>> values, weight = torch.tensor([[1.0, 1.0, 9.0, 1.0]]), torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    >>> smooth(values, weight, 1.0).round(decimals=3).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    if sigma == 0:
        return values
    both = blur(torch.stack([values * weight, weight]), sigma)
    return both[0] / both[1].clamp_min(1e-6)


def blur(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """`(N, h, w)` planes convolved with a Gaussian of sum 1; zeros lie beyond the edge.

    >>> blurred = blur(torch.ones(1, 9, 9), 1.0)[0]
    >>> round(float(blurred[4, 4]), 3), bool(blurred[0, 0] < blurred[0, 4] < blurred[4, 4])
    (1.0, True)
    """
    radius = math.ceil(3 * sigma)
    padded = F.pad(planes, (radius,) * 4)
    return separable_filter(padded, gaussian_taps(radius, sigma))


def gaussian_taps(radius: int, sigma: float) -> list[float]:
    """`2 radius + 1` samples of a Gaussian, of sum 1.

    >>> [round(tap, 2) for tap in gaussian_taps(1, 1.0)]
    [0.27, 0.45, 0.27]
    """
    taps = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    return [tap / math.fsum(taps) for tap in taps]


def separable_filter(x: torch.Tensor, taps: list[float]) -> torch.Tensor:
    """Correlate `(..., h, w)` with the same taps along rows and columns, where all of them fit.

    A sum of shifted images: for one-dimensional filters this is several times faster than a convolution
    on a CPU, which is made for many channels.

    >>> separable_filter(torch.arange(12.0).view(3, 4), [0.25, 0.5, 0.25]).tolist()
    [[5.0, 6.0]]
    """
    for axis in (-2, -1):
        length = x.shape[axis] - len(taps) + 1
        total = x.narrow(axis, 0, length) * taps[0]
        for offset, tap in enumerate(taps[1:], start=1):
            total.add_(x.narrow(axis, offset, length), alpha=tap)
        x = total
    return x
