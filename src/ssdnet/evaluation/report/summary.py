"""All figures of a run: means over sets with intervals, each set, and each detector against each other.

Of several seeds, an image's figure is the mean over them; figures of a whole set are computed for each seed
and averaged. A detector's means leave out the images on which it failed; comparisons take the images that
both have. Only images with a defect are pooled.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ssdnet.evaluation.measure.cache import read_measured
from ssdnet.evaluation.measure.intervals import Comparison, bootstrap_interval, compare, mean_of_sets
from ssdnet.evaluation.measure.judging import truth_of
from ssdnet.evaluation.measure.metrics import AUPRO_LIMITS, aupro, image_auroc, pixel_figures
from ssdnet.evaluation.report.figures import COMPARED, FIGURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.evaluation.measure.runner import Outcome

    Values = npt.NDArray[np.float64]


_BOOTSTRAP_SEED = 0
_ALONE = 0.7
"""Share of one CPU that work with the machine to itself gets at least."""


@dataclass(frozen=True)
class Mean:
    """Unweighted mean over sets."""

    mean: float
    low: float = math.nan
    """Lower end of the interval over images; NaN for figures that only a set has."""
    high: float = math.nan
    """Upper end."""
    spread: float = math.nan
    """Standard deviation over the seeds; NaN with one seed."""


@dataclass(frozen=True, eq=False)
class Standing:
    """One detector."""

    means: Mapping[str, Mean]
    """By the names of `figures.FIGURES`."""
    sets: Mapping[str, Mapping[str, float]]
    """Each set's figures, by the same names, with `seconds`."""
    images: Mapping[str, Values]
    """`(N,)` figures of each case, NaN where there is none."""
    seconds: float
    """Median over images, all sets together."""
    memory_mib: float
    """Largest over images; NaN where not measured."""
    cpu_share: float
    """Median over images of CPU time by wall time; NaN where not measured."""
    failed: int
    """Images and seeds without a result."""


@dataclass(frozen=True, eq=False)
class Summary:
    """All of a run."""

    cases: tuple[Case, ...]
    detectors: Mapping[str, Standing]
    """Best first, by the first of `figures.COMPARED`."""
    comparisons: Mapping[tuple[str, str, str], Comparison]
    """By first detector, second detector and figure; every ordered pair."""
    not_scored: tuple[Case, ...]
    """Images whose defect vanishes, or is all there is, at the size that is judged."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets, in their order."""
        return tuple(dict.fromkeys(case.set for case in self.cases))

    @property
    def disturbed(self) -> tuple[str, ...]:
        """Detectors whose times are too long, because other programs were using the CPU."""
        return tuple(name for name, each in self.detectors.items() if each.cpu_share < _ALONE)


def summarize(outcomes: Sequence[Outcome]) -> Summary:
    """Put the outcomes of a run together.

    Reads the maps of one set, detector and seed at a time; they are bounded by the size that is judged.
    """
    cases = tuple(dict.fromkeys(outcome.case for outcome in outcomes))
    names = list(dict.fromkeys(outcome.detector for outcome in outcomes))
    runs: dict[tuple[str, int], dict[Case, _Done]] = {
        (outcome.detector, outcome.seed): {} for outcome in outcomes
    }
    for outcome in outcomes:
        if outcome.record is not None and outcome.path is not None:
            runs[outcome.detector, outcome.seed][outcome.case] = _Done(outcome.record, outcome.path)
    pooled = _pooled(cases, runs)
    standings = {
        name: _standing(
            cases,
            [done for (detector, _), done in runs.items() if detector == name],
            [figures for (detector, _), figures in pooled.items() if detector == name],
        )
        for name in names
    }
    names.sort(key=lambda name: -np.nan_to_num(standings[name].means[COMPARED[0]].mean, nan=-1.0))
    groups = _sets_of(cases)
    comparisons = {
        (first, second, figure): compare(
            standings[first].images[figure],
            standings[second].images[figure],
            groups,
            generator=np.random.default_rng(_BOOTSTRAP_SEED),
        )
        for first, second in itertools.permutations(names, 2)
        for figure in COMPARED
    }
    vanished = {
        case
        for run in runs.values()
        for case, done in run.items()
        if not (done.record["scored"] or case.clean)
    }
    return Summary(
        cases,
        {name: standings[name] for name in names},
        comparisons,
        tuple(case for case in cases if case in vanished),
    )


class _Done(NamedTuple):
    """One image with a result."""

    record: Mapping[str, Any]
    path: Path


def _pooled(
    cases: Sequence[Case], runs: Mapping[tuple[str, int], Mapping[Case, _Done]]
) -> dict[tuple[str, int], dict[str, dict[str, float]]]:
    """For each detector and seed the figures of each set as a whole."""
    pooled: dict[tuple[str, int], dict[str, dict[str, float]]] = {run: {} for run in runs}
    for name in dict.fromkeys(case.set for case in cases):
        members = [case for case in cases if case.set == name]
        # The masks of one set at a time, read once for all detectors and seeds.
        truths = {case: truth for case in members if (truth := truth_of(case)) is not None}
        for run, done in runs.items():
            pooled[run][name] = _of_a_set({case: done[case] for case in members if case in done}, truths)
    return pooled


def _of_a_set(done: Mapping[Case, _Done], truths: Mapping[Case, npt.NDArray[np.bool_]]) -> dict[str, float]:
    """Figures of one set with one threshold."""
    figures = {name: math.nan for name, figure in FIGURES.items() if figure.of == "set"}
    rows = {case: item for case, item in done.items() if item.record["scored"]}
    if rows:
        maps = [read_measured(item.path) for item in rows.values()]
        scores, found = [item.score for item in maps], [item.found for item in maps]
        masks = [truths[case] for case in rows]
        pixels = dataclasses.asdict(pixel_figures(scores, masks, found))
        figures |= {f"pooled_{name}": value for name, value in pixels.items()}
        figures |= {name: aupro(scores, masks, limit) for name, limit in AUPRO_LIMITS.items()}
    figures["image_auroc"] = image_auroc(
        [float(item.record["pred_score"]) for case, item in done.items() if not case.clean],
        [float(item.record["pred_score"]) for case, item in done.items() if case.clean],
    )
    return figures


def _standing(
    cases: Sequence[Case],
    runs: Sequence[Mapping[Case, _Done]],
    pooled: Sequence[Mapping[str, Mapping[str, float]]],
) -> Standing:
    """One detector, with one entry of `runs` and `pooled` for each seed."""
    groups = _sets_of(cases)
    names = list(dict.fromkeys(case.set for case in cases))
    means: dict[str, Mean] = {}
    images: dict[str, Values] = {}
    sets: dict[str, dict[str, float]] = {name: {} for name in names}
    for name, figure in FIGURES.items():
        if figure.of == "set":
            of_seeds = np.array([[run[member][name] for member in names] for run in pooled])
            of_sets = _mean(of_seeds, axis=0)
            means[name] = Mean(
                float(_mean(of_sets, axis=0)), spread=_spread([float(_mean(row, axis=0)) for row in of_seeds])
            )
            sets |= {
                member: {**sets[member], name: float(v)} for member, v in zip(names, of_sets, strict=True)
            }
            continue
        each = np.array([[_figure(name, case, run.get(case)) for case in cases] for run in runs])
        images[name] = values = _mean(each, axis=0)
        low, high = bootstrap_interval(values, groups, generator=np.random.default_rng(_BOOTSTRAP_SEED))
        spread = _spread([mean_of_sets(row, groups) for row in each])
        means[name] = Mean(mean_of_sets(values, groups), low, high, spread)
        for member in names:
            sets[member][name] = float(_mean(values[groups == member], axis=0))
    records = [(case.set, done.record) for run in runs for case, done in run.items()]
    for member in names:
        seconds = [record["seconds"] for name, record in records if name == member]
        sets[member]["seconds"] = float(np.median(seconds)) if seconds else math.nan
    memory = [record["memory_mib"] for _, record in records if record["memory_mib"] is not None]
    shares = [record["cpu_share"] for _, record in records if record["cpu_share"] is not None]
    return Standing(
        means,
        sets,
        images,
        seconds=float(np.median([record["seconds"] for _, record in records])) if records else math.nan,
        memory_mib=max(memory, default=math.nan),
        cpu_share=float(np.median(shares)) if shares else math.nan,
        failed=len(cases) * len(runs) - len(records),
    )


def _figure(name: str, case: Case, done: _Done | None) -> float:
    """One image's figure; NaN where it has none."""
    if done is None:
        return math.nan
    if name == "false_alarms":
        return float(done.record["regions"]) if case.clean else math.nan
    value = done.record[name]
    return math.nan if value is None else float(value)


def _sets_of(cases: Sequence[Case]) -> npt.NDArray[np.str_]:
    return np.array([case.set for case in cases])


def _mean(values: Values, *, axis: int) -> Values:
    """Mean of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    result: Values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def _spread(means: Sequence[float]) -> float:
    """Standard deviation over seeds."""
    return float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
