"""The pictures that programs read: map, mask, labels and layers, each exactly as large as the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from ssdnet.result import Localization

LAYERS = ("normal", "anomaly", "noise")
"""The pages of the layers' file, in their order; properties of `Localization`."""

_PAGE_NAME = 285
"""The TIFF tag."""


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


def write_layers(localization: Localization, file: BinaryIO) -> None:
    """Layers: TIFF of three pages, normal, anomaly and noise, whose sum is the image; NaN = missing.

    Each page has the image's channels, and its name as `PageName` and `ImageDescription`.
    """
    import tifffile

    normal = localization.normal
    if normal is None:
        raise ValueError("there are no layers")
    channels = normal.shape[2]
    colour = channels == 3
    # A file of more than 4 GiB needs other offsets; how far it can be deflated shows too late.
    with tifffile.TiffWriter(file, bigtiff=3 * normal.nbytes > 2**32 - 2**25) as pages:
        for name in LAYERS:
            values = getattr(localization, name)
            pages.write(
                values[:, :, 0] if channels == 1 else values,
                photometric="rgb" if colour else "minisblack",
                planarconfig=None if channels == 1 else "contig",
                extrasamples=None if colour else ["unspecified"] * (channels - 1),
                compression="adobe_deflate",
                metadata=None,
                description=name,
                extratags=[(_PAGE_NAME, "s", 0, name, True)],
                software=False,
            )
