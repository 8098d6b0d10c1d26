"""What a detector is: a frozen configuration that learns a model of an image; and what such a model can do.

```
configuration ── fit(images) ──▶ model ── score(pixels of a window) ──▶ scores
                                       └─ reconstruct(pixels) ──▶ what would be normal
```

A detector of your own subclasses `Detector` as a frozen dataclass and gives it `fit`, or `fit_score` where
that saves work, or, if there is nothing to learn, `score` alone; the rest has defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch

from ssdnet.errors import UsageError
from ssdnet.maths.window import Window
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssdnet.progress import Progress


@runtime_checkable
class Model(Protocol):
    """What a detector has learned of an image, or of several of one surface.

    A frozen dataclass of tensors, numbers, and the same nested: it can be pickled, and saved without pickle
    (`ssdnet.model_file`). It holds no copy of the image. It scores any image with as many channels: whether
    that means something, is for whoever asks to know.

    >>> from ssdnet.detectors.rx import RX
    >>> image = torch.randn(1, 48, 200, generator=torch.Generator().manual_seed(0))
    >>> known = torch.ones(48, 200, dtype=torch.bool)
    >>> model = RX(levels=2).fit([image], [known], generator=torch.Generator().manual_seed(0))
    >>> isinstance(model, Model)
    True
    >>> window = Window(0, 48, 150, 200, (48, 200))
    >>> rows, columns = window.around(model.halo).slices
    >>> scores = model.score(image[:, rows, columns], known[rows, columns], window=window)
    >>> torch.allclose(scores, model.score(image, known)[window.slices], rtol=1e-3)
    True
    """

    @property
    def halo(self) -> int:
        """Pixels of context that `score` needs around a window."""
        ...

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """Score each pixel by how little it belongs.

        The scores of a window are those that the whole image has there. Nothing depends on where a tensor
        happens to begin: grids, corrections and ties go by rows and columns of the image.

        Args:
            pixels: `(C, h, w)` float32, in the units of what the model was fitted to: of the rows and columns
                of `window.around(halo)`, which end at the edge of the image. The values at missing pixels
                mean nothing and have no influence.
            valid: `(h, w)` bool on the same device, False where the pixel is missing.
            window: which scores are wanted; None = all, and the pixels are those of the whole image.
            progress: called now and then with the share of the work that is done.

        Returns:
            `(H, W)` float32 of the window, on the same device, higher = more anomalous. Values at missing
            pixels are to be ignored. Or two such maps, `(2, H, W)`: pixels are ranked by the first, and what
            chance does is decided by the second, which does better without all that bends a law: limits,
            maxima, weights that depend on the place.

        Raises:
            UsageError: a window is asked of a model that needs the whole image.
        """
        ...


@runtime_checkable
class Decomposing(Model, Protocol):
    """A model that also says what the image would look like if all of it were normal.

    >>> from ssdnet.detectors.rivals.lowrank import LowRank
    >>> stripes = torch.sin(torch.arange(48.0) / 2).repeat(1, 48, 1)
    >>> dirty = stripes.clone()
    >>> dirty[0, 20:23, 20:23] = 4.0
    >>> known = torch.ones(48, 48, dtype=torch.bool)
    >>> model = LowRank().fit([dirty], [known], generator=torch.Generator())
    >>> isinstance(model, Decomposing)
    True
    >>> bool((model.reconstruct(dirty, known) - stripes).abs().max() < 0.5)
    True
    """

    def reconstruct(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        hidden: torch.Tensor | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """`(C, H, W)` float32, the image without its anomalies, in the units of the pixels.

        Args:
            pixels: `(C, H, W)`, see `score`.
            valid: `(H, W)` bool; what is missing is filled in.
            hidden: `(H, W)` bool, what was found to be anomalous: it is predicted from all else, so that it
                leaves no trace. None = nothing.
            progress: see `score`.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """A frozen dataclass whose fields are its configuration.

    The class attributes are what `ssdnet detectors` prints.

    >>> @dataclass(frozen=True)
    ... class Bright(Detector):
    ...     name = "bright"
    ...     power: float = 2.0
    ...
    ...     def score(self, pixels, valid, *, generator, progress=silent):
    ...         return pixels.mean(dim=0) ** self.power
    >>> image, known = torch.tensor([[[1.0, 3.0]]]), torch.ones(1, 2, dtype=torch.bool)
    >>> model, (scores,) = Bright().fit_score([image], [known], generator=torch.Generator())
    >>> scores.tolist()
    [[1.0, 9.0]]
    """

    name: ClassVar[str]
    """The word on the command line."""
    summary: ClassVar[str]
    """One line: how it works."""
    assumes: ClassVar[str]
    """One line: what must be true of the image."""
    source: ClassVar[str]
    """The paper it comes from."""
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by the words `fast`, `best` and `draft`, see `detectors.registry.QUALITIES`."""
    windows: ClassVar[bool] = True
    """Whether its models score a window of an image by itself. What needs the whole image says False."""
    decomposes: ClassVar[bool] = False
    """Whether its models are `Decomposing`."""
    trains: ClassVar[bool] = False
    """Whether `fit_each` takes less time for several images than one after the other."""

    def fit(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> Model:
        """Learn a model of one image, or one of several images of the same surface together.

        Each image may have defects: what is usual is estimated robustly.

        Args:
            pixels: `(C, H, W)` float32 each, with the same channels, each channel centred on its median and
                divided by its root mean square. The values at missing pixels mean nothing and must not
                influence the result.
            valid: `(H, W)` bool each, on the same device, False where the pixel is missing.
            generator: the only source of randomness; lives on the CPU.
            progress: called now and then with the share of the work that is done.

        Raises:
            UsageError: several images are given to a detector that learns one only.
        """
        if type(self).fit_score is not Detector.fit_score:
            return self.fit_score(pixels, valid, generator=generator, progress=progress)[0]
        if type(self).score is Detector.score:
            raise NotImplementedError(f"{type(self).__name__} has none of `fit`, `fit_score` and `score`")
        return ByItself(self, int(torch.randint(2**62, (1,), generator=generator)))

    def fit_score(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> tuple[Model, list[torch.Tensor]]:
        """The model of some images, and their scores: `fit` and `Model.score`, in less time where possible.

        The arguments are those of `fit`.
        """
        model = self.fit(pixels, valid, generator=generator, progress=part(progress, 0.0, 0.5))
        start = 0.0 if isinstance(model, ByItself) else 0.5
        share = (1 - start) / len(pixels)
        return model, [
            model.score(image, known, progress=part(progress, start + number * share, share))
            for number, (image, known) in enumerate(zip(pixels, valid, strict=True))
        ]

    def fit_each(
        self,
        pixels: Sequence[torch.Tensor],
        valid: Sequence[torch.Tensor],
        *,
        generators: Sequence[torch.Generator],
        progress: Progress = silent,
    ) -> Sequence[tuple[Model, torch.Tensor]]:
        """Of each of several images its own model, and its score.

        The arguments are those of `fit`, with a generator for each image; sizes and channels may differ.
        Taking several at once changes results by rounding only; what training makes of that in low precision
        is for the detector to say.
        """
        share = 1 / max(1, len(pixels))
        results = []
        for number, (image, known, generator) in enumerate(zip(pixels, valid, generators, strict=True)):
            reported = part(progress, number * share, share)
            model, scores = self.fit_score([image], [known], generator=generator, progress=reported)
            results.append((model, scores[0]))
        return results

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        generator: torch.Generator,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """The scores of an image by a model of itself; see `fit` and `Model.score`."""
        return self.fit_score([pixels], [valid], generator=generator, progress=progress)[1][0]


@dataclass(frozen=True)
class ByItself:
    """The model of a detector that learns nothing: it scores each image by itself, as a whole.

    >>> class Bright(Detector):
    ...     name = "bright"
    ...
    ...     def score(self, pixels, valid, *, generator, progress=silent):
    ...         return pixels.mean(dim=0)
    >>> image, known = torch.tensor([[[1.0, 3.0]]]), torch.ones(1, 2, dtype=torch.bool)
    >>> model = Bright().fit([image], [known], generator=torch.Generator())
    >>> type(model).__name__, model.score(image, known).tolist()
    ('ByItself', [[1.0, 3.0]])
    """

    detector: Detector
    seed: int
    """Of its random numbers."""

    @property
    def halo(self) -> int:
        """See `Model.halo`; there are no windows."""
        return 0

    def score(
        self,
        pixels: torch.Tensor,
        valid: torch.Tensor,
        *,
        window: Window | None = None,
        progress: Progress = silent,
    ) -> torch.Tensor:
        """What the detector's own `score` gives; see `Model.score`."""
        whole_only(self.detector.name, window, valid)
        generator = torch.Generator().manual_seed(self.seed)
        return self.detector.score(pixels, valid, generator=generator, progress=progress)


def whole_only(name: str, window: Window | None, valid: torch.Tensor) -> None:
    """Refuse a window that is not the whole image, for models that need all of it.

    Args:
        name: of the detector.
        window: what was asked for.
        valid: `(H, W)`, what is there.

    Raises:
        UsageError: it is a part only.

    >>> known = torch.ones(64, 64, dtype=torch.bool)
    >>> whole_only("phot", Window.whole((64, 64)), known)
    >>> whole_only("phot", Window(0, 32, 0, 64, (64, 64)), known)
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: detector 'phot' needs the whole image: ...
    """
    if window is not None and window != Window.whole((valid.shape[0], valid.shape[1])):
        raise UsageError(
            f"detector '{name}' needs the whole image: it cannot score {window}; score the whole, or take a "
            "detector that works by windows, such as texture"
        )


def one_image(name: str, count: int) -> None:
    """Refuse several images, for detectors that learn one only.

    Raises:
        UsageError: there are several.

    >>> one_image("dip", 2)
    Traceback (most recent call last):
        ...
    ssdnet.errors.UsageError: detector 'dip' learns one image only, not 2 together; ...
    """
    if count != 1:
        raise UsageError(
            f"detector '{name}' learns one image only, not {count} together; take another, such as texture"
        )


def checked_window(pixels: torch.Tensor, window: Window | None, halo: int) -> tuple[Window, Window]:
    """The window whose scores are wanted, and the one whose pixels are there.

    Args:
        pixels: `(C, h, w)`.
        window: None = all.
        halo: see `Model.halo`.

    Raises:
        UsageError: the pixels are not those of the window and its context.

    >>> window = Window(0, 16, 0, 20, (100, 20))
    >>> wanted, context = checked_window(torch.zeros(3, 26, 20), window, halo=10)
    >>> wanted == window, context.slices
    (True, (slice(0, 26, None), slice(0, 20, None)))
    """
    size = (pixels.shape[-2], pixels.shape[-1])
    if window is None:
        window = Window.whole(size)
    context = window.around(halo)
    if context.size != size:
        raise UsageError(
            f"the pixels of {context} are needed, {context.size[0]} x {context.size[1]} (rows x columns), "
            f"not {size[0]} x {size[1]}: give those of window.around(model.halo)"
        )
    return window, context
