"""What benchmarks on real images share: the core sets, and measuring as `ssdnet bench` does it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.evaluation.data.datasets import check, find
from ssdnet.evaluation.measure.runner import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ssdnet.detectors.protocol import Detector
    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.evaluation.measure.runner import Outcome, Settings

CORE = (
    "mvtec_leather_256",
    "leather_defect",
    "fabric_minhas",
    "aitex",
    "fabric_stain_hsst",
    "crackforest",
    "kolektor_sdd",
)

_WIDTH = 100
"""Of the line that tells how far the work is, characters."""


def core_cases(data: Path, most: int | None = None) -> tuple[Case, ...]:
    """The images with a defect of the core sets.

    Args:
        data: holds a folder for each, in the layout of `ssdnet bench`.
        most: at most so many of a set, evenly spread.
    """
    return tuple(case for case in check(find(data, sets=CORE, limit=most)) if not case.clean)


def measure(
    cases: Sequence[Case], detectors: Mapping[str, Detector], out: Path, settings: Settings
) -> list[Outcome]:
    """Let every detector look at every image; what was measured before, with the same code, is kept in `out`.

    A detector that fails on one image ends the benchmark with its error.
    """

    def tell(fraction: float, message: str) -> None:
        print(f"\r{f'{fraction:6.1%} {message}'[:_WIDTH]:{_WIDTH}s}", end="", file=sys.stderr, flush=True)

    outcomes = list(run(cases, detectors, out=out, settings=settings, progress=tell))
    print(file=sys.stderr)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return outcomes


def figures_of(outcomes: Iterable[Outcome], cases: Sequence[Case]) -> npt.NDArray[np.float64]:
    """`(len(cases), 2)` AUROC and AP of each image; NaN where they are not defined.

    Args:
        outcomes: one for each case, in any order.
        cases: in the order of the rows.
    """
    records = {outcome.case: outcome.record or {} for outcome in outcomes}
    # What a record has no figure of is None there, which becomes NaN.
    rows = [[records[case].get(name) for name in ("auroc", "ap")] for case in cases]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
