"""From files, folders, patterns and standard input to a list of jobs that do not collide."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ssdnet.errors import ImageReadError, InputError, OutputConflictError
from ssdnet.export import SUFFIXES
from ssdnet.image.read import is_url, why_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STANDARD_INPUT = "-"

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".gif",
    ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".avif", ".qoi", ".jxl", ".jls", ".jxr", ".wdp",
    ".heic", ".heif", ".hif", ".dcm", ".fits", ".fit", ".fts",
))
# fmt: on
"""Which files of a folder are images; a file that is named is tried whatever it is called."""

_OWN_SUFFIXES = tuple(suffix for suffix in SUFFIXES.values() if suffix.count(".") > 1)


@dataclass(frozen=True)
class Job:
    """One input and where its files go.

    Examples:
        >>> from pathlib import Path
        >>> from ssdnet.batch import Job
        >>> job = Job("photos/a.png", Path("results"), "a")
        >>> job.name, job.file("map").as_posix()
        ('photos/a.png', 'results/a.anomaly.tif')
    """

    source: str
    """Path of the image, or `-` for standard input."""
    folder: Path
    """Where its files go."""
    stem: str
    """First part of their names."""
    fault: InputError | None = None
    """Why there is nothing to read; the job fails with it."""

    @property
    def name(self) -> str:
        """What to call the input in front of people."""
        return "standard input" if self.source == STANDARD_INPUT else self.source

    def file(self, kind: str) -> Path:
        """The file of one of `ssdnet.export.FORMATS`."""
        return self.folder / (self.stem + SUFFIXES[kind])


def plan(inputs: Sequence[str], out: Path, *, recursive: bool = False) -> tuple[Job, ...]:
    """Decide what is read and where it is written; reads nothing but folders.

    Folders give their images, with all below them when `recursive`, and their tree is kept under `out`.
    Named files and matches of patterns go straight into `out`. Hidden files, everything under an `out` that
    lies inside the folder, and files that an earlier run has written are passed over. A file that is given
    twice is taken once. What is not there, and a folder or pattern without an image, is a job that fails.
    The results of `p.jpg` are called `p.*`; where a `p.png` goes to the same place, only these two keep their
    suffix in the names of their results, `p.jpg.*` and `p.png.*`.

    Args:
        inputs: paths of files or folders, patterns such as `scans/*.tif`, `-` for standard input.
        out: where results go; need not be there.
        recursive: look into subfolders too.

    Raises:
        OutputConflictError: two inputs would write the same file, or one would write over another.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ssdnet.batch import plan
        >>> with tempfile.TemporaryDirectory() as name:
        ...     photos = Path(name)
        ...     for file in ("b.png", "a.jpg", "notes.txt", "a.mask.png"):  # the last was written by us
        ...         _ = (photos / file).write_bytes(b"")
        ...     jobs = plan([name, "no-such.png"], photos / "results")
        >>> [job.stem for job in jobs if job.fault is None], str(jobs[-1].fault)
        (['a', 'b'], 'no-such.png: there is no such file; check the path')
    """
    jobs: dict[str, Job] = {}
    for text in inputs:
        for job in _expand(text, out, recursive):
            plain = job.source == STANDARD_INPUT or job.fault is not None
            jobs.setdefault(job.source if plain else os.path.realpath(job.source), job)
    named = dict(zip(jobs, _told_apart(list(jobs.values())), strict=True))
    _check({identity: job for identity, job in named.items() if job.fault is None})
    return tuple(named.values())


def _expand(text: str, out: Path, recursive: bool) -> Iterator[Job]:
    """The jobs of one input."""
    if text == STANDARD_INPUT:
        yield Job(text, out, "stdin")
    elif os.path.isdir(text):  # noqa: PTH112 - unlike Path's, never raises
        yield from _folder(Path(text), out, recursive)
    elif os.path.exists(text):  # noqa: PTH110
        yield Job(text, out, Path(text).stem)
    elif glob.has_magic(text) and not is_url(text):
        # Windows and quotes leave patterns to the program.
        found = [Path(path) for path in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
        images = [path for path in found if _is_image(path) and not _is_ours(path)]
        for path in images:
            yield Job(str(path), out, path.stem)
        if not images:
            ours = _hint_at_ours(path for path in found if _is_image(path))
            yield _fault(text, out, InputError(f"{text}: no image matches this pattern{ours}"))
    else:
        yield _fault(text, out, ImageReadError(f"{text}: {why_missing(text)}"))


def _folder(folder: Path, out: Path, recursive: bool) -> Iterator[Job]:
    """The images of a folder in the order of their names."""
    results = out.resolve()
    unseen: list[OSError] = []
    passed: list[Path] = []
    empty = True
    hint = ""
    for place, folders, files in os.walk(folder, onerror=unseen.append):
        here = Path(place)
        # Results that go into the folder itself are known by their names only.
        inside = [name for name in folders if name[0] != "." and (here / name).resolve() != results]
        folders[:] = sorted(inside) if recursive else []
        if inside and not recursive:
            hint = "; use --recursive to look into the folders inside it"
        for path in (here / name for name in sorted(files)):
            if _is_image(path) and _is_ours(path):
                passed.append(path)
            elif _is_image(path):
                empty = False
                yield Job(str(path), out / here.relative_to(folder), path.stem)
    for error in unseen:
        text = f"{error.filename}: cannot look into this folder ({error.strerror})"
        yield _fault(str(error.filename), out, InputError(text))
    if empty and not unseen:
        text = f"{folder}: no image in this folder{_hint_at_ours(passed)}{hint}"
        yield _fault(str(folder), out, InputError(text))


def _fault(source: str, out: Path, error: InputError) -> Job:
    return Job(source, out, "", error)


def _hint_at_ours(images: Iterable[Path]) -> str:
    """For a place where there are images, all of them passed over."""
    return "; what looks like one are results of an earlier run" if any(images) else ""


def _is_image(path: Path) -> bool:
    """Whether a file that was found, not named, is an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _is_ours(path: Path) -> bool:
    """Whether it is named as an earlier run names its results."""
    return path.name.lower().endswith(_OWN_SUFFIXES)


def _told_apart(jobs: list[Job]) -> list[Job]:
    """The jobs, those whose results would have the same names with their suffix in these names.

    A file may be called `p.jpg.png`, so that a longer name can meet another one; it then gets longer too.
    """
    while True:
        places = [_folded(str(job.folder / job.stem)) for job in jobs]
        counts = Counter(place for place, job in zip(places, jobs, strict=True) if job.fault is None)
        longer = [
            replace(job, stem=Path(job.source).name)
            if counts[place] > 1 and job.fault is None and job.source != STANDARD_INPUT
            else job
            for place, job in zip(places, jobs, strict=True)
        ]
        if longer == jobs:
            return jobs
        jobs = longer


def _check(jobs: dict[str, Job]) -> None:
    """Refuse two inputs with the same files, and files that are inputs.

    Names that differ in capitals or in the spelling of an accent are one file on macOS and Windows.
    """
    inputs = {_folded(identity): job for identity, job in jobs.items()}
    writers: dict[str, Job] = {}
    for job in jobs.values():
        other = writers.setdefault(_folded(str(job.folder / job.stem)), job)
        if other is not job:
            raise OutputConflictError(
                f"{other.name} and {job.name} would both be written to {other.folder / other.stem}.*; "
                "rename one of them, or give each its own --out" + _tree_hint((other, job))
            )
        real = Path(os.path.realpath(job.folder))
        for suffix in SUFFIXES.values():
            victim = inputs.get(_folded(str(real / (job.stem + suffix))))
            if victim is not None:
                raise OutputConflictError(
                    f"the results of {job.name} would be written over {victim.name}, which is an input too; "
                    "give another --out"
                )


def _tree_hint(jobs: Iterable[Job]) -> str:
    """For two files of one name in different folders: a folder as input keeps them apart."""
    first, second = (Path(job.source) for job in jobs)
    if first.parent == second.parent:
        return ""
    return "; a folder that is given as input keeps its tree"


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
