"""`ssdnet demo`: a first look, on a picture that is made on the spot and whose defects are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdnet.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_TOLERANCE = 3


@click.command("demo", short_help="Make a picture with known defects and find them.")
@click.option(
    "-o",
    "--out",
    default="demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the picture and the results.",
)
@click.option("--clean", is_flag=True, help="The same cloth without defects: nothing is to be found.")
def command(out: Path, clean: bool) -> int:
    """Make a picture of cloth with known defects, find them, and say how many were found."""
    from ssdnet import samples
    from ssdnet.batch import Settings, plan
    from ssdnet.cli.locate import look
    from ssdnet.cli.report import report_for_people

    sample = samples.demo(clean=clean)
    picture = out / ("clean.png" if clean else "demo.png")
    _write_picture(sample.image, picture)
    jobs = plan([str(picture)], out)
    code = look(jobs, Settings(), out, report_for_people(jobs, out))
    if code == 0:
        click.echo(_comparison(_read_labels(jobs[0].file("labels")), sample.mask))
    return code


def _write_picture(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, "PNG")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _read_labels(path: Path) -> npt.NDArray[np.uint16]:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image).astype(np.uint16)


def _comparison(labels: npt.NDArray[np.uint16], mask: npt.NDArray[np.bool_]) -> str:
    """How much of what is known to be there was found, in a sentence."""
    import numpy as np
    from scipy import ndimage

    neighbours = np.ones((3, 3), dtype=bool)
    # A defect that shows in several pieces, such as a thread, is one defect.
    near = ndimage.binary_dilation(mask, neighbours, iterations=_TOLERANCE)
    defects, count = ndimage.label(near, neighbours)
    found = len(np.unique(defects[labels > 0])) - int((defects[labels > 0] == 0).any())
    regions = set(np.unique(labels)) - {0}
    false = len(regions - set(np.unique(labels[near])))
    if count == 0:
        return (
            "This picture was made without a defect: "
            f"{false or 'no'} false region{'' if false == 1 else 's'}."
        )
    return (
        f"This picture was made with {count} defects: {found} of {count} found, "
        f"{false} false region{'' if false == 1 else 's'}."
    )
