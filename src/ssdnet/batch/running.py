"""Doing the jobs, one or a few at a time: a bad input stops no other, and what is done can be skipped."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from ssdnet import detectors
from ssdnet._version import __version__
from ssdnet.batch.journal import Journal
from ssdnet.batch.planning import STANDARD_INPUT
from ssdnet.detectors.protocol import Decomposer
from ssdnet.errors import Cancelled, UsageError
from ssdnet.export import DEFAULT_FORMATS, check_layers, parse_formats
from ssdnet.export.record import plain
from ssdnet.image import DEFAULT_MAX_PIXELS, read_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ssdnet.batch.planning import Job
    from ssdnet.detectors.protocol import Detector
    from ssdnet.image import Image
    from ssdnet.progress import Progress as DetectorProgress
    from ssdnet.result import Localization


class Progress(Protocol):
    """Called while a run goes on; may raise `ssdnet.errors.Cancelled` to stop it."""

    def __call__(self, done: float, job: Job, message: str, /) -> None:
        """Report that `done` images are done (with a fraction for what is in work).

        Args:
            done: how many.
            job: what is in work; the first of several.
            message: what is done with it, a short line for people; may be empty.
        """


@dataclass(frozen=True)
class Settings:
    """What to do with every image of a run; most fields are arguments of `ssdnet.localize`."""

    detector: str = "auto"
    quality: str | None = None
    device: str = "auto"
    seed: int = 0
    alarms: float = 1e-2
    roi: str | None = None
    page: int | None = None
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    formats: tuple[str, ...] = DEFAULT_FORMATS
    """See `ssdnet.export.FORMATS`."""
    batch: int = 1
    """How many images a detector that trains works on together; changes results by its rounding only."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one job: a record and files, or an error."""

    job: Job
    record: dict[str, Any] | None = None
    """As in the JSON file; None when it failed."""
    files: tuple[Path, ...] = ()
    """What was written, or was there already."""
    error: Exception | None = None
    skipped: bool = False
    """Whether an earlier run had done it."""


_Item: TypeAlias = "tuple[Job, Outcome | None]"
"""A job, and what became of it if that is known without looking."""


def run(
    jobs: Sequence[Job],
    settings: Settings,
    *,
    out: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Look at every image; one outcome each, in their order, as soon as it is there.

    Args:
        jobs: from `plan`.
        settings: for all of them.
        out: the folder that was given to `plan`; the journal for `resume` is kept there.
        resume: skip what an earlier run has completed: same content, same settings, all files still there.
        progress: called now and then.

    Raises:
        UsageError: wrong settings; raised by the call itself, before any image is read.
        InputError: the roi cannot be read.
        OutputError: `out` cannot be written.
        Cancelled: raised by `progress`; what was completed stays.
    """
    return _outcomes(jobs, _Worker.prepare(settings), out, resume, progress or _silent)


def _silent(done: float, job: Job, message: str) -> None:
    pass


def _outcomes(
    jobs: Sequence[Job], worker: _Worker, out: Path, resume: bool, progress: Progress
) -> Iterator[Outcome]:
    if all(job.fault for job in jobs):  # a slip of the pen should not make a folder
        yield from (Outcome(job, error=job.fault) for job in jobs)
        return
    journal = Journal(out)
    places = journal.index() if resume else {}
    group: list[_Item] = []
    start = 0
    for number, job in enumerate(jobs, 1):
        progress(start, job, "")
        place = places.get(journal.key(job))
        known = Outcome(job, error=job.fault) if job.fault is not None else None
        if known is None and place is not None:
            known = worker.recall(job, journal.read(place))
        group.append((job, known))
        # What is known already keeps nobody waiting, but the outcomes stay in order.
        waiting = sum(outcome is None for _, outcome in group)
        if waiting in (0, worker.batch) or number == len(jobs):
            yield from worker.work(group, journal, _shared(progress, start, group))
            group, start = [], number


def _shared(progress: Progress, start: int, group: Sequence[_Item]) -> DetectorProgress:
    """The progress of a group as that of the run."""
    first = next((job for job, outcome in group if outcome is None), group[0][0])

    def report(fraction: float, message: str) -> None:
        progress(start + len(group) * min(max(fraction, 0.0), 1.0), first, message)

    return report


class _Read(NamedTuple):
    """An image, and how long it took to read it."""

    image: Image
    seconds: float


@dataclass(frozen=True)
class _Worker:
    """Settings that were found to be right, with all that is made once for a run."""

    settings: Settings
    detector: Detector
    roi: Image | None
    formats: tuple[str, ...]
    batch: int
    """Images to look at together."""
    fingerprint: Mapping[str, Any]
    """All that changes the result but the image; in JSON's types, as it is compared with the journal's."""

    @classmethod
    def prepare(cls, settings: Settings) -> _Worker:
        """Check the settings."""
        from ssdnet.detectors.registry import settings_of
        from ssdnet.device import resolve
        from ssdnet.pipeline import check_alarms

        check_alarms(settings.alarms)
        if settings.batch < 1:
            raise UsageError(f"batch must be 1 or more images, not {settings.batch}")
        detector = detectors.create(settings.detector, settings.quality)
        decomposes = isinstance(detector, Decomposer)
        # Others take one image after the other anyway: then each result can be there at once.
        batch = settings.batch if decomposes else 1
        device = resolve(settings.device)
        formats = parse_formats(settings.formats)
        check_layers(formats, detector.name, decomposes=decomposes)
        roi = None if settings.roi is None else read_image(settings.roi, max_pixels=settings.max_pixels)
        fingerprint = plain(
            {
                "ssdnet": __version__,
                "detector": detector.name,
                "detector_settings": settings_of(detector),
                "device": device.type,
                "seed": settings.seed,
                "alarms": settings.alarms,
                "roi": roi and roi.sha256,
                "page": settings.page,
                "formats": formats,
                "batch": batch,
            }
        )
        return cls(settings, detector, roi, formats, batch, fingerprint)

    def work(self, group: Sequence[_Item], journal: Journal, report: DetectorProgress) -> Iterator[Outcome]:
        """Look at those images of a group that are not known, write their files, and tell of all in order."""
        results = iter(self._look([job for job, outcome in group if outcome is None], report))
        for job, known in group:
            yield known or self._finish(job, next(results), journal)

    def _look(self, jobs: Sequence[Job], report: DetectorProgress) -> list[Localization | Exception]:
        """What is found in each of some images; what cannot be read fails alone."""
        read = [self._read(job) for job in jobs]
        found = iter(self._localize([item for item in read if not isinstance(item, Exception)], report))
        return [item if isinstance(item, Exception) else next(found) for item in read]

    def _read(self, job: Job) -> _Read | Exception:
        start = time.perf_counter()
        settings = self.settings
        try:
            image = read_image(job.source, roi=self.roi, page=settings.page, max_pixels=settings.max_pixels)
        except Exception as error:
            # A fault in our own code is this image's failure too: the rest of the folder can be done.
            return error
        return _Read(image, time.perf_counter() - start)

    def _localize(self, read: Sequence[_Read], report: DetectorProgress) -> list[Localization | Exception]:
        from ssdnet.pipeline import localize_many, part

        if not read:
            return []
        try:
            results = localize_many(
                [item.image for item in read],
                detector=self.detector,
                device=self.settings.device,
                seed=self.settings.seed,
                alarms=self.settings.alarms,
                max_pixels=self.settings.max_pixels,
                progress=report,
            )
        except Cancelled:
            raise
        except Exception as error:
            if len(read) == 1:
                return [error]
        else:
            return [
                dataclasses.replace(result, seconds={**result.seconds, "read": item.seconds})
                for item, result in zip(read, results, strict=True)
            ]
        # What is wrong with one of them, or too much memory for all, must not take the others down.
        alone: list[Localization | Exception] = []
        for number, item in enumerate(read):
            alone += self._localize([item], part(report, number, len(read)))
        return alone

    def _finish(self, job: Job, result: Localization | Exception, journal: Journal) -> Outcome:
        """Write the files of one image, and take down that they are there."""
        if isinstance(result, Exception):
            return Outcome(job, error=result)
        try:
            files = result.save(job.folder, stem=job.stem, formats=self.formats)
            outcome = Outcome(job, result.to_dict(), files)
            journal.append({"stem": journal.key(job), **self.memory(outcome)})
        except Exception as error:
            return Outcome(job, error=error)
        return outcome

    def memory(self, outcome: Outcome) -> dict[str, Any]:
        """What the journal has to know to skip this next time."""
        return {
            "source": outcome.job.source,
            "settings": self.fingerprint,
            "sizes": {path.name: path.stat().st_size for path in outcome.files},
            "record": outcome.record,
        }

    def recall(self, job: Job, entry: Mapping[str, Any]) -> Outcome | None:
        """The outcome of an earlier run, if all of it still holds; cheap checks first."""
        files = tuple(job.file(kind) for kind in self.formats)
        if job.source == STANDARD_INPUT or entry.get("source") != job.source:
            return None
        if entry.get("settings") != self.fingerprint:
            return None
        try:
            record = entry["record"]
            if entry["sizes"] != {path.name: path.stat().st_size for path in files}:
                return None
            if record["input"]["sha256"] != _digest(Path(job.source)):
                return None
        except (OSError, KeyError):
            return None
        return Outcome(job, record, files, skipped=True)


def _digest(path: Path) -> str:
    """SHA-256 of a file; only of a regular one, as a pipe could be read but once."""
    if not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
