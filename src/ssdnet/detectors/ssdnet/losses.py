"""What the network is trained for: each pixel, and the structure around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

_FLAT = 1e-2  # variance of a window, in units of the image's, below which structure is taken for noise


def pixel_loss(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of each network.

    The paper says 'reconstruction', not how it is measured; absolute differences let a defect pull less.

    Args:
        prediction: `(B, N, C, H, W)` of N networks.
        target: the same.
        weight: `(B, N, 1, H, W)`, how much each pixel counts.

    Returns:
        `(N,)`.

    >>> target = torch.zeros(2, 3, 1, 4, 4)  # two patches, three networks
    >>> prediction = target + torch.tensor([0.0, 1.0, -2.0])[:, None, None, None]
    >>> pixel_loss(prediction, target, torch.ones(2, 3, 1, 4, 4)).tolist()
    [0.0, 1.0, 2.0]
    """
    difference = (prediction - target).abs() * weight
    total = weight.sum(dim=(0, 2, 3, 4)) * prediction.shape[2]
    return difference.sum(dim=(0, 2, 3, 4)) / total.clamp_min(1e-6)


def inner_product_loss(
    prediction: torch.Tensor, target: torch.Tensor, *, window: int, weight: torch.Tensor
) -> torch.Tensor:
    """One minus the inner product of zero-mean windows, each divided by its norm.

    `1 - <p - mean(p), t - mean(t)> / (|p - mean(p)| |t - mean(t)|)` over windows of all channels, half a
    window apart. The paper names a 'perceptual loss from inner-product similarity' and no network to take
    features from; windows of the image itself are our choice.

    Args:
        prediction: `(B, N, C, H, W)` of N networks.
        target: the same.
        window: side of a window, pixels.
        weight: `(B, N, 1, H, W)`, how much each pixel counts, in [0, 1]; a window counts by their product
            with its pixels.

    Returns:
        `(N,)`, in [0, 2].

    >>> target = torch.randn(1, 1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> weight = torch.ones(1, 1, 1, 16, 16)
    >>> brighter, inverted = (
    ...     float(inner_product_loss(prediction, target, window=8, weight=weight))
    ...     for prediction in (target + 3, -target)
    ... )
    >>> brighter < 0.01, inverted > 1.9
    (True, True)
    """
    stride = max(1, window // 2)

    def mean(values: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(values.flatten(0, 2), window, stride)
        return pooled.reshape(*values.shape[:3], *pooled.shape[1:])

    known = mean(weight)
    share = known.clamp_min(1e-6)
    prediction_mean, target_mean = mean(prediction * weight) / share, mean(target * weight) / share

    def product(a: torch.Tensor, b: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        return (mean(a * b * weight) / share - means).sum(dim=2)

    across = product(prediction, target, prediction_mean * target_mean)
    own = product(prediction, prediction, prediction_mean.square()).clamp_min(0)
    other = product(target, target, target_mean.square()).clamp_min(0)
    similarity = (across + _FLAT) / ((own + _FLAT) * (other + _FLAT)).sqrt()
    known = known[:, :, 0]
    return ((1 - similarity) * known).sum(dim=(0, 2, 3)) / known.sum(dim=(0, 2, 3)).clamp_min(1e-6)
