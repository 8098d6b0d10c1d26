"""The way of one image: read, standardise, score, calibrate."""

from __future__ import annotations

import math
import operator
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssdnet import detectors
from ssdnet.calibration import fit_null
from ssdnet.detectors.protocol import Detector
from ssdnet.device import resolve
from ssdnet.errors import DetectorError, UsageError
from ssdnet.image import DEFAULT_MAX_PIXELS, MIN_SIDE, Image, read_image
from ssdnet.localization import Localization, settings_of
from ssdnet.regions import find_regions

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.calibration import NullModel
    from ssdnet.detectors.protocol import Progress
    from ssdnet.image.read import Source

DEFAULT_ALARMS = 1e-2
_LARGE = 1e150
"""The square of a larger float64 may not be one."""


def localize(
    image: Source,
    *,
    detector: str | Detector = "auto",
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
    check_alarms(alarms)
    seed = _checked_seed(seed)
    chosen = _chosen(detector)
    where = resolve(device)
    start = time.perf_counter()
    picture = read_image(image, roi=roi, page=page, max_pixels=max_pixels)
    read = time.perf_counter()
    pixels = standardize(picture)
    box = _box(picture.valid)
    inside = _score(
        np.ascontiguousarray(pixels[(slice(None), *box)]),
        picture.valid[box],
        chosen,
        where,
        seed,
        progress or _silent,
    )
    score, log10_nfa = (np.full(picture.valid.shape, np.nan, dtype=np.float32) for _ in range(2))
    score[box] = inside
    detected = time.perf_counter()
    null = fit_null(inside)
    log10_nfa[box] = null.log10_nfa(inside)
    labels, regions = find_regions(score, log10_nfa, alarms)
    calibrated = time.perf_counter()
    return Localization(
        image=picture,
        anomaly_map=score,
        log10_nfa=log10_nfa,
        labels=labels,
        regions=regions,
        pred_score=-float(np.nanmin(log10_nfa)),
        alarms=float(alarms),
        detector=chosen.name,
        detector_settings=settings_of(chosen),
        seed=seed,
        device=str(where),
        threads=torch.get_num_threads(),
        seconds={"read": read - start, "detect": detected - read, "calibrate": calibrated - detected},
        notes=picture.notes + _remarks(picture, pixels, null),
    )


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


def _chosen(detector: object) -> Detector:
    if isinstance(detector, str):
        return detectors.create(detector)
    if isinstance(detector, type) or not isinstance(detector, Detector):
        raise UsageError(
            "detector must be a name or a configured detector such as ssdnet.detectors.rx.RX(), "
            f"not {detector!r}"
        )
    return detector


def _remarks(image: Image, pixels: npt.NDArray[np.float32], null: NullModel) -> tuple[str, ...]:
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
    return tuple(remarks)


def _silent(fraction: float, message: str) -> None:
    pass


def _hardly_varies(values: npt.NDArray[np.integer]) -> bool:
    """Whether all channels of `(N, C)` whole numbers scatter by less than half a level."""
    levels = values.max(axis=0).astype(np.float64) - values.min(axis=0)
    # The first comparison spares the second on almost every image.
    return float(levels.max()) < 16 and float(values.std(axis=0).max()) < 0.5


def standardize(image: Image) -> npt.NDArray[np.float32]:
    """`(C, H, W)` float32: each channel minus its median, divided by its root mean square about it.

    What is left does not depend on the unit of any channel, so neither does any score. Missing pixels become
    0. Until then all is float64, because float32 would lose a small contrast on a large offset.
    """
    out = np.zeros((image.channels, *image.valid.shape), dtype=np.float32)
    known = ... if image.valid.all() else image.valid  # a view of all pixels costs nothing, a selection does
    for channel, plane in enumerate(out):
        values = image.pixels[:, :, channel][known]
        if values.dtype == np.bool_:
            values = values.astype(np.uint8)
        if values.dtype == np.float64 and np.abs(values).max() > _LARGE:
            values = values / _LARGE
        difference = np.subtract(values, np.float64(np.median(values)), dtype=np.float64)
        peak = np.abs(difference).max()
        if peak > 0:
            difference /= peak  # or the squares of tiny differences vanish
            plane[known] = difference / math.sqrt(np.mean(np.square(difference)))
    return out


def _score(
    pixels: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    detector: Detector,
    device: torch.device,
    seed: int,
    progress: Progress,
) -> npt.NDArray[np.float32]:
    """The detector's `(H, W)` score, NaN where the pixel is missing."""
    # Full float32 and the same bytes each time, on a GPU too.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        score: object = detector.score(
            torch.from_numpy(pixels).to(device),
            torch.tensor(valid, device=device),
            generator=torch.Generator().manual_seed(seed),
            progress=progress,
        )
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
