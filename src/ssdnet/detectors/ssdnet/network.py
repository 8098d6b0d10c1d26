"""The network: a small U-Net at half resolution, or several independent ones side by side.

Several networks are one: every convolution is grouped, one group a network, so that nothing passes from one
to the other. The input is folded two by two into channels first (pixel unshuffle), which costs no detail and
saves three quarters of the work. The paper publishes no architecture; this one is our choice.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SLOPE = 0.1  # of the activation below zero


class _Pair(nn.Module):
    """The two convolutions of one level."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first, self.second = first, second


def _pairs(modules: nn.ModuleList) -> list[_Pair]:
    return cast("list[_Pair]", list(modules))


class Network(nn.Module):
    """Predicts every pixel of a patch from the patch and a mask of what must not be looked at.

    >>> network = Network(channels=3, widths=(8, 12), networks=2)
    >>> network.initialize([torch.Generator().manual_seed(seed) for seed in (0, 1)])
    >>> network.multiple, tuple(network(torch.zeros(1, 2 * (3 + 1), 16, 20)).shape)
    (4, (1, 6, 16, 20))
    >>> network.select(1).networks
    1
    """

    def __init__(self, channels: int, widths: Sequence[int], networks: int = 1) -> None:
        """Make networks with no weights yet, see `initialize`.

        Args:
            channels: of the image; one more, the mask, is added to the input.
            widths: channels at 1/2, 1/4, ... of the resolution; at least two.
            networks: how many independent ones.
        """
        super().__init__()
        self.channels, self.widths, self.networks = channels, tuple(widths), networks

        def convolution(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
            return nn.Conv2d(networks * inputs, networks * outputs, size, padding=size // 2, groups=networks)

        inputs = (4 * (channels + 1), *widths[:-1])
        self.encoder = nn.ModuleList(
            _Pair(convolution(before, width), convolution(width, width))
            for before, width in zip(inputs, widths, strict=True)
        )
        self.decoder = nn.ModuleList(
            _Pair(convolution(below, width), convolution(width, width))
            for width, below in itertools.pairwise(widths)
        )
        self.head = convolution(widths[0], 4 * channels, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def multiple(self) -> int:
        """Sides of the input must be multiples of this."""
        return int(2 ** len(self.widths))

    @torch.no_grad()
    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Draw the weights of each network from its own generator (He et al., ICCV 2015, equation 14)."""
        for module in self.modules():
            if not isinstance(module, nn.Conv2d):
                continue
            gain = math.sqrt(2 / (1 + _SLOPE**2) / module.weight[0].numel())
            if module is self.head:
                gain *= 0.1  # begin near the prediction that knows nothing, the median
            for part, generator in zip(module.weight.chunk(self.networks), generators, strict=True):
                part.copy_(torch.randn(part.shape, generator=generator) * gain)
                if module is _pairs(self.encoder)[0].first:
                    part[:, -4:] = 0  # a mask that training never shows must mean nothing
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    @property
    def reach(self) -> int:
        """Pixels around its own that a prediction depends on, at most."""
        # Two convolutions a level on the way down, two on the way up, and what pooling joins.
        return 10 * self.multiple

    @classmethod
    def of(cls, channels: int, widths: Sequence[int], weights: Sequence[torch.Tensor]) -> Network:
        """A single trained network, from the weights that `parameters` gave."""
        network = cls(channels, widths).to(weights[0].device)
        with torch.no_grad():
            for own, other in zip(network.parameters(), weights, strict=True):
                own.copy_(other)
        return network.requires_grad_(False)

    @torch.no_grad()
    def select(self, index: int, parameters: Iterable[torch.Tensor] | None = None) -> Network:
        """A copy of one of the networks, with its own weights or those among other `parameters`."""
        single = Network(self.channels, self.widths).to(self.head.weight.device)
        for own, other in zip(parameters or self.parameters(), single.parameters(), strict=True):
            other.copy_(own.chunk(self.networks)[index])
        return single

    def decoded(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """What the decoder makes of the input, before its activations.

        Args:
            inputs: `(B, networks * (channels + 1), H, W)`: for each network the pixels, 0 where they must not
                be looked at, and the mask, 1 there.

        Returns:
            One `(B, networks * width, H / s, W / s)` a level of the decoder, with `s` = 2, 4, ...
        """
        x = F.pixel_unshuffle(inputs, 2).contiguous(memory_format=torch.channels_last)
        encoded = []
        for number, pair in enumerate(_pairs(self.encoder)):
            x = x if number == 0 else F.avg_pool2d(x, 2)
            x = F.leaky_relu(pair.second(F.leaky_relu(pair.first(x), _SLOPE)), _SLOPE)
            encoded.append(x)
        outputs = []
        for skip, pair in zip(encoded[-2::-1], _pairs(self.decoder)[::-1], strict=True):
            x = F.interpolate(pair.first(x), scale_factor=2.0, mode="nearest")
            x = pair.second(F.leaky_relu(x + skip, _SLOPE))
            outputs.append(x)
            x = F.leaky_relu(x, _SLOPE)
        return outputs[::-1]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """`(B, networks * channels, H, W)` float32 prediction of `decoded`'s input."""
        x = F.leaky_relu(self.decoded(inputs)[0], _SLOPE)
        return F.pixel_shuffle(self.head(x).float(), 2)
