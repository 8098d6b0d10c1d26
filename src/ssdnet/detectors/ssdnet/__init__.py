"""`ssdnet`: a network trained on nothing but the image reconstructs it blindly; what it cannot, is anomalous.

Moradi, Chen, Yan & Paynabar, 'A Single Image Is All You Need: Zero-Shot Anomaly Localization Without
Training Data', arXiv 2509.18354. What is public of it gives the principle (`training`, `corruption`,
`losses`, `blind`) but neither architecture, sizes, shares nor iterations: those are chosen here by
measurement, and the score goes beyond a raw residual (`evidence`). docs/ssdnet.md says what each part is
worth.

| module | holds |
| --- | --- |
| `network` | the U-Net, several side by side |
| `corruption` | block masks, shuffled blocks |
| `losses` | pixel loss, inner-product loss |
| `training` | patches, steps, down-weighting, plateau, weight averaging |
| `blind` | masks that tile the image, and the prediction of what they hide |
| `evidence` | from residual and features to a score |
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.calibration import fit_null
from ssdnet.detectors.protocol import Decomposition
from ssdnet.detectors.ssdnet.blind import framed, predict_blind
from ssdnet.detectors.ssdnet.evidence import (
    learned_distance,
    raw_residual,
    residual_distance,
)
from ssdnet.detectors.ssdnet.training import Recipe, Subject, Trained, train
from ssdnet.detectors.texture import Texture
from ssdnet.errors import UsageError
from ssdnet.maths.fusion import fuse, squared_distance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from ssdnet.detectors.ssdnet.network import Network
    from ssdnet.progress import Progress

__all__ = ["SSDnet"]

_TRAINING = 0.85
"""Share of the work that is training, for the progress bar."""

_MOST_LEVELS = 4
"""Of the network: the smallest image has 16 pixels."""

_RIM = 6
"""Pixels around what looks anomalous that are hidden with it: its blurred edge must not tell."""


@dataclass(frozen=True)
class SSDnet:
    """Single Shot Decomposition Network, every part of it a field.

    The default is what measured best; `SSDnet.paper()` is the published recipe as far as it is known, and
    `SSDnet.deep_image_prior()` the method it grew from. 'Paper' below says that the part is named there,
    'ours' that it is not; no number is.
    """

    name: ClassVar[str] = "ssdnet"
    summary: ClassVar[str] = (
        "network trained on the image alone: blind residual, learned features and texture statistics together"
    )
    assumes: ClassVar[str] = "one texture on most of the image; some seconds of time"
    source: ClassVar[str] = "Moradi et al., arXiv 2509.18354"
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "full": {},
        "draft": {"steps": 100},
    }

    widths: tuple[int, ...] = (32, 48, 64)
    """Channels of the network at 1/2, 1/4, ... of the resolution; at least two (ours)."""
    steps: int = 200
    """Training steps, at most."""
    batch: int = 8
    """Patches a step (overlapping patches: paper)."""
    patch: int = 64
    """Side of a patch, pixels; smaller in smaller images."""
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
    """Weight of the inner-product loss beside the pixel loss (paper; on windows of the image: ours)."""
    structure_window: int = 8
    """Side of its windows, pixels."""
    downweight: bool = False
    """Whether pixels that stay unpredictable count less in training (Auto-AD, IEEE TGRS 2021)."""
    plateau: float = 0.0
    """Stop when the loss falls by less than this share over 50 steps; 0 = take all steps."""
    average: float = 0.0
    """Horizon of the exponential average of the weights, steps; 0 = take the last weights (ours)."""
    blind: bool = True
    """Whether each pixel is predicted without being seen (paper); otherwise from the whole image."""
    block: int = 8
    """Side of the blocks that are predicted at once, pixels."""
    guard: int = 0
    """How far around a block the network sees nothing either, pixels: larger than a defect, so that no part
    of it helps to predict the rest. Masks of that width are trained as well."""
    offsets: int = 2
    """Shifted grids of blocks whose predictions are averaged: more of them leave less of a pattern."""
    hide_anomalies: bool = True
    """Whether the normal layer is predicted once more with all that looks anomalous hidden, so that a defect
    that was found leaves no trace in it, however large; of no influence on the score (ours)."""
    texture: float = 1.0
    """Weight of the distances of the image's own patches, that is of the detector `texture` (ours)."""
    learned: float = 0.3
    """Weight of the distance of the decoder's finest features (ours)."""
    residual: float = 0.3
    """Weight of the distance of the residual's patches (ours)."""
    raw: float = 0.0
    """Weight of the residual itself (paper)."""
    precision: str = "auto"
    """Arithmetic of the network: `float32`, `bfloat16`, or `auto`, bfloat16 where it is fast."""

    @classmethod
    def paper(cls) -> SSDnet:
        """The published recipe as far as it is known: a fixed number of steps, the residual is the score."""
        # A residual alone shows the rims of the blocks unless more grids are averaged.
        return cls(offsets=4, texture=0.0, learned=0.0, residual=0.0, raw=1.0)

    @classmethod
    def deep_image_prior(cls) -> SSDnet:
        """Ulyanov et al., CVPR 2018: the image from fixed noise, stopped early; the residual is the score."""
        return cls(
            input="noise",
            mask_ratio=0.0,
            shuffle_ratio=0.0,
            noise=0.03,
            structure_weight=0.0,
            average=0.0,
            blind=False,
            texture=0.0,
            learned=0.0,
            residual=0.0,
            raw=1.0,
        )

    def __post_init__(self) -> None:
        _check(self)

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress,
    ) -> torch.Tensor:
        """The score of one image; see `Detector.score`."""
        alone = replace(self, hide_anomalies=False)  # nobody sees the normal layer
        return alone.decompose([pixels], [valid], generators=[generator], progress=progress)[0].score

    def decompose(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress,
    ) -> list[Decomposition]:
        """Train on each image and split it; see `Decomposer.decompose`.

        Images with the same number of channels, and not smaller than a patch, train together.

        Raises:
            DetectorError: the training failed.
        """
        subjects = self.subjects(pixels, valid, generators)
        groups: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(pixels):
            side = self.recipe.patch_side(image.shape[1:])
            groups.setdefault((len(image), side), []).append(number)
        results: dict[int, Decomposition] = {}
        for members in groups.values():
            start, size = len(results) / len(pixels), len(members) / len(pixels)
            trained = self.train(
                [subjects[number] for number in members],
                generators=[generators[number] for number in members],
                progress=functools.partial(_scaled, progress, start, _TRAINING * size),
            )
            share = (1 - _TRAINING) / len(pixels)
            for place, (number, network) in enumerate(zip(members, trained, strict=True)):
                before = start + _TRAINING * size + place * share
                results[number] = self.judge(
                    subjects[number],
                    network,
                    progress=functools.partial(_scaled, progress, before, share),
                )
        return [results[number] for number in range(len(pixels))]

    def subjects(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        generators: Sequence[torch.Generator],
    ) -> list[Subject]:
        """What the networks shall learn, for `train`; the arguments are those of `decompose`."""
        subjects = []
        for image, known, generator in zip(pixels, valid, generators, strict=True):
            seed = int(torch.randint(2**62, (1,), generator=generator))
            own = torch.Generator(image.device).manual_seed(seed)
            inputs = image
            if self.input == "noise":
                inputs = torch.randn(image.shape, generator=own, device=image.device)
            subjects.append(Subject(torch.where(known, image, 0), inputs, known, own))
        return subjects

    @property
    def recipe(self) -> Recipe:
        """What of the configuration decides the training."""
        sizes = self.block_sizes
        if self.guard and self.blind:
            sizes = (*sizes, self.block + 2 * self.guard)  # what it will be asked to bridge
        return Recipe(
            widths=self.widths,
            steps=self.steps,
            batch=self.batch,
            patch=self.patch,
            learning_rate=self.learning_rate,
            image_input=self.input == "image",
            block_sizes=sizes,
            mask_ratio=self.mask_ratio,
            shuffle_ratio=self.shuffle_ratio,
            noise=self.noise,
            structure_weight=self.structure_weight,
            structure_window=self.structure_window,
            downweight=self.downweight,
            plateau=self.plateau,
            average=self.average,
        )

    def train(
        self, subjects: Sequence[Subject], *, generators: Sequence[torch.Generator], progress: Progress
    ) -> list[Trained]:
        """One network for each image, see `training.train`."""
        precision = functools.partial(_context, self.precision, subjects[0].pixels.device)
        return train(subjects, self.recipe, generators=generators, precision=precision, progress=progress)

    @torch.no_grad()
    def judge(self, subject: Subject, trained: Trained, *, progress: Progress) -> Decomposition:
        """Reconstruct and score one image with its own network.

        Args:
            subject: the image.
            trained: from `train`.
            progress: called now and then.
        """
        progress(0.0, "reconstruction")
        network = trained.averaged if self.average > 0 else trained.last
        pixels, valid = subject.pixels, subject.valid
        known = valid if self.input == "image" else torch.ones_like(valid)
        normal = self._predict(network, subject.inputs, known)
        if not bool(pixels[:, valid].any()):
            # Where all is the same, what the network makes of it is no evidence.
            return Decomposition(score=torch.ones_like(pixels[0]), normal=normal)
        residual = torch.where(valid, pixels - normal, 0)
        texture, doubts = Texture(), []
        if self.raw > 0:
            doubts.append((self.raw, raw_residual(residual, valid)))
        if self.residual > 0:
            progress(0.3, "residual")
            lines = texture.along_lines(residual_distance(residual, valid), valid)
            doubts += _shared(self.residual, lines)
        if self.learned > 0:
            progress(0.5, "learned features")
            filled = torch.where(known, subject.inputs, normal)
            with _context(self.precision, pixels.device):
                decoded = network.decoded(framed(filled, torch.ones_like(valid), network.multiple))
            doubts += _shared(self.learned, texture.along_lines(learned_distance(decoded[0], valid), valid))
        if self.texture > 0:
            progress(0.7, "texture")
            distances = texture.log_distances(pixels, valid, progress=_silent)
            logarithm = fuse(_shared(self.texture, distances), valid, doubts=doubts)
        else:
            logarithm = fuse(doubts, valid)
        score = squared_distance(logarithm, valid)
        if self.hide_anomalies and self.blind:
            progress(0.9, "normal layer")
            doubtful = _doubtful(score, valid)
            if bool(doubtful.any()):
                normal = torch.where(
                    doubtful, self._predict(network, subject.inputs, known & ~doubtful), normal
                )
        return Decomposition(score=score, normal=normal)

    def _predict(self, network: Network, inputs: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """`(C, H, W)` prediction from what is known."""
        with _context(self.precision, inputs.device):
            return predict_blind(
                network,
                inputs,
                known,
                block=self.block,
                guard=self.guard,
                offsets=self.offsets if self.blind else 0,
            )


def _doubtful(score: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """`(H, W)` bool: what chance does less than once an image, and a rim around it."""
    values = torch.where(valid, score, torch.nan).cpu().numpy()
    rare = torch.from_numpy(fit_null(values).log10_nfa(values) < 0).to(score.device)
    size = 2 * _RIM + 1
    return F.max_pool2d(rare.float()[None, None], size, stride=1, padding=_RIM)[0, 0] > 0


def _shared(weight: float, maps: Sequence[torch.Tensor]) -> list[tuple[float, torch.Tensor]]:
    """Each map with its part of the weight."""
    return [(weight / len(maps), values) for values in maps]


def _scaled(progress: Progress, start: float, size: float, fraction: float, message: str) -> None:
    progress(start + size * fraction, message)


def _silent(fraction: float, message: str) -> None:
    pass


def _context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Where the network runs."""
    if precision == "bfloat16" or (precision == "auto" and _fast_in_bfloat16(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


@functools.cache
def _fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        flags = torch.backends.cpu.get_cpu_capability()
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return flags != "DEFAULT" and bool(known())
    return False


def _check(detector: SSDnet) -> None:
    """Refuse settings that mean nothing.

    Raises:
        UsageError: which, and what it may be.
    """
    smallest = {
        "steps": 1,
        "batch": 1,
        "patch": 16,
        "structure_window": 2,
        "block": 1,
        "guard": 0,
        "offsets": 1,
    }
    for name, least in smallest.items():
        value = getattr(detector, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"ssdnet: {name} must be a whole number of at least {least}, not {value!r}")
    ranges = {
        "learning_rate": (1e-8, 1.0),
        "mask_ratio": (0.0, 0.95),
        "shuffle_ratio": (0.0, 1.0),
        "plateau": (0.0, 1.0),
    }
    for field in fields(detector):
        value = getattr(detector, field.name)
        if not isinstance(field.default, float):
            continue
        low, high = ranges.get(field.name, (0.0, math.inf))
        if not isinstance(value, (int, float)) or not low <= value <= high or math.isinf(value):
            raise UsageError(f"ssdnet: {field.name} must be a number in [{low:g}, {high:g}], not {value!r}")
    for name, least, count in (("widths", 1, 2), ("block_sizes", 1, 1)):
        value = getattr(detector, name)
        whole = isinstance(value, tuple) and all(isinstance(item, int) and item >= least for item in value)
        if not whole or len(value) < count:
            raise UsageError(
                f"ssdnet: {name} must be a tuple of at least {count} whole numbers of at least {least}, "
                f"not {value!r}"
            )
    if len(detector.widths) > _MOST_LEVELS:
        raise UsageError(f"ssdnet: widths may have at most {_MOST_LEVELS} levels, not {len(detector.widths)}")
    for name in ("downweight", "blind", "hide_anomalies"):
        if not isinstance(getattr(detector, name), bool):
            raise UsageError(f"ssdnet: {name} must be True or False, not {getattr(detector, name)!r}")
    if detector.input == "noise" and detector.blind:
        raise UsageError("ssdnet: from noise nothing can be predicted blindly; set blind=False")
    for name, words in (("input", ("image", "noise")), ("precision", ("auto", "float32", "bfloat16"))):
        if getattr(detector, name) not in words:
            raise UsageError(
                f"ssdnet: {name} must be one of {', '.join(words)}, not {getattr(detector, name)!r}"
            )
    if not any((detector.texture, detector.learned, detector.residual, detector.raw)):
        raise UsageError("ssdnet: at least one of texture, learned, residual and raw must be positive")
