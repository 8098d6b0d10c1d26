"""Libraries for rare formats, which are installed only where they are needed."""

from __future__ import annotations

import importlib
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ssdnet.errors import ImageReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()


def load(module: str, extra: str, format_name: str, name: str) -> Any:  # noqa: ANN401 - a module
    """The module, or an error that says what to install.

    Args:
        module: to import.
        extra: of this package, that brings it.
        format_name: what it reads.
        name: of the file.

    Raises:
        ImageReadError: it is not installed.

    Examples:
        >>> from ssdnet.errors import ImageReadError
        >>> from ssdnet.image import extras
        >>> try:
        ...     extras.load("no_such_module", "dicom", "DICOM", "scan.dcm")
        ... except ImageReadError as error:
        ...     print(error)
        scan.dcm: a DICOM file, for which a package is missing: pip install "ssdnet[dicom]", or convert it ...
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as error:
        raise ImageReadError(
            f"{name}: a {format_name} file, for which a package is missing: "
            f'pip install "ssdnet[{extra}]", or convert it to PNG or TIFF'
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings about odd files; a switch of the whole process, so one thread at a time uses it.

    Examples:
        >>> import warnings
        >>> from ssdnet.image import extras
        >>> with extras.quiet():
        ...     warnings.warn("odd, but readable", stacklevel=1)
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
