"""Figures of single images in a CSV file, so that a long benchmark can be interrupted and go on."""

from __future__ import annotations

import csv
import hashlib
from typing import TYPE_CHECKING

from sklearn.metrics import average_precision_score, roc_auc_score

import ssdnet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

Key = tuple[str, str, str, str, int]
"""Variant, digest of all its settings, set, image, seed."""

_COLUMNS = ("variant", "settings", "set", "image", "seed", "auroc", "ap")


class Results:
    """AUROC and average precision of images, each written as soon as it is there.

    What was measured with other settings, or by another version, stays in the file and is not used.
    """

    def __init__(self, path: Path) -> None:
        """Read what an earlier run has measured."""
        self._path = path
        self._known: dict[Key, tuple[float, float]] = {}
        if path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    key = (row["variant"], row["settings"], row["set"], row["image"], int(row["seed"]))
                    self._known[key] = (float(row["auroc"]), float(row["ap"]))

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def __getitem__(self, key: Key) -> tuple[float, float]:
        return self._known[key]

    def add(self, entries: Iterable[tuple[Key, tuple[float, float]]]) -> None:
        """Remember and write."""
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(_COLUMNS)
            for key, values in entries:
                self._known[key] = values
                writer.writerow((*key, *values))


def digest(*settings: object) -> str:
    """A short name for settings: all that changes a figure, with the version."""
    return hashlib.sha256(repr((ssdnet.__version__, *settings)).encode()).hexdigest()[:12]


def figures(score: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """AUROC and average precision of the pixels of one image."""
    truth, values = mask.ravel(), score.ravel()
    return float(roc_auc_score(truth, values)), float(average_precision_score(truth, values))
