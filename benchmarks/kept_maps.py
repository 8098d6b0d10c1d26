"""Raw score maps, made once for each detector and kept, so that what is done with them can change.

A detector's maps are in a folder named after a digest of its code and settings, each in a file named after
the image and a digest of its pixels; so another version of either makes its own. They are made by as many
processes as there are processors, of one thread each.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

import ssdnet
from ssdnet import detectors
from ssdnet.detectors.settings import settings_of
from ssdnet.evaluation.measure.code import code_digest
from ssdnet.export.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    Map = npt.NDArray[np.float32]


class Named(Protocol):
    """An image that a map can be made of."""

    @property
    def name(self) -> str:
        """Of a file."""
        ...

    @property
    def pixels(self) -> npt.NDArray[np.generic]:
        """As `ssdnet.localize` takes them."""
        ...


def workers() -> ProcessPoolExecutor:
    """As many processes as there are processors, of one thread each."""
    return ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), torch.set_num_threads, (1,))


def read_map(path: Path) -> Map:
    """The map in a file, `(H, W)`."""
    result: Map = np.load(path)
    return result


class ScoreMaps:
    """The maps of one detector."""

    def __init__(self, folder: Path, detector: str, quality: str | None = None) -> None:
        """Keep them below `folder`."""
        self._detector, self._quality = detector, quality
        chosen = detectors.create(detector, quality)
        code = code_digest(chosen, ["ssdnet.image.standardization", "ssdnet.image.read"])
        digest = hashlib.sha256(repr((code, settings_of(chosen))).encode()).hexdigest()[:8]
        self._folder = folder / f"{chosen.name}-{digest}"

    def path(self, image: Named) -> Path:
        """The file for the map of an image."""
        pixels = np.ascontiguousarray(image.pixels)
        digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
        digest.update(pixels.tobytes())
        return self._folder / f"{image.name}-{digest.hexdigest()[:8]}.npy"

    def make(self, images: Iterable[Named], *, together: int = 1) -> None:
        """Make those that are not there.

        Args:
            images: of different names.
            together: so many of one size at a time, for a detector that trains.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        waiting = defaultdict(list)
        for image in images:
            if not self.path(image).exists():
                waiting[image.pixels.shape].append(image)
        groups = [
            some[first : first + together]
            for some in waiting.values()
            for first in range(0, len(some), together)
        ]
        if not groups:
            return
        # Large ones first, so that no process is left with one at the end.
        groups.sort(key=lambda group: -group[0].pixels.size)
        with workers() as pool:
            jobs = [pool.submit(self._make, group) for group in groups]
            console = Console(stderr=True)
            for job in track(as_completed(jobs), self._detector, len(jobs), console=console):
                job.result()

    def _make(self, group: list[Named]) -> None:
        results = ssdnet.localize_many(
            [image.pixels for image in group], detector=self._detector, quality=self._quality
        )
        for image, result in zip(group, results, strict=True):
            data = io.BytesIO()
            np.save(data, result.anomaly_map)
            write_file(self.path(image), data.getvalue())
