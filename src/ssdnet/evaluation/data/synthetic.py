"""Sets with exact masks, made from a seed: so that anybody can repeat a figure without a data set."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from ssdnet import samples
from ssdnet.errors import UsageError
from ssdnet.evaluation.data.datasets import Case, Found
from ssdnet.export.atomic import write_file
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ssdnet.progress import Progress

SIDE = 256
"""Pixels of a side."""

_APART = 1_000_000
"""Between the surfaces of two seeds, so that they share none."""


def synthesize(
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    textures: Sequence[str] = samples.TEXTURES,
    side: int = SIDE,
    progress: Progress = silent,
) -> Found:
    """Make one set for each texture, with `count` defective and as many clean images.

    The defects that a texture can have take turns. No two images show the same surface. The files are laid
    out as `images/`, `masks/` and `good/`, so that they can be looked at and used elsewhere.

    Args:
        folder: where the sets go, each in a folder of its own.
        count: how many images of each kind, at least 1.
        seed: the same seed gives the same pictures.
        textures: names out of `ssdnet.samples.TEXTURES`.
        side: pixels of a side.
        progress: called before each image.

    Returns:
        What `datasets.check` takes.

    Raises:
        UsageError: an unknown texture, a count below 1, a side or a seed out of range.
        OutputError: a file could not be written.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ssdnet.evaluation.data.synthetic import synthesize
        >>> with TemporaryDirectory() as folder:
        ...     found = synthesize(Path(folder), 2, textures=("leather",), side=32)
        ...     names = sorted(path.parent.name for path in Path(folder).glob("leather/*/*.png"))
        >>> [case.name for case in found.cases]
        ['000-stain', '001-hole', 'good/000', 'good/001']
        >>> names
        ['good', 'good', 'images', 'images', 'masks', 'masks']
    """
    if count < 1:
        raise UsageError(f"at least 1 synthetic image of each kind is needed, not {count}")
    cases: list[Case] = []
    for texture in textures:
        defects = samples.defects_of(texture)
        place = folder / texture
        name = f"synthetic-{texture}"
        for number in range(count):
            defect = defects[number % len(defects)]
            stem = f"{number:03}-{defect}"
            case = Case(name, stem, place / "images" / f"{stem}.png", place / "masks" / f"{stem}.png")
            clean = Case(name, f"good/{number:03}", place / "good" / f"{number:03}.png", None)
            progress(len(cases) / (2 * count * len(textures)), f"{case.label}: making images")
            surface = 2 * (seed * _APART + number)
            made = samples.sample(texture, defect, (side, side), seed=surface)
            plain = samples.texture(texture, (side, side), seed=surface + 1)
            for path, pixels in ((case.image, made.image), (case.mask, made.mask), (clean.image, plain)):
                if path is not None:
                    write_file(path, _png(pixels))
            cases += [case, clean]
    return Found(tuple(sorted(cases, key=lambda case: (case.set, case.clean, case.name))))


def _png(pixels: npt.NDArray[Any]) -> bytes:
    data = io.BytesIO()
    levels = pixels.astype(np.uint8) * 255 if pixels.dtype == np.bool_ else pixels
    Pillow.fromarray(levels).save(data, "PNG")
    return data.getvalue()
