"""What the network is trained for: each pixel, and the structure around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

_FLAT = 1e-2  # variance of a window, in units of the image's, below which structure is taken for noise


def pixel_loss(
    prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, *, form: str = "absolute"
) -> torch.Tensor:
    """Mean difference of each network, absolute or squared.

    The abstract says 'reconstruction', the figure L2; absolute differences let a defect pull less.

    Args:
        prediction: `(B, N, C, H, W)` of N networks.
        target: the same.
        weight: `(B, N, 1, H, W)`, how much each pixel counts.
        form: `absolute` or `squared`.

    Returns:
        `(N,)`.

    >>> target = torch.zeros(2, 3, 1, 4, 4)  # two patches, three networks
    >>> prediction = target + torch.tensor([0.0, 1.0, -2.0])[:, None, None, None]
    >>> weight = torch.ones(2, 3, 1, 4, 4)
    >>> pixel_loss(prediction, target, weight).tolist()
    [0.0, 1.0, 2.0]
    >>> pixel_loss(prediction, target, weight, form="squared").tolist()
    [0.0, 1.0, 4.0]
    """
    difference = prediction - target
    difference = (difference.abs() if form == "absolute" else difference.square()) * weight
    total = weight.sum(dim=(0, 2, 3, 4)) * prediction.shape[2]
    return difference.sum(dim=(0, 2, 3, 4)) / total.clamp_min(1e-6)


def window_loss(
    prediction: torch.Tensor, target: torch.Tensor, *, window: int, weight: torch.Tensor, form: str = "inner"
) -> torch.Tensor:
    """How different zero-mean windows of all channels are, half a window apart; see `window_differences`.

    The abstract names a 'perceptual loss from inner-product similarity' and no network to take features
    from; windows of the image itself are our choice.

    Args:
        prediction: `(B, N, C, H, W)` of N networks.
        target: the same.
        window: side of a window, pixels.
        weight: `(B, N, 1, H, W)`, how much each pixel counts, in [0, 1]; a window counts by their product
            with its pixels.
        form: `inner` or `squared`.

    Returns:
        `(N,)`; `inner` in [0, 2].

    >>> target = torch.randn(1, 1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> weight = torch.ones(1, 1, 1, 16, 16)
    >>> brighter, inverted = (
    ...     float(window_loss(prediction, target, window=8, weight=weight))
    ...     for prediction in (target + 3, -target)
    ... )
    >>> brighter < 0.01, inverted > 1.9
    (True, True)
    """
    difference, known = window_differences(
        prediction, target, window=window, weight=weight, form=form, stride=max(1, window // 2)
    )
    return (difference * known).sum(dim=(0, 2, 3)) / known.sum(dim=(0, 2, 3)).clamp_min(1e-6)


def window_differences(
    prediction: torch.Tensor,
    target: torch.Tensor,
    *,
    window: int,
    weight: torch.Tensor,
    form: str,
    stride: int,
    padding: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """How different zero-mean windows of all channels are, and how much of each is known.

    `inner`: `1 - <p - mean(p), t - mean(t)> / (|p - mean(p)| |t - mean(t)|)`. `squared`: the mean square of
    `(p - mean(p)) - (t - mean(t))`.

    Args:
        prediction: see `window_loss`.
        target: see `window_loss`.
        window: see `window_loss`.
        weight: see `window_loss`.
        form: see `window_loss`.
        stride: pixels between two windows.
        padding: how far windows look beyond the edge, where nothing is known.

    Returns:
        `(B, N, h, w)` each.

    >>> target, weight = torch.zeros(1, 1, 1, 8, 8), torch.ones(1, 1, 1, 8, 8)
    >>> difference, known = window_differences(
    ...     target + 3, target, window=4, weight=weight, form="squared", stride=4
    ... )
    >>> difference.tolist(), known.tolist()
    ([[[[0.0, 0.0], [0.0, 0.0]]]], [[[[1.0, 1.0], [1.0, 1.0]]]])
    """

    def mean(values: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(values.flatten(0, 2), window, stride, padding)
        return pooled.reshape(*values.shape[:3], *pooled.shape[1:])

    known = mean(weight)
    share = known.clamp_min(1e-6)

    def product(a: torch.Tensor, b: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        return (mean(a * b * weight) / share - means).sum(dim=2)

    if form == "squared":
        rest = prediction - target
        variance = product(rest, rest, (mean(rest * weight) / share).square()).clamp_min(0)
        return variance / prediction.shape[2], known[:, :, 0]
    prediction_mean, target_mean = mean(prediction * weight) / share, mean(target * weight) / share
    across = product(prediction, target, prediction_mean * target_mean)
    own = product(prediction, prediction, prediction_mean.square()).clamp_min(0)
    other = product(target, target, target_mean.square()).clamp_min(0)
    similarity = (across + _FLAT) / ((own + _FLAT) * (other + _FLAT)).sqrt()
    return 1 - similarity, known[:, :, 0]
