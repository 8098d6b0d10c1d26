"""The first convolutions of VGG19 from a file that somebody named: checked, and never downloaded.

Simonyan & Zisserman, 'Very Deep Convolutional Networks for Large-Scale Image Recognition', ICLR 2015. The
layout is that of the file `vgg19-dcbb9e9d.pth` which torchvision's users have: `features.0.weight` and so on.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import re
from pathlib import Path

import torch

from ssdnet.errors import InputError

STAGES = (2, 2, 4)
"""Convolutions before each halving that are looked at: up to `conv3_4`, whose support is 40 pixels. What lies
deeper sees more than a patch."""

_WIDTHS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of all stages."""
_PART = 1 << 20  # bytes that are hashed at once


def layout() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor before the classifier, in order.

    >>> names = layout()
    >>> len(names), names["features.0.weight"], names["features.34.bias"]
    (32, (64, 3, 3, 3), (512,))
    """
    found: dict[str, tuple[int, ...]] = {}
    number, before = 0, 3
    for width, count in _WIDTHS:
        for _ in range(count):
            found[f"features.{number}.weight"] = (width, before, 3, 3)
            found[f"features.{number}.bias"] = (width,)
            number, before = number + 2, width  # each is followed by its activation
        number += 1  # and a stage by its pooling
    return found


def digest(path: str) -> str:
    """SHA-256 of the file; what a file name says of it, as in `vgg19-dcbb9e9d.pth`, must be true.

    Raises:
        InputError: there is no such file, or it is not the one that its name says.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "vgg19-dcbb9e9d.pth")
    ...     _ = path.write_bytes(b"other")
    ...     digest(str(path))
    Traceback (most recent call last):
        ...
    ssdnet.errors.InputError: ...vgg19-dcbb9e9d.pth: its SHA-256 begins with d9298a10, not with dcbb9e9d ...
    """
    try:
        about = Path(path).stat()
        found = _digest(path, about.st_mtime_ns, about.st_size)
    except OSError as error:
        raise InputError(
            f"{path}: the weights of VGG19 cannot be read ({error.strerror or error}); nothing is "
            "downloaded: get vgg19-dcbb9e9d.pth where torchvision has it, or take perceptual=random"
        ) from error
    said = re.search(r"-([0-9a-f]{8,64})\.[^.]*$", Path(path).name)
    if said and not found.startswith(said[1]):
        raise InputError(
            f"{path}: its SHA-256 begins with {found[:8]}, not with {said[1]} as its name says: it is "
            "damaged, or another file"
        )
    return found


@functools.lru_cache(maxsize=4)
def _digest(path: str, changed: int, size: int) -> str:  # noqa: ARG001 - what makes it another file
    found = hashlib.sha256()
    with Path(path).open("rb") as file:
        while part := file.read(_PART):
            found.update(part)
    return found.hexdigest()


def load(path: str, sha256: str) -> tuple[torch.Tensor, ...]:
    """Kernel and bias of each convolution of `STAGES`, float32, on the CPU.

    Args:
        path: of the file.
        sha256: which the file must have.

    Raises:
        InputError: the file is not there, another one, or not VGG19.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = str(Path(folder, "untrained.pth"))
    ...     torch.save({name: torch.zeros(shape) for name, shape in layout().items()}, path)
    ...     weights = load(path, digest(path))
    >>> len(weights), tuple(weights[-2].shape)
    (16, (256, 256, 3, 3))
    """
    found = digest(path)
    if found != sha256:
        raise InputError(
            f"{path}: its SHA-256 is {found}, and the settings ask for {sha256}; name that file, or leave "
            "perceptual_sha256 empty to take this one"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: this is no file of weights that torch can read ({error})") from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: this holds a {type(state).__name__}, and no weights by name")
    for name, shape in layout().items():
        tensor = state.get(name)
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{path}: this is not VGG19: it has no {name}")
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise InputError(
                f"{path}: this is not VGG19: {name} is {tensor.dtype} of {tuple(tensor.shape)}, "
                f"not numbers of {shape}"
            )
    wanted = list(layout())[: 2 * sum(STAGES)]
    # Copies: of the file's half a gigabyte nothing else is kept.
    return tuple(state[name].to(torch.float32).clone() for name in wanted)
