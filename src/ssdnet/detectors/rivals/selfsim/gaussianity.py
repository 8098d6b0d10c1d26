"""The monotone law that makes a residual most nearly Gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXPONENTS = tuple(tenth / 10 for tenth in range(5, 15))
"""Powers of the residual that are tried."""

_BINS = 20
"""Of the histogram that says how well a law fits."""

_FAR = 80.0
"""Beyond so many scales of a Laplace law its tail is less than the smallest float32."""


@dataclass(frozen=True)
class Law:
    """What a residual follows: `sign(r) * |r / unit|**exponent / scale`, a Laplace or a Gaussian law.

    >>> shares = torch.linspace(0.001, 0.999, 999)
    >>> heavy = -(1 - 2 * (shares - 0.5).abs()).log() * (shares - 0.5).sign()  # a Laplace law
    >>> [Law.fit([residual]).heavy for residual in (heavy, torch.special.ndtri(shares))]
    [True, False]
    """

    exponent: float = 1.0
    scale: float = 1.0
    unit: float = 1.0
    """Largest size of the residual: a power of it may be beyond float32."""
    heavy: bool = False
    """Whether it is a Laplace law."""

    @classmethod
    def fit(cls, residuals: Sequence[torch.Tensor]) -> Law:
        """The law of one image's residual, or of those of several of one surface.

        Of `sign(r) * |r|**a`, with `a` from 0.5 to 1.4, it is asked whether it follows a Laplace or a
        Gaussian law of its own variance; the law whose cumulative histogram differs least is taken (as in
        the program of IPOL 2019.263). Of too few values, or of none that vary, the residual stays as it is.

        Args:
            residuals: of any shape; zeros are left out.
        """
        sample = torch.cat([residual[residual != 0] for residual in residuals]).sort().values
        if len(sample) < _BINS:
            return cls()
        edges = torch.arange(1, _BINS, device=sample.device) / _BINS
        # Quantiles of laws of unit scale.
        laplace = -(1 - 2 * (edges - 0.5).abs()).log() * (edges - 0.5).sign()
        gauss = torch.special.ndtri(edges)
        size = sample.abs()
        unit = size.max().item()
        size /= unit
        best, law = math.inf, cls(unit=unit)
        for exponent in _EXPONENTS:
            powers = size**exponent
            variance = (powers.square().mean() - (powers * sample.sign()).mean().square()).item()
            for quantiles, scale, heavy in (
                (laplace, math.sqrt(variance / 2), True),
                (gauss, math.sqrt(variance), False),
            ):
                # The power is monotone: quantiles are taken back instead of each pixel forth.
                limits = quantiles.sign() * (quantiles.abs() * scale) ** (1 / exponent) * unit
                shares = torch.searchsorted(sample, limits) / len(sample)
                misfit = (shares - edges).square().sum().item()
                if scale > 0 and misfit < best:
                    best, law = misfit, cls(exponent, scale, unit, heavy)
        return law

    def gaussian(self, residual: torch.Tensor) -> torch.Tensor:
        """The residual made standard Gaussian; zeros stay 0."""
        size = (residual.abs() / self.unit) ** self.exponent / self.scale
        return residual.sign() * (laplace_to_gaussian(size) if self.heavy else size)


def laplace_to_gaussian(size: torch.Tensor) -> torch.Tensor:
    """The size that a standard Gaussian exceeds as often as a Laplace law of unit scale exceeds `size`.

    >>> round(float(laplace_to_gaussian(torch.tensor(3.09))), 2)  # both exceed that in 4.55 % of cases
    2.0
    """
    inside = -torch.special.ndtri(0.5 * torch.exp(-size.clamp_max(_FAR)))
    # The logarithm of a Gaussian tail is -z**2 / 2, but for terms that hardly grow any more.
    return torch.sqrt(inside.square() + 2 * (size - _FAR).clamp_min(0))
