"""Clean images to count false alarms on: nothing in them was put there that does not belong.

* the seven surfaces of `ssdnet.samples`, with seeds that no test uses;
* white noise of three channels;
* crops of scikit-image's brick, grass and gravel;
* Gaussian and random-phase textures with the spectrum of these three (Galerne, Gousseau & Morel, 'Random
  Phase Textures: Theory and Synthesis', IEEE Transactions on Image Processing 20(1), 2011);
* the clean pictures of a data folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import skimage.data
from scipy import fft
from scipy.signal.windows import tukey

from ssdnet import samples
from ssdnet.evaluation.data.datasets import check, find
from ssdnet.image import read_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Picture = npt.NDArray[Any]

COUNTS = {64: 44, 128: 44, 256: 32, 512: 8, 1024: 2, 2048: 1}
"""Images of each kind for each side, pixels, as far as there are as many."""
PICTURES = ("brick", "grass", "gravel")
_FIRST_SEED = 10_000


@dataclass(frozen=True)
class CleanImage:
    """One image without a defect."""

    kind: str
    side: int
    """Shorter side, pixels."""
    number: int
    """From 0 among those of its kind and side."""
    pixels: Picture = field(repr=False)

    @property
    def name(self) -> str:
        """Of a file that belongs to it."""
        return f"{self.kind.replace(' ', '_')}-{self.side}-{self.number}"


def clean_images(counts: Mapping[int, int], data: Path | None = None) -> Iterator[CleanImage]:
    """All of them, kind by kind.

    Args:
        counts: number of images of each kind for each side, pixels; of crops, fewer where no more fit.
        data: folder in the layout of `ssdnet bench`, whose clean images are added as they are.
    """
    for side, count in counts.items():
        for number in range(count):
            seed = _FIRST_SEED + number
            for name in samples.TEXTURES:
                yield CleanImage(name, side, number, samples.texture(name, (side, side), seed=seed))
            generator = np.random.default_rng([side, seed, len(PICTURES)])
            noise = generator.normal(128, 25, (side, side, 3))
            yield CleanImage("white noise", side, number, _levels(noise))
            for name in PICTURES:
                generator = np.random.default_rng([side, seed, PICTURES.index(name)])
                picture = getattr(skimage.data, name)()
                yield CleanImage(f"gaussian {name}", side, number, gaussian(picture, side, generator))
                if side <= min(picture.shape):
                    yield CleanImage(
                        f"random-phase {name}", side, number, random_phase(picture, side, generator)
                    )
                crop = _crop(picture, side, number)
                if crop is not None:
                    yield CleanImage(f"crops of {name}", side, number, crop)
    if data is not None:
        yield from _photographs(data)


def gaussian(picture: Picture, side: int, generator: np.random.Generator) -> Picture:
    """A Gaussian texture of `picture`'s mean and autocovariance (asymptotic discrete spot noise).

    Args:
        picture: `(H, W)` uint8.
        side: of the square image.
        generator: of the noise.
    """
    field_side = max(side, *picture.shape)
    noise = generator.normal(size=(field_side, field_side))
    texture = fft.irfft2(fft.rfft2(noise) * _spot(picture, field_side), (field_side, field_side))
    return _levels(picture.mean() + texture[:side, :side])


def random_phase(picture: Picture, side: int, generator: np.random.Generator) -> Picture:
    """`picture` with random phases, cut to a square of `side`; not Gaussian, and of exactly its spectrum."""
    field_side = max(picture.shape)
    spectrum = np.abs(_spot(picture, field_side)) * field_side
    phases = np.angle(fft.rfft2(generator.normal(size=(field_side, field_side))))
    texture = fft.irfft2(spectrum * np.exp(1j * phases), (field_side, field_side))
    return _levels(picture.mean() + texture[:side, :side])


def _spot(picture: Picture, side: int) -> npt.NDArray[np.complex128]:
    """Spectrum of the picture less its mean, faded out so that its edges leave no cross; of its variance."""
    centred = picture - picture.mean()
    faded = centred * np.outer(*(tukey(size, 0.3) for size in picture.shape))
    faded *= np.sqrt(np.square(centred).mean() / np.square(faded).sum())
    spectrum: npt.NDArray[np.complex128] = fft.rfft2(faded, (side, side))
    return spectrum


def _levels(values: npt.NDArray[np.float64]) -> Picture:
    return values.round().clip(0, 255).astype(np.uint8)


def _crop(picture: Picture, side: int, number: int) -> Picture | None:
    """One of the crops that do not overlap, or None where there are not so many."""
    rows, columns = (size // side for size in picture.shape)
    if number >= rows * columns:
        return None
    row, column = side * (number // columns), side * (number % columns)
    return picture[row : row + side, column : column + side]


def _photographs(data: Path) -> Iterator[CleanImage]:
    number = 0
    for case in check(find(data)):
        if case.mask is None:
            pixels = read_image(case.image).pixels
            yield CleanImage("photographs", min(pixels.shape[:2]), number, pixels)
            number += 1
