"""Files that are complete or not there: written under a temporary name, then renamed.

What was written is on the disk before it has its name, and the name is before we say so: also where the power
fails, no file is there that is not complete.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ssdnet.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ssdnet.result import Localization


_DRAFT = re.compile(r"\.ssdnet-(?P<process>\d+)-[0-9a-f]+\.tmp")


class Writer(Protocol):
    """Writes one format of a result.

    Examples:
        >>> import io
        >>> from typing import BinaryIO
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.atomic import Writer
        >>> def write_numpy(localization: ssdnet.Localization, file: BinaryIO) -> None:
        ...     np.save(file, localization.anomaly_map)
        >>> writer: Writer = write_numpy
        >>> file, image = io.BytesIO(), np.random.default_rng(0).normal(size=(64, 64))
        >>> writer(ssdnet.localize(image, detector="rx"), file)
        >>> np.load(io.BytesIO(file.getvalue())).shape
        (64, 64)
    """

    def __call__(self, localization: Localization, file: BinaryIO) -> None:
        """Write `localization` to the open, seekable `file`."""


def write_together(writers: Mapping[Path, Writer], localization: Localization) -> tuple[Path, ...]:
    """Write several files of one result, and show them under their names only when all are complete.

    Args:
        writers: what writes each file.
        localization: the result they write.

    Returns:
        The files, in the order of `writers`.

    Raises:
        OutputError: a file could not be written; no temporary file is left.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.atomic import write_together
        >>> from ssdnet.export.rasters import write_layers, write_map
        >>> result = ssdnet.localize(np.random.default_rng(0).normal(size=(64, 64)), detector="rx")
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     try:
        ...         write_together({folder / "a.tif": write_map, folder / "b.tif": write_layers}, result)
        ...     except ValueError as error:
        ...         print(error, list(folder.iterdir()))  # the map is not there either
        there are no layers []
    """
    with contextlib.ExitStack() as temporary:
        complete: dict[Path, Path] = {}
        for path, writer in writers.items():
            with _explained(path), _draft(path, temporary) as file:
                writer(localization, file)
                _settle(file)
                complete[path] = Path(file.name)
        for path, draft in complete.items():
            with _explained(path):
                draft.replace(path)
        for folder in {path.parent for path in complete}:
            _settle_names(folder)
    return tuple(complete)


def write_file(path: Path, data: bytes) -> None:
    """Write one file, which is complete or, if something goes wrong, as it was before.

    Args:
        path: its folder is made when it is not there.
        data: all of it.

    Raises:
        OutputError: it could not be written; no temporary file is left.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ssdnet.export.atomic import write_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "new", "a.txt")
        ...     write_file(path, b"complete")
        ...     path.read_bytes(), len(list(path.parent.iterdir()))
        (b'complete', 1)
    """
    with contextlib.ExitStack() as temporary, _explained(path):
        with _draft(path, temporary) as file:
            file.write(data)
            _settle(file)
        Path(file.name).replace(path)
        _settle_names(path.parent)


def _draft(path: Path, temporary: contextlib.ExitStack) -> BinaryIO:
    """A new file beside `path` that is removed with `temporary`, if it is still there under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not made from the final name, which may be as long as the file system allows.
    draft = path.with_name(f".ssdnet-{os.getpid()}-{secrets.token_hex(8)}.tmp")
    temporary.callback(draft.unlink, missing_ok=True)
    return draft.open("xb")


def remove_drafts(folders: Iterable[Path]) -> None:
    """Remove what processes that are no more have left under temporary names, as when they were killed.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from ssdnet.export.atomic import remove_drafts
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for draft in (".ssdnet-4194305-00ff.tmp", f".ssdnet-{os.getpid()}-00ff.tmp"):
        ...         Path(name, draft).touch()
        ...     remove_drafts([Path(name)])
        ...     len(list(Path(name).iterdir()))  # that of a process which lives is left alone
        1
    """
    if os.name != "posix":
        return
    for folder in folders:
        for path in folder.glob(".ssdnet-*.tmp"):
            match = _DRAFT.fullmatch(path.name)
            if match and not _lives(int(match["process"])):
                with contextlib.suppress(OSError):  # it is in nobody's way
                    path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _settle(file: BinaryIO) -> None:
    """Have all that was written to it on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _settle_names(folder: Path) -> None:
    """Have the names of its files on the disk, where a folder can be opened for that."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems know no such thing; the files are there anyway
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into one that names the file."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
