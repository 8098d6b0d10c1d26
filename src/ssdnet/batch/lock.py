"""One run in a folder of results at a time.

The operating system holds the lock and gives it up when the process ends, however it ends: none is left
behind by a run that was killed. The file says who has it, for the message of the other one.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
from typing import TYPE_CHECKING

from ssdnet.errors import FolderInUseError, OutputError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

NAME = ".ssdnet-run.lock"

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class Lock:
    """The lock of a folder that is there; a context manager.

    Raises:
        FolderInUseError: another run has it.
        OutputError: the folder cannot be written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ssdnet.batch.lock import Lock
        >>> from ssdnet.errors import FolderInUseError
        >>> with tempfile.TemporaryDirectory() as name, Lock(Path(name)) as lock:
        ...     try:
        ...         Lock(Path(name))
        ...     except FolderInUseError as error:
        ...         print(str(error).replace(name, "results")[:46])
        ...     lock.check()  # the folder is still there
        results: another run (process ...
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._file = self._taken()
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {platform.node()}".encode())

    def _taken(self) -> int:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error
            try:
                _lock(file)
                if self._is_there(file):
                    return file
            except OSError as error:
                who = os.pread(file, 200, 0).decode(errors="replace") if hasattr(os, "pread") else ""
                os.close(file)
                if error.errno not in _TAKEN:
                    raise OutputError(f"cannot lock {self._path}: {error.strerror or error}") from error
                raise FolderInUseError(
                    f"{self._folder}: another run ({who or 'of another process'}) is writing into this "
                    "folder; wait for it, end it, or give another --out"
                ) from None
            os.close(file)  # the last owner has just removed it

    def check(self) -> None:
        """See that the folder is still the one that was locked.

        Raises:
            OutputError: it was removed, or another one is in its place.
        """
        if not self._is_there(self._file):
            raise OutputError(
                f"{self._folder} was removed or replaced while the run went on, and with it what was done; "
                "run again with --resume"
            )

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))  # noqa: PTH116 - beside fstat
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.name == "posix" and self._is_there(self._file):  # Windows does not remove what is open
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def _lock(file: int) -> None:
    """Take the lock of an open file at once, or raise OSError."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        # Far behind what is written, so that others can read who it is.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
