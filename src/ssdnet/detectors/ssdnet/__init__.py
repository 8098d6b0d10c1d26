"""`ssdnet`: a network trained on nothing but the image reconstructs it blindly; what it cannot, is anomalous.

Moradi, Chen, Yan & Paynabar, 'A Single Image Is All You Need: Zero-Shot Anomaly Localization Without
Training Data', arXiv 2509.18354. What is public of it gives the principle (`training`, `corruption`,
`losses`, `blind`) but neither architecture, sizes, shares nor iterations: those are chosen here by
measurement, and the score goes beyond a raw residual (`evidence`). An overview figure on an author's page
shows more (`scales`, `perception`): `SSDnet.paper()`. docs/ssdnet.md says what each part is worth.

| module | holds |
| --- | --- |
| `network` | the U-Net, several side by side |
| `corruption` | block masks, shuffled blocks |
| `losses` | pixel loss, loss of windows |
| `perception` | features to compare images by, as a loss and as maps |
| `vgg19` | VGG19's weights from a file |
| `scales` | the image global to local, and the maps of each scale |
| `training` | patches, steps, down-weighting, plateau, weight averaging |
| `precision` | bfloat16 where it is fast |
| `blind` | masks that tile the image, and the prediction of what they hide |
| `evidence` | from residual and features to log distances |
| `model` | all that was learned: scores and reconstructs |
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from ssdnet.detectors.checks import check_flags, check_numbers, check_whole
from ssdnet.detectors.protocol import Detector, one_image
from ssdnet.detectors.ssdnet.model import Blindness, SSDnetModel, Weights
from ssdnet.detectors.ssdnet.precision import arithmetic
from ssdnet.detectors.ssdnet.scales import ScaleMaps
from ssdnet.detectors.ssdnet.training import Subject, Training, smallest_shape, train
from ssdnet.detectors.texture import Texture
from ssdnet.errors import UsageError
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssdnet.detectors.ssdnet.training import Trained
    from ssdnet.progress import Progress

__all__ = ["SSDnet", "Training"]

_TRAINING = 0.85
"""Share of the work that is training, for the progress bar."""


@dataclass(frozen=True)
class SSDnet(Detector):
    """Single Shot Decomposition Network, every part of it a field.

    The default is what measured best; `SSDnet.paper()` is the published recipe as far as it is known, and
    `SSDnet.deep_image_prior()` the method it grew from. 'Paper' below says that the part is named there,
    'figure' that an overview figure of its authors shows it, 'ours' that neither does; no number is named.

    So few steps show how it goes, not how well it works.

    >>> tiny = SSDnet(training=Training(steps=2, batch=1, widths=(4, 4), patch=16))
    >>> image = torch.randn(1, 24, 32, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(24, 32, dtype=torch.bool)
    >>> model, (scores,) = tiny.fit_score([image], [known], generator=torch.Generator().manual_seed(0))
    >>> tuple(scores.shape), tuple(model.reconstruct(image, known).shape)
    ((2, 24, 32), (1, 24, 32))
    """

    name: ClassVar[str] = "ssdnet"
    summary: ClassVar[str] = (
        "network trained on the image alone: blind residual, learned features and texture statistics together"
    )
    assumes: ClassVar[str] = "one texture on most of the image; some seconds of time"
    source: ClassVar[str] = "Moradi et al., arXiv 2509.18354"
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {"best": {}, "draft": {"training.steps": 100}}
    decomposes: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    training: Training = field(default_factory=Training)
    """How the network is made and trained."""
    statistics: Texture = field(default_factory=Texture)
    """What patches and lines are looked at, in the image and in the residual (ours)."""
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
    """Whether the normal layer is predicted with texture from elsewhere in the place of all that looks
    anomalous, so that a defect that was found leaves no trace in it, however large; of no influence on the
    score (ours)."""
    texture: float = 1.0
    """Weight of the distances of the image's own patches, that is of `statistics` (ours)."""
    learned: float = 0.3
    """Weight of the distance of the decoder's finest features (ours)."""
    residual: float = 0.3
    """Weight of the distance of the residual's patches (ours)."""
    raw: float = 0.0
    """Weight of the residual itself, at the scales of `training.grids` (paper)."""
    perceptual: float = 0.0
    """Weight of how different image and prediction look, at the same scales, by what `training.perceptual`
    compares (figure). Weights are exponents of a product of maps, each in units of its own spread."""

    @classmethod
    def paper(cls, vgg19: str | None = None) -> SSDnet:
        """The published recipe as far as it is known: what an overview figure of its authors shows.

        Args:
            vgg19: file of VGG19's weights, see `Training.perceptual_weights`. None = random convolutions in
                its place: without weights of ImageNet, nothing but the image is learned from.

        >>> recipe = SSDnet.paper()
        >>> recipe.training.grids, recipe.training.combination, recipe.training.perceptual
        ((2, 4, 8), 'product', 'random')
        """
        training = Training(
            grids=(2, 4, 8),
            pixel_loss="squared",
            perceptual="vgg19" if vgg19 else "random",
            perceptual_loss="squared",
            perceptual_weights=vgg19 or "",
            combination="product",
            structure_weight=1.0,
        )
        return replace(cls.residual_only(), training=training, perceptual=1.0)

    @classmethod
    def residual_only(cls) -> SSDnet:
        """The recipe of the abstract: one scale, a sum of losses, and the residual is the score.

        >>> SSDnet.residual_only().training == Training()
        True
        """
        # A residual alone shows the rims of the blocks unless more grids are averaged.
        return cls(offsets=4, texture=0.0, learned=0.0, residual=0.0, raw=1.0)

    @classmethod
    def deep_image_prior(cls) -> SSDnet:
        """Ulyanov et al., CVPR 2018: the image from fixed noise, stopped early; the residual is the score."""
        training = Training(
            input="noise", mask_ratio=0.0, shuffle_ratio=0.0, noise=0.03, structure_weight=0.0
        )
        return cls(training=training, blind=False, texture=0.0, learned=0.0, residual=0.0, raw=1.0)

    def __post_init__(self) -> None:
        for name, kind in (("training", Training), ("statistics", Texture)):
            if not isinstance(getattr(self, name), kind):
                raise UsageError(f"ssdnet: {name} must be a {kind.__name__}, not {getattr(self, name)!r}")
        check_whole(self, block=1, guard=0, offsets=1)
        check_flags(self, "blind", "hide_anomalies")
        weights = ("texture", "learned", "residual", "raw", "perceptual")
        check_numbers(self, **dict.fromkeys(weights, (0.0, math.inf)))
        if self.training.input == "noise" and self.blind:
            raise UsageError("ssdnet: from noise nothing can be predicted blindly; set blind=False")
        if not any(getattr(self, weight) for weight in weights):
            raise UsageError(f"ssdnet: at least one of {', '.join(weights)} must be positive")

    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[SSDnetModel, list[torch.Tensor]]:
        """The model, and the scores; see `Detector.fit_score`."""
        if self.training.input == "noise":
            one_image(self.name, len(pixels))
        subjects = self.subjects(pixels, valid, [generator] * len(pixels))
        (trained,) = self.train([subjects], generators=[generator], progress=part(progress, 0.0, _TRAINING))
        return self.learn(subjects, trained, progress=part(progress, _TRAINING, 1 - _TRAINING))

    def fit_each(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress = silent,
    ) -> list[tuple[SSDnetModel, torch.Tensor]]:
        """Train networks for several images side by side; see `Detector.fit_each`.

        Images with the same number of channels, and not smaller than a patch, train together.
        """
        subjects = self.subjects(pixels, valid, generators)
        groups: dict[tuple[int, int, tuple[int, ...]], list[int]] = {}
        for number, image in enumerate(pixels):
            side, factors = self.recipe.patch_side(image.shape[1:]), self.recipe.factors(image.shape[1:])
            groups.setdefault((len(image), side, factors), []).append(number)
        results: dict[int, tuple[SSDnetModel, torch.Tensor]] = {}
        for members in groups.values():
            start, size = len(results) / len(pixels), len(members) / len(pixels)
            trained = self.train(
                [[subjects[number]] for number in members],
                generators=[generators[number] for number in members],
                progress=part(progress, start, _TRAINING * size),
            )
            share = (1 - _TRAINING) / len(pixels)
            for place, (number, own) in enumerate(zip(members, trained, strict=True)):
                before = start + _TRAINING * size + place * share
                model, scores = self.learn([subjects[number]], own, progress=part(progress, before, share))
                results[number] = (model, scores[0])
        return [results[number] for number in range(len(pixels))]

    def subjects(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        generators: Sequence[torch.Generator],
    ) -> list[Subject]:
        """What the networks shall learn, for `train`; the arguments are those of `fit_each`."""
        return [
            Subject.of(image, known, int(torch.randint(2**62, (1,), generator=generator)), self.training)
            for image, known, generator in zip(pixels, valid, generators, strict=True)
        ]

    @property
    def recipe(self) -> Training:
        """`training`, and what of the rest decides it."""
        if not (self.guard and self.blind):
            return self.training
        bridged = self.block + 2 * self.guard  # what it will be asked to bridge
        return replace(self.training, block_sizes=(*self.training.block_sizes, bridged))

    def train(
        self,
        subjects: Sequence[Sequence[Subject]],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress = silent,
    ) -> list[Trained]:
        """One network for each image, or for several of one surface, see `training.train`."""
        device = subjects[0][0].pixels.device
        precision = functools.partial(arithmetic, self.training.precision, device)
        return train(subjects, self.recipe, generators=generators, precision=precision, progress=progress)

    def learn(
        self, subjects: Sequence[Subject], trained: Trained, *, progress: Progress = silent
    ) -> tuple[SSDnetModel, list[torch.Tensor]]:
        """What is usual in what a trained network leaves of its images, and their scores.

        Args:
            subjects: the images, of one surface.
            trained: on them.
            progress: called now and then.
        """
        blindness = Blindness(
            self.block,
            self.guard,
            self.offsets if self.blind else 0,
            self.training.precision,
            hides=self.hide_anomalies and self.blind,
        )
        weights = Weights(self.texture, self.learned, self.residual, self.raw, self.perceptual)
        maps = ScaleMaps(
            self.training.factors(smallest_shape(subjects)),
            residual=self.raw > 0,
            perception=trained.perception if self.perceptual > 0 else None,
        )
        network = trained.averaged if self.training.average > 0 else trained.last
        return SSDnetModel.learn(subjects, network, blindness, weights, self.statistics, maps, progress)
