"""What is usual where: a smooth function of the place, for light that falls off and texture that recedes.

A lamp at one side, a lens or a slanted view change contrast and grain slowly across a picture. What is usual
there is not what is usual here, so features are compared with a quadratic function of the place, estimated
from the central part of the samples: a defect bends nothing, however large its contrast.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_TERMS = 6
"""Of a quadratic function of two coordinates."""

_RIDGE = 1e-4
"""Share of the samples that speak for no trend."""

_NORMAL = 1.4826
"""Standard deviations of a Gaussian in one median absolute deviation."""


@dataclass(frozen=True, eq=False)
class Trend:
    """A quadratic function of the place, for each of some features.

    >>> rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    >>> places = terms(rows.flatten(), columns.flatten(), (32, 32))
    >>> light = 3.0 * places[:, 1:2] + 1.0  # from left to right
    >>> light[:100] += 50.0  # a defect
    >>> trend = Trend.fit(light, places, torch.ones(1024), trim=0.25, rounds=4)
    >>> [round(float(part), 1) for part in trend.coefficients[:3, 0]]
    [1.0, 3.0, 0.0]
    """

    coefficients: torch.Tensor
    """`(6, D)`, see `terms`."""

    @classmethod
    def fit(
        cls, samples: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, *, trim: float, rounds: int
    ) -> Trend:
        """Estimate from `(N, D)` samples at `(N, 6)` places that count by `(N,)` positive weights.

        Args:
            samples: one row each.
            places: see `terms`.
            weight: how much each counts.
            trim: share of the samples, those farthest from the trend, that is left out, in [0, 1).
            rounds: how often it is estimated, without them from the second time on.
        """
        kept = weight
        ridge = _RIDGE * torch.eye(_TERMS, dtype=torch.float64)
        ridge[0, 0] = 0.0  # a constant is none
        coefficients = samples.new_zeros(_TERMS, samples.shape[1])
        for _ in range(rounds):
            weighted = places.T * (kept / kept.sum())
            gram = (weighted @ places).cpu().double() + ridge  # small, and not every device has float64
            right = (weighted @ samples).cpu().double()
            coefficients = torch.linalg.solve(gram, right).to(samples)
            residual = (samples - places @ coefficients).abs_()
            spread = residual.median(dim=0).values.mul_(_NORMAL).clamp_min_(1e-6)
            distance = (residual / spread).square_().mean(dim=1)
            limit = distance.kthvalue(max(1, round((1 - trim) * len(distance)))).values
            kept = weight * (distance <= limit)
        return cls(coefficients)

    def without(self, samples: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """`(N, D)`: what is left of the samples."""
        return samples - places @ self.coefficients


def terms(rows: torch.Tensor, columns: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """`(N, 6)`: 1, x, y, x², xy, y² at places of an image, each coordinate from -1 to 1.

    Args:
        rows: `(N,)`, counted from the image's own first row, whatever part of it is looked at.
        columns: `(N,)`, likewise.
        shape: of the whole image.

    >>> terms(torch.tensor([0, 9]), torch.tensor([0, 4]), (10, 5)).tolist()
    [[1.0, -1.0, -1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    y, x = (
        2.0 * line.to(torch.float32) / max(1, size - 1) - 1.0
        for line, size in zip((rows, columns), shape, strict=True)
    )
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=1)
