"""The way of an image: read, standardise, fit, score, judge; of several at once where that saves time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import torch

from ssdnet import detectors
from ssdnet.detectors.large import fit_parts, fit_score_each
from ssdnet.detectors.protocol import Detector
from ssdnet.detectors.settings import settings_of
from ssdnet.device import exact, resolve
from ssdnet.device import threads as allowed
from ssdnet.errors import UsageError
from ssdnet.host import undisturbed
from ssdnet.image import DEFAULT_MAX_PIXELS, read_image
from ssdnet.judging import Prepared, Setting, Stopwatch, result_of
from ssdnet.model import FittedModel, moved
from ssdnet.progress import silent
from ssdnet.result import Learned, Localization
from ssdnet.settings import DEFAULT_ALARMS, DEFAULT_SEED, check_alarms, check_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeGuard

    from ssdnet.detectors.protocol import Model
    from ssdnet.image.nodata import Values
    from ssdnet.image.read import Source
    from ssdnet.progress import Progress


def localize(
    image: Source,
    *,
    detector: str | Detector = "auto",
    quality: str | None = None,
    device: str = "auto",
    seed: int = DEFAULT_SEED,
    threads: int | None = None,
    alarms: float = DEFAULT_ALARMS,
    roi: Source | None = None,
    nodata: Values = None,
    page: int | None = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Localization:
    """Find what does not belong in one image.

    Args:
        image: path, bytes, `"-"` for standard input, PIL image, NumPy `(H, W)` or `(H, W, C)`, torch
            `(C, H, W)`, or an `Image`; any integer, bool or float dtype, any number of channels. NaN,
            infinite and fully transparent pixels are missing: never learned from, never scored.
        detector: a name from `ssdnet.detectors.available()`, `auto`, or a configured detector.
        quality: how much time a detector given by name may take: one of its `qualities`, such as `draft` or
            `full`, None being its best; of `auto`, `fast` (as None) or `best`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        seed: of all random numbers; the same seed gives the same result on the same machine.
        threads: CPU threads torch may use, at most; None takes as many as the image is worth, see
            `ssdnet.device.threads`. What torch may use otherwise is as before afterwards.
        alarms: how many false regions to accept in a clean image, on average. Positive.
        roi: an image of the same size, white where to look and black elsewhere; see `read_image`.
        nodata: a value, or several, that stand for missing pixels; see `read_image`.
        page: 1-based page of a file with several; by default the first, with a note in the result.
        max_pixels: refuse images with more rows x columns than this before decoding them; None = no limit.
        progress: called with the share of the work done and a message; may raise `Cancelled`.

    Raises:
        UsageError: a wrong argument, an unknown detector, a device that is not there.
        InputError: the image cannot be read or used.
        DetectorError: the detector gave something that is not a score.
        Cancelled: raised by `progress`.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> ssdnet.localize(image).regions  # nothing but noise
        ()
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image)
        >>> len(result.regions), bool(result.mask[22, 32]), bool(result.mask[50, 10])
        (1, True, False)
    """
    return localize_many(
        [image],
        detector=detector,
        quality=quality,
        device=device,
        seed=seed,
        threads=threads,
        alarms=alarms,
        roi=roi,
        nodata=nodata,
        page=page,
        max_pixels=max_pixels,
        progress=progress,
    )[0]


@undisturbed()
def localize_many(
    images: Sequence[Source],
    *,
    detector: str | Detector = "auto",
    quality: str | None = None,
    device: str = "auto",
    seed: int = DEFAULT_SEED,
    threads: int | None = None,
    alarms: float = DEFAULT_ALARMS,
    roi: Source | None = None,
    nodata: Values = None,
    page: int | None = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> list[Localization]:
    """Find what does not belong in each of several images, each compared with itself only.

    A detector that trains, trains on all of them at once, which takes less time than one after the other
    and all the more memory: choose as many as fit. The results are those of `localize` up to rounding; where
    the detector trains in bfloat16, training amplifies it, and they differ about as with another seed.

    Args:
        images: any number of what `localize` takes.
        detector: as the others, see `localize`; all hold for each image.
        quality: see `localize`.
        device: see `localize`.
        seed: see `localize`.
        threads: see `localize`.
        alarms: see `localize`.
        roi: see `localize`.
        nodata: see `localize`.
        page: see `localize`.
        max_pixels: see `localize`.
        progress: see `localize`; the share is that of all the work.

    Returns:
        One result for each image, in their order. `seconds` are those of the image's share of the work.

    Raises:
        UsageError: see `localize`.
        InputError: one of the images cannot be read or used; none is looked at.
        DetectorError: see `localize`.
        Cancelled: raised by `progress`.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> images = np.random.default_rng(0).integers(100, 140, (2, 64, 64), np.uint8)
        >>> images[1, 20:25, 30:35] = 255
        >>> [result.pred_label for result in ssdnet.localize_many(list(images), detector="rx")]
        [False, True]
    """
    alarms = check_alarms(alarms)
    seed = check_seed(seed)
    chosen = chosen_detector(detector, quality)
    where = resolve(device)
    report = progress or silent
    watches, prepared = [], []
    for image in images:
        watch = Stopwatch()
        picture = read_image(image, roi=roi, nodata=nodata, page=page, max_pixels=max_pixels)
        watch.lap("read")
        prepared.append(Prepared.of(picture, where, threads))
        watch.lap("prepare")
        watches.append(watch)
    pixels = sum(one.valid.numel() for one in prepared)
    start = time.perf_counter()
    with allowed(threads, pixels, trains=chosen.trains) as used:
        fitted = _fit_each(chosen, prepared, seed, report)
    share = (time.perf_counter() - start) / max(1, len(prepared))
    prepared = [one.scored(chosen) for one in prepared]
    results = []
    for one, (model, score), watch in zip(prepared, fitted, watches, strict=True):
        watch.resume({"detect": share})
        setting = Setting(
            detector=chosen.name,
            detector_settings=settings_of(chosen),
            seed=seed,
            device=str(where),
            threads=used,
            alarms=alarms,
            learned=(Learned.of(one.image),),
        )
        results.append(result_of(one, model, score, chosen, setting, watch))
    return results


@undisturbed()
def fit(
    images: Source | Sequence[Source],
    *,
    detector: str | Detector = "auto",
    quality: str | None = None,
    device: str = "auto",
    seed: int = DEFAULT_SEED,
    threads: int | None = None,
    roi: Source | None = None,
    nodata: Values = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> FittedModel:
    """Learn what is usual in one image, or in several images of the same surface.

    Each of them may have defects: they are few, and what is usual is estimated robustly. `localize` compares
    an image with itself; a model of several compares it with all of them, which tells more where single
    images are small.

    Args:
        images: one image as `localize` takes it, or a list or tuple of them, all with the same channels. A
            list of numbers is an image.
        detector: see `localize`.
        quality: see `localize`.
        device: see `localize`.
        seed: see `localize`.
        threads: see `localize`.
        roi: see `localize`; holds for each image.
        nodata: see `localize`.
        max_pixels: see `localize`.
        progress: see `localize`.

    Raises:
        UsageError: a wrong argument, images of different channels, or a detector that learns one image only.
        InputError: an image cannot be read or used.
        Cancelled: raised by `progress`.

    >>> from ssdnet import samples
    >>> model = fit(samples.texture("leather", (64, 64), seed=0))
    >>> model.localize(samples.texture("leather", (64, 64), seed=0)).regions
    ()
    """
    seed = check_seed(seed)
    chosen = chosen_detector(detector, quality)
    where = resolve(device)
    sources = images if _are_several(images) else [cast("Source", images)]
    pictures = [read_image(one, roi=roi, nodata=nodata, max_pixels=max_pixels) for one in sources]
    if not pictures:
        raise UsageError("there is no image to fit a model to")
    for picture in pictures:
        if picture.channels != pictures[0].channels:
            raise UsageError(
                f"{picture.name} has {picture.channels} channels and {pictures[0].name} has "
                f"{pictures[0].channels}: a model is of images of one kind"
            )
    prepared = [Prepared.of(picture, where, threads) for picture in pictures]
    pixels = sum(one.valid.numel() for one in prepared)
    with allowed(threads, pixels, trains=chosen.trains), exact():
        model = fit_parts(
            chosen,
            [one.pixels for one in prepared],
            [one.valid for one in prepared],
            generator=torch.Generator().manual_seed(seed),
            progress=progress or silent,
        )
    learned = tuple(Learned.of(picture) for picture in pictures)
    return FittedModel(chosen, moved(model, torch.device("cpu")), pictures[0].channels, learned, seed)


def _are_several(images: object) -> TypeGuard[Sequence[Source]]:
    """Whether it is a list or tuple of images, not one image made of lists of numbers."""
    if not isinstance(images, (list, tuple)):
        return False
    first: object = images
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return not isinstance(first, (int, float, complex))


def chosen_detector(
    detector: object, quality: str | None = None, settings: Mapping[str, object] | None = None
) -> Detector:
    """A configured detector from what callers give: a name, a quality, single settings.

    Raises:
        UsageError: it is none, or the quality does not fit.

    Examples:
        >>> from ssdnet.detectors.rx import RX
        >>> from ssdnet.pipeline import chosen_detector
        >>> chosen_detector("rx") == chosen_detector(RX()) == RX()
        True
        >>> chosen_detector("rx", settings={"levels": 3}).levels
        3
    """
    if isinstance(detector, str):
        return detectors.create(detector, quality, settings)
    if quality is not None:
        raise UsageError(
            "quality chooses among the settings of a detector given by name, not of a configured one"
        )
    if isinstance(detector, type) or not isinstance(detector, Detector):
        raise UsageError(
            "detector must be a name or a configured detector such as ssdnet.detectors.rx.RX(), "
            f"not {detector!r}"
        )
    return detectors.configured(detector, settings) if settings else detector


def _fit_each(
    detector: Detector, prepared: Sequence[Prepared], seed: int, progress: Progress
) -> Sequence[tuple[Model, torch.Tensor]]:
    """Of each image its own model and its scores."""
    with exact():
        return fit_score_each(
            detector,
            [one.pixels for one in prepared],
            [one.valid for one in prepared],
            generators=[torch.Generator().manual_seed(seed) for _ in prepared],
            progress=progress,
        )
