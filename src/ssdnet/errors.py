"""Every error the package raises on purpose, and the exit code the command line gives it.

```
SsdnetError
├── UsageError               exit 2  asked for something that cannot be done (also a ValueError)
│   ├── UnknownDetectorError         no detector of that name
│   ├── DeviceUnavailableError       the device that was asked for is not there
│   ├── OutputConflictError          two inputs would write the same file
│   └── MissingDependencyError       what was asked for needs an optional package that is not installed
├── InputError               exit 3  the input cannot be used
│   ├── ImageReadError               missing, empty, truncated, not an image, unsupported kind
│   ├── ImageTooLargeError           more pixels than the limit; refused before decoding
│   ├── ImageTooSmallError           a side shorter than the smallest that can be judged
│   ├── PageNotFoundError            the file has no page of that number
│   ├── NoValidPixelsError           every pixel is missing
│   └── DataSetError                 images and masks of a benchmark do not fit; lists every fault
├── DetectorError            exit 3  a detector gave something that is not a score
├── OutputError              exit 3  a result could not be written
│   └── FolderInUseError             another run writes into the same folder
└── Cancelled                        the progress callback asked to stop
```

Messages say what is wrong, where (the name of the input) and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SsdnetError(Exception):
    """Base of every error the package raises on purpose.

    Examples:
        One `except` for all that can go wrong; the class says what kind it was and how the command line ends.

        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.errors import SsdnetError
        >>> for image, alarms in ((np.zeros((3, 3)), 0.01), (np.zeros((64, 64)), -1)):
        ...     try:
        ...         ssdnet.localize(image, alarms=alarms)
        ...     except SsdnetError as error:
        ...         print(type(error).__name__, error.exit_code)
        ImageTooSmallError 3
        UsageError 2
    """

    exit_code = 3


class UsageError(SsdnetError, ValueError):
    """Asked for something that cannot be done: a wrong argument or a wrong combination."""

    exit_code = 2


class UnknownDetectorError(UsageError):
    """There is no detector of that name."""


class DeviceUnavailableError(UsageError):
    """The device that was asked for is not there."""


class OutputConflictError(UsageError):
    """Two inputs would write the same output file."""


class MissingDependencyError(UsageError):
    """What was asked for needs an optional package that is not installed; the message names it."""


class InputError(SsdnetError):
    """The input cannot be used."""


class ImageReadError(InputError):
    """The image is missing, empty, truncated, not an image, or of an unsupported kind."""


class ImageTooLargeError(InputError):
    """The image has more pixels than the limit; it was refused before decoding."""


class ImageTooSmallError(InputError):
    """A side of the image is shorter than the smallest that can be judged."""


class PageNotFoundError(InputError):
    """The file has no page of that number."""


class NoValidPixelsError(InputError):
    """Every pixel of the image is missing."""


class DataSetError(InputError):
    """Images and masks of a benchmark do not fit together; found before any work is done.

    Examples:
        >>> from ssdnet.errors import DataSetError
        >>> error = DataSetError(["a.png: no mask", "b.png: mask of another size"])
        >>> len(error.faults), str(error).splitlines()[0]
        (2, 'a.png: no mask')
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        """One line for each thing that is wrong, with the name of the file."""
        # Not the message: an exception is unpickled by calling its class with what it was given.
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(self.faults)


class DetectorError(SsdnetError):
    """A detector gave something that is not a score."""


class OutputError(SsdnetError):
    """A result could not be written."""


class FolderInUseError(OutputError):
    """Another run is writing into the same folder of results; the message names it."""


class Cancelled(SsdnetError):  # noqa: N818 - a request that was honoured, not a fault
    """The progress callback asked to stop."""
