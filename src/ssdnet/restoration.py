"""The image without its findings: each is replaced by texture from elsewhere in the same image.

What belongs in the place of a finding nobody knows; what fits, the image itself tells. A piece at a time,
the place is looked for whose surroundings are most like those of the piece, in least squares (Criminisi et
al., 'Region filling and object removal by exemplar-based image inpainting', IEEE TIP 2004), and what lies
there is copied. The slow difference of both surroundings is added (as Pérez et al., 'Poisson image editing',
SIGGRAPH 2003, do with all of it), so that light may fall off over the image. The result has the grain of the
texture and the phase of a pattern, which a prediction has not.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import fft, ndimage

from ssdnet.image import read_image
from ssdnet.image.standardization import Standardized, standardize

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from ssdnet.image import Image

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_RIM, _FADE = 4, 3
"""Pixels around a finding that are replaced with it, its blurred edge; and how many of them fade over."""
_RING = 8
"""Pixels around a piece that tell what fits: two periods of a fine weave."""
_SIDES = (64, 32, 16, 8)
"""Sides of the pieces, pixels: smaller ones where no place without a finding is large enough."""
_SEARCHED = 192
"""Pixels around a piece where a place for it is looked for first; then everywhere."""
_ENOUGH = 0.25
"""Share of what is around a finding that can be copied, or places are looked for in all of the image."""
_SCALES = (4.0, 16.0, 64.0)
"""Standard deviations of the windows that the slow difference is a mean of, pixels."""
_NEARER = 100.0
"""How much more a mean over a window counts than that over the next larger one."""
_ROUGHNESS = 0.5
"""What the squared logarithm of being rougher or smoother than usual adds to a cost, as a share of it."""
_CHANNELS = 4
"""Channels that are compared, evenly spread over all of them."""


def restore(image: Image, mask: Mask) -> npt.NDArray[np.generic]:
    """Replace the pixels of a mask, and a rim around them, by texture from elsewhere in the image.

    Args:
        image: of any size and kind.
        mask: `(H, W)` bool, what is to be replaced. Where no place is large enough to copy from, the slow
            course of the surroundings takes its place; of a mask of all pixels, the image itself is left.

    Returns:
        `(H, W, C)` of the image's dtype; missing pixels as they are.

    Examples:
        >>> import numpy as np
        >>> from ssdnet import read_image, samples
        >>> from ssdnet.restoration import restore
        >>> stained = samples.sample("leather", "stain", (128, 128), seed=0)
        >>> restored = restore(read_image(stained.image), stained.mask)
        >>> inside, outside = (restored[place].mean() for place in (stained.mask, ~stained.mask))
        >>> bool(abs(inside - outside) < abs(stained.image[stained.mask].mean() - outside) / 2)
        True
    """
    hole = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=_RIM) & image.valid
    result = image.pixels.copy()
    if not hole.any() or not (image.valid & ~hole).any():
        return result
    # What is filled is seen by what is filled after it.
    standardized = Standardized(dataclasses.replace(image, pixels=result), standardize(image).units)
    left = hole.copy()
    distance = ndimage.distance_transform_cdt(hole, "chessboard")
    labels, _ = ndimage.label(hole, np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        finding = labels[box] == number
        area = _area(image, hole, box)
        canvas = _Canvas.of(standardized, area, hole, left)
        for rows, columns in _pieces(finding, box):
            canvas.fill(_shifted(rows, -area[0].start), _shifted(columns, -area[1].start))
        inside = tuple(_shifted(part, -whole.start) for part, whole in zip(box, area, strict=True))
        filled, before = canvas.values[(slice(None), *inside)], image.pixels[box].transpose(2, 0, 1)
        share = np.minimum(distance[box] / (_FADE + 1), 1.0)
        values = (before + share * (filled - before))[:, finding].T
        result[box][finding] = _as_image(values, image)
        left[box][finding] = False
    return result


def restore_pixels(pixels: torch.Tensor, valid: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`restore` for an image as detectors see it.

    Args:
        pixels: `(C, H, W)` float32; values where `valid` is False are not used.
        valid: `(H, W)` bool.
        mask: `(H, W)` bool.

    Examples:
        >>> import torch
        >>> from ssdnet.restoration import restore_pixels
        >>> pixels, known = torch.ones(1, 32, 32), torch.ones(32, 32, dtype=torch.bool)
        >>> pixels[0, 10:14, 10:14] = 9.0
        >>> torch.allclose(restore_pixels(pixels, known, pixels[0] > 1), torch.ones(1, 32, 32), atol=1e-3)
        True
    """
    import torch

    values = torch.where(valid, pixels, torch.nan).permute(1, 2, 0).cpu().numpy()
    restored = restore(read_image(values), mask.cpu().numpy())
    return torch.from_numpy(restored).permute(2, 0, 1).to(pixels)


def _area(image: Image, hole: Mask, box: tuple[slice, slice]) -> tuple[slice, slice]:
    """What is around a finding, or all where that has little to copy from."""
    around = tuple(
        slice(max(0, part.start - _SEARCHED - _RING), min(size, part.stop + _SEARCHED + _RING))
        for part, size in zip(box, hole.shape, strict=True)
    )
    rows, columns = around
    if (image.valid[rows, columns] & ~hole[rows, columns]).mean() >= _ENOUGH:
        return rows, columns
    return slice(0, image.height), slice(0, image.width)


def _pieces(shape: Mask, box: tuple[slice, slice]) -> list[tuple[slice, slice]]:
    """Parts of a finding, none longer than the largest side."""
    found = []
    side = _SIDES[0]
    for top in range(0, shape.shape[0], side):
        for left in range(0, shape.shape[1], side):
            part = shape[top : top + side, left : left + side]
            if part.any():
                (rows, columns), *_ = ndimage.find_objects(part.astype(np.int8))
                found.append((_shifted(rows, box[0].start + top), _shifted(columns, box[1].start + left)))
    return found


class _Place(NamedTuple):
    """Where the best place for a window begins."""

    top: int
    left: int


class _Canvas:
    """An image that is being restored."""

    def __init__(self, values: Floats, compared: npt.NDArray[np.float32], hole: Mask, usable: Mask) -> None:
        self.values = values
        """`(C, H, W)` in the units of the image."""
        self.compared = compared
        """`(c, H, W)` in units of the contrast of each channel."""
        self.steep = _steepness(np.where(usable, compared, 0))
        """`(H, W)`, the squared gradient."""
        self.hole = hole
        """`(H, W)`, what is still to be filled."""
        self.usable = usable
        """`(H, W)`, what may be copied."""

    @classmethod
    def of(cls, standardized: Standardized, area: tuple[slice, slice], hole: Mask, left: Mask) -> _Canvas:
        """A part of an image.

        Args:
            standardized: the image, with what is restored so far.
            area: which part.
            hole: `(H, W)`, what there was to be filled.
            left: `(H, W)`, what is left of it.
        """
        image = standardized.image
        values = image.pixels[area].transpose(2, 0, 1).astype(np.float64)
        channels = np.unique(np.linspace(0, image.channels - 1, min(_CHANNELS, image.channels)).round())
        compared = standardized.part(*area)[channels.astype(int)]
        compared[:, ~image.valid[area]] = np.nan
        return cls(values, compared, left[area].copy(), image.valid[area] & ~hole[area])

    def fill(self, rows: slice, columns: slice) -> None:
        """Fill what is left of the hole in a rectangle."""
        for side in _SIDES:
            if max(rows.stop - rows.start, columns.stop - columns.start) > side:
                for part in _halves(rows, columns):
                    self.fill(*part)
                return
            window = self._around(rows, columns)
            place = self._best(window, rows, columns)
            if place is not None:
                self._copy(window, place, rows, columns)
                return
        self._copy(self._around(rows, columns), None, rows, columns)

    def _around(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        height, width = self.hole.shape
        return (
            slice(max(0, rows.start - _RING), min(height, rows.stop + _RING)),
            slice(max(0, columns.start - _RING), min(width, columns.stop + _RING)),
        )

    def _best(self, window: tuple[slice, slice], rows: slice, columns: slice) -> _Place | None:
        """Where the surroundings of a window fit best; None where nothing can be copied."""
        height, width = self.hole.shape
        near = (
            slice(max(0, window[0].start - _SEARCHED), min(height, window[0].stop + _SEARCHED)),
            slice(max(0, window[1].start - _SEARCHED), min(width, window[1].stop + _SEARCHED)),
        )
        for area in (near, (slice(0, height), slice(0, width))):
            place = self._best_in(window, area, rows, columns)
            if place is not None:
                return place
        return None

    def _best_in(
        self, window: tuple[slice, slice], area: tuple[slice, slice], rows: slice, columns: slice
    ) -> _Place | None:
        inner = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip((rows, columns), window, strict=True)
        )
        usable = self.usable[area]
        # All of what is copied must be there; what only tells whether it fits, may lie beyond.
        needed = np.zeros(self.hole[window].shape, bool)
        needed[inner] = self.hole[rows, columns]
        free = _correlate((~usable).astype(np.float64), needed.astype(np.float64)) < 0.5
        if not free.any():
            return None
        known = (self.usable[window] | (~self.hole[window] & ~needed)).astype(np.float64)
        known *= ~np.isnan(self.compared[0][window])
        weight = usable.astype(np.float64)
        seen = _correlate(weight, known)
        difference = np.zeros_like(seen)
        for plane in self.compared:
            source = np.where(usable, plane[area], 0).astype(np.float64)
            target = np.where(known > 0, plane[window], 0).astype(np.float64)
            difference += _correlate(source**2, known) + _correlate(weight, target**2 * known)
            difference -= 2 * _correlate(source, target * known)
        # A place beside the edge or another finding shows less of its surroundings, and may not win by that.
        enough = seen >= 0.5 * seen[free].max()
        # Of places that fit alike, the one as rough as places are.
        steep = np.where(usable, self.steep[area], 0.0)
        pairs = _correlate(weight, needed.astype(np.float64))
        rough = _correlate(steep, needed.astype(np.float64)) / np.maximum(pairs, 1)
        usual = steep.sum() / max(1.0, weight.sum())
        unlike = np.log(np.maximum(rough, 1e-3 * usual + 1e-12) / (usual + 1e-12))
        cost = (np.maximum(difference, 0) / np.maximum(seen, 1)) * (1 + _ROUGHNESS * unlike**2)
        cost[~(free & enough)] = np.inf
        top, left = np.unravel_index(int(cost.argmin()), cost.shape)
        return _Place(area[0].start + int(top), area[1].start + int(left))

    def _copy(self, window: tuple[slice, slice], place: _Place | None, rows: slice, columns: slice) -> None:
        """Fill the hole in a rectangle from a place, or smoothly where there is none."""
        height, width = self.hole[window].shape
        target = np.zeros((height, width), bool)
        inside = (
            slice(rows.start - window[0].start, rows.stop - window[0].start),
            slice(columns.start - window[1].start, columns.stop - window[1].start),
        )
        target[inside] = self.hole[rows, columns]
        known = ~self.hole[window] & ~target & np.isfinite(self.compared[0][window])
        if place is None:
            source_known = np.ones((height, width), bool)
            source = None
        else:
            source = slice(place.top, place.top + height), slice(place.left, place.left + width)
            source_known = self.usable[source]
        known &= source_known
        for planes in (self.values, self.compared):
            for plane in planes:
                own = plane[window]
                other = np.zeros_like(own) if source is None else plane[source]
                slow = _slow(np.where(known, own - other, 0.0), known)
                own[target] = (other + slow)[target]
        self.hole[rows, columns] = False


def _steepness(planes: npt.NDArray[np.float32]) -> Floats:
    """`(H, W)`, the squared gradient of `(c, H, W)` planes together."""
    total = np.zeros(planes.shape[1:])
    for axis in (1, 2):
        squares = np.square(np.diff(planes, axis=axis)).sum(axis=0)
        total[: squares.shape[0], : squares.shape[1]] += squares
    return total


def _slow(difference: Floats, known: Mask) -> Floats:
    """The slow course of a difference that is known in part."""
    total, weight = np.zeros(difference.shape), np.full(difference.shape, 1e-12)
    factor = 1.0
    for sigma in _SCALES:
        share = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="constant")
        total += factor * ndimage.gaussian_filter(difference.astype(np.float64), sigma, mode="constant")
        weight += factor * share
        factor /= _NEARER
    slow: Floats = total / weight
    return slow


def _correlate(image: Floats, window: Floats) -> Floats:
    """`(H - h + 1, W - w + 1)`, sums of the image times the window at each place."""
    shape = [fft.next_fast_len(size, real=True) for size in image.shape]
    product = fft.rfft2(image, shape) * np.conj(fft.rfft2(window, shape))
    height, width = (size - part + 1 for size, part in zip(image.shape, window.shape, strict=True))
    found: Floats = fft.irfft2(product, shape)[:height, :width]
    return found


def _halves(rows: slice, columns: slice) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """A rectangle cut across its longer side."""
    if rows.stop - rows.start >= columns.stop - columns.start:
        middle = (rows.start + rows.stop) // 2
        return (slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)
    middle = (columns.start + columns.stop) // 2
    return (rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _as_image(values: Floats, image: Image) -> npt.NDArray[np.generic]:
    """Values as the image has them: whole numbers and in their range, if it has such."""
    dtype = image.pixels.dtype
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.round(values), limits.min, limits.max)
    converted: npt.NDArray[np.generic] = values.astype(dtype)
    return converted
