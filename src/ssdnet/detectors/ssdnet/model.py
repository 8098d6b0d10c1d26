"""What `ssdnet` has learned of a surface: a network, and what is usual in what it leaves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.protocol import checked_window, whole_only
from ssdnet.detectors.ssdnet.blind import framed, predict_blind
from ssdnet.detectors.ssdnet.evidence import (
    LEARNED_REACH,
    RAW_REACH,
    LearnedFeatures,
    PooledFeatures,
    ResidualPatches,
    raw_residual,
)
from ssdnet.detectors.ssdnet.network import Network
from ssdnet.detectors.ssdnet.precision import arithmetic
from ssdnet.detectors.ssdnet.training import noise_like
from ssdnet.detectors.texture import TextureStatistics  # noqa: TC001 - files are read by types
from ssdnet.errors import UsageError
from ssdnet.maths.fusion import Fusion, SquaredDistance
from ssdnet.maths.lines import LineAverages
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.detectors.ssdnet.training import Subject
    from ssdnet.detectors.texture import Texture
    from ssdnet.progress import Progress

_RIM = 6
"""Pixels around what looks anomalous that are hidden with it: its blurred edge must not tell."""


@dataclass(frozen=True)
class Weights:
    """Of the kinds of evidence, see `SSDnet`.

    Only the residual counts, as published:

    >>> from ssdnet.detectors.ssdnet.training import Subject, Training
    >>> from ssdnet.detectors.texture import Texture
    >>> image, known = torch.linspace(0, 1, 256).view(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> subject, network = Subject.of(image, known, 0, Training()), Network(1, (4, 4))
    >>> network.initialize([torch.Generator().manual_seed(0)])
    >>> blindness = Blindness(block=8, guard=0, offsets=2, precision="float32", hides=True)
    >>> published = Weights(texture=0.0, learned=0.0, residual=0.0, raw=1.0)
    >>> model, _ = SSDnetModel.learn([subject], network, blindness, published, Texture(), silent)
    >>> model.texture, model.raw
    (None, True)
    """

    texture: float
    learned: float
    residual: float
    raw: float


@dataclass(frozen=True)
class Blindness:
    """How pixels are predicted, see `SSDnet`.

    >>> from ssdnet.detectors.ssdnet import SSDnet, Training
    >>> tiny = SSDnet(guard=2, training=Training(steps=1, batch=1, widths=(4, 4), patch=16))
    >>> image, known = torch.linspace(0, 1, 256).view(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> tiny.fit([image], [known], generator=torch.Generator().manual_seed(0)).blindness
    Blindness(block=8, guard=2, offsets=2, precision='auto', hides=True)
    """

    block: int
    guard: int
    offsets: int
    """0 = nothing is hidden."""
    precision: str
    hides: bool
    """Whether the normal layer is predicted with all that looks anomalous hidden."""


@dataclass(frozen=True, eq=False)
class ResidualEvidence:
    """Patches of the residual, along lines.

    >>> from ssdnet.detectors.ssdnet import SSDnet, Training
    >>> tiny = SSDnet(training=Training(steps=1, batch=1, widths=(4, 4), patch=16))
    >>> image, known = torch.linspace(0, 1, 256).view(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> evidence = tiny.fit([image], [known], generator=torch.Generator().manual_seed(0)).residual
    >>> evidence.lines.lengths, evidence.patches.patches.levels
    ((3.0, 20.0), 1)
    """

    patches: ResidualPatches
    lines: LineAverages


@dataclass(frozen=True, eq=False)
class LearnedEvidence:
    """Features of the network, along lines.

    >>> from ssdnet.detectors.ssdnet import SSDnet, Training
    >>> tiny = SSDnet(training=Training(steps=1, batch=1, widths=(4, 6), patch=16))
    >>> image, known = torch.linspace(0, 1, 256).view(1, 16, 16), torch.ones(16, 16, dtype=torch.bool)
    >>> evidence = tiny.fit([image], [known], generator=torch.Generator().manual_seed(0)).learned
    >>> evidence.lines.lengths, len(evidence.features.middle)
    ((3.0, 20.0), 4)
    """

    features: LearnedFeatures
    lines: LineAverages


@dataclass(frozen=True, eq=False)
class SSDnetModel:
    """A trained network, and what is usual in its residual, its features and the image.

    >>> from ssdnet.detectors.ssdnet import SSDnet, Training
    >>> tiny = SSDnet(training=Training(steps=1, batch=1, widths=(4, 4), patch=16))
    >>> cloth = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(24, 24, dtype=torch.bool)
    >>> model = tiny.fit([cloth[0]], [known], generator=torch.Generator().manual_seed(0))
    >>> tuple(model.score(cloth[1], known).shape), model.network.widths
    ((24, 24), (4, 4))
    """

    weights: tuple[torch.Tensor, ...]
    """Of the network."""
    widths: tuple[int, ...]
    """Of the network, see `Training`."""
    channels: int
    """Of the image."""
    blindness: Blindness
    noise_seed: int | None
    """Of the noise that the network is given instead of the image."""
    digest: str
    """Of the image that a network with noise has learned; empty for others, which take any image."""
    raw: bool
    """Whether the residual itself counts."""
    residual: ResidualEvidence | None
    learned: LearnedEvidence | None
    texture: TextureStatistics | None
    fusion: Fusion | None
    """Of all that; None where all pixels were the same: what a network makes of them is no evidence."""
    squared: SquaredDistance | None

    @classmethod
    @torch.no_grad()
    def learn(
        cls,
        subjects: Sequence[Subject],
        network: Network,
        blindness: Blindness,
        weights: Weights,
        statistics: Texture,
        progress: Progress,
    ) -> tuple[SSDnetModel, list[torch.Tensor]]:
        """See `SSDnet.learn`."""
        pixels, valid = [subject.pixels for subject in subjects], [subject.valid for subject in subjects]
        constant = not any(bool(image[:, known].any()) for image, known in zip(pixels, valid, strict=True))
        parts = _Parts(len(subjects))
        fusion = squared = None
        scores = [torch.ones_like(image[0]) for image in pixels]
        if not constant:
            parts.learn(subjects, network, blindness, weights, statistics, progress)
            # Where nothing else speaks, what doubts says speaks for a pixel too.
            doubts = len(parts.doubts) if parts.shares else 0
            fusion = Fusion.fit(parts.evidence, valid, parts.shares + parts.doubts, doubts=doubts)
            logarithms = [fusion.of(maps) for maps in parts.evidence]
            squared = SquaredDistance.fit(logarithms, valid)
            scores = [squared.of(values) for values in logarithms]
        noise_seed = subjects[0].noise_seed
        model = cls(
            weights=tuple(parameter.detach().clone() for parameter in network.parameters()),
            widths=network.widths,
            channels=network.channels,
            blindness=blindness,
            noise_seed=noise_seed,
            digest="" if noise_seed is None else _digest(pixels[0]),
            raw=weights.raw > 0,
            residual=parts.residual,
            learned=parts.learned,
            texture=parts.texture,
            fusion=fusion,
            squared=squared,
        )
        return model, scores

    @property
    def network(self) -> Network:
        """The trained network."""
        return Network.of(self.channels, self.widths, self.weights)

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        multiple, reach = int(2 ** len(self.widths)), self.network.reach
        behind = [RAW_REACH] * self.raw
        if self.residual is not None:
            behind.append(self.residual.patches.patches.halo + self.residual.lines.reach)
        if self.learned is not None:
            behind.append(LEARNED_REACH + self.learned.lines.reach)
        halos = [reach + 2 * multiple + max(behind)] if behind else [0]
        if self.texture is not None:
            halos.append(self.texture.halo)
        return max(halos)

    @torch.no_grad()
    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Residual, features and statistics together; see `Model.score`."""
        self._check(pixels, valid, window)
        wanted, context = checked_window(pixels, window, self.halo)
        if self.fusion is None or self.squared is None:
            return torch.ones(wanted.size, device=pixels.device)
        evidence: list[torch.Tensor] = []
        if self.texture is not None:
            maps, place = self.texture.log_distances(pixels, valid, context)
            evidence += [values[wanted.within(place)] for values in maps]
        progress(0.3, "reconstruction")
        network = self.network
        place = context.aligned(network.multiple)
        inside = wanted.within(place)
        pixels, valid = pixels[(slice(None), *place.within(context))], valid[place.within(context)]
        inputs, known = self._inputs(pixels, valid)
        normal = _predict(network, self.blindness, inputs, known, place)
        rest = torch.where(valid, pixels - normal, 0)
        if self.raw:
            evidence.append(raw_residual(rest, valid)[inside])
        if self.residual is not None:
            progress(0.6, "residual")
            averages = self.residual.lines.of(self.residual.patches.of(rest, valid, place), valid, place)
            evidence += [values[inside] for values in averages]
        if self.learned is not None:
            progress(0.8, "learned features")
            features = _features(network, self.blindness, inputs, known, normal, valid, place)
            averages = self.learned.lines.of(self.learned.features.of(features), valid, place)
            evidence += [values[inside] for values in averages]
        progress(1.0, "")
        return self.squared.of(self.fusion.of(evidence))

    @torch.no_grad()
    def reconstruct(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        hidden: torch.Tensor | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """The blind prediction; what is hidden, and a rim around it, is predicted from all else."""
        self._check(pixels, valid, None)
        progress(0.0, "normal layer")
        inputs, known = self._inputs(pixels, valid)
        if hidden is not None and self.blindness.hides:
            size = 2 * _RIM + 1
            known = known & (F.max_pool2d(hidden.float()[None, None], size, 1, _RIM)[0, 0] == 0)
        return _predict(
            self.network, self.blindness, inputs, known, Window.whole((valid.shape[0], valid.shape[1]))
        )

    def _inputs(self, pixels: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network is given, and which of it is known."""
        if self.noise_seed is None:
            return torch.where(valid, pixels, 0), valid
        return noise_like(pixels, self.noise_seed), torch.ones_like(valid)

    def _check(self, pixels: torch.Tensor, valid: torch.Tensor, window: Window | None) -> None:
        if len(pixels) != self.channels:
            raise UsageError(
                f"the model was fitted to images of {self.channels} channels, and this has {len(pixels)}"
            )
        if self.noise_seed is not None:
            whole_only("a network that is given noise", window, valid)
            if _digest(torch.where(valid, pixels, 0)) != self.digest:
                raise UsageError(
                    "a network that makes one image from noise has learned that image only, and cannot judge "
                    "another; take ssdnet or texture"
                )


class _Parts:
    """What is learned of each kind of evidence, and the evidence itself."""

    def __init__(self, images: int) -> None:
        self.evidence: list[list[torch.Tensor]] = [[] for _ in range(images)]
        """Of each image its maps: what also speaks for a pixel first."""
        self.shares: list[float] = []
        """Weights of the first maps."""
        self.doubts: list[float] = []
        """Weights of those that only speak against a pixel."""
        self.residual: ResidualEvidence | None = None
        self.learned: LearnedEvidence | None = None
        self.texture: TextureStatistics | None = None

    def learn(
        self,
        subjects: Sequence[Subject],
        network: Network,
        blindness: Blindness,
        weights: Weights,
        statistics: Texture,
        progress: Progress,
    ) -> None:
        """Learn all that has a weight."""
        pixels, valid = [subject.pixels for subject in subjects], [subject.valid for subject in subjects]
        lengths, widths = statistics.lengths, statistics.widths
        if weights.texture > 0:
            self.texture, lines = statistics.learn(pixels, valid, part(progress, 0.0, 0.3))
            self.shares = [weights.texture / len(lengths)] * len(lengths)
            self._add(lines)
        progress(0.3, "reconstruction")
        places = [Window.whole((known.shape[0], known.shape[1])) for known in valid]
        normal = [
            _predict(network, blindness, one.inputs, one.known, place)
            for one, place in zip(subjects, places, strict=True)
        ]
        rests = [
            torch.where(known, image - layer, 0)
            for image, known, layer in zip(pixels, valid, normal, strict=True)
        ]
        if weights.raw > 0:
            self._add([[raw_residual(rest, known)] for rest, known in zip(rests, valid, strict=True)])
            self.doubts.append(weights.raw)
        if weights.residual > 0:
            progress(0.6, "residual")
            patches, maps = ResidualPatches.fit(rests, valid, statistics.patch_components)
            averages = LineAverages.fit(lengths, widths, maps, valid)
            self.residual = ResidualEvidence(patches, averages)
            self._add([averages.of(one, known) for one, known in zip(maps, valid, strict=True)])
            self.doubts += [weights.residual / len(lengths)] * len(lengths)
        if weights.learned > 0:
            progress(0.8, "learned features")
            features, maps = LearnedFeatures.fit(
                [
                    _features(network, blindness, one.inputs, one.known, layer, one.valid, place)
                    for one, layer, place in zip(subjects, normal, places, strict=True)
                ]
            )
            averages = LineAverages.fit(lengths, widths, maps, valid)
            self.learned = LearnedEvidence(features, averages)
            self._add([averages.of(one, known) for one, known in zip(maps, valid, strict=True)])
            self.doubts += [weights.learned / len(lengths)] * len(lengths)

    def _add(self, more: Sequence[list[torch.Tensor]]) -> None:
        for own, some in zip(self.evidence, more, strict=True):
            own += some


def _digest(pixels: torch.Tensor) -> str:
    return hashlib.sha256(pixels.cpu().contiguous().numpy().tobytes()).hexdigest()


def _predict(
    network: Network, blindness: Blindness, inputs: torch.Tensor, known: torch.Tensor, window: Window
) -> torch.Tensor:
    """`(C, h, w)` prediction from what is known."""
    with arithmetic(blindness.precision, inputs.device):
        return predict_blind(
            network,
            inputs,
            known,
            block=blindness.block,
            guard=blindness.guard,
            offsets=blindness.offsets,
            window=window,
        )


def _features(
    network: Network,
    blindness: Blindness,
    inputs: torch.Tensor,
    known: torch.Tensor,
    normal: torch.Tensor,
    valid: torch.Tensor,
    window: Window,
) -> PooledFeatures:
    """What the network's decoder makes of an image in which what is missing is predicted."""
    filled = torch.where(known, inputs, normal)
    frame, inside = framed(filled, torch.ones_like(valid), network.multiple, window)
    with arithmetic(blindness.precision, inputs.device):
        decoded = network.decoded(frame)
    return PooledFeatures.of(decoded[0], inside, valid, window)
