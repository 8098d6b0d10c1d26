"""Doing the jobs one by one: a bad input does not stop the others, and what is done can be skipped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ssdnet import detectors
from ssdnet._version import __version__
from ssdnet.batch.journal import Journal
from ssdnet.batch.planning import STANDARD_INPUT
from ssdnet.errors import Cancelled
from ssdnet.export import FORMATS, parse_formats
from ssdnet.export.record import plain
from ssdnet.image import DEFAULT_MAX_PIXELS, read_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ssdnet.batch.planning import Job
    from ssdnet.detectors.protocol import Detector
    from ssdnet.detectors.protocol import Progress as DetectorProgress
    from ssdnet.image import Image


class Progress(Protocol):
    """Called while a run goes on; may raise `ssdnet.errors.Cancelled` to stop it."""

    def __call__(self, done: float, job: Job) -> None:
        """Report that `done` images are done (a fraction for the one in work), and which is in work."""


@dataclass(frozen=True)
class Settings:
    """What to do with every image of a run; the fields are arguments of `ssdnet.localize`."""

    detector: str = "auto"
    device: str = "auto"
    seed: int = 0
    alarms: float = 1e-2
    roi: str | None = None
    page: int | None = None
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    formats: tuple[str, ...] = FORMATS


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


def _silent(done: float, job: Job) -> None:
    pass


def _outcomes(
    jobs: Sequence[Job], worker: _Worker, out: Path, resume: bool, progress: Progress
) -> Iterator[Outcome]:
    if all(job.fault for job in jobs):  # a slip of the pen should not make a folder
        yield from (Outcome(job, error=job.fault) for job in jobs)
        return
    journal = Journal(out)
    places = journal.index() if resume else {}
    for number, job in enumerate(jobs):
        progress(number, job)
        if job.fault is not None:
            yield Outcome(job, error=job.fault)
            continue
        stem = (job.folder.relative_to(out) / job.stem).as_posix()
        if stem in places:
            done = worker.recall(job, journal.read(places[stem]))
            if done is not None:
                yield done
                continue

        def report(fraction: float, message: str, number: int = number, job: Job = job) -> None:  # noqa: ARG001
            progress(number + min(max(fraction, 0.0), 1.0), job)

        try:
            outcome = worker.work(job, report)
            journal.append({"stem": stem, **worker.memory(outcome)})
        except Cancelled:
            raise
        except Exception as error:
            # A fault in our own code is this image's failure too: the rest of the folder can be done.
            outcome = Outcome(job, error=error)
        yield outcome


@dataclass(frozen=True)
class _Worker:
    """Settings that were found to be right, with all that is made once for a run."""

    settings: Settings
    detector: Detector
    roi: Image | None
    formats: tuple[str, ...]
    fingerprint: Mapping[str, Any]
    """All that changes the result but the image; in JSON's types, as it is compared with the journal's."""

    @classmethod
    def prepare(cls, settings: Settings) -> _Worker:
        """Check the settings."""
        from ssdnet.device import resolve
        from ssdnet.localization import settings_of
        from ssdnet.pipeline import check_alarms

        check_alarms(settings.alarms)
        detector = detectors.create(settings.detector)
        device = resolve(settings.device)
        formats = parse_formats(settings.formats)
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
            }
        )
        return cls(settings, detector, roi, formats, fingerprint)

    def work(self, job: Job, report: DetectorProgress) -> Outcome:
        """Look at one image and write its files."""
        from ssdnet.pipeline import localize

        result = localize(
            job.source,
            detector=self.detector,
            device=self.settings.device,
            seed=self.settings.seed,
            alarms=self.settings.alarms,
            roi=self.roi,
            page=self.settings.page,
            max_pixels=self.settings.max_pixels,
            progress=report,
        )
        files = result.save(job.folder, stem=job.stem, formats=self.formats)
        return Outcome(job, result.to_dict(), files)

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
