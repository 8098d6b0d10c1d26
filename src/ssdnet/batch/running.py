"""A run: jobs become units of work, what an earlier run has done is skipped, and the journal is kept."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ssdnet.batch.engines.local import one_by_one
from ssdnet.batch.journal import Journal
from ssdnet.batch.lock import Lock
from ssdnet.batch.planning import STANDARD_INPUT
from ssdnet.batch.work import Outcome, Unit, fit_together, prepare
from ssdnet.errors import OutputError
from ssdnet.export.atomic import remove_drafts
from ssdnet.progress import part, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ssdnet.batch.engines import Engine
    from ssdnet.batch.planning import Job
    from ssdnet.batch.work import Settings, Work
    from ssdnet.progress import Progress

_FITTING = 0.1
"""Share of a run that fitting one model of all images is taken for, in the progress."""

_Item: TypeAlias = "tuple[Job, Outcome | None]"
"""A job, and what became of it if that is known without looking."""


def run(
    jobs: Sequence[Job],
    settings: Settings,
    *,
    out: Path,
    resume: bool = False,
    progress: Progress | None = None,
    engine: Engine = one_by_one,
) -> Iterator[Outcome]:
    """Look at every image; one outcome each, in their order, as soon as it is there.

    Args:
        jobs: from `plan`.
        settings: for all of them.
        out: the folder that was given to `plan`; the journal for `resume` is kept there.
        resume: skip what an earlier run has completed: same content, same settings, all files still there.
        progress: called now and then with the share of the images that are done (with a fraction for what is
            in work) and a line that begins with the name of what is in work, the first of several.
        engine: where the work is done, see `ssdnet.batch.engines`.

    Raises:
        UsageError: wrong settings; raised by the call itself, before any image is read.
        InputError: the roi cannot be read.
        OutputError: `out` cannot be written, or was removed meanwhile.
        FolderInUseError: another run writes into `out`.
        Cancelled: raised by `progress`; what was completed stays.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import PIL.Image
        >>> from ssdnet.batch import Settings, plan, run
        >>> images = np.random.default_rng(0).integers(100, 140, (2, 64, 64), np.uint8)
        >>> images[1, 20:25, 30:35] = 255
        >>> settings = Settings(detector="rx", formats=("json",))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for stem, image in zip(("clean", "spot"), images, strict=True):
        ...         PIL.Image.fromarray(image).save(Path(name, f"{stem}.png"))
        ...     out = Path(name, "results")
        ...     jobs = plan([name], out)
        ...     first = list(run(jobs, settings, out=out))
        ...     again = list(run(jobs, settings, out=out, resume=True))
        >>> [(outcome.job.stem, outcome.record["pred_label"]) for outcome in first]
        [('clean', False), ('spot', True)]
        >>> [outcome.skipped for outcome in again]
        [True, True]
    """
    return _outcomes(jobs, prepare(settings), out, resume, progress or silent, engine)


def _outcomes(
    jobs: Sequence[Job], work: Work, out: Path, resume: bool, progress: Progress, engine: Engine
) -> Iterator[Outcome]:
    if all(job.fault for job in jobs):  # a slip of the pen should not make a folder
        yield from (Outcome(job, error=job.fault) for job in jobs)
        return
    journal = Journal(out)
    with Lock(out) as lock:
        remove_drafts({job.folder for job in jobs})
        for outcome in _locked(jobs, work, journal, resume, progress, engine):
            lock.check()
            yield outcome


def _locked(
    jobs: Sequence[Job], work: Work, journal: Journal, resume: bool, progress: Progress, engine: Engine
) -> Iterator[Outcome]:
    """The outcomes of a run that has its folder for itself."""
    if work.settings.together:
        work = fit_together(jobs, work, part(progress, 0.0, _FITTING, "the model of all"))
        progress = part(progress, _FITTING, 1 - _FITTING)
    taken: deque[Sequence[_Item]] = deque()

    def units() -> Iterator[tuple[Unit, Progress]]:
        start = 0
        for group in _groups(jobs, work, journal, resume, progress):
            taken.append(group)
            waiting = tuple(job for job, known in group if known is None)
            name = (waiting or (group[0][0],))[0].name
            yield Unit(waiting, work), part(progress, start / len(jobs), len(group) / len(jobs), name)
            start += len(group)

    for results in engine(units()):
        new = iter(results)
        for job, known in taken.popleft():
            yield known or _taken_down(journal, job, next(new), work)


def _groups(
    jobs: Sequence[Job], work: Work, journal: Journal, resume: bool, progress: Progress
) -> Iterator[Sequence[_Item]]:
    """The jobs in their order, in groups of as many unknown ones as are looked at together."""
    places = journal.index() if resume else {}
    group: list[_Item] = []
    start = 0
    for number, job in enumerate(jobs, 1):
        progress(start / len(jobs), job.name)
        place = places.get(journal.key(job))
        known = Outcome(job, error=job.fault) if job.fault is not None else None
        if known is None and place is not None:
            known = _recalled(job, journal.read(place), work)
        group.append((job, known))
        # What is known already keeps nobody waiting, but the outcomes stay in order.
        waiting = sum(outcome is None for _, outcome in group)
        if waiting in (0, work.batch) or number == len(jobs):
            yield group
            group, start = [], number


def _taken_down(journal: Journal, job: Job, outcome: Outcome, work: Work) -> Outcome:
    """The outcome, once the journal has what it takes to skip it next time."""
    if outcome.error is not None:
        return outcome
    try:
        journal.append(
            {
                "stem": journal.key(job),
                "source": job.source,
                "settings": work.fingerprint,
                "sizes": {path.name: path.stat().st_size for path in outcome.files},
                "record": outcome.record,
            }
        )
    except (OSError, OutputError) as error:
        return Outcome(job, error=error)
    return outcome


def _recalled(job: Job, entry: Mapping[str, Any], work: Work) -> Outcome | None:
    """The outcome of an earlier run, if all of it still holds; cheap checks first."""
    files = tuple(job.file(kind) for kind in work.formats)
    if job.source == STANDARD_INPUT or entry.get("source") != job.source:
        return None
    if entry.get("settings") != work.fingerprint:
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
