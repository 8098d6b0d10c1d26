"""The columns of the tables: what each figure is called, and what it means in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Figure:
    """One column of the tables."""

    title: str
    words: str
    """What it means, for somebody who has never heard of it."""
    of: Literal["image", "clean", "set"]
    """Whether each image with a defect has one, each without, or only a set as a whole."""
    better: Literal["high", "low"] = "high"
    digits: int = 3


FIGURES: Mapping[str, Figure] = {
    "auroc": Figure(
        "AUROC",
        "How often a defective pixel scores higher than a normal one of the same image; 0.5 is guessing, 1 "
        "is perfect. Forgiving when defects are small.",
        "image",
    ),
    "ap": Figure(
        "AP",
        "Average precision: of what is marked, how much is truly defective, averaged over all thresholds, in "
        "each image by itself; 1 is perfect, guessing gives the share of the area that is defective.",
        "image",
    ),
    "aupro_30": Figure(
        "AUPRO 30 %",
        "How much of each defect is covered on average while at most 30 % of the normal pixels of the set "
        "are marked too, each connected defect counted the same whatever its size; one threshold for the "
        "whole set.",
        "set",
    ),
    "aupro_05": Figure("AUPRO 5 %", "The same while at most 5 % of the normal pixels are marked.", "set"),
    "best_f1": Figure(
        "best F1",
        "Agreement of the marked area with the defect at the best threshold for that image, which only the "
        "truth can tell; 1 is perfect.",
        "image",
    ),
    "best_iou": Figure(
        "best IoU", "The same, measured as the overlap of the two areas divided by their union.", "image"
    ),
    "f1": Figure(
        "F1",
        "The same agreement for the mask as the detector gives it, with no threshold to choose; 0 where "
        "nothing was reported.",
        "image",
    ),
    "iou": Figure("IoU", "Overlap divided by union for that mask.", "image"),
    "hit": Figure(
        "hit", "Share of the images in which the single most unusual pixel lies on a defect.", "image"
    ),
    "pooled_auroc": Figure(
        "pooled AUROC",
        "AUROC with one threshold for all images with a defect of a set: low when scores of different images "
        "do not mean the same.",
        "set",
    ),
    "pooled_ap": Figure("pooled AP", "AP with one threshold for all images with a defect of a set.", "set"),
    "pooled_best_f1": Figure("pooled best F1", "Best F1 with one threshold for a whole set.", "set"),
    "pooled_best_iou": Figure("pooled best IoU", "Best IoU with one threshold for a whole set.", "set"),
    "pooled_f1": Figure("pooled F1", "F1 of the detector's own masks, all pixels of a set together.", "set"),
    "pooled_iou": Figure(
        "pooled IoU", "IoU of the detector's own masks, all pixels of a set together.", "set"
    ),
    "image_auroc": Figure(
        "image AUROC",
        "How often an image with a defect gets a higher score than a clean one; needs clean images.",
        "set",
    ),
    "false_alarms": Figure(
        "false alarms",
        "Regions reported in a clean image, on average; the detectors promise at most 0.01.",
        "clean",
        better="low",
    ),
}
"""Every figure by its name in the files."""

COMPARED = ("ap", "auroc")
"""Figures that detectors are compared by, the main one first."""
