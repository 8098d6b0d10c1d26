"""Figures of anomaly maps against masks: of one image, and of a set with one threshold for all its images.

Maps and masks are `(H, W)` at the size they are judged at (`ssdnet.evaluation.data.reduction`); higher = more
anomalous. Pixels where the map is NaN are missing and left out of every figure. What is not defined is NaN:
every figure of pixels where no anomalous or no normal pixel is left.

| figure | meaning |
| --- | --- |
| AUROC | probability that an anomalous pixel scores higher than a normal one, ties counted half |
| AP | average precision, the area under the precision-recall steps; also called AUPRC |
| AUPRO | mean overlap of the defect regions, averaged over false-positive rates up to a limit |
| F1, IoU | of a mask: harmonic mean of precision and recall; intersection over union |
| best F1, IoU | the largest over all thresholds, which needs the truth to be chosen |
| hit | whether the highest score lies on a defect ('pointing game', Zhang et al., ECCV 2016, no tolerance) |

AUPRO: Bergmann et al., 'Uninformed Students', CVPR 2020. Chosen here where it is silent: regions are the
8-connected components of the masks, each counts the same whatever its size; false positives are those of
all normal pixels of the set together; 200 evenly spaced rates from 0 to the limit, divided by the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy import ndimage

from ssdnet.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import numpy.typing as npt

    Scalar = TypeVar("Scalar", bound=np.generic)
    Map = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

AUPRO_LIMITS = {"aupro_30": 0.30, "aupro_05": 0.05}
"""False-positive rates up to which AUPRO is averaged, by the name of the figure."""

_RATES = 200
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class PixelFigures:
    """Figures of pixels, of one image or of a set; NaN where not defined.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.metrics import pixel_figures
        >>> mask = np.array([[False, False, True, True]])
        >>> score = np.array([[1, 4, 3, 2]], dtype=np.float32)
        >>> figures = pixel_figures([score], [mask], [score >= 3])
        >>> figures.auroc, figures.f1  # two pairs of four are in order, one of two pixels is found
        (0.5, 0.5)
    """

    auroc: float
    ap: float
    best_f1: float
    best_iou: float
    f1: float
    """Of the mask that the detector gives without being told a threshold."""
    iou: float
    """Of that mask."""


def pixel_figures(scores: Sequence[Map], masks: Sequence[Mask], found: Sequence[Mask]) -> PixelFigures:
    """Figures of all pixels of some images together; of one image, if there is one.

    Args:
        scores: `(H, W)` maps, NaN = missing.
        masks: `(H, W)` each, True where anomalous.
        found: `(H, W)` each, True where the detector reports something.

    Raises:
        MissingDependencyError: scikit-learn is not installed.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.metrics import pixel_figures
        >>> mask = np.zeros((8, 8), dtype=bool)
        >>> mask[2:4, 2:4] = True
        >>> score = mask.astype(np.float32)
        >>> figures = pixel_figures([score], [mask], [score > 2])  # ranked rightly, and none reported
        >>> figures.auroc, figures.ap, figures.best_f1, figures.f1
        (1.0, 1.0, 1.0, 0.0)
    """
    known = [np.isfinite(score) for score in scores]
    truth = _joined(masks, known)
    if truth.all() or not truth.any():
        return PixelFigures(*[math.nan] * 6)
    score, reported = _joined(scores, known), _joined(found, known)
    sklearn = scikit_learn()
    false, recall, _ = sklearn.roc_curve(truth, score, drop_intermediate=False)
    positives = np.count_nonzero(truth)
    # One curve serves all: what `average_precision_score` and `precision_recall_curve` would sort again.
    right, wrong = recall[1:] * positives, false[1:] * (truth.size - positives)
    best = float(np.max(2 * right / (right + wrong + positives)))
    f1 = 2 * np.count_nonzero(reported & truth) / (np.count_nonzero(reported) + positives)
    return PixelFigures(
        auroc=float(sklearn.auc(false, recall)),
        ap=float(np.sum(np.diff(recall) * right / (right + wrong))),
        best_f1=best,
        best_iou=_iou(best),
        f1=float(f1),
        iou=_iou(float(f1)),
    )


def hit(score: Map, mask: Mask) -> float:
    """1 where the highest score lies on a defect, 0 elsewhere; of several equal ones, the share that does.

    NaN where all known pixels are anomalous, or none is.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.metrics import hit
        >>> mask = np.array([[False, True, True]])
        >>> [hit(np.array([row], dtype=np.float32), mask) for row in ([0, 1, 2], [3, 1, 2], [2, 1, 2])]
        [1.0, 0.0, 0.5]
    """
    known = np.isfinite(score)
    truth = mask[known]
    if truth.all() or not truth.any():
        return math.nan
    return float(truth[score[known] == score[known].max()].mean())


def aupro(scores: Sequence[Map], masks: Sequence[Mask], limit: float) -> float:
    """Area under the per-region overlap, up to a false-positive rate, as a share of the largest possible.

    Args:
        scores: `(H, W)` maps, NaN = missing; a region of which all pixels are missing does not count.
        masks: `(H, W)` each, True where anomalous.
        limit: largest share of false positives among the normal pixels, in (0, 1].

    Returns:
        In [0, 1]; NaN where there is no region or no normal pixel.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.evaluation.measure.metrics import aupro
        >>> mask = np.zeros((40, 40), dtype=bool)
        >>> mask[2:4, 2:4] = mask[10:30, 10:30] = True  # a small defect counts as much as a large one
        >>> score = np.random.default_rng(0).random((40, 40)).astype(np.float32)
        >>> score[10:30, 10:30] += 1
        >>> score[2:4, 2:4] = 0
        >>> round(aupro([score], [mask], limit=0.3), 2)
        0.5
    """
    normal = _joined(scores, [np.isfinite(s) & ~m for s, m in zip(scores, masks, strict=True)])
    regions = [region for score, mask in zip(scores, masks, strict=True) for region in _regions(score, mask)]
    if not regions or normal.size == 0:
        return math.nan
    rates = np.linspace(0, limit, _RATES)
    thresholds = np.quantile(normal, 1 - rates)
    overlap = np.zeros(_RATES)
    for values in regions:
        overlap += 1 - np.searchsorted(values, thresholds, side="left") / len(values)
    steps = (overlap[1:] + overlap[:-1]) / 2 * np.diff(rates)
    return float(steps.sum() / len(regions) / limit)


def image_auroc(defective: Sequence[float], clean: Sequence[float]) -> float:
    """Probability that an image with a defect has a higher score than a clean one; NaN without both.

    Raises:
        MissingDependencyError: scikit-learn is not installed.

    Examples:
        >>> from ssdnet.evaluation.measure.metrics import image_auroc
        >>> image_auroc(defective=[4.0, 0.5], clean=[0.1, 1.0])
        0.75
    """
    if not defective or not clean:
        return math.nan
    scores = np.nan_to_num(np.array([*defective, *clean], dtype=np.float64))
    truth = np.repeat([True, False], [len(defective), len(clean)])
    return float(scikit_learn().roc_auc_score(truth, scores))


def scikit_learn() -> ModuleType:
    """`sklearn.metrics`, or an error that says how to get it.

    Raises:
        MissingDependencyError: it is not installed.

    Examples:
        >>> from ssdnet.evaluation.measure.metrics import scikit_learn
        >>> scikit_learn().roc_auc_score([False, True], [0.1, 0.9])
        1.0
    """
    try:
        from sklearn import metrics
    except ImportError as error:
        raise MissingDependencyError(
            'the figures need scikit-learn, which is not installed: pip install "ssdnet[bench]"'
        ) from error
    module: ModuleType = metrics
    return module


def _regions(score: Map, mask: Mask) -> list[npt.NDArray[np.float32]]:
    """The sorted known scores of each region that has some."""
    labels, count = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    known = mask & np.isfinite(score)
    owner, values = labels[known], score[known]
    order = np.lexsort((values, owner))
    ends = np.searchsorted(owner[order], np.arange(1, count + 1), side="right")
    return [part for part in np.split(values[order], ends[:-1]) if part.size] if count else []


def _joined(arrays: Sequence[npt.NDArray[Scalar]], kept: Sequence[Mask]) -> npt.NDArray[Scalar]:
    """The kept pixels of all arrays, one after the other."""
    return np.concatenate([array[where] for array, where in zip(arrays, kept, strict=True)])


def _iou(f1: float) -> float:
    """Of the same mask: intersection over union rises with F1."""
    return f1 / (2 - f1)
