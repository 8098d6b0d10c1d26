"""Which images to show of each detector: where it is best, where it is worst, and where others do better."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ssdnet.evaluation.report.figures import COMPARED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.evaluation.report.summary import Summary

_EACH = 3
_MOST = 90
"""Images on the page, about; the pictures of one take 20 to 40 kB."""


class Choice(NamedTuple):
    """Some images of one detector."""

    title: str
    cases: tuple[Case, ...]


def choose(summary: Summary, detector: str) -> list[Choice]:
    """The images to show of one detector, by the first of the compared figures."""
    images = {label: standing.images[COMPARED[0]] for label, standing in summary.detectors.items()}
    own = images[detector]
    # None is both among the best and among the worst, if there are two.
    half = int(np.count_nonzero(~np.isnan(own))) // 2
    each = max(1, min(_EACH, half, _MOST // (3 * len(summary.detectors))))
    choices = [
        Choice("best", _first(summary.cases, -own, each)),
        Choice("worst", _first(summary.cases, own, each)),
    ]
    others = [values for label, values in images.items() if label != detector]
    if others:
        # Where nobody has a figure there is nothing to fall behind.
        ahead = np.max([np.nan_to_num(values, nan=-1.0) for values in others], axis=0) - own
        behind = _first(summary.cases, np.where(ahead > 0, -ahead, np.nan), each)
        choices.append(Choice("furthest behind the best of the others", behind))
    return [choice for choice in choices if choice.cases]


def _first(cases: Sequence[Case], values: npt.NDArray[np.float64], count: int) -> tuple[Case, ...]:
    """The cases with the lowest known values; of equal ones the first."""
    order = np.argsort(values, kind="stable")  # what is NaN comes last
    return tuple(cases[index] for index in order[:count] if not np.isnan(values[index]))
