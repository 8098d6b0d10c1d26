"""From scores to a result: the null law, regions, the normal layer, explanations, notes."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssdnet.calibration import judge, placed
from ssdnet.calibration.null_model import fit_null
from ssdnet.device import exact
from ssdnet.device import threads as allowed
from ssdnet.diagnosis import remarks, stationarity
from ssdnet.errors import DetectorError
from ssdnet.explanation import explain
from ssdnet.host import undisturbed
from ssdnet.image import MIN_SIDE
from ssdnet.image.standardization import layer, standardize
from ssdnet.progress import silent
from ssdnet.result import Localization

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ssdnet.calibration import Assessment
    from ssdnet.detectors.protocol import Detector, Model
    from ssdnet.image import Image
    from ssdnet.image.standardization import Standardized
    from ssdnet.progress import Progress
    from ssdnet.result import Learned


_WITNESSES = 2
"""Of a map that decides, but does not rank: distances and energies. A picture's own agreement of the two says
what each counts, which is to choose between two tests (docs/calibration.md)."""


class Stopwatch:
    """Seconds of stages that follow each other without a gap.

    Examples:
        >>> from ssdnet.judging import Stopwatch
        >>> watch = Stopwatch()
        >>> for stage in ("read", "detect", "read"):
        ...     watch.lap(stage)
        >>> list(watch.seconds), min(watch.seconds.values()) >= 0
        (['read', 'detect'], True)
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def resume(self, before: Mapping[str, float]) -> None:
        """Go on after a pause in which stages took a share of the time."""
        self.seconds |= before
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as detectors see it: the smallest part that holds all valid pixels.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from ssdnet import read_image
        >>> from ssdnet.judging import Prepared
        >>> roi = np.zeros((64, 64), bool)
        >>> roi[10:40, 20:60] = True
        >>> picture = read_image(np.random.default_rng(0).integers(100, 140, (64, 64, 3), np.uint8), roi=roi)
        >>> prepared = Prepared.of(picture, torch.device("cpu"))
        >>> prepared.pixels.shape, prepared.box
        (torch.Size([3, 30, 40]), (slice(10, 40, None), slice(20, 60, None)))
    """

    image: Image
    standardized: Standardized
    box: tuple[slice, slice]
    """Rows and columns of the part."""
    pixels: torch.Tensor
    """`(C, H, W)` of the part; empty once nobody needs them."""
    valid: torch.Tensor
    """`(H, W)` bool of the part."""
    stationarity: float
    """See `ssdnet.diagnosis.stationarity`."""
    flat: bool
    """Whether every pixel has the same value."""

    @classmethod
    def of(cls, image: Image, device: torch.device, threads: int | None = None) -> Prepared:
        """Standardise an image by its own pixels.

        What lies around a small region of interest must cost nothing and change nothing.
        """
        box = _box(image.valid)
        with allowed(threads, image.valid.size):
            standardized = standardize(image)
            part = standardized.part(*box)
            sameness = stationarity(part, image.valid[box])
        return cls(
            image,
            standardized,
            box,
            torch.from_numpy(part).to(device),
            torch.tensor(image.valid[box], device=device),
            sameness,
            not part.any(),
        )

    def scored(self, detector: Detector) -> Prepared:
        """What is needed from then on: of a large image the pixels are most of what it takes in memory."""
        if detector.decomposes:
            return self
        return dataclasses.replace(self, pixels=self.pixels.new_empty(len(self.pixels), 0, 0))


@dataclass(frozen=True)
class Setting:
    """How a result came about, beside the image.

    Examples:
        >>> from ssdnet.judging import Setting
        >>> from ssdnet.result import Learned
        >>> image = Learned("a.png", "00ff")
        >>> setting = Setting("rx", {"levels": 3}, 0, "cpu", threads=1, alarms=0.01, learned=(image,))
        >>> setting.itself  # unless a model of other images has judged it
        True
    """

    detector: str
    """Its name."""
    detector_settings: Mapping[str, Any]
    seed: int
    device: str
    threads: int
    """That torch was allowed to use."""
    alarms: float
    learned: tuple[Learned, ...]
    """Which images the model was fitted to."""
    itself: bool = True
    """Whether the image was compared with itself."""


def result_of(
    prepared: Prepared,
    model: Model,
    score: object,
    detector: Detector,
    setting: Setting,
    watch: Stopwatch,
    progress: Progress = silent,
) -> Localization:
    """Judge the scores of one image.

    Args:
        prepared: the image.
        model: that scored it.
        score: `(H, W)` of the part that was looked at.
        detector: that fitted the model.
        setting: for the record.
        watch: with what was done before.
        progress: called now and then.

    Raises:
        DetectorError: the detector gave something that is not a score, or not a normal layer.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from ssdnet import read_image
        >>> from ssdnet.detectors.rx import RX
        >>> from ssdnet.judging import Prepared, Setting, Stopwatch, result_of
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> prepared = Prepared.of(read_image(image), torch.device("cpu"))
        >>> setting = Setting("rx", {}, 0, "cpu", threads=1, alarms=0.01, learned=())
        >>> score = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
        >>> score[20:26, 30:36] = 30.0
        >>> found = result_of(prepared, None, score, RX(), setting, Stopwatch())
        >>> [region.bbox for region in found.regions], found.detector
        ([(30, 20, 6, 6)], 'rx')
    """
    valid = prepared.valid.cpu().numpy()
    ranking, deciding = checked_scores(score, valid, detector.name)
    del score  # of a large image two maps are much
    with allowed(setting.threads, valid.size):
        null = fit_null(deciding, witnesses=1 if ranking is deciding else _WITNESSES)
        found = judge(deciding, null)
    watch.lap("calibrate")
    normal = None
    if detector.decomposes:
        # What chance does less than once an image is predicted from all else.
        rare = null.log10_nfa(deciding) < -np.log10(null.witnesses)
        hidden = torch.from_numpy(rare).to(prepared.pixels.device)
        with allowed(setting.threads, prepared.valid.numel(), trains=detector.trains), exact():
            reconstructed = model.reconstruct(  # type: ignore[attr-defined]
                prepared.pixels, prepared.valid, hidden=hidden, progress=progress
            )
        shape = tuple(prepared.pixels.shape)
        normal = layer(
            _checked_normal(reconstructed, shape, detector.name),
            prepared.standardized,
            prepared.image,
            prepared.box,
        )
        watch.lap("reconstruct")
    image = prepared.image
    found = found.placed(image.valid.shape, prepared.box)
    decided_by_another = ranking is not deciding
    ranking = placed(ranking, image.valid.shape, prepared.box) if decided_by_another else found.score
    labels, regions = found.regions(setting.alarms, ranking)
    watch.lap("calibrate")
    seen = standardize(image.seen()) if image.lab else prepared.standardized
    regions = explain(seen, image.valid, ranking, labels, regions)
    watch.lap("explain")
    notes = image.notes + remarks(image, null, prepared.stationarity, flat=prepared.flat)
    if not setting.itself and image.sha256 not in {one.sha256 for one in setting.learned}:
        notes += ("judged by a model of other images, not by itself",)
    watch.lap("diagnose")
    return Localization(
        image=image,
        anomaly_map=ranking,
        log10_nfa=found.log10_nfa,
        labels=labels,
        regions=regions,
        pred_score=0.0 - float(np.nanmin(found.log10_nfa)),
        alarms=setting.alarms,
        detector=setting.detector,
        detector_settings=setting.detector_settings,
        seed=setting.seed,
        device=setting.device,
        threads=setting.threads,
        seconds=watch.seconds,
        null=null,
        learned=setting.learned,
        itself=setting.itself,
        stationarity=prepared.stationarity,
        normal=normal,
        notes=notes,
        decision_map=found.score if decided_by_another else None,
    )


@undisturbed()
def at(result: Localization, alarms: float) -> Localization:
    """The same result for another number of false alarms; see `Localization.at`.

    Examples:
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.judging import at
        >>> image = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image, detector="rx")
        >>> strict = at(result, alarms=1e-30)  # asks for more than this square can give
        >>> len(result.regions), len(strict.regions), strict.alarms
        (1, 0, 1e-30)
    """
    found = _assessed(result)
    labels, regions = found.regions(alarms, result.anomaly_map)
    image = result.image
    standardized = standardize(image.seen() if image.lab else image)
    regions = explain(standardized, image.valid, result.anomaly_map, labels, regions)
    return dataclasses.replace(result, alarms=alarms, labels=labels, regions=regions)


def _assessed(result: Localization) -> Assessment:
    """The map of a result, judged again by the law that it was judged by."""
    box = _box(result.image.valid)
    decision = result.anomaly_map if result.decision_map is None else result.decision_map
    found = judge(np.ascontiguousarray(decision[box]), result.null)
    return found.placed(decision.shape, box)


def checked_scores(
    score: object, valid: npt.NDArray[np.bool_], name: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The map by which pixels are ranked, and the one that decides; mostly the same.

    Raises:
        DetectorError: they are none, see `checked_score`.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from ssdnet.judging import checked_scores
        >>> both = torch.tensor([[[1.0]], [[2.0]]])
        >>> ranking, deciding = checked_scores(both, np.ones((1, 1), bool), "mine")
        >>> ranking.tolist(), deciding.tolist()
        ([[1.0]], [[2.0]])
    """
    if isinstance(score, torch.Tensor) and score.ndim == 3 and len(score) == 2:
        return checked_score(score[0], valid, name), checked_score(score[1], valid, name)
    one = checked_score(score, valid, name)
    return one, one


def checked_score(score: object, valid: npt.NDArray[np.bool_], name: str) -> npt.NDArray[np.float32]:
    """What a detector gave, if it is a score: NaN where pixels are missing.

    Raises:
        DetectorError: it is not.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from ssdnet.errors import DetectorError
        >>> from ssdnet.judging import checked_score
        >>> checked_score(torch.ones(1, 2), np.array([[True, False]]), "mine")
        array([[ 1., nan]], dtype=float32)
        >>> try:
        ...     checked_score(torch.ones(3), np.ones((1, 2), bool), "mine")
        ... except DetectorError as error:
        ...     print(error)
        detector 'mine' gave (3,) instead of a tensor of shape (1, 2)
    """
    if not isinstance(score, torch.Tensor) or tuple(score.shape) != valid.shape:
        got = tuple(score.shape) if isinstance(score, torch.Tensor) else type(score).__name__
        raise DetectorError(f"detector '{name}' gave {got} instead of a tensor of shape {valid.shape}")
    result: npt.NDArray[np.float32] = score.detach().cpu().float().numpy()
    if not result.flags.owndata or not result.flags.writeable:
        result = result.copy()
    complete = bool(valid.all())
    if not np.isfinite(result if complete else result[valid]).all():
        raise DetectorError(f"detector '{name}' gave scores that are NaN or infinite for valid pixels")
    if not complete:
        result[~valid] = np.nan
    return result


def _checked_normal(normal: object, shape: tuple[int, ...], name: str) -> npt.NDArray[np.float32]:
    if not isinstance(normal, torch.Tensor) or tuple(normal.shape) != shape:
        raise DetectorError(f"detector '{name}' gave no normal layer of shape {shape}")
    result: npt.NDArray[np.float32] = normal.detach().cpu().float().numpy()
    if not np.isfinite(result).all():
        raise DetectorError(f"detector '{name}' gave a normal layer with NaN or infinite pixels")
    return result


def _box(valid: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest rectangle with all valid pixels in it, but not smaller than an image may be."""
    sides = []
    for axis in (1, 0):
        places = np.flatnonzero(valid.any(axis=axis))
        size = valid.shape[1 - axis]
        length = max(int(places[-1] - places[0]) + 1, min(MIN_SIDE, size))
        start = min(int(places[0]), size - length)
        sides.append(slice(start, start + length))
    return sides[0], sides[1]
