"""What a folder of results already holds: one line of JSON for each input that was completed.

Lines are only ever appended, each after the files it speaks of are in place, so that a run may be killed at
any moment: the worst is a last line that is cut short, which is passed over.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

from ssdnet.errors import OutputError
from ssdnet.export.record import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ssdnet.batch.planning import Job

NAME = ".ssdnet-run.jsonl"
_VERSION = 2


class Journal:
    """The journal of one folder of results, which is made when it is not there.

    Raises:
        OutputError: the folder or the journal cannot be written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ssdnet.batch import Job
        >>> from ssdnet.batch.journal import Journal
        >>> with tempfile.TemporaryDirectory() as name:
        ...     out = Path(name)
        ...     journal = Journal(out)
        ...     key = journal.key(Job("photos/sub/a.png", out / "sub", "a"))
        ...     journal.append({"stem": key, "source": "photos/sub/a.png"})
        ...     key, journal.read(journal.index()[key])["source"]
        ('sub/a', 'photos/sub/a.png')
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                # End a line that was cut short, or the next one would be lost with it.
                if file.tell() > 0:
                    file.seek(-1, 2)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
        except OSError as error:
            raise self._failure(error) from error

    def key(self, job: Job) -> str:
        """What the lines call the files of a job."""
        return (job.folder.relative_to(self._folder) / job.stem).as_posix()

    def index(self) -> dict[str, int]:
        """Where the last line about each stem is; the lines themselves may not fit into memory."""
        places: dict[str, int] = {}
        place = 0
        with self._path.open("rb") as lines:
            for line in lines:
                entry = _parse(line)
                if entry is not None:
                    places[str(entry.get("stem"))] = place
                place += len(line)
        return places

    def read(self, place: int) -> dict[str, Any]:
        """The line at a place of `index`; empty when it is not one."""
        with self._path.open("rb") as lines:
            lines.seek(place)
            return _parse(lines.readline()) or {}

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            OutputError: it could not be written.
        """
        try:
            with self._path.open("ab", buffering=0) as file:
                end = file.tell()
                line = to_json({"journal": _VERSION, **entry}) + b"\n"
                try:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)  # or the next line would be lost with the piece of this one
                    raise
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}")


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and entry.get("journal") == _VERSION else None
