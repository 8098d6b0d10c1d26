"""Why a region does not belong, for a person: in what way it differs, and which normal places are like it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ssdnet.explanation.differences import differences
from ssdnet.explanation.similar_patches import patch_around, similar_patches
from ssdnet.explanation.surroundings import Surroundings, place_of
from ssdnet.result import Explanation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from ssdnet.image.standardization import Standardized
    from ssdnet.result import Region

__all__ = ["MOST_EXPLAINED", "explain"]

MOST_EXPLAINED = 20
"""Regions of an image that get an explanation, the most significant ones: nobody reads more."""


def explain(
    standardized: Standardized,
    valid: npt.NDArray[np.bool_],
    score: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint16],
    regions: Sequence[Region],
) -> tuple[Region, ...]:
    """The regions with an explanation of the first `MOST_EXPLAINED`; the others are as they were.

    Args:
        standardized: the image.
        valid: `(H, W)`, False where a pixel is missing.
        score: `(H, W)`, the anomaly map; of a large region the place of its highest score is looked at.
        labels: `(H, W)`, `labels == region.id` inside a region.
        regions: most significant first.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.calibration.regions import find_regions
        >>> from ssdnet.explanation import explain
        >>> from ssdnet.image import read_image
        >>> from ssdnet.image.standardization import standardize
        >>> pixels = np.random.default_rng(0).normal(100, 5, (96, 96))
        >>> pixels[40:52, 40:52] += 15
        >>> image = read_image(pixels)
        >>> evidence = np.full((96, 96), 1, dtype=np.float32)
        >>> evidence[40:52, 40:52] = -5
        >>> labels, regions = find_regions(-evidence, evidence, alarms=0.01)
        >>> explained = explain(standardize(image), image.valid, -evidence, labels, regions)
        >>> explained[0].explanation.words
        'brighter and rougher than normal places'
    """
    places: dict[tuple[int, int, int, int], list[Region]] = {}
    for region in regions[:MOST_EXPLAINED]:
        rows, columns = place_of(region, labels)
        places.setdefault((rows.start, rows.stop, columns.start, columns.stop), []).append(region)
    explained = {}
    for (top, bottom, left, right), neighbours in places.items():  # one at a time: each holds many maps
        rows, columns = slice(top, bottom), slice(left, right)
        surroundings = Surroundings(
            top=top,
            left=left,
            pixels=standardized.part(rows, columns),
            offset=standardized.offset,
            scale=standardized.scale,
            score=score[rows, columns],
            labels=labels[rows, columns],
            valid=valid[rows, columns],
        )
        for region in neighbours:
            explained[region.id] = _explanation(surroundings, region)
    return tuple(dataclasses.replace(region, explanation=explained.get(region.id)) for region in regions)


def _explanation(surroundings: Surroundings, region: Region) -> Explanation:
    shape = surroundings.shape(region)
    top, left, side = patch = patch_around(surroundings, region, shape)
    return Explanation(
        differences(surroundings, shape),
        (surroundings.left + left, surroundings.top + top, side, side),
        similar_patches(surroundings, patch),
    )
