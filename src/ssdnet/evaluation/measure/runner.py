"""Every detector on every image with every seed, one after the other; goes on where it was stopped.

Each result is kept in `OUT/cache` as soon as it is there (`measure.cache`) under all that decides it: the
bytes of image and mask, the detector with its settings and code, seed, kind of device, threads, reduction,
images looked at together, and the versions of the packages. What is kept under the same key is not computed
again. A failure is the failure of that image and detector alone, and is tried again by the next run.

Time is that of the stage `detect` of `ssdnet.localize`, from pixels to raw score, after one small image
that is not counted; memory see `measure.usage`.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ssdnet import detectors
from ssdnet.batch.looking import look
from ssdnet.errors import InputError, OutputError, UsageError
from ssdnet.evaluation.data.reduction import JUDGED_SIDE, reduce_image
from ssdnet.evaluation.measure.cache import place_of, read_record, write_measured
from ssdnet.evaluation.measure.judging import judge
from ssdnet.evaluation.measure.metrics import scikit_learn
from ssdnet.export.record import versions
from ssdnet.image import DEFAULT_MAX_PIXELS, MIN_SIDE, read_image
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch

    from ssdnet.detectors.protocol import Detector
    from ssdnet.evaluation.data.datasets import Case
    from ssdnet.evaluation.measure.usage import Usage
    from ssdnet.image import Image
    from ssdnet.progress import Progress
    from ssdnet.result import Localization

CACHE = "cache"
"""Folder below OUT for what was measured."""

_WARM_UP_SIDE = 32


@dataclass(frozen=True)
class Settings:
    """What holds for all detectors and images of a run."""

    seeds: tuple[int, ...] = (0,)
    device: str = "auto"
    batch: int = 1
    """How many images a detector that trains works on together."""
    size: int | None = None
    """Shorter side that images are reduced to before a detector sees them, pixels; None = as they are."""
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    """See `ssdnet.read_image`."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            words = ", ".join(map(str, self.seeds))
            raise UsageError(f"seeds must be whole numbers from 0 on, each once, not {words or 'none'}")
        if self.batch < 1:
            raise UsageError(f"batch must be 1 or more images, not {self.batch}")
        if self.size is not None and self.size < MIN_SIDE:
            raise UsageError(f"size must be at least {MIN_SIDE} pixels, not {self.size}")


@dataclass(frozen=True)
class Outcome:
    """What became of one image with one detector and one seed."""

    case: Case
    detector: str
    """As it is called in the tables."""
    seed: int
    record: Mapping[str, Any] | None = None
    """The figures; None when it failed."""
    path: Path | None = None
    """Where map and figures are kept, see `ssdnet.evaluation.measure.cache`; None when it failed."""
    error: Exception | None = field(default=None, compare=False)
    earlier: bool = False
    """Whether an earlier run had measured it."""


def contenders(names: Sequence[str] | None = None, quality: str | None = None) -> dict[str, Detector]:
    """Detectors by what they are called in the tables.

    Args:
        names: of detectors; None takes all there are.
        quality: for those that offer it; the others have one only. Becomes a part of the name.

    Raises:
        UnknownDetectorError: there is none of that name.
        UsageError: one is named twice or cannot be loaded, or none offers that quality.
    """
    chosen = list(detectors.available() if names is None else names)
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"each detector once, not {', '.join(chosen)}")
    found: dict[str, Detector] = {}
    for name in chosen:
        offered = quality if quality in getattr(_loaded(name), "qualities", {}) else None
        found[name if offered is None else f"{name} ({offered})"] = detectors.create(name, offered)
    if quality is not None and set(found) == set(chosen):
        raise UsageError(f"none of these detectors has a quality '{quality}': {', '.join(chosen)}")
    return found


def _loaded(name: str) -> type[Detector]:
    try:
        return detectors.load(name)
    except UsageError:
        raise
    except Exception as error:  # another package's fault
        raise UsageError(
            f"detector '{name}' cannot be loaded ({type(error).__name__}: {error}); leave it out"
        ) from error


def run(
    cases: Sequence[Case],
    detectors: Mapping[str, Detector],
    *,
    out: Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Look at every image with every detector and every seed; one outcome each, as soon as it is there.

    Args:
        cases: from `ssdnet.evaluation.data.datasets.check`.
        detectors: from `contenders`, or any others by the name they get in the tables.
        out: folder to keep what was measured in.
        settings: for all of them.
        progress: called now and then with the share of all images, detectors and seeds that is done, and a
            line that begins with detector and image.

    Raises:
        UsageError: wrong settings, or cases that were not checked; raised by the call itself.
        OutputError: `out` cannot be written.
        Cancelled: raised by `progress`; what was completed stays.
    """
    from ssdnet.device import resolve

    settings = settings or Settings()
    scikit_learn()
    if any(not case.image_sha256 for case in cases):
        raise UsageError("the cases were not checked; give what evaluation.data.datasets.check returns")
    device = resolve(settings.device)
    workers = [_Worker(label, detector, settings, device, out) for label, detector in detectors.items()]
    return _outcomes(cases, workers, settings.seeds, progress or silent)


def _outcomes(
    cases: Sequence[Case], workers: Sequence[_Worker], seeds: Sequence[int], progress: Progress
) -> Iterator[Outcome]:
    done, total = 0, len(cases) * len(workers) * len(seeds)
    for worker in workers:
        for seed in seeds:
            outcomes = [worker.recall(case, seed) for case in cases]
            known = [outcome for outcome in outcomes if outcome is not None]
            yield from known
            done += len(known)
            waiting = [case for case, outcome in zip(cases, outcomes, strict=True) if outcome is None]
            if waiting:
                progress(done / total, f"{worker.label}: {waiting[0].label}")
                worker.warm_up()
            for first in range(0, len(waiting), worker.batch):
                group = waiting[first : first + worker.batch]
                name = f"{worker.label}: {group[0].label}"
                yield from worker.work(group, seed, part(progress, done / total, len(group) / total, name))
                done += len(group)


class _Worker:
    """One detector."""

    def __init__(
        self, label: str, detector: Detector, settings: Settings, device: torch.device, out: Path
    ) -> None:
        import torch

        from ssdnet.detectors.settings import settings_of
        from ssdnet.evaluation.measure.code import code_digest
        from ssdnet.settings import DEFAULT_ALARMS

        self.label = label
        self._detector, self._settings, self._device = detector, settings, device
        self._folder = out / CACHE
        self._warm = False
        # Others take one image after the other anyway.
        self.batch = settings.batch if detector.trains else 1
        self._key = {
            "versions": versions(),
            "code": code_digest(detector),
            "detector": detector.name,
            "settings": settings_of(detector),
            "device": device.type,
            "threads": torch.get_num_threads(),
            "batch": self.batch,
            "size": settings.size,
            "judged_side": JUDGED_SIDE,
            "alarms": DEFAULT_ALARMS,
        }

    def recall(self, case: Case, seed: int) -> Outcome | None:
        """What an earlier run has measured."""
        path = self._path(case, seed)
        record = read_record(path)
        return None if record is None else Outcome(case, self.label, seed, record, path, earlier=True)

    def warm_up(self) -> None:
        """Do once what takes longer the first time: loading code, starting threads, choosing kernels."""
        if self._warm:
            return
        self._warm = True
        noise = np.random.default_rng(0).integers(90, 110, (_WARM_UP_SIDE, _WARM_UP_SIDE, 3), dtype=np.uint8)
        with contextlib.suppress(Exception):  # what is wrong with the detector shows at the images
            self._localize(0, [read_image(noise)], silent)

    def work(self, cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Outcome]:
        """Look at some images together, judge and keep each; what cannot be done fails alone."""
        progress(0.0, "")
        readers = [functools.partial(self._read, case) for case in cases]
        looked = look(readers, functools.partial(self._localize, seed), progress)
        for case, result in zip(cases, looked, strict=True):
            yield self._finish(case, seed, result)

    def _path(self, case: Case, seed: int) -> Path:
        one = {"image": case.image_sha256, "mask": case.mask_sha256, "seed": seed}
        return place_of(self._folder, {**self._key, **one})

    def _read(self, case: Case) -> Image:
        image = read_image(case.image, max_pixels=self._settings.max_pixels)
        if image.sha256 != case.image_sha256:
            raise InputError(f"{case.image}: it has changed since it was checked")
        return image if self._settings.size is None else reduce_image(image, self._settings.size)

    def _localize(self, seed: int, images: Sequence[Image], progress: Progress) -> list[_Looked]:
        from ssdnet.evaluation.measure.usage import measured
        from ssdnet.pipeline import localize_many

        with measured(self._device) as usage:
            results = localize_many(
                images,
                detector=self._detector,
                device=str(self._device),
                seed=seed,
                max_pixels=None,
                progress=progress,
            )
        return [_Looked(result, usage) for result in results]

    def _finish(self, case: Case, seed: int, looked: _Looked | Exception) -> Outcome:
        """Judge one result and keep it."""
        if isinstance(looked, Exception):
            return Outcome(case, self.label, seed, error=looked)
        path = self._path(case, seed)
        try:
            result = judge(looked.result, case, looked.usage)
            write_measured(path, result)
        except OutputError:
            raise  # the others could not be kept either
        except Exception as error:
            return Outcome(case, self.label, seed, error=error)
        return Outcome(case, self.label, seed, result.record, path)


class _Looked(NamedTuple):
    """A result, and what it took."""

    result: Localization
    usage: Usage
