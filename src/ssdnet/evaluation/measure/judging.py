"""One result against the truth: at the size that is judged, with all figures of that image."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.evaluation.data.datasets import read_mask
from ssdnet.evaluation.data.reduction import JUDGED_SIDE, reduce_map, reduce_mask, reduced_shape
from ssdnet.evaluation.measure.cache import Measured
from ssdnet.evaluation.measure.metrics import hit, pixel_figures
from ssdnet.export.record import plain

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.evaluation.measure.usage import Usage
    from ssdnet.result import Localization


def judge(result: Localization, case: Case, usage: Usage | None = None) -> Measured:
    """The figures of one result against the truth.

    Figures of pixels are NaN for an image without a defect, and where no anomalous or no normal pixel is
    left at the size that is judged; `scored` tells.

    Args:
        result: of `case.image`, at any size.
        case: the truth.
        usage: what it took, if that was measured.
    """
    from ssdnet.evaluation.report.pictures import heat_levels

    mask = truth_of(case)
    if mask is None:
        image = result.image
        mask = np.zeros(reduced_shape(image.height, image.width, JUDGED_SIDE), dtype=np.bool_)
    shape = mask.shape[0], mask.shape[1]
    score, found = reduce_map(result.anomaly_map, shape), reduce_mask(result.mask, shape)
    figures = pixel_figures([score], [mask], [found])
    record: dict[str, Any] = {
        "set": case.set,
        "name": case.name,
        "scored": not np.isnan(figures.auroc),
        **{entry.name: getattr(figures, entry.name) for entry in fields(figures)},
        "hit": hit(score, mask),
        "pred_score": result.pred_score,
        "regions": len(result.regions),
        "seconds": result.seconds["detect"],
        "memory_mib": usage and usage.mib,
        "cpu_share": usage and usage.cpu_share,
        "detector": result.detector,
        "settings": result.detector_settings,
        "seed": result.seed,
        "device": result.device,
        "threads": result.threads,
        "notes": result.notes,
    }
    return Measured(plain(record), score, found, heat_levels(result))


def truth_of(case: Case) -> npt.NDArray[np.bool_] | None:
    """`(H, W)`, the mask at the size that is judged; None for an image without a defect."""
    if case.mask is None:
        return None
    full = read_mask(case.mask)
    return reduce_mask(full, reduced_shape(full.shape[0], full.shape[1], JUDGED_SIDE))
