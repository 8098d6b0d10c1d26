"""The way of an image: read, standardise, score, calibrate; of several at once where that saves time."""

from __future__ import annotations

import math
import operator
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ssdnet import detectors
from ssdnet.calibration import assess
from ssdnet.detectors.protocol import Decomposer, Detector
from ssdnet.detectors.registry import settings_of
from ssdnet.device import exact, resolve
from ssdnet.diagnosis import STATIONARY, stationarity
from ssdnet.errors import DetectorError, UsageError
from ssdnet.explanation import explain
from ssdnet.image import DEFAULT_MAX_PIXELS, MIN_SIDE, Image, read_image
from ssdnet.image.standardization import layer, standardize
from ssdnet.result import Localization

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ssdnet.calibration import NullModel
    from ssdnet.image.read import Source
    from ssdnet.progress import Progress

DEFAULT_ALARMS = 1e-2


def localize(
    image: Source,
    *,
    detector: str | Detector = "auto",
    quality: str | None = None,
    device: str = "auto",
    seed: int = 0,
    alarms: float = DEFAULT_ALARMS,
    roi: Source | None = None,
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
        alarms: how many false regions to accept in a clean image, on average. Positive.
        roi: an image of the same size, white where to look and black elsewhere; see `read_image`.
        page: 1-based page of a file with several; by default the first, with a note in the result.
        max_pixels: refuse images with more rows x columns than this before decoding them; None = no limit.
        progress: called with the share of the work done and a message; may raise `Cancelled`.

    Raises:
        UsageError: a wrong argument, an unknown detector, a device that is not there.
        InputError: the image cannot be read or used.
        DetectorError: the detector gave something that is not a score.
        Cancelled: raised by `progress`.
    """
    return localize_many(
        [image],
        detector=detector,
        quality=quality,
        device=device,
        seed=seed,
        alarms=alarms,
        roi=roi,
        page=page,
        max_pixels=max_pixels,
        progress=progress,
    )[0]


def localize_many(
    images: Sequence[Source],
    *,
    detector: str | Detector = "auto",
    quality: str | None = None,
    device: str = "auto",
    seed: int = 0,
    alarms: float = DEFAULT_ALARMS,
    roi: Source | None = None,
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
        alarms: see `localize`.
        roi: see `localize`.
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
    """
    check_alarms(alarms)
    seed = _checked_seed(seed)
    chosen = _chosen(detector, quality)
    where = resolve(device)
    pictures, reading = [], []
    for image in images:
        start = time.perf_counter()
        pictures.append(read_image(image, roi=roi, page=page, max_pixels=max_pixels))
        reading.append(time.perf_counter() - start)
    start = time.perf_counter()
    inputs = [standardize(picture) for picture in pictures]
    boxes = [_box(picture.valid) for picture in pictures]
    detections = _detect(
        [standardized.pixels[(slice(None), *box)] for standardized, box in zip(inputs, boxes, strict=True)],
        [picture.valid[box] for picture, box in zip(pictures, boxes, strict=True)],
        chosen,
        where,
        seed,
        progress or _silent,
    )
    detecting = (time.perf_counter() - start) / max(1, len(pictures))
    results = []
    for picture, standardized, box, detection, seconds in zip(
        pictures, inputs, boxes, detections, reading, strict=True
    ):
        start = time.perf_counter()
        found = assess(detection.score).placed(picture.valid.shape, box)
        labels, regions = found.regions(alarms)
        regions = explain(standardized, picture.valid, found.score, labels, regions)
        normal = None
        if detection.normal is not None:
            normal = layer(detection.normal, standardized, picture, box)
        sameness = stationarity(standardized.pixels[(slice(None), *box)], picture.valid[box])
        calibrating = time.perf_counter() - start
        results.append(
            Localization(
                image=picture,
                anomaly_map=found.score,
                log10_nfa=found.log10_nfa,
                labels=labels,
                regions=regions,
                pred_score=0.0 - float(np.nanmin(found.log10_nfa)),
                alarms=float(alarms),
                detector=chosen.name,
                detector_settings=settings_of(chosen),
                seed=seed,
                device=str(where),
                threads=torch.get_num_threads(),
                seconds={"read": seconds, "detect": detecting, "calibrate": calibrating},
                stationarity=sameness,
                normal=normal,
                notes=picture.notes
                + detection.notes
                + _remarks(picture, standardized.pixels, found.null, sameness),
            )
        )
    return results


def check_alarms(alarms: float) -> None:
    """Refuse what is not a number of expected false alarms.

    Raises:
        UsageError: not positive and finite.
    """
    try:
        accepted = 0 < alarms < math.inf
    except TypeError:
        accepted = False
    if not accepted:
        raise UsageError(f"alarms must be a positive, finite number, not {alarms!r}")


def _checked_seed(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**63:
        raise UsageError(f"seed must be a whole number in [0, 2**63), not {seed!r}")
    return number


def _chosen(detector: object, quality: str | None) -> Detector:
    if isinstance(detector, str):
        return detectors.create(detector, quality)
    if quality is not None:
        raise UsageError(
            "quality chooses among the settings of a detector given by name, not of a configured one"
        )
    if isinstance(detector, type) or not isinstance(detector, Detector):
        raise UsageError(
            "detector must be a name or a configured detector such as ssdnet.detectors.rx.RX(), "
            f"not {detector!r}"
        )
    return detector


def _remarks(
    image: Image, pixels: npt.NDArray[np.float32], null: NullModel, sameness: float
) -> tuple[str, ...]:
    """What a person should know about the evidence."""
    if not pixels.any():
        return ("every pixel has the same value: there is nothing to compare",)
    remarks = []
    if image.pixels.dtype.kind in "iu" and _hardly_varies(image.pixels[image.valid]):
        remarks.append(
            "the values hardly vary, by less than half a level of the file: what is found may be rounding"
        )
    if math.isinf(null.scale):
        remarks.append("too few pixels to tell what is usual: nothing can be found")
    if sameness < STATIONARY:
        remarks.append(
            "this does not look like one texture: parts of the picture differ in structure, so the number of "
            "false alarms is not to be relied on"
        )
    return tuple(remarks)


def _silent(fraction: float, message: str) -> None:
    pass


def _hardly_varies(values: npt.NDArray[np.integer]) -> bool:
    """Whether all channels of `(N, C)` whole numbers scatter by less than half a level."""
    levels = values.max(axis=0).astype(np.float64) - values.min(axis=0)
    # The first comparison spares the second on almost every image.
    return float(levels.max()) < 16 and float(values.std(axis=0).max()) < 0.5


class _Detection(NamedTuple):
    """What a detector gave for one image, found to be right."""

    score: npt.NDArray[np.float32]
    """`(H, W)`, NaN where the pixel is missing."""
    normal: npt.NDArray[np.float32] | None
    """`(C, H, W)`, or None when the detector does not decompose."""
    notes: tuple[str, ...]


def _detect(
    pixels: Sequence[npt.NDArray[np.float32]],
    valid: Sequence[npt.NDArray[np.bool_]],
    detector: Detector,
    device: torch.device,
    seed: int,
    progress: Progress,
) -> list[_Detection]:
    """Run the detector on all images, together when it can."""
    inputs = [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in pixels]
    masks = [torch.tensor(mask, device=device) for mask in valid]
    generators = [torch.Generator().manual_seed(seed) for _ in inputs]
    with exact():
        if isinstance(detector, Decomposer):
            parts = detector.decompose(inputs, masks, generators=generators, progress=progress)
            if len(parts) != len(inputs):
                raise DetectorError(
                    f"detector '{detector.name}' gave {len(parts)} results for {len(inputs)} images"
                )
            return [
                _Detection(
                    _checked_score(part.score, mask, detector),
                    _checked_normal(part.normal, array, detector),
                    part.notes,
                )
                for part, mask, array in zip(parts, valid, pixels, strict=True)
            ]
        results = []
        for number, (image, mask, generator) in enumerate(zip(inputs, masks, generators, strict=True)):
            score = detector.score(
                image, mask, generator=generator, progress=part(progress, number, len(inputs))
            )
            results.append(_Detection(_checked_score(score, valid[number], detector), None, ()))
        return results


def part(progress: Progress, number: int, count: int) -> Progress:
    """The progress of one of several equal parts."""

    def report(fraction: float, message: str) -> None:
        progress((number + fraction) / count, message)

    return report


def _checked_score(
    score: object, valid: npt.NDArray[np.bool_], detector: Detector
) -> npt.NDArray[np.float32]:
    if not isinstance(score, torch.Tensor) or score.shape != valid.shape:
        got = tuple(score.shape) if isinstance(score, torch.Tensor) else type(score).__name__
        raise DetectorError(
            f"detector '{detector.name}' gave {got} instead of a tensor of shape {valid.shape}"
        )
    result: npt.NDArray[np.float32] = score.detach().cpu().float().numpy().copy()
    if not np.isfinite(result[valid]).all():
        raise DetectorError(
            f"detector '{detector.name}' gave scores that are NaN or infinite for valid pixels"
        )
    result[~valid] = np.nan
    return result


def _checked_normal(
    normal: object, pixels: npt.NDArray[np.float32], detector: Detector
) -> npt.NDArray[np.float32]:
    if not isinstance(normal, torch.Tensor) or normal.shape != pixels.shape:
        raise DetectorError(f"detector '{detector.name}' gave no normal layer of shape {pixels.shape}")
    result: npt.NDArray[np.float32] = normal.detach().cpu().float().numpy()
    if not np.isfinite(result).all():
        raise DetectorError(f"detector '{detector.name}' gave a normal layer with NaN or infinite pixels")
    return result


def _box(valid: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest rectangle with all valid pixels in it, but not smaller than an image may be.

    What lies around a small region of interest must cost nothing and change nothing.
    """
    sides = []
    for axis in (1, 0):
        places = np.flatnonzero(valid.any(axis=axis))
        size = valid.shape[1 - axis]
        length = max(int(places[-1] - places[0]) + 1, min(MIN_SIDE, size))
        start = min(int(places[0]), size - length)
        sides.append(slice(start, start + length))
    return sides[0], sides[1]
