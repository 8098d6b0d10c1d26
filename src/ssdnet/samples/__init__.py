"""Synthetic photographs of surfaces, clean or with a defect whose pixels are known exactly.

```python
from ssdnet import samples

clean = samples.texture("twill", (384, 512), seed=3)
sample = samples.sample("twill", "stain", (384, 512), seed=3)
assert (sample.image[~sample.mask] == clean[~sample.mask]).all()
```

Everything is drawn from the seed: a height map and an albedo, lit from the side and seen by a camera.
The scale is fixed, so a larger picture shows more of the surface, not a larger surface.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ssdnet.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["DEFECTS", "MIN_SIDE", "TEXTURES", "VISIBLE", "Sample", "defects_of", "demo", "sample", "texture"]

TEXTURES = ("plain_weave", "twill", "leather", "brushed_metal", "wood", "tile", "asphalt")
"""Names of the surfaces."""
DEFECTS = ("stain", "hole", "cut", "missing_yarn", "knot", "scratch", "fold", "foreign", "blur")
"""Names of the defects; `missing_yarn` is for the two weaves only."""
VISIBLE = 4.0
"""Change of a pixel, in levels of 0..255 before sensor noise, from which on it belongs to the mask."""
MIN_SIDE = 16
"""Shortest side of a picture, pixels."""

_DEMO_SEED = 26


@dataclass(frozen=True, eq=False)
class Sample:
    """A synthetic photograph and the truth about it.

    Examples:
        >>> from ssdnet import samples
        >>> sample = samples.sample("twill", "hole", (64, 64), seed=1)
        >>> sample.image.shape, sample.image.dtype, sample.mask.dtype
        ((64, 64, 3), dtype('uint8'), dtype('bool'))
        >>> sample
        Sample(texture='twill', defect='hole', seed=1)
    """

    image: npt.NDArray[np.uint8] = field(repr=False)
    """`(H, W, 3)`, RGB, 0..255."""
    mask: npt.NDArray[np.bool_] = field(repr=False)
    """`(H, W)`, True where the defect shows; elsewhere the image equals the clean one of that seed."""
    texture: str
    """One of `TEXTURES`."""
    defect: str | None
    """One of `DEFECTS`, several joined by `+`, or None for a clean surface."""
    seed: int


def defects_of(texture: str) -> tuple[str, ...]:
    """The defects that a texture can have.

    Args:
        texture: one of `TEXTURES`.

    Returns:
        Names out of `DEFECTS`.

    Raises:
        UsageError: there is no texture of that name.

    Examples:
        >>> from ssdnet.samples import defects_of
        >>> "missing_yarn" in defects_of("twill"), "missing_yarn" in defects_of("wood")
        (True, False)
    """
    _check_texture(texture)
    woven = texture in {"plain_weave", "twill"}
    return tuple(name for name in DEFECTS if woven or name != "missing_yarn")


def texture(name: str, size: tuple[int, int] = (256, 256), *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A photograph of a clean surface.

    Args:
        name: one of `TEXTURES`.
        size: `(height, width)` in pixels, each at least `MIN_SIDE`.
        seed: 0 or more; the same seed gives the same picture.

    Returns:
        `(H, W, 3)` uint8, RGB.

    Raises:
        UsageError: an unknown name, a size that is too small, or a negative seed.

    Examples:
        >>> from ssdnet import samples
        >>> wood = samples.texture("wood", (48, 64), seed=3)
        >>> wood.shape
        (48, 64, 3)
        >>> bool((wood == samples.texture("wood", (48, 64), seed=3)).all())
        True
    """
    return _photograph(name, (), size, seed, 1.0).image


def sample(
    texture: str,
    defect: str | None = None,
    size: tuple[int, int] = (256, 256),
    *,
    seed: int = 0,
    contrast: float = 1.0,
) -> Sample:
    """A photograph of a surface with one defect, and the mask of that defect.

    Args:
        texture: one of `TEXTURES`.
        defect: one of `defects_of(texture)`, or None for a clean surface.
        size: `(height, width)` in pixels, each at least `MIN_SIDE`.
        seed: 0 or more; the surface is that of `texture(name, size, seed=seed)`.
        contrast: strength of the defect: 0.5 changes each pixel half as much. The mask shrinks with it to
            what is still visible, and may be empty when it is small.

    Returns:
        Image, mask and how they were made. Outside of the mask the image is that of the clean surface.

    Raises:
        UsageError: an unknown name, a defect that the texture cannot have, a size that is too small, a
            negative seed, or a contrast that is not in [0, 10].

    Examples:
        >>> from ssdnet import samples
        >>> clean = samples.texture("leather", (64, 64), seed=3)
        >>> stained = samples.sample("leather", "stain", (64, 64), seed=3)
        >>> bool((stained.image[~stained.mask] == clean[~stained.mask]).all())
        True
        >>> bool(stained.image[stained.mask].mean() < clean[stained.mask].mean())
        True
    """
    return _photograph(texture, () if defect is None else (defect,), size, seed, contrast)


def demo(*, clean: bool = False) -> Sample:
    """The built-in example: 384 x 512 pixels of twill with a knot, a stain and a hole.

    Args:
        clean: the same cloth without them.

    Examples:
        >>> from ssdnet import samples
        >>> cloth = samples.demo()
        >>> cloth.image.shape, cloth.defect
        ((384, 512, 3), 'knot+stain+hole')
    """
    defects = () if clean else ("knot", "stain", "hole")
    return _photograph("twill", defects, (384, 512), _DEMO_SEED, 1.2)


def _photograph(
    texture: str, defects: tuple[str, ...], size: tuple[int, int], seed: int, contrast: float
) -> Sample:
    size = _check(texture, defects, size, seed, contrast)
    import numpy as np

    from ssdnet.samples import cloth, surface
    from ssdnet.samples.defects import DEFECTS as MAKERS
    from ssdnet.samples.defects import Scene
    from ssdnet.samples.textures import GENERATORS

    def generator(*purpose: int) -> np.random.Generator:
        # Separate streams: a defect must not change what the surface, the lamp and the noise draw.
        # The offset keeps the words apart from zero, which a seed sequence ignores at its end.
        return np.random.default_rng([seed, *(number + 1 for number in purpose)])

    kind = TEXTURES.index(texture)
    clean = GENERATORS[texture](generator(0, kind), size)
    light = surface.lamp(generator(1, kind), size)
    picture = surface.render(clean, light)
    mask = np.zeros(size, np.bool_)
    if defects:

        def remake(gap: cloth.Gap) -> surface.Surface:
            weave = cloth.twill if texture == "twill" else cloth.plain_weave
            return weave(generator(0, kind), size, gap)

        damaged = clean
        scene = Scene(texture, size, light, remake)
        for name in defects:
            damaged = MAKERS[name](damaged, scene, generator(2, kind, DEFECTS.index(name)))
        change = contrast * (surface.render(damaged, light) - picture)
        changed = np.clip(picture + change, 0, 1)
        mask = _visible(np.abs(changed - picture).max(axis=2) * 255)
        picture = np.where(mask[..., None], changed, picture)
    image = surface.develop(picture, generator(3, kind))
    return Sample(image, mask, texture, "+".join(defects) if defects else None, seed)


def _visible(change: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """The pixels that changed by more than `VISIBLE` levels, with the small gaps between them."""
    import numpy as np
    from scipy import ndimage

    mask: npt.NDArray[np.bool_] = change > VISIBLE
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return mask
    box = boxes[0]
    # A defect that repaints a texture leaves single pixels as they were by chance; they lie within it all
    # the same. The padding keeps the erosion from eating into the edge of the picture.
    inside = np.pad(mask[box], 6)
    inside = ndimage.binary_closing(inside, ndimage.generate_binary_structure(2, 2), iterations=3)
    mask[box] = ndimage.binary_fill_holes(inside)[6:-6, 6:-6]
    return mask


def _check_texture(texture: str) -> None:
    if texture not in TEXTURES:
        raise UsageError(f"No texture is called {texture!r}; there are {', '.join(TEXTURES)}.")


def _check(
    texture: str, defects: tuple[str, ...], size: tuple[int, int], seed: int, contrast: float
) -> tuple[int, int]:
    """Refuse arguments that are out of range; `(H, W)` as plain integers."""
    allowed = defects_of(texture)
    for name in defects:
        if name not in DEFECTS:
            raise UsageError(f"No defect is called {name!r}; there are {', '.join(DEFECTS)}.")
        if name not in allowed:
            raise UsageError(f"{texture} cannot have {name!r}; it can have {', '.join(allowed)}.")
    sides = tuple(size)
    if len(sides) != 2 or min(sides) < MIN_SIDE or any(side != int(side) for side in sides):
        raise UsageError(f"The size must be (height, width), each {MIN_SIDE} pixels or more, not {size!r}.")
    if seed < 0 or seed != int(seed):
        raise UsageError(f"The seed must be an integer of 0 or more, not {seed!r}.")
    if not 0 <= contrast <= 10:
        raise UsageError(f"The contrast must be in [0, 10], not {contrast!r}.")
    return int(size[0]), int(size[1])
