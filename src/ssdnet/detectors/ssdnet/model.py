"""What `ssdnet` has learned of a surface: a network, and what is usual in what it leaves."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from ssdnet.detectors.protocol import checked_window, whole_only
from ssdnet.detectors.ssdnet.blind import framed, predict_blind
from ssdnet.detectors.ssdnet.evidence import (
    LEARNED_REACH,
    LearnedFeatures,
    PooledFeatures,
    ResidualPatches,
)
from ssdnet.detectors.ssdnet.network import Network
from ssdnet.detectors.ssdnet.precision import arithmetic
from ssdnet.detectors.ssdnet.scales import ScaleMaps  # noqa: TC001 - files are read by types
from ssdnet.detectors.ssdnet.training import noise_like
from ssdnet.detectors.texture import RANKING, TextureModel
from ssdnet.errors import UsageError
from ssdnet.maths.fusion import Fusion, SquaredDistance
from ssdnet.maths.lines import LineAverages
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent
from ssdnet.restoration import restore_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssdnet.detectors.ssdnet.training import Subject
    from ssdnet.detectors.texture import Texture
    from ssdnet.progress import Progress

_RIM = 4
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
    >>> alone = Weights(texture=0.0, learned=0.0, residual=0.0, raw=1.0, perceptual=0.0)
    >>> maps = ScaleMaps((1,), residual=True, perception=None)
    >>> model, _ = SSDnetModel.learn([subject], network, blindness, alone, Texture(), maps, silent)
    >>> model.texture, model.maps.counts
    (None, (1, 0))
    """

    texture: float
    learned: float
    residual: float
    raw: float
    perceptual: float


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
    ((2, 24, 24), (4, 4))
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
    maps: ScaleMaps | None
    """What of the residual itself, and of how different an image looks, counts."""
    residual: ResidualEvidence | None
    learned: LearnedEvidence | None
    texture: TextureModel | None
    share: float
    """Weight of the texture where pixels are ranked."""
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
        maps: ScaleMaps,
        progress: Progress,
    ) -> tuple[SSDnetModel, list[torch.Tensor]]:
        """See `SSDnet.learn`."""
        pixels, valid = [subject.pixels for subject in subjects], [subject.valid for subject in subjects]
        constant = not any(bool(image[:, known].any()) for image, known in zip(pixels, valid, strict=True))
        parts = _Parts(len(subjects))
        fusion = squared = None
        scores = [torch.ones_like(image[0]) for image in pixels]
        if not constant:
            parts.learn(subjects, network, blindness, weights, statistics, maps, progress)
            # Where nothing else speaks, what doubts says speaks for a pixel too.
            doubts = len(parts.doubts) if parts.shares else 0
            fusion = Fusion.fit(parts.evidence, valid, parts.shares + parts.doubts, doubts=doubts)
            logarithms = [fusion.of(evidence) for evidence in parts.evidence]
            squared = SquaredDistance.fit(logarithms, valid)
            scores = [squared.of(values) for values in logarithms]
            if parts.levels is not None:
                scores = [
                    torch.stack([_ranking(weights.texture, level, fusion, evidence), score])
                    for level, evidence, score in zip(parts.levels, parts.evidence, scores, strict=True)
                ]
        noise_seed = subjects[0].noise_seed
        model = cls(
            weights=tuple(parameter.detach().clone() for parameter in network.parameters()),
            widths=network.widths,
            channels=network.channels,
            blindness=blindness,
            noise_seed=noise_seed,
            digest="" if noise_seed is None else _digest(pixels[0]),
            maps=maps if any(maps.counts) else None,
            residual=parts.residual,
            learned=parts.learned,
            texture=parts.texture,
            share=weights.texture,
            fusion=fusion,
            squared=squared,
        )
        return model, scores

    @property
    def network(self) -> Network:
        """The trained network."""
        return Network.of(self.channels, self.widths, self.weights)

    @property
    def multiple(self) -> int:
        """What the network and its maps look at begins at multiples of this."""
        return int(2 ** len(self.widths)) * (1 if self.maps is None else self.maps.multiple)

    @property
    def halo(self) -> int:
        """See `Model.halo`."""
        multiple, reach = self.multiple, self.network.reach
        behind = []
        if self.residual is not None:
            behind.append(self.residual.patches.patches.halo + self.residual.lines.reach)
        if self.learned is not None:
            behind.append(LEARNED_REACH + self.learned.lines.reach)
        halos = [reach + 2 * multiple + max(behind)] if behind else [0]
        if self.maps is not None:
            halos.append(self.maps.halo(reach) + 2 * multiple)
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
        levels: list[torch.Tensor] = []
        if self.texture is not None:
            maps, place = self.texture.evidence(pixels, valid, context)
            *levels, decision = (values[wanted.within(place)] for values in maps)
            evidence.append(decision)
        progress(0.3, "reconstruction")
        network = self.network
        place = context.aligned(self.multiple)
        inside = wanted.within(place)
        pixels, valid = pixels[(slice(None), *place.within(context))], valid[place.within(context)]
        inputs, known = self._inputs(pixels, valid)
        normal = _predict(network, self.blindness, inputs, known, place)
        rest = torch.where(valid, pixels - normal, 0)
        if self.maps is not None:
            predict = functools.partial(_predict, network, self.blindness)
            evidence += [values[inside] for values in self.maps.of(pixels, valid, normal, place, predict)]
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
        score = self.squared.of(self.fusion.of(evidence))
        if not levels:
            return score
        return torch.stack([_ranking(self.share, levels[0], self.fusion, evidence), score])

    @torch.no_grad()
    def reconstruct(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        hidden: torch.Tensor | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """The blind prediction; what is hidden, and a rim around it, looks as other places of the image do.

        Predicted from its surroundings alone, a wide place would be a blur; so texture from elsewhere takes
        its place first, and what is predicted has the grain of all the rest.
        """
        self._check(pixels, valid, None)
        progress(0.0, "normal layer")
        if hidden is not None and self.blindness.hides and self.noise_seed is None:
            size = 2 * _RIM + 1
            around = F.max_pool2d(hidden.float()[None, None], size, 1, _RIM)[0, 0] > 0
            pixels = restore_pixels(pixels, valid, around)
        inputs, known = self._inputs(pixels, valid)
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
        self.texture: TextureModel | None = None
        self.levels: list[torch.Tensor] | None = None
        """Of each image how unusual each pixel is by its texture."""

    def learn(
        self,
        subjects: Sequence[Subject],
        network: Network,
        blindness: Blindness,
        weights: Weights,
        statistics: Texture,
        scale_maps: ScaleMaps,
        progress: Progress,
    ) -> None:
        """Learn all that has a weight."""
        pixels, valid = [subject.pixels for subject in subjects], [subject.valid for subject in subjects]
        lengths, widths = statistics.lengths, statistics.widths
        if weights.texture > 0:
            found = statistics.evidence(pixels, valid, part(progress, 0.0, 0.3))
            self.texture, self.levels, decisions = found
            self.shares = [weights.texture]
            self._add([[values] for values in decisions])
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
        if any(scale_maps.counts):
            predict = functools.partial(_predict, network, blindness)
            seen = zip(pixels, valid, normal, places, strict=True)
            self._add([scale_maps.of(*one, predict) for one in seen])
            for weight, count in zip((weights.raw, weights.perceptual), scale_maps.counts, strict=True):
                self.doubts += [weight / max(1, count)] * count
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


def _ranking(
    share: float, level: torch.Tensor, fusion: Fusion, evidence: Sequence[torch.Tensor]
) -> torch.Tensor:
    """`(H, W)` score of how unusual each pixel is by its texture, and by what the network makes of it."""
    return RANKING.of(share * level + fusion.against(evidence))


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
