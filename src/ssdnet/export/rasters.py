"""The three pictures that programs read: map, mask and labels, each exactly as large as the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from ssdnet.localization import Localization


def write_map(localization: Localization, file: BinaryIO) -> None:
    """Anomaly map: TIFF, one channel, float32, NaN = missing; deflated, which every reader knows.

    A floating point predictor would save another tenth, but ImageJ cannot read it.
    """
    import tifffile

    tifffile.imwrite(
        file,
        localization.anomaly_map.astype(np.float32, copy=False),
        photometric="minisblack",
        compression="adobe_deflate",
        metadata=None,
        software=False,
    )


def write_mask(localization: Localization, file: BinaryIO) -> None:
    """Mask: PNG, 8 bits, 255 inside a region and 0 elsewhere."""
    from PIL import Image

    Image.fromarray(np.where(localization.mask, np.uint8(255), np.uint8(0))).save(file, "PNG")


def write_labels(localization: Localization, file: BinaryIO) -> None:
    """Label image: PNG, 16 bits, the `id` of the region or 0."""
    from PIL import Image

    Image.fromarray(localization.labels.astype(np.uint16, copy=False)).save(file, "PNG")
