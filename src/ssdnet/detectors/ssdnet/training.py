"""Training on nothing but the image: one network an image, several side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from ssdnet.detectors.checks import check_flags, check_numbers, check_sizes, check_whole, check_words
from ssdnet.detectors.ssdnet import vgg19
from ssdnet.detectors.ssdnet.corruption import block_masks, shuffle_blocks
from ssdnet.detectors.ssdnet.losses import pixel_loss
from ssdnet.detectors.ssdnet.network import Network
from ssdnet.detectors.ssdnet.perception import FORMS, KINDS, Perception, perceptual_loss
from ssdnet.detectors.ssdnet.scales import reduced
from ssdnet.errors import DetectorError, UsageError
from ssdnet.maths.smoothing import smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
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


_MOST_LEVELS = 4
"""Of the network: the smallest image has 16 pixels."""
_SMALLEST = 16
"""Side of a patch, at least, where the image has as much: less shows no texture."""
_MOST_GRIDS = 5


@dataclass(frozen=True)
class Training:
    """How a network is made and trained.

    'Paper' says that the part is named there, 'ours' that it is not; no number is.

    >>> training = Training(steps=50, widths=(16, 32))
    >>> training.patch_side((100, 200)), training.patch_side((45, 200))
    (64, 40)
    """

    widths: tuple[int, ...] = (32, 48, 64)
    """Channels of the network at 1/2, 1/4, ... of the resolution; at least two (ours)."""
    steps: int = 200
    """Training steps, at most."""
    batch: int = 8
    """Patches a step (overlapping patches: paper)."""
    patch: int = 64
    """Side of a patch, pixels, at most; smaller in smaller images."""
    grids: tuple[int, ...] = ()
    """Patches at several scales: cells of grids of so many squares on the shorter side, all reduced to the
    size of the smallest cell (figure: 2, 4, 8), at random places, `batch` of each a step. Empty = one scale,
    that of the image."""
    learning_rate: float = 3e-3
    """Of Adam."""
    input: str = "image"
    """What the network is given: the `image` (paper), or `noise` as in Deep Image Prior."""
    block_sizes: tuple[int, ...] = (4, 8, 16)
    """Sides of the masked blocks, pixels (block masking: paper)."""
    mask_ratio: float = 0.35
    """Probability of a block to be masked; 0 = no masks."""
    shuffle_ratio: float = 0.15
    """Share of the 8 x 8 blocks of a patch that change places (spatial patch shuffling: paper)."""
    noise: float = 0.1
    """Standard deviation of the noise on the input, in units of the image's contrast (paper)."""
    structure_weight: float = 0.5
    """Weight of the perceptual loss beside the pixel loss (paper); of a product only whether it is 0."""
    structure_window: int = 8
    """Side of its windows, pixels."""
    pixel_loss: str = "absolute"
    """Difference of pixels: `absolute` (ours) or `squared` (L2: figure)."""
    perceptual: str = "windows"
    """What the perceptual loss compares: `windows` of the image (ours), `random` convolutions (ours), or
    `vgg19`, trained on ImageNet (figure)."""
    perceptual_loss: str = "inner"
    """How: `inner` product (abstract) or `squared` differences (L2: figure)."""
    perceptual_weights: str = ""
    """File of VGG19's weights, as `vgg19-dcbb9e9d.pth`: nothing is downloaded."""
    perceptual_sha256: str = ""
    """SHA-256 of that file, by which a record names it; empty = whatever the file has."""
    combination: str = "sum"
    """Of the two losses: `sum`, or `product` (figure)."""
    downweight: bool = False
    """Whether pixels that stay unpredictable count less in training (Auto-AD, IEEE TGRS 2021)."""
    plateau: float = 0.0
    """Stop when the loss falls by less than this share over 50 steps; 0 = take all steps."""
    average: float = 0.0
    """Horizon of the exponential average of the weights, steps; 0 = take the last weights (ours)."""
    precision: str = "auto"
    """Arithmetic of the network: `float32`, `bfloat16`, or `auto`, bfloat16 where it is fast."""

    name: ClassVar[str] = "ssdnet.training"

    def __post_init__(self) -> None:
        check_whole(self, steps=1, batch=1, patch=_SMALLEST, structure_window=2)
        check_numbers(self, learning_rate=(1e-8, 1.0), noise=(0.0, math.inf), average=(0.0, math.inf))
        check_numbers(self, mask_ratio=(0.0, 0.95), structure_weight=(0.0, math.inf))
        check_numbers(self, shuffle_ratio=(0.0, 1.0), plateau=(0.0, 1.0))
        check_sizes(self, widths=(2, _MOST_LEVELS), block_sizes=(1, 64))
        check_flags(self, "downweight")
        check_words(self, input=("image", "noise"), precision=("auto", "float32", "bfloat16"))
        check_sizes(self, grids=(0, _MOST_GRIDS))
        check_words(self, pixel_loss=("absolute", "squared"), combination=("sum", "product"))
        check_words(self, perceptual=KINDS, perceptual_loss=FORMS)
        if any(max(self.grids) % grid for grid in self.grids):
            raise UsageError(f"{self.name}: grids must divide the largest of them, not {self.grids!r}")
        if self.grids and self.input == "noise":
            raise UsageError(f"{self.name}: noise has one scale only; leave grids empty")
        self._check_weights()

    def _check_weights(self) -> None:
        """Refuse a file of weights that is not used or not there, and write down which one it is."""
        if self.perceptual != "vgg19":
            if self.perceptual_weights or self.perceptual_sha256:
                raise UsageError(f"{self.name}: perceptual_weights are for perceptual=vgg19 only")
        elif not self.perceptual_weights:
            raise UsageError(
                f"{self.name}: perceptual=vgg19 needs perceptual_weights, the file vgg19-dcbb9e9d.pth where "
                "torchvision has it; nothing is downloaded"
            )
        elif not self.perceptual_sha256:  # else it is a record, which can be read where the file is not
            object.__setattr__(self, "perceptual_sha256", vgg19.digest(self.perceptual_weights))

    def patch_side(self, shape: tuple[int, ...]) -> int:
        """Side of the patches of an image: what was asked for, or as much as it has, in whole blocks.

        The smallest cell of `grids`, where these are asked for, but no less than the smallest patch.
        """
        unit = math.lcm(2 ** len(self.widths), SHUFFLED_BLOCK)
        cell = max(_SMALLEST, min(shape) // max(self.grids)) if self.grids else self.patch
        return max(unit, min(self.patch, cell, *shape) // unit * unit)

    def factors(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """By which an image is reduced, global to local, so that every cell has the size of the smallest.

        Scales at which the image is smaller than a patch are left out.

        >>> training = Training(grids=(2, 4, 8))
        >>> training.factors((256, 300)), training.patch_side((256, 300))
        ((4, 2, 1), 32)
        >>> training.factors((20, 40)), training.patch_side((20, 40))
        ((1,), 16)
        """
        if not self.grids:
            return (1,)
        side, finest = self.patch_side(shape), max(self.grids)
        factors = (finest // grid for grid in sorted(set(self.grids)))
        return tuple(factor for factor in factors if factor == 1 or -(-min(shape) // factor) >= side)


@dataclass(frozen=True, eq=False)
class Subject:
    """One image to be learned.

    >>> pixels, known = torch.ones(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> known[3, 3] = False
    >>> image, noise = (Subject.of(pixels, known, 7, Training(input=kind)) for kind in ("image", "noise"))
    >>> float(image.inputs[0, 3, 3]), bool(noise.known[3, 3])
    (0.0, True)
    """

    pixels: torch.Tensor
    """`(C, H, W)` float32, what the network shall predict; 0 where missing."""
    inputs: torch.Tensor
    """`(C, H, W)` float32, what it is given: the same, or noise."""
    valid: torch.Tensor
    """`(H, W)` bool."""
    generator: torch.Generator
    """On the device of the pixels."""
    noise_seed: int | None
    """Of the noise, if it is that."""

    @classmethod
    def of(cls, pixels: torch.Tensor, valid: torch.Tensor, seed: int, training: Training) -> Subject:
        """An image with random numbers of its own."""
        own = torch.Generator(pixels.device).manual_seed(seed)
        pixels = torch.where(valid, pixels, 0)
        if training.input == "image":
            return cls(pixels, pixels, valid, own, None)
        noise = torch.randn(pixels.shape, generator=own, device=pixels.device)
        return cls(pixels, noise, valid, own, seed)

    @property
    def known(self) -> torch.Tensor:
        """`(H, W)` bool, which of the inputs are known."""
        return self.valid if self.noise_seed is None else torch.ones_like(self.valid)

    def reduced(self, factor: int) -> Subject:
        """The same at `1 / factor` of its resolution, with the same random numbers; noise has one scale."""
        if factor == 1:
            return self
        pixels, valid = reduced(self.pixels, self.valid, factor)
        return replace(self, pixels=pixels, inputs=pixels, valid=valid)


def smallest_shape(subjects: Iterable[Subject]) -> tuple[int, ...]:
    """Height and width of the image whose shorter side is the shortest: it decides the size of patches.

    >>> training, known = Training(), [torch.ones(shape, dtype=torch.bool) for shape in ((20, 30), (16, 90))]
    >>> smallest_shape(Subject.of(torch.zeros(1, *one.shape), one, 0, training) for one in known)
    (16, 90)
    """
    return min((tuple(subject.valid.shape) for subject in subjects), key=min)


def noise_like(pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """`(C, H, W)`, the noise of a subject with that seed.

    >>> pixels, known = torch.ones(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> subject = Subject.of(pixels, known, 7, Training(input="noise"))
    >>> torch.equal(noise_like(pixels, 7), subject.inputs)
    True
    """
    generator = torch.Generator(pixels.device).manual_seed(seed)
    return torch.randn(pixels.shape, generator=generator, device=pixels.device)


@dataclass(frozen=True, eq=False)
class Trained:
    """One network and how it came to be.

    >>> import contextlib
    >>> from ssdnet.progress import silent
    >>> training = Training(steps=2, batch=1, widths=(4, 4), patch=16)
    >>> subject = Subject.of(torch.ones(1, 16, 16), torch.ones(16, 16, dtype=torch.bool), 0, training)
    >>> (trained,) = train(
    ...     [[subject]],
    ...     training,
    ...     generators=[torch.Generator().manual_seed(0)],
    ...     precision=contextlib.nullcontext,
    ...     progress=silent,
    ... )
    >>> trained.steps, math.isfinite(trained.loss), trained.last.channels
    (2, True, 1)
    """

    averaged: Network
    """With the exponential average of its weights."""
    last: Network
    """With the weights of the last step."""
    loss: float
    """Mean over the last steps."""
    steps: int
    perception: Perception
    """What the perceptual loss compared."""


def train(
    subjects: Sequence[Sequence[Subject]],
    training: Training,
    *,
    generators: Sequence[torch.Generator],
    precision: Callable[[], AbstractContextManager[object]],
    progress: Progress,
) -> list[Trained]:
    """Train several networks at the same time, each on an image of its own, or on several of one surface.

    Each has its own random numbers, and stops on its own; only the work is shared.

    Args:
        subjects: for each network its images, which take turns; all with the same number of channels.
        training: how.
        generators: on the CPU, draw the weights.
        precision: makes the context in which the network runs.
        progress: called with the share of `training.steps` and a line with the loss.

    Raises:
        DetectorError: a loss is no longer a number.

    >>> import contextlib
    >>> training = Training(steps=20, batch=1, widths=(4, 4), patch=16)
    >>> known = torch.ones(16, 16, dtype=torch.bool)
    >>> pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> trained = train(
    ...     [[Subject.of(image, known, 0, training)] for image in pixels],
    ...     training,
    ...     generators=[torch.Generator().manual_seed(seed) for seed in (0, 1)],
    ...     precision=contextlib.nullcontext,
    ...     progress=lambda fraction, message: print(f"{fraction:.0%}"),
    ... )
    50%
    100%
    >>> [one.last.networks for one in trained]
    [1, 1]
    """
    channels, device = len(subjects[0][0].pixels), subjects[0][0].pixels.device
    count = len(subjects)
    network = Network(channels, training.widths, count).to(device)
    network.initialize(generators)
    perceptions = [
        Perception.of(
            training.perceptual,
            training.perceptual_loss,
            channels=channels,
            generator=generator,
            device=device,
            window=training.structure_window,
            file=training.perceptual_weights,
            sha256=training.perceptual_sha256,
        )
        for generator in generators
    ]
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(
        parameters, lr=training.learning_rate, betas=(0.9, 0.99), fused=device.type in ("cpu", "cuda")
    )
    averages = [parameter.detach().clone() for parameter in parameters]
    smallest = smallest_shape(subject for images in subjects for subject in images)
    side, factors = training.patch_side(smallest), training.factors(smallest)
    watched_images = [
        [[_Watched.of(subject.reduced(factor)) for factor in factors] for subject in images]
        for images in subjects
    ]
    losses = torch.zeros(training.steps, count, device=device)
    finished: dict[int, Trained] = {}

    for step in range(training.steps):
        optimizer.param_groups[0]["lr"] = training.learning_rate * min(1.0, (step + 1) / _WARM_UP)
        watched = [images[step % len(images)] for images in watched_images]
        scales = [[_corrupted(scale, training, side) for scale in item] for item in watched]
        batches = [_Batch.joined(parts) for parts in scales]
        inputs = torch.cat([batch.inputs for batch in batches], dim=1)
        target = torch.stack([batch.target for batch in batches], dim=1)
        weight = torch.stack([batch.weight for batch in batches], dim=1)
        emphasis = torch.stack([batch.emphasis for batch in batches], dim=1)
        with precision():
            prediction = network(inputs).unflatten(1, (count, channels))
        loss = pixel_loss(prediction, target, weight * emphasis, form=training.pixel_loss)
        if training.structure_weight > 0:
            structure = perceptual_loss(perceptions, prediction, target, weight)
            product = training.combination == "product"
            loss = loss * structure if product else loss + training.structure_weight * structure
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses[step] = loss.detach()
        _average(averages, parameters, step, training.average)
        if training.downweight:
            residual = (prediction.detach() - target).abs().mean(dim=2)
            for number, (item, parts) in enumerate(zip(watched, scales, strict=True)):
                rests = residual[:, number].split(training.batch)
                for scale, part, rest in zip(item, parts, rests, strict=True):
                    scale.remember(part, rest)
                    if (step + 1) % _DOWNWEIGHT_EVERY == 0:
                        scale.judge()

        if (step + 1) % _EVERY == 0 or step + 1 == training.steps:
            recent = losses[max(0, step - _EVERY + 1) : step + 1].mean(dim=0).tolist()
            for number, value in enumerate(recent):
                if not math.isfinite(value):
                    raise DetectorError(
                        f"training failed: the loss was {value} after {step + 1} steps; "
                        f"try a learning rate below {training.learning_rate:g}"
                    )
                last = step + 1 == training.steps or _has_settled(
                    losses[: step + 1, number], training.plateau
                )
                if last and number not in finished:
                    averaged, newest = network.select(number, averages), network.select(number)
                    finished[number] = Trained(averaged, newest, value, step + 1, perceptions[number])
            progress((step + 1) / training.steps, f"training, loss {sum(recent) / count:.3f}")
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

    @classmethod
    def joined(cls, parts: Sequence[_Batch]) -> _Batch:
        """Patches of several scales as one batch."""
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


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


def _corrupted(watched: _Watched, training: Training, side: int) -> _Batch:
    """Draw overlapping patches, and hide, shuffle and disturb what the network is given of them."""
    subject = watched.subject
    generator, device = subject.generator, subject.pixels.device
    height, width = subject.valid.shape
    span = torch.arange(side, device=device)

    def starts(size: int) -> torch.Tensor:
        return torch.randint(size - side + 1, (training.batch,), generator=generator, device=device)

    rows = (starts(height)[:, None] + span)[:, :, None]
    columns = (starts(width)[:, None] + span)[:, None, :]
    target = subject.pixels[:, rows, columns].transpose(0, 1)
    known = watched.valid[rows, columns][:, None]
    inputs = target
    hidden = torch.zeros_like(known)
    if training.input == "image":
        inputs = target * known
        if training.shuffle_ratio > 0:
            both = torch.cat([inputs, known], dim=1)
            both = shuffle_blocks(
                both, size=SHUFFLED_BLOCK, ratio=training.shuffle_ratio, generator=generator
            )
            inputs, given = both[:, :-1], both[:, -1:]
        else:
            given = known
        if training.noise > 0:
            inputs = inputs + training.noise * torch.randn(inputs.shape, generator=generator, device=device)
        if training.mask_ratio > 0:
            hidden = block_masks(
                training.batch,
                side,
                sizes=training.block_sizes,
                ratio=training.mask_ratio,
                generator=generator,
            )
        mask = torch.maximum(hidden, 1 - given)
        inputs = inputs * (1 - mask)
    else:
        inputs = subject.inputs[:, rows, columns].transpose(0, 1)
        if training.noise > 0:
            inputs = inputs + training.noise * torch.randn(inputs.shape, generator=generator, device=device)
        mask = hidden
    every = training.mask_ratio <= 0 or training.input != "image"
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
