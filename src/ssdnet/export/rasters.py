"""The pictures that programs read: map, mask, labels and layers, each exactly as large as the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.result import Localization

LAYERS = ("normal", "anomaly", "noise")
"""The pages of the layers' file, in their order; properties of `Localization`."""

_PAGE_NAME = 285
"""The TIFF tag."""


def write_map(localization: Localization, file: BinaryIO) -> None:
    """Anomaly map: TIFF, one channel, float32, NaN = missing; deflated, which every reader knows.

    A floating point predictor would save another tenth, but ImageJ cannot read it.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.rasters import write_map
        >>> file, image = io.BytesIO(), np.random.default_rng(0).normal(size=(64, 64))
        >>> result = ssdnet.localize(image, detector="rx")
        >>> write_map(result, file)
        >>> written = ssdnet.read_image(file.getvalue()).pixels[:, :, 0]
        >>> bool((written == result.anomaly_map).all()), written.dtype.name
        (True, 'float32')
    """
    _write_float(localization.anomaly_map, file)


def write_decision(localization: Localization, file: BinaryIO) -> None:
    """The map that the null law of the JSON is the law of, as `write_map` writes its own.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.rasters import write_decision
        >>> file, image = io.BytesIO(), np.random.default_rng(0).normal(size=(64, 64))
        >>> result = ssdnet.localize(image)
        >>> write_decision(result, file)
        >>> written = ssdnet.read_image(file.getvalue()).pixels[:, :, 0]
        >>> again = result.null.log10_nfa(written) + np.log10(result.null.witnesses)  # by itself
        >>> bool((again >= result.log10_nfa - 0.01).all())
        True
    """
    decision = localization.decision_map
    _write_float(localization.anomaly_map if decision is None else decision, file)


def write_restored(localization: Localization, file: BinaryIO) -> None:
    """The image without its regions: TIFF of its channels and dtype.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.rasters import write_restored
        >>> file, image = io.BytesIO(), np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image, detector="rx")
        >>> write_restored(result, file)
        >>> written = ssdnet.read_image(file.getvalue()).pixels
        >>> bool((written == result.restored).all()), int(written.max()) < 150
        (True, True)
    """
    import tifffile

    pixels = localization.restored
    channels = pixels.shape[2]
    tifffile.imwrite(
        file,
        pixels[:, :, 0] if channels == 1 else pixels,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=None if channels in {1, 3} else ["unspecified"] * (channels - 1),
        compression="adobe_deflate",
        metadata=None,
        software=False,
    )


def _write_float(values: npt.NDArray[np.float32], file: BinaryIO) -> None:
    import tifffile

    tifffile.imwrite(
        file,
        values.astype(np.float32, copy=False),
        photometric="minisblack",
        compression="adobe_deflate",
        metadata=None,
        software=False,
    )


def write_mask(localization: Localization, file: BinaryIO) -> None:
    """Mask: PNG, 8 bits, 255 inside a region and 0 elsewhere.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.rasters import write_mask
        >>> file, image = io.BytesIO(), np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image, detector="rx")
        >>> write_mask(result, file)
        >>> written = ssdnet.read_image(file.getvalue()).pixels[:, :, 0]
        >>> np.unique(written).tolist(), bool(((written == 255) == result.mask).all())
        ([0, 255], True)
    """
    from PIL import Image

    Image.fromarray(np.where(localization.mask, np.uint8(255), np.uint8(0))).save(file, "PNG")


def write_labels(localization: Localization, file: BinaryIO) -> None:
    """Label image: PNG, 16 bits, the `id` of the region or 0.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.rasters import write_labels
        >>> file, image = io.BytesIO(), np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> image[20:25, 30:35] = 255
        >>> result = ssdnet.localize(image, detector="rx")
        >>> write_labels(result, file)
        >>> written = ssdnet.read_image(file.getvalue()).pixels[:, :, 0]
        >>> written.dtype.name, int((written == result.regions[0].id).sum()) == result.regions[0].area
        ('uint16', True)
    """
    from PIL import Image

    Image.fromarray(localization.labels.astype(np.uint16, copy=False)).save(file, "PNG")


def write_layers(localization: Localization, file: BinaryIO) -> None:
    """Layers: TIFF of three pages, normal, anomaly and noise, whose sum is the image; NaN = missing.

    Each page has the image's channels, and its name as `PageName` and `ImageDescription`.

    Examples:
        >>> import io
        >>> from dataclasses import replace
        >>> import numpy as np
        >>> import ssdnet
        >>> from ssdnet.export.rasters import write_layers
        >>> file, image = io.BytesIO(), np.random.default_rng(0).integers(100, 140, (64, 64), np.uint8)
        >>> result = ssdnet.localize(image, detector="rx")  # has no layers, so we make one up
        >>> write_layers(replace(result, normal=np.full((64, 64, 1), 120, np.float32)), file)
        >>> pages = [ssdnet.read_image(file.getvalue(), page=page).pixels for page in (1, 2, 3)]
        >>> bool((sum(pages) == result.image.pixels).all())
        True
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
