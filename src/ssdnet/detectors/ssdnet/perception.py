"""Perceptual features: how different an image and its prediction look, as a loss and as maps.

| kind | features | from |
| --- | --- | --- |
| `windows` | zero-mean windows of the image | the image itself |
| `random` | three convolutions with fixed random kernels | the seed |
| `vgg19` | VGG19 up to `conv3_4`, trained on ImageNet | a file that somebody named |
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.ssdnet import vgg19
from ssdnet.detectors.ssdnet.losses import window_differences, window_loss
from ssdnet.errors import UsageError
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("windows", "random", "vgg19")
FORMS = ("inner", "squared")

_STAGES = {"random": (1, 1, 1), "vgg19": vgg19.STAGES}
"""Convolutions before each halving; features are taken after each stage."""
_WIDTHS = (16, 32, 64)
"""Of the random convolutions."""
_SMOOTHING = 1.0  # of a map, standard deviation, positions
_FAINT = 1e-3  # mean square of features below which they are taken for nothing
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Perception:
    """Features to compare images by, and how they are compared.

    Less difference is seen in a fainter image than in its negative:

    >>> perception = Perception.drawn("squared", channels=1, generator=torch.Generator().manual_seed(0))
    >>> image = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> weight = torch.ones(1, 1, 16, 16)
    >>> bool(perception.loss(0.9 * image, image, weight) < perception.loss(-image, image, weight))
    True
    """

    kind: str
    """One of `KINDS`."""
    form: str
    """`inner`: one minus the cosine of the features at a place. `squared`: their squared difference (L2)."""
    window: int
    """Side of the windows, pixels; of no influence on the others."""
    weights: tuple[torch.Tensor, ...]
    """Kernel and bias of each convolution."""

    @classmethod
    def of(
        cls,
        kind: str,
        form: str,
        *,
        channels: int,
        generator: torch.Generator,
        device: torch.device,
        window: int = 8,
        file: str = "",
        sha256: str = "",
    ) -> Perception:
        """Features of a kind.

        Args:
            kind: one of `KINDS`.
            form: one of `FORMS`.
            channels: of the image.
            generator: on the CPU, draws random features; others draw nothing.
            device: where the features shall be computed.
            window: side of the windows, pixels.
            file: of VGG19's weights.
            sha256: of that file.

        Raises:
            InputError: the file of VGG19 cannot be used.
            UsageError: VGG19 does not see images of so many channels.

        >>> device, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
        >>> random = Perception.of("random", "squared", channels=3, generator=generator, device=device)
        >>> len(random.weights), random.maps_count, random.reach
        (6, 3, 29)
        """
        if kind == "windows":
            return cls(kind, form, window, ())
        if kind == "random":
            made = cls.drawn(form, channels=channels, generator=generator)
        elif channels in (1, 3):
            made = cls(kind, form, 0, vgg19.load(file, sha256))
        else:
            raise UsageError(
                f"vgg19 sees grey and colour images, and this has {channels} channels; take "
                "perceptual=random or windows, which see any"
            )
        return replace(made, weights=tuple(one.to(device) for one in made.weights))

    @classmethod
    def drawn(cls, form: str, *, channels: int, generator: torch.Generator) -> Perception:
        """Random convolutions, whose responses are about as large at every depth (He et al., ICCV 2015).

        >>> perception = Perception.drawn("inner", channels=4, generator=torch.Generator())
        >>> [tuple(one.shape) for one in perception.weights[::2]]
        [(16, 4, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3)]
        """
        weights: list[torch.Tensor] = []
        for before, width in itertools.pairwise((channels, *_WIDTHS)):
            kernels = torch.randn(width, before, 3, 3, generator=generator)
            weights += [kernels * math.sqrt(2 / (9 * before)), torch.zeros(width)]
        return cls("random", form, 0, tuple(weights))

    @property
    def maps_count(self) -> int:
        """How many maps `maps` gives."""
        return len(_STAGES.get(self.kind, (1,)))

    @property
    def reach(self) -> int:
        """Pixels around its own that a value of `maps` depends on, at most."""
        if self.kind == "windows":
            return self.window + math.ceil(3 * _SMOOTHING)
        counts = _STAGES[self.kind]
        reach = sum((count + (number > 0)) << number for number, count in enumerate(counts))
        # Of the coarsest maps: smoothed, and enlarged between two of their positions.
        return reach + ((math.ceil(3 * _SMOOTHING) + 1) << (len(counts) - 1))

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Of `(B, C, H, W)` images `(B, K, H / s, W / s)` a stage, with `s` = 1, 2, ..., rounded up.

        Grey is given to VGG19 three times. Its authors' input has about zero mean and unit deviation, as the
        pixels of a detector have.
        """
        if self.kind == "vgg19" and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        weights = iter(self.weights)
        found: list[torch.Tensor] = []
        for number, count in enumerate(_STAGES[self.kind]):
            x = images if number == 0 else F.max_pool2d(found[-1], 2, ceil_mode=True)
            for _ in range(count):
                x = F.relu(F.conv2d(x, next(weights), next(weights), padding=1))
            found.append(x)
        return found

    def _differences(
        self, prediction: torch.Tensor, target: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Of each stage `(B, h, w)` differences, and what 'different in everything' would be."""
        with torch.no_grad():
            targets = self.features(target)
        pairs = zip(self.features(prediction), targets, strict=True)
        if self.form == "inner":
            return [(1 - _cosine(a, b), torch.ones_like(b[:, 0])) for a, b in pairs]
        return [((a - b).square().mean(dim=1), b.square().mean(dim=1)) for a, b in pairs]

    def loss(self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The mean difference of convolutional features, of one network; see `perceptual_loss` for all kinds.

        Args:
            prediction: `(B, C, H, W)`.
            target: the same.
            weight: `(B, 1, H, W)`, how much each pixel counts, in [0, 1]; what has no weight is not seen.

        Returns:
            A number; of `squared` features as a share of the target's mean square, so that all stages count.
        """
        seen = weight > 0
        prediction, target = torch.where(seen, prediction, 0), torch.where(seen, target, 0)
        total = prediction.new_zeros(())
        stages = self._differences(prediction, target)
        for number, (difference, whole) in enumerate(stages):
            known = F.avg_pool2d(weight, 2**number, ceil_mode=True)[:, 0]
            total = total + (difference * known).sum() / (whole * known).sum().clamp_min(1e-6)
        return total / len(stages)

    @torch.no_grad()
    def maps(self, prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> list[torch.Tensor]:
        """Log distances of an image's features from those of its prediction, one map a stage.

        Args:
            prediction: `(C, h, w)`.
            target: the same; its values at missing pixels have no influence.
            valid: `(h, w)` bool.

        Returns:
            `(h, w)` each.

        >>> perception = Perception("windows", "inner", 8, ())
        >>> image, known = torch.zeros(1, 24, 20), torch.ones(24, 20, dtype=torch.bool)
        >>> (distances,) = perception.maps(image, image, known)
        >>> tuple(distances.shape)
        (24, 20)
        """
        height, width = valid.shape
        prediction, target = (torch.where(valid, one, 0)[None] for one in (prediction, target))
        if self.kind == "windows":
            difference, known = window_differences(
                prediction[None],
                target[None],
                window=self.window,
                weight=valid.to(target.dtype)[None, None, None],
                form=self.form,
                stride=1,
                padding=self.window // 2,
            )
            distances = smooth(difference[0, 0], known[0, 0], _SMOOTHING)[:height, :width]
            return [0.5 * distances.clamp_min(_TINY).log()]
        maps = []
        for number, (difference, _) in enumerate(self._differences(prediction, target)):
            known = F.max_pool2d(valid.to(target.dtype)[None, None], 2**number, ceil_mode=True)[0, 0]
            logarithm = 0.5 * smooth(difference[0], known, _SMOOTHING).clamp_min(_TINY).log()
            large = F.interpolate(logarithm[None, None], scale_factor=2.0**number, mode="bilinear")
            maps.append(large[0, 0, :height, :width])
        return maps


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Of `(B, K, h, w)` features at each place; two that are nearly nothing are alike."""
    across, own, other = ((x * y).mean(dim=1) for x, y in ((a, b), (a, a), (b, b)))
    return (across + _FAINT) / ((own + _FAINT) * (other + _FAINT)).sqrt()


def perceptual_loss(
    perceptions: Sequence[Perception], prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """`(N,)`: the perceptual loss of each of N networks by its own features.

    Args:
        perceptions: of each network; all of one kind.
        prediction: `(B, N, C, H, W)`.
        target: the same.
        weight: `(B, N, 1, H, W)`.

    >>> perceptions = [Perception("windows", "inner", 8, ())] * 2
    >>> target, weight = torch.zeros(1, 2, 1, 16, 16), torch.ones(1, 2, 1, 16, 16)
    >>> perceptual_loss(perceptions, target, target, weight).tolist()
    [0.0, 0.0]
    """
    first = perceptions[0]
    if first.kind == "windows":  # all networks at once
        window = min(first.window, *target.shape[3:])
        return window_loss(prediction, target, window=window, weight=weight, form=first.form)
    losses = [
        own.loss(prediction[:, number], target[:, number], weight[:, number])
        for number, own in enumerate(perceptions)
    ]
    return torch.stack(losses)
