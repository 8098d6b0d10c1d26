"""Figures of single images in a CSV file, so that a long benchmark can be interrupted and go on."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from sklearn.metrics import average_precision_score, roc_auc_score

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

Key = tuple[str, str, str, int]
"""Variant, set, image, seed."""


class Results:
    """AUROC and average precision by variant, set, image and seed, each written as soon as it is there."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier run has measured."""
        self._path = path
        self._known: dict[Key, tuple[float, float]] = {}
        if path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    key = (row["variant"], row["set"], row["image"], int(row["seed"]))
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
                writer.writerow(("variant", "set", "image", "seed", "auroc", "ap"))
            for key, figures in entries:
                self._known[key] = figures
                writer.writerow((*key, *figures))


def figures(score: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """AUROC and average precision of the pixels of one image."""
    truth, values = mask.ravel(), score.ravel()
    return float(roc_auc_score(truth, values)), float(average_precision_score(truth, values))
