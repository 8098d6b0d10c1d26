"""The unit of work of a run: a few jobs and all that is needed to do them, here or in another process.

A unit is picklable and so is what becomes of it; it looks at its images, writes their files and knows nothing
of the other units, of the journal, or of who asked. `ssdnet.batch.engines` says where units are worked on.
"""

from __future__ import annotations

import functools
import pickle
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ssdnet._version import __version__
from ssdnet.batch.looking import look
from ssdnet.batch.planning import STANDARD_INPUT
from ssdnet.errors import UsageError
from ssdnet.export import DEFAULT_FORMATS, check_layers, parse_formats
from ssdnet.export.record import plain
from ssdnet.image import DEFAULT_MAX_PIXELS, read_image, read_mask
from ssdnet.image.nodata import check as check_nodata
from ssdnet.progress import part, silent
from ssdnet.settings import DEFAULT_ALARMS, DEFAULT_SEED, check_alarms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ssdnet.batch.planning import Job
    from ssdnet.detectors.protocol import Detector
    from ssdnet.image import Image, Mask
    from ssdnet.model import FittedModel
    from ssdnet.progress import Progress
    from ssdnet.result import Localization


MOST_TOGETHER = 32
"""Images that one model is fitted to, at most: their maps are in memory at the same time."""


@dataclass(frozen=True)
class Settings:
    """What to do with every image of a run; most fields are arguments of `ssdnet.localize`.

    Examples:
        >>> from ssdnet.batch import Settings
        >>> settings = Settings(detector="rx", settings={"levels": 3}, formats=("map", "json"))
        >>> settings.alarms, settings.seed, settings.together
        (0.01, 0, False)
    """

    detector: str | Detector = "auto"
    """A name, or a configured detector such as `ssdnet.detectors.rx.RX(levels=3)`."""
    quality: str | None = None
    """Of a detector given by name."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Single settings of a detector by name, see `ssdnet.detectors.configured`."""
    device: str = "auto"
    seed: int = DEFAULT_SEED
    threads: int | None = None
    alarms: float = DEFAULT_ALARMS
    roi: str | None = None
    nodata: tuple[float, ...] = ()
    page: int | None = None
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    formats: tuple[str, ...] = DEFAULT_FORMATS
    """See `ssdnet.export.FORMATS`."""
    model: str | None = None
    """File of a fitted model, see `ssdnet.FittedModel`; then no detector, quality, settings and seed."""
    together: bool = False
    """Whether each image is compared with itself and with all others of the run too, or with `MOST_TOGETHER`
    of them."""
    batch: int = 1
    """How many images a detector that trains works on together; changes results by its rounding only."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one job: a record and files, or an error.

    Examples:
        >>> from pathlib import Path
        >>> from ssdnet.batch import Job, Outcome
        >>> from ssdnet.errors import ImageReadError
        >>> outcome = Outcome(Job("a.png", Path("results"), "a"), error=ImageReadError("a.png: it is empty"))
        >>> outcome.record is None, outcome.files, str(outcome.error)
        (True, (), 'a.png: it is empty')
    """

    job: Job
    record: dict[str, Any] | None = None
    """As in the JSON file; None when it failed."""
    files: tuple[Path, ...] = ()
    """What was written, or was there already."""
    error: Exception | None = None
    """Why it failed. One of another package that cannot be pickled reaches other processes as a RuntimeError
    of the same words."""
    skipped: bool = False
    """Whether an earlier run had done it."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "error": self.error and _portable(self.error)}


@dataclass(frozen=True, eq=False)
class Work:
    """Settings that were found to be right, with all that is made once for a run.

    Examples:
        >>> from ssdnet.batch.work import Settings, prepare
        >>> work = prepare(Settings(detector="rx", batch=8))
        >>> work.batch, work.model, work.fingerprint["detector"]  # it trains nothing that could be shared
        (1, None, 'rx')
    """

    settings: Settings
    detector: Detector
    roi: Mask | None
    formats: tuple[str, ...]
    batch: int
    """Images to look at together."""
    model: FittedModel | None
    """That judges all images; None = each gets one of its own."""
    fingerprint: Mapping[str, Any]
    """All that changes the result but the image; in JSON's types, as it is compared with the journal's."""


@dataclass(frozen=True, eq=False)
class Unit:
    """Some jobs to be done together, perhaps none.

    Examples:
        >>> from pathlib import Path
        >>> from ssdnet.batch.planning import Job
        >>> from ssdnet.batch.work import Settings, Unit, prepare
        >>> unit = Unit((Job("a.png", Path("results"), "a"),), prepare(Settings(detector="rx")))
        >>> [job.name for job in unit.jobs], unit.work.detector.name
        (['a.png'], 'rx')
    """

    jobs: tuple[Job, ...]
    work: Work


def prepare(settings: Settings) -> Work:
    """Check the settings, and read what they name.

    Raises:
        UsageError: wrong settings.
        InputError: the roi cannot be read.

    Examples:
        >>> from ssdnet.batch.work import Settings, prepare
        >>> from ssdnet.errors import UsageError
        >>> prepare(Settings(detector="rx", settings={"levels": 3})).detector.levels
        3
        >>> try:
        ...     prepare(Settings(batch=0))
        ... except UsageError as error:
        ...     print(error)
        batch must be 1 or more images, not 0
    """
    from ssdnet.detectors.settings import settings_of
    from ssdnet.device import resolve
    from ssdnet.model import FittedModel
    from ssdnet.pipeline import chosen_detector

    check_alarms(settings.alarms)
    if settings.batch < 1:
        raise UsageError(f"batch must be 1 or more images, not {settings.batch}")
    detector = chosen_detector(settings.detector, settings.quality, settings.settings)
    model = None
    if settings.model is not None:
        if settings.together or settings.detector != "auto" or settings.quality or settings.settings:
            raise UsageError(
                "a fitted model has its detector and settings in it: give no detector, quality, settings or "
                "together with it"
            )
        model = FittedModel.load(settings.model)
        detector = model.detector
    # Others take one image after the other anyway: then each result can be there at once.
    batch = settings.batch if detector.trains and model is None else 1
    device = resolve(settings.device)
    formats = parse_formats(settings.formats)
    check_layers(formats, detector.name, decomposes=detector.decomposes)
    roi = None if settings.roi is None else read_mask(settings.roi, max_pixels=settings.max_pixels)
    fingerprint = plain(
        {
            "ssdnet": __version__,
            "detector": detector.name,
            "detector_settings": settings_of(detector),
            "device": device.type,
            "seed": settings.seed,
            "alarms": settings.alarms,
            "roi": roi and roi.sha256,
            "nodata": [str(value) for value in check_nodata(settings.nodata)],
            "page": settings.page,
            "formats": formats,
            "batch": batch,
            "together": settings.together,
            "learned": model and [one.sha256 for one in model.learned],
        }
    )
    return Work(settings, detector, roi, formats, batch, model, fingerprint)


def fit_together(jobs: Sequence[Job], work: Work, progress: Progress = silent) -> Work:
    """The same work with one model of all images, or of `MOST_TOGETHER` of them, evenly spread.

    What cannot be read, or has other channels than the first image, is left out: it fails when its turn
    comes.

    Args:
        jobs: all of the run.
        work: what is to be done.
        progress: of the fitting.

    Raises:
        UsageError: the detector learns one image only.
        Cancelled: raised by `progress`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import PIL.Image
        >>> from ssdnet.batch.planning import plan
        >>> from ssdnet.batch.work import Settings, fit_together, prepare
        >>> images = np.random.default_rng(0).integers(100, 140, (2, 64, 64), np.uint8)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for stem, image in zip("ab", images, strict=True):
        ...         PIL.Image.fromarray(image).save(Path(name, f"{stem}.png"))
        ...     jobs = plan([name], Path(name, "results"))
        ...     work = fit_together(jobs, prepare(Settings(detector="rx", together=True)))
        >>> [Path(image.name).name for image in work.model.learned]
        ['a.png', 'b.png']
    """
    from ssdnet.pipeline import fit

    able = [job for job in jobs if job.fault is None and job.source != STANDARD_INPUT]
    step = max(1, -(-len(able) // MOST_TOGETHER))
    images: list[Image] = []
    for job in able[::step]:
        try:
            image = _read(job, work).image
        except Exception:  # noqa: S112 - it is read again, and fails then
            continue
        if not images or image.channels == images[0].channels:
            images.append(image)
    if not images:
        return work
    settings = work.settings
    model = fit(
        images,
        detector=work.detector,
        device=settings.device,
        seed=settings.seed,
        threads=settings.threads,
        progress=progress,
    )
    learned = [one.sha256 for one in model.learned]
    return replace(
        work, model=model, batch=1, fingerprint={**work.fingerprint, "learned": learned, "batch": 1}
    )


def do(unit: Unit, progress: Progress = silent) -> list[Outcome]:
    """Look at the images of a unit and write their files; what is wrong with one takes no other down.

    Args:
        unit: any number of jobs, none of which has a fault.
        progress: of the whole unit.

    Returns:
        One outcome for each job, in their order.

    Raises:
        Cancelled: raised by `progress`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import PIL.Image
        >>> from ssdnet.batch.planning import Job
        >>> from ssdnet.batch.work import Settings, Unit, do, prepare
        >>> with tempfile.TemporaryDirectory() as name:
        ...     good, bad = Path(name, "good.png"), Path(name, "bad.png")
        ...     noise = np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        ...     PIL.Image.fromarray(noise).save(good)
        ...     _ = bad.write_bytes(b"")
        ...     jobs = tuple(Job(str(path), Path(name, "results"), path.stem) for path in (bad, good))
        ...     outcomes = do(Unit(jobs, prepare(Settings(detector="rx", formats=("map",)))))
        >>> [type(outcome.error).__name__ for outcome in outcomes]
        ['ImageReadError', 'NoneType']
        >>> [path.name for path in outcomes[1].files]
        ['good.anomaly.tif']
    """
    readers = [functools.partial(_read, job, unit.work) for job in unit.jobs]
    results = look(readers, functools.partial(_localize, unit.work), progress)
    return [_saved(job, result, unit.work) for job, result in zip(unit.jobs, results, strict=True)]


class _Read(NamedTuple):
    """An image, and how long it took to read it."""

    image: Image
    seconds: float


def _read(job: Job, work: Work) -> _Read:
    start = time.perf_counter()
    settings = work.settings
    image = read_image(
        job.source,
        roi=work.roi,
        nodata=settings.nodata,
        page=settings.page,
        max_pixels=settings.max_pixels,
    )
    return _Read(image, time.perf_counter() - start)


def _localize(work: Work, read: Sequence[_Read], progress: Progress) -> list[Localization]:
    from ssdnet.pipeline import localize_many

    if work.model is not None:
        size = 1 / len(read)
        results = [
            work.model.localize(
                item.image,
                itself=work.settings.together,
                alarms=work.settings.alarms,
                max_pixels=work.settings.max_pixels,
                device=work.settings.device,
                threads=work.settings.threads,
                progress=part(progress, number * size, size),
            )
            for number, item in enumerate(read)
        ]
        return [_timed(result, item) for item, result in zip(read, results, strict=True)]
    results = localize_many(
        [item.image for item in read],
        detector=work.detector,
        device=work.settings.device,
        seed=work.settings.seed,
        threads=work.settings.threads,
        alarms=work.settings.alarms,
        max_pixels=work.settings.max_pixels,
        progress=progress,
    )
    return [_timed(result, item) for item, result in zip(read, results, strict=True)]


def _timed(result: Localization, read: _Read) -> Localization:
    return replace(result, seconds={**result.seconds, "read": read.seconds})


def _saved(job: Job, result: Localization | Exception, work: Work) -> Outcome:
    """Write the files of one image."""
    if isinstance(result, Exception):
        return Outcome(job, error=result)
    try:
        files = result.save(job.folder, stem=job.stem, formats=work.formats)
        return Outcome(job, result.to_dict(), files)
    except Exception as error:
        return Outcome(job, error=error)


def _portable(error: Exception) -> Exception:
    """The error itself, if another process could make it again from what pickle keeps of it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # whatever another package's error does when it is made with other arguments
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
