"""A fitted model: what was learned of one image or of several of one surface, to judge images with."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from ssdnet._version import __version__
from ssdnet.detectors.large import fit_score_each
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.registry import load
from ssdnet.detectors.settings import settings_of
from ssdnet.device import exact, resolve
from ssdnet.device import threads as allowed
from ssdnet.errors import InputError, UsageError
from ssdnet.export.atomic import write_file
from ssdnet.host import undisturbed
from ssdnet.image import DEFAULT_MAX_PIXELS, read_image
from ssdnet.judging import Prepared, Setting, Stopwatch, result_of
from ssdnet.maths.fusion import Fusion, SquaredDistance
from ssdnet.model_file import decode, encode
from ssdnet.progress import part, silent
from ssdnet.result import Learned  # noqa: TC001 - a model file is read by its types
from ssdnet.settings import DEFAULT_ALARMS, check_alarms

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ssdnet.detectors.protocol import Model
    from ssdnet.image.nodata import Values
    from ssdnet.image.read import Source
    from ssdnet.progress import Progress
    from ssdnet.result import Localization

_SMALLEST = 1e-12
"""Scores below this are this: the logarithm of none is not a number."""

_OTHERS = 0.5
"""Weight of what others say of an image beside its own evidence: a whole one cost regular meshes, of which no
two pictures have the same phase, a sixth of their average precision (docs/lab-notes.md)."""

_MAGIC = b"ssdnet model 1\n"
"""What a file begins with; the number changes when a reader of old files would misread a new one."""


@dataclass(frozen=True, eq=False)
class FittedModel:
    """What a detector has learned; made by `ssdnet.fit`.

    It judges the images it was fitted to, and others of the same surface. It is small, holds no copy of an
    image, can be pickled, saved and loaded, and is never changed.

    >>> import ssdnet
    >>> from ssdnet import samples
    >>> model = ssdnet.fit([samples.texture("twill", (96, 96), seed=seed) for seed in (0, 1)])
    >>> model.localize(samples.sample("twill", "hole", (96, 96), seed=3).image).pred_label
    True
    """

    detector: Detector
    """The configuration that was fitted."""
    model: Model = field(repr=False)
    """What it has learned; scores pixels in units of the contrast of their own image."""
    channels: int
    """That an image must have."""
    learned: tuple[Learned, ...]
    """The images it was fitted to."""
    seed: int

    @undisturbed()
    def localize(
        self,
        image: Source,
        *,
        itself: bool = False,
        alarms: float = DEFAULT_ALARMS,
        roi: Source | None = None,
        nodata: Values = None,
        page: int | None = None,
        max_pixels: int | None = DEFAULT_MAX_PIXELS,
        device: str = "auto",
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Localization:
        """Find what does not belong in an image, by what was learned.

        The null law is that of the image's own map: what chance does in it is not assumed from elsewhere. A
        note says so when the image is none of those that the model was fitted to.

        Args:
            image: see `ssdnet.localize`; with as many channels as the model knows.
            itself: whether the image is compared with itself too, and both kinds of evidence are added up.
                It takes as long as fitting. Pictures of one surface differ in light, focus and grain; what is
                unusual among all of them and in its own picture as well, stands out most.
            alarms: see `ssdnet.localize`.
            roi: see `ssdnet.localize`.
            nodata: see `ssdnet.localize`.
            page: see `ssdnet.localize`.
            max_pixels: see `ssdnet.localize`.
            device: see `ssdnet.localize`.
            threads: see `ssdnet.localize`.
            progress: see `ssdnet.localize`.

        Raises:
            UsageError: a wrong argument, or an image of other channels.
            InputError: the image cannot be read or used.
            Cancelled: raised by `progress`.
        """
        watch = Stopwatch()
        alarms = check_alarms(alarms)
        where = resolve(device)
        picture = read_image(image, roi=roi, nodata=nodata, page=page, max_pixels=max_pixels)
        watch.lap("read")
        if picture.channels != self.channels:
            raise UsageError(
                f"{picture.name}: the model was fitted to images of {self.channels} channel"
                f"{'' if self.channels == 1 else 's'}, and this has {picture.channels}"
            )
        prepared = Prepared.of(picture, where, threads)
        watch.lap("prepare")
        report = progress or silent
        model = moved(self.model, where)
        with allowed(threads, prepared.valid.numel(), trains=self.detector.trains) as used, exact():
            score = model.score(
                prepared.pixels, prepared.valid, progress=part(report, 0.0, 0.5 if itself else 1)
            )
            if itself:
                model, own = fit_score_each(
                    self.detector,
                    [prepared.pixels],
                    [prepared.valid],
                    generators=[torch.Generator().manual_seed(self.seed)],
                    progress=part(report, 0.5, 0.5),
                )[0]
                score = _both(own, score, prepared.valid)
        watch.lap("detect")
        setting = Setting(
            detector=self.detector.name,
            detector_settings=settings_of(self.detector),
            seed=self.seed,
            device=str(where),
            threads=used,
            alarms=alarms,
            learned=self.learned,
            itself=itself or [one.sha256 for one in self.learned] == [picture.sha256],
        )
        return result_of(prepared.scored(self.detector), model, score, self.detector, setting, watch, report)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to a file, which is complete or not there.

        Raises:
            OutputError: it could not be written.
            UsageError: the detector's model holds something that cannot be saved.
        """
        target = Path(path)
        try:
            model = encode(self.model)
        except TypeError as error:
            raise UsageError(
                f"a model of detector '{self.detector.name}' cannot be saved: {error}"
            ) from error
        header = _Header(
            version=__version__,
            detector=self.detector.name,
            channels=self.channels,
            learned=self.learned,
            seed=self.seed,
        )
        parts = [encode(header), encode(self.detector), model]
        sizes = b"".join(len(part).to_bytes(8, "little") for part in parts)
        write_file(target, _MAGIC + sizes + b"".join(parts))
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FittedModel:
        """A model from the file that `save` wrote. Nothing in the file is run.

        Raises:
            InputError: it cannot be read, or is no such file.
            UnknownDetectorError: its detector is not installed.
        """
        source = Path(path)
        try:
            data = source.read_bytes()
        except OSError as error:
            raise InputError(f"{source}: cannot be read ({error.strerror or error})") from error
        start = len(_MAGIC) + 3 * 8
        if not data.startswith(_MAGIC) or len(data) < start:
            raise InputError(f"{source}: this is no model that ssdnet fit has written")
        parts = []
        for number in range(3):
            place = len(_MAGIC) + 8 * number
            size = int.from_bytes(data[place : place + 8], "little")
            parts.append(data[start : start + size])
            start += size
        try:
            header = decode(_Header, parts[0])
            kind = load(header.detector)
            detector = cast("Detector", decode(cast("type[Any]", kind), parts[1]))
            model = cast("Model", decode(model_type(detector), parts[2]))
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        return cls(detector, model, header.channels, header.learned, header.seed)


def _both(own: torch.Tensor, other: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Scores of an image by its own model and by another, each in units of what is usual in it."""
    if own.ndim == 3:
        return torch.stack([_both(*maps, valid) for maps in zip(own, other, strict=True)])
    logarithms = [score.clamp_min(_SMALLEST).log() for score in (own, other)]
    fused = Fusion.fit([logarithms], [valid], (1.0, _OTHERS)).of(logarithms)
    return SquaredDistance.fit([fused], [valid]).of(fused)


@dataclass(frozen=True, eq=False)
class _Header:
    """What a file says beside detector and model."""

    version: str
    detector: str
    channels: int
    learned: tuple[Learned, ...]
    seed: int


def model_type(detector: Detector) -> type[Any]:
    """The class of a detector's models: what its `fit` or `fit_score` is declared to return.

    Raises:
        InputError: that is no class.

    Examples:
        >>> from ssdnet.detectors.rx import RX
        >>> from ssdnet.model import model_type
        >>> model_type(RX()).__module__  # such an object comes of `RX().fit`, and is what a model file holds
        'ssdnet.detectors.rx'
    """
    kind = type(detector)
    own = kind.fit is not Detector.fit
    declared: Callable[..., Any] = kind.fit if own else kind.fit_score
    words = str(declared.__annotations__.get("return", ""))
    name = words.removeprefix("tuple[").partition(",")[0]
    found = getattr(sys.modules[declared.__module__], name, None)
    if not isinstance(found, type):
        raise InputError(f"models of detector '{detector.name}' cannot be read: it declares '{name}'")
    return found


def moved(value: Any, device: torch.device) -> Any:  # noqa: ANN401 - any part of a model
    """A model with all its tensors on a device; the same where nothing is to be moved.

    Examples:
        >>> import torch
        >>> from ssdnet.maths.fusion import Usual
        >>> from ssdnet.model import moved
        >>> model = (torch.zeros(2, 3), Usual(1.0, 2.0))
        >>> moved(model, torch.device("meta"))[0].device.type
        'meta'
        >>> moved(model, torch.device("cpu")) is model
        True
    """
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        items = [moved(item, device) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        old = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        new = {name: moved(item, device) for name, item in old.items()}
        if all(new[name] is old[name] for name in old):
            return value
        return dataclasses.replace(value, **new)
    return value
