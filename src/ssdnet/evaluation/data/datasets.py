"""Which images there are and which mask belongs to each; everything that is wrong with them, before any work.

| what DATA is | layout |
| --- | --- |
| one set | `images/NAME.*`, `masks/NAME.*` or `masks/NAME_mask.*`, and `good/NAME.*` without a defect |
| one category of MVTec AD | `test/<defect>/NAME.*`, `ground_truth/<defect>/NAME_mask.*`, `test/good/NAME.*` |
| a folder of several | one of the two in each folder inside it; other folders are passed over |
| one image | and its mask given with it |

What a mask marks is told by the rule of `ssdnet.image.mask`, the same as of `--roi`. Other names and hidden
files are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssdnet import image as images
from ssdnet.batch.planning import IMAGE_SUFFIXES
from ssdnet.errors import DataSetError, InputError
from ssdnet.image import DEFAULT_MAX_PIXELS, read_image
from ssdnet.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ssdnet.progress import Progress

_LAYOUTS = (
    "a set has images/ and masks/ (and good/ for images without a defect), a category of MVTec AD has test/ "
    "and ground_truth/; a folder may hold several of either"
)


@dataclass(frozen=True)
class Case:
    """One image that is looked at, and the truth about it.

    Examples:
        >>> from pathlib import Path
        >>> from ssdnet.evaluation.data.datasets import Case
        >>> torn = Case("cloth", "hole/003", Path("hole/003.png"), Path("hole/003_mask.png"))
        >>> torn.label, torn.clean
        ('cloth/hole/003', False)
    """

    set: str
    """The set it belongs to."""
    name: str
    """What it is called within the set, for example `hole/003`."""
    image: Path
    mask: Path | None
    """None for an image without a defect."""
    image_sha256: str = ""
    """Hex digest of the file's bytes; empty until it was checked."""
    mask_sha256: str = ""
    """Likewise; empty for an image without a defect."""

    @property
    def clean(self) -> bool:
        """Whether it has no defect."""
        return self.mask is None

    @property
    def label(self) -> str:
        """Set and name, to tell it from all others."""
        return f"{self.set}/{self.name}"


@dataclass(frozen=True)
class Found:
    """What a look into folders gave; nothing has been read yet.

    Examples:
        >>> from pathlib import Path
        >>> from ssdnet.evaluation.data.datasets import Case, Found, check
        >>> found = Found((Case("cloth", "7", Path("7.png"), None),), faults=("8.png: its mask is missing",))
        >>> check(Found((), found.faults))
        Traceback (most recent call last):
        ssdnet.errors.DataSetError: ...8.png: its mask is missing...
    """

    cases: tuple[Case, ...]
    faults: tuple[str, ...] = ()
    """What is wrong, a line each."""
    notes: tuple[str, ...] = ()
    """What a person should know: folders that were passed over."""


def find(
    data: Path,
    *,
    mask: Path | None = None,
    sets: Sequence[str] | None = None,
    limit: int | None = None,
) -> Found:
    """Look which images there are.

    Args:
        data: a set, a folder of several, or one image.
        mask: the mask of that one image.
        sets: take only these of several.
        limit: at most so many images with a defect and so many without of each set, evenly spread.

    Raises:
        DataSetError: there is nothing to look at.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ssdnet.evaluation.data.datasets import find
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("images/7.png", "masks/7_mask.png", "images/8.png", "good/1.png"):
        ...         file = Path(folder, "cloth", name)
        ...         file.parent.mkdir(parents=True, exist_ok=True)
        ...         file.touch()
        ...     found = find(Path(folder))
        >>> [case.label for case in found.cases], [fault.endswith("8_mask.*") for fault in found.faults]
        (['cloth/7', 'cloth/good/1'], [True])
    """
    if data.is_file():
        if mask is None:
            raise DataSetError([f"{data}: this is one image; give its mask too"])
        return Found((Case(data.parent.resolve().name or "image", data.stem, data, mask),))
    if mask is not None:
        raise DataSetError([f"{data}: a mask belongs to one image, and this is not a file"])
    if not data.is_dir():
        raise DataSetError([f"{data}: there is no such file or folder; check the path"])
    reader = _layout(data)
    if reader is not None:
        name = data.resolve().name
        if sets is not None and list(sets) != [name]:
            raise DataSetError(
                [f"{data}: this is one set, called {name}; there are no others to choose from"]
            )
        return reader(data, name, limit)
    return _several(data, sets, limit)


def check(
    found: Found, *, max_pixels: int | None = DEFAULT_MAX_PIXELS, progress: Progress = silent
) -> tuple[Case, ...]:
    """Read all images and masks once, and refuse the lot if anything is wrong with any of them.

    Args:
        found: by `find`.
        max_pixels: refuse larger images, see `read_image`.
        progress: called before each image.

    Returns:
        The cases with the digests of their files.

    Raises:
        DataSetError: lists every fault: a mask that is missing, empty or of another size than its image, a
            file that cannot be read or used, two images of one name.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ssdnet.evaluation.data.datasets import check
        >>> from ssdnet.evaluation.data.synthetic import synthesize
        >>> with TemporaryDirectory() as folder:
        ...     cases = check(synthesize(Path(folder), 1, textures=("wood",), side=32))
        >>> [(case.label, len(case.image_sha256)) for case in cases]
        [('synthetic-wood/000-stain', 64), ('synthetic-wood/good/000', 64)]
    """
    faults = list(found.faults)
    checked = []
    for number, case in enumerate(found.cases):
        progress(number / len(found.cases), f"{case.label}: checking")
        try:
            checked.append(_checked(case, max_pixels))
        except InputError as error:
            faults.append(str(error))
    if not found.cases and not faults:
        faults.append("there is no image to look at")
    if faults:
        raise DataSetError(faults)
    return tuple(checked)


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """`(H, W)`, True where the mask is anomalous.

    Raises:
        InputError: it cannot be read.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from PIL import Image
        >>> from ssdnet.evaluation.data.datasets import read_mask
        >>> values = np.zeros((16, 20), np.uint8)
        >>> values[4:6, 5] = 255
        >>> with TemporaryDirectory() as folder:
        ...     Image.fromarray(values).save(Path(folder, "mask.png"))
        ...     mask = read_mask(Path(folder, "mask.png"))
        >>> int(mask.sum())
        2
    """
    return images.read_mask(path, max_pixels=None).inside


def _checked(case: Case, max_pixels: int | None) -> Case:
    image = read_image(case.image, max_pixels=max_pixels)
    if case.mask is None:
        return replace(case, image_sha256=image.sha256)
    truth = images.read_mask(case.mask, max_pixels=max_pixels)
    if truth.inside.shape != image.valid.shape:
        height, width = truth.inside.shape
        raise InputError(
            f"{case.mask}: the mask has {height} x {width} pixels (rows x columns), and its "
            f"image {image.height} x {image.width}"
        )
    if truth.inside.all():
        raise InputError(
            f"{case.mask}: the mask marks every pixel as anomalous; black is normal, white anomalous"
        )
    if not truth.inside.any():
        raise InputError(
            f"{case.mask}: the mask is empty; an image without a defect belongs into a folder good"
        )
    return replace(case, image_sha256=image.sha256, mask_sha256=truth.sha256)


def _layout(folder: Path) -> Callable[[Path, str, int | None], Found] | None:
    """How a folder is read, if it is a set."""
    if (folder / "images").is_dir() or (folder / "good").is_dir():
        return _pairs
    if (folder / "test").is_dir():
        return _mvtec
    return None


def _several(data: Path, sets: Sequence[str] | None, limit: int | None) -> Found:
    """All sets inside a folder, by name."""
    readers = {
        folder.name: (_layout(folder), folder)
        for folder in sorted(data.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    offered = [name for name, (reader, _) in readers.items() if reader is not None]
    if not offered:
        raise DataSetError([f"{data}: no set is in this folder: {_LAYOUTS}"])
    missing = [name for name in sets or () if name not in offered]
    if missing:
        raise DataSetError([f"{data}: no set '{name}'; there are {', '.join(offered)}" for name in missing])
    parts = []
    for name in offered if sets is None else sets:
        reader, folder = readers[name]
        if sets is None and (folder / "images").is_dir() and not (folder / "masks").is_dir():
            parts.append(Found((), notes=(f"{folder}: passed over, as it has no folder masks",)))
        elif reader is not None:
            parts.append(reader(folder, name, limit))
    return Found(
        tuple(case for part in parts for case in part.cases),
        tuple(fault for part in parts for fault in part.faults),
        tuple(note for part in parts for note in part.notes),
    )


def _pairs(folder: Path, name: str, limit: int | None) -> Found:
    """`images/`, `masks/` and `good/`."""
    defective, faults = _spread(_images(folder / "images"), limit)
    good, more = _spread(_images(folder / "good"), limit)
    found = _with_masks(name, "", defective, folder / "masks")
    clean = tuple(Case(name, f"good/{path.stem}", path, None) for path in good)
    return _sound(folder, Found(found.cases + clean, (*faults, *more, *found.faults)))


def _mvtec(folder: Path, name: str, limit: int | None) -> Found:
    """`test/<defect>/` and `ground_truth/<defect>/`."""
    defects = [path for path in sorted((folder / "test").iterdir()) if path.is_dir() and path.name != "good"]
    defective, faults = _spread([path for defect in defects for path in _images(defect)], limit)
    good, more = _spread(_images(folder / "test" / "good"), limit)
    cases: list[Case] = []
    for defect in defects:
        members = [path for path in defective if path.parent == defect]
        found = _with_masks(name, f"{defect.name}/", members, folder / "ground_truth" / defect.name)
        cases += found.cases
        faults += found.faults
    cases += [Case(name, f"good/{path.stem}", path, None) for path in good]
    return _sound(folder, Found(tuple(cases), (*faults, *more)))


def _sound(folder: Path, found: Found) -> Found:
    """A set without any image is a fault of its own."""
    if found.cases or found.faults:
        return found
    return Found((), (f"{folder}: no image in this set",))


def _with_masks(set_name: str, before: str, images: Iterable[Path], masks: Path) -> Found:
    """Each image with its mask."""
    known = {path.stem: path for path in reversed(_images(masks))}
    cases, faults = [], []
    for image in images:
        mask = known.get(f"{image.stem}_mask", known.get(image.stem))
        if mask is None:
            faults.append(f"{image}: its mask is missing, {masks / image.stem}.* or {image.stem}_mask.*")
        else:
            cases.append(Case(set_name, before + image.stem, image, mask))
    return Found(tuple(cases), tuple(faults))


def _images(folder: Path) -> list[Path]:
    """The images of a folder, by name; none when it is not there."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _spread(paths: Sequence[Path], limit: int | None) -> tuple[list[Path], list[str]]:
    """At most `limit` of them, evenly spread; and a fault for each name that is there twice."""
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.with_suffix(""), path)
    faults = [
        f"{path}: {first[path.with_suffix('')].name} has the same name; one of them would replace the other"
        for path in paths
        if first[path.with_suffix("")] != path
    ]
    kept = list(first.values())
    if limit is not None and limit < len(kept):
        kept = [kept[index] for index in np.linspace(0, len(kept) - 1, limit).astype(int)]
    return kept, faults
