"""Training on nothing but the image: one network an image, several side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ssdnet.detectors.ssdnet.corruption import block_masks, shuffle_blocks
from ssdnet.detectors.ssdnet.losses import inner_product_loss, pixel_loss
from ssdnet.detectors.ssdnet.network import Network
from ssdnet.errors import DetectorError
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ssdnet.progress import Progress

_WARM_UP = 10  # steps over which the learning rate rises
_EVERY = 10  # steps between two looks at the loss: each look makes a GPU wait
SHUFFLED_BLOCK = 8  # pixels
_NOT_HIDDEN = 0.1  # weight of the pixels that the network sees; those it must predict have 1
_WINDOW = 50  # steps that are compared with as many before them, to see whether the loss still falls
_SUSPICIOUS = 2.0  # robust deviations from which on a pixel counts less
_DOWNWEIGHT_EVERY = 50  # steps
_SAMPLES = 1 << 16  # pixels whose residuals are compared


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `SSDnet` has the same fields and says what they mean."""

    widths: tuple[int, ...]
    steps: int
    batch: int
    patch: int
    learning_rate: float
    image_input: bool
    block_sizes: tuple[int, ...]
    mask_ratio: float
    shuffle_ratio: float
    noise: float
    structure_weight: float
    structure_window: int
    downweight: bool
    plateau: float
    average: float

    def patch_side(self, shape: tuple[int, ...]) -> int:
        """Side of the patches of an image: what was asked for, or as much as it has, in whole blocks."""
        unit = math.lcm(2 ** len(self.widths), SHUFFLED_BLOCK)
        return max(unit, min(self.patch, *shape) // unit * unit)


@dataclass(frozen=True, eq=False)
class Subject:
    """One image to be learned."""

    pixels: torch.Tensor
    """`(C, H, W)` float32, what the network shall predict."""
    inputs: torch.Tensor
    """`(C, H, W)` float32, what it is given: the same, or noise."""
    valid: torch.Tensor
    """`(H, W)` bool."""
    generator: torch.Generator
    """On the device of the pixels."""


@dataclass(frozen=True, eq=False)
class Trained:
    """One network and how it came to be."""

    averaged: Network
    """With the exponential average of its weights."""
    last: Network
    """With the weights of the last step."""
    loss: float
    """Mean over the last steps."""
    steps: int


def train(
    subjects: Sequence[Subject],
    recipe: Recipe,
    *,
    generators: Sequence[torch.Generator],
    precision: Callable[[], AbstractContextManager[object]],
    progress: Progress,
) -> list[Trained]:
    """Train one network for each image, all at the same time.

    Each has its own random numbers, and stops on its own; only the work is shared.

    Args:
        subjects: images with the same number of channels.
        recipe: how.
        generators: on the CPU, draw the weights.
        precision: makes the context in which the network runs.
        progress: called with the share of `recipe.steps` and a line with the loss.

    Raises:
        DetectorError: a loss is no longer a number.
    """
    channels, device = len(subjects[0].pixels), subjects[0].pixels.device
    count = len(subjects)
    network = Network(channels, recipe.widths, count).to(device)
    network.initialize(generators)
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(
        parameters, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=device.type in ("cpu", "cuda")
    )
    averages = [parameter.detach().clone() for parameter in parameters]
    side = min(recipe.patch_side(subject.valid.shape) for subject in subjects)
    watched = [_Watched.of(subject) for subject in subjects]
    losses = torch.zeros(recipe.steps, count, device=device)
    finished: dict[int, Trained] = {}

    for step in range(recipe.steps):
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * min(1.0, (step + 1) / _WARM_UP)
        batches = [_corrupted(item, recipe, side) for item in watched]
        inputs = torch.cat([batch.inputs for batch in batches], dim=1)
        target = torch.stack([batch.target for batch in batches], dim=1)
        weight = torch.stack([batch.weight for batch in batches], dim=1)
        emphasis = torch.stack([batch.emphasis for batch in batches], dim=1)
        with precision():
            prediction = network(inputs).unflatten(1, (count, channels))
        loss = pixel_loss(prediction, target, weight * emphasis)
        if recipe.structure_weight > 0:
            loss = loss + recipe.structure_weight * inner_product_loss(
                prediction, target, window=min(recipe.structure_window, side), weight=weight
            )
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses[step] = loss.detach()
        _average(averages, parameters, step, recipe.average)
        if recipe.downweight:
            residual = (prediction.detach() - target).abs().mean(dim=2)
            for number, (item, batch) in enumerate(zip(watched, batches, strict=True)):
                item.remember(batch, residual[:, number])
                if (step + 1) % _DOWNWEIGHT_EVERY == 0:
                    item.judge()

        if (step + 1) % _EVERY == 0 or step + 1 == recipe.steps:
            recent = losses[max(0, step - _EVERY + 1) : step + 1].mean(dim=0).tolist()
            for number, value in enumerate(recent):
                if not math.isfinite(value):
                    raise DetectorError(
                        f"training failed: the loss was {value} after {step + 1} steps; "
                        f"try a learning rate below {recipe.learning_rate:g}"
                    )
                last = step + 1 == recipe.steps or _has_settled(losses[: step + 1, number], recipe.plateau)
                if last and number not in finished:
                    averaged, newest = network.select(number, averages), network.select(number)
                    finished[number] = Trained(averaged, newest, value, step + 1)
            progress((step + 1) / recipe.steps, f"training, loss {sum(recent) / count:.3f}")
            if len(finished) == count:
                break
    return [finished[number] for number in range(count)]


@torch.no_grad()
def _average(
    averages: Sequence[torch.Tensor], parameters: Sequence[torch.Tensor], step: int, horizon: float
) -> None:
    """Move the exponential average of the weights along."""
    # The first steps count like a plain mean, so that the average forgets where it began.
    share = max(1 / max(horizon, 1.0), 1 / (step + 1))
    for average, parameter in zip(averages, parameters, strict=True):
        average.lerp_(parameter, share)


def _has_settled(losses: torch.Tensor, plateau: float) -> bool:
    """Whether the mean loss of the last steps has fallen by less than a share `plateau` of what it was."""
    if plateau <= 0 or len(losses) < 2 * _WINDOW:
        return False
    before, after = losses[-2 * _WINDOW : -_WINDOW].mean(), losses[-_WINDOW:].mean()
    return bool(before - after < plateau * before)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Patches of one image, corrupted."""

    inputs: torch.Tensor
    """`(B, C + 1, side, side)`."""
    target: torch.Tensor
    """`(B, C, side, side)`."""
    weight: torch.Tensor
    """`(B, 1, side, side)`, how much each pixel counts; 0 where it is missing."""
    emphasis: torch.Tensor
    """`(B, 1, side, side)`, how much more the pixel loss counts what was to be predicted."""
    hidden: torch.Tensor
    """`(B, side, side)`, 1 where the pixel was to be predicted and is there."""
    rows: torch.Tensor
    """`(B, side, 1)` of the image."""
    columns: torch.Tensor
    """`(B, 1, side)` of the image."""


@dataclass(frozen=True, eq=False)
class _Watched:
    """An image in training, and what was seen of its residual."""

    subject: Subject
    valid: torch.Tensor
    """`(H, W)` float32."""
    weight: torch.Tensor
    """`(H, W)`, how much each pixel counts, in [0, 1]; 0 where missing."""
    residual: torch.Tensor
    """`(H, W)`, sum of the absolute residuals where the pixel was hidden."""
    seen: torch.Tensor
    """`(H, W)`, how often that was."""

    @classmethod
    def of(cls, subject: Subject) -> _Watched:
        valid = subject.valid.to(subject.pixels.dtype)
        return cls(subject, valid, valid.clone(), torch.zeros_like(valid), torch.zeros_like(valid))

    def remember(self, batch: _Batch, residual: torch.Tensor) -> None:
        """Add the residuals of the pixels that were hidden."""
        # Patches overlap; one after the other, the sums are the same each time.
        for place in range(len(residual)):
            patch = (batch.rows[place], batch.columns[place])
            self.residual[patch] += residual[place] * batch.hidden[place]
            self.seen[patch] += batch.hidden[place]

    def judge(self) -> None:
        """Weigh pixels down whose surroundings are predicted much worse than others, as an M-estimator does.

        `weight = min(1, c / z)` with z the robust deviation of the smoothed residual from its median (Huber,
        'Robust Statistics', 1981). The idea is Auto-AD's (Wang et al., IEEE TGRS 2021), which uses one minus
        the normalised residual. Older residuals, of a network that knew less, are forgotten by half.
        """
        known = self.seen > 0
        if not bool(known.any()):
            return
        mean = smooth(self.residual / self.seen.clamp_min(1), known.to(self.valid.dtype), 2.0)
        values = mean[known]
        values = values[:: 1 + len(values) // _SAMPLES]
        middle, upper = values.quantile(0.5), values.quantile(0.84)
        deviation = (mean - middle) / (upper - middle).clamp_min(1e-6)
        factor = torch.where(known, (_SUSPICIOUS / deviation.clamp_min(_SUSPICIOUS)), 1.0)
        self.weight.copy_(self.valid * factor)
        self.residual.mul_(0.5)
        self.seen.mul_(0.5)


def _corrupted(watched: _Watched, recipe: Recipe, side: int) -> _Batch:
    """Draw overlapping patches, and hide, shuffle and disturb what the network is given of them."""
    subject = watched.subject
    generator, device = subject.generator, subject.pixels.device
    height, width = subject.valid.shape
    span = torch.arange(side, device=device)

    def starts(size: int) -> torch.Tensor:
        return torch.randint(size - side + 1, (recipe.batch,), generator=generator, device=device)

    rows = (starts(height)[:, None] + span)[:, :, None]
    columns = (starts(width)[:, None] + span)[:, None, :]
    target = subject.pixels[:, rows, columns].transpose(0, 1)
    known = watched.valid[rows, columns][:, None]
    inputs = target
    hidden = torch.zeros_like(known)
    if recipe.image_input:
        inputs = target * known
        if recipe.shuffle_ratio > 0:
            both = torch.cat([inputs, known], dim=1)
            both = shuffle_blocks(both, size=SHUFFLED_BLOCK, ratio=recipe.shuffle_ratio, generator=generator)
            inputs, given = both[:, :-1], both[:, -1:]
        else:
            given = known
        if recipe.noise > 0:
            inputs = inputs + recipe.noise * torch.randn(inputs.shape, generator=generator, device=device)
        if recipe.mask_ratio > 0:
            hidden = block_masks(
                recipe.batch, side, sizes=recipe.block_sizes, ratio=recipe.mask_ratio, generator=generator
            )
        mask = torch.maximum(hidden, 1 - given)
        inputs = inputs * (1 - mask)
    else:
        inputs = subject.inputs[:, rows, columns].transpose(0, 1)
        if recipe.noise > 0:
            inputs = inputs + recipe.noise * torch.randn(inputs.shape, generator=generator, device=device)
        mask = hidden
    every = recipe.mask_ratio <= 0 or not recipe.image_input
    emphasis = torch.ones_like(hidden) if every else hidden + _NOT_HIDDEN * (1 - hidden)
    return _Batch(
        inputs=torch.cat([inputs, mask], dim=1),
        target=target * known,
        weight=watched.weight[rows, columns][:, None],
        emphasis=emphasis,
        hidden=(known if every else hidden * known)[:, 0],
        rows=rows,
        columns=columns,
    )
