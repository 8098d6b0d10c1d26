"""What a texture is before it is photographed, the light on it, and the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ssdnet.samples.noise import spline_noise

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.samples.noise import Field

Picture: TypeAlias = "npt.NDArray[np.floating[Any]]"
"""`(H, W, 3)`, red, green and blue."""

_GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class Surface:
    """A surface seen from straight above.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.surface import Light, Surface, colour, render
        >>> size = (32, 32)
        >>> relief = np.sin(np.arange(32, dtype=np.float32))[np.newaxis] * np.ones(size, np.float32)
        >>> corrugated = Surface(np.ones((*size, 3), np.float32) * colour(128, 128, 128), relief, "metal")
        >>> light = Light((-0.6, 0.0, 0.8), np.ones(size, np.float32))
        >>> picture = render(corrugated, light)
        >>> down, across = (float(np.abs(np.diff(picture, axis=axis)).max()) for axis in (0, 1))
        >>> down < 1e-6, across > 0.05  # each furrow has a light and a dark flank
        (True, True)
    """

    albedo: Picture
    """`(H, W, 3)`, reflected share of the light, linear, in [0, 1]."""
    height: Field
    """`(H, W)`, pixels, up = towards the camera."""
    material: str
    """"cloth", "leather", "metal", "wood" or "stone": decides how it tears."""
    gloss: float = 0.0
    """Strength of the highlights; 0 is matt."""
    shadow: float = 0.15
    """How much light is lost per pixel of depth below the surroundings."""
    defocus: Field | None = None
    """`(H, W)`, 0 = sharp, 1 = smeared; None is sharp everywhere."""
    grain: float = np.pi / 2
    """Direction the texture runs in, radians from the x axis towards y."""


@dataclass(frozen=True, eq=False)
class Light:
    """A lamp to the side, unevenly spread over the picture.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.surface import Light
        >>> above = Light(direction=(0.0, 0.0, 1.0), field=np.ones((32, 48), np.float32))
        >>> above.field.shape
        (32, 48)
    """

    direction: tuple[float, float, float]
    """Unit vector `(x, y, z)` from the surface to the lamp."""
    field: Field
    """`(H, W)`, brightness, about 1."""


def lamp(rng: np.random.Generator, size: tuple[int, int]) -> Light:
    """A lamp somewhere to the upper left, with a slow gradient and a lens that darkens the corners.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.surface import lamp
        >>> light = lamp(np.random.default_rng(0), (32, 48))
        >>> x, y, z = light.direction
        >>> x < 0, y < 0, z > 0, round(x * x + y * y + z * z, 6)  # from the upper left
        (True, True, True, 1.0)
    """
    height, width = size
    azimuth = rng.uniform(np.pi * 1.1, np.pi * 1.45)
    elevation = rng.uniform(0.7, 0.95)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    slope = rng.uniform(0.04, 0.13)
    tilt = np.cos(azimuth + rng.normal(0, 0.4)), np.sin(azimuth + rng.normal(0, 0.4))
    centre = rng.uniform(-0.3, 0.3, 2)
    vignetting = rng.uniform(0.04, 0.11)
    field = 1 + slope * (tilt[0] * x + tilt[1] * y)
    field = field - vignetting * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2)
    field = field + 0.015 * spline_noise(rng, size, (height * 0.6, width * 0.6))
    direction = (
        float(np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )
    return Light(direction, field.astype(np.float32))


def render(surface: Surface, light: Light) -> Picture:
    """Brightness of a surface under a light, as the lens throws it on the sensor.

    Returns:
        `(H, W, 3)`, display values (gamma encoded), in [0, 1], without sensor noise.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.surface import Light, Surface, colour, render
        >>> albedo = np.ones((8, 8, 3), np.float32) * colour(200, 100, 50)
        >>> flat = Surface(albedo, np.zeros((8, 8), np.float32), "stone")
        >>> above = Light((0.0, 0.0, 1.0), np.ones((8, 8), np.float32))
        >>> (render(flat, above)[4, 4] * 255).round().tolist()
        [200.0, 100.0, 50.0]
    """
    from scipy import ndimage

    height = ndimage.gaussian_filter(surface.height, 0.6)
    slope_y, slope_x = np.gradient(height)
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    lx, ly, lz = light.direction
    facing = (lz - lx * slope_x - ly * slope_y) / length
    # Half of the light comes from all round: a hard lamp alone would leave slopes pitch black.
    shade = 0.45 + 0.55 * np.maximum(facing, 0) / lz
    depth = np.maximum(ndimage.gaussian_filter(height, 3.0) - height, 0)
    shade *= np.exp(-surface.shadow * depth)
    shade *= light.field
    picture = surface.albedo * shade[..., None]
    if surface.gloss:
        hx, hy, hz = np.array([lx, ly, lz + 1]) / np.sqrt(2 + 2 * lz)
        mirror = np.maximum((hz - hx * slope_x - hy * slope_y) / length, 0)
        # Less what a flat spot reflects: that part is already in the albedo.
        picture += (surface.gloss * (mirror**24 - hz**24) * light.field)[..., None]
    picture = ndimage.gaussian_filter(picture, (0.55, 0.55, 0))
    if surface.defocus is not None and surface.defocus.any():
        smeared = ndimage.gaussian_filter(picture, (5.5, 5.5, 0))
        picture += surface.defocus[..., None] * (smeared - picture)
    encoded: Picture = np.clip(picture, 0, 1) ** np.float32(1 / _GAMMA)
    return encoded


def develop(picture: Picture, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Add the noise of the sensor, more in the highlights, and round to 8 bits.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.surface import develop
        >>> photograph = develop(np.full((64, 64, 3), 0.5, np.float32), np.random.default_rng(0))
        >>> photograph.dtype, bool(abs(photograph.mean() - 127.5) < 0.2), bool(0.5 < photograph.std() < 3)
        (dtype('uint8'), True, True)
    """
    size = picture.shape[:2]
    grain = 0.8 * rng.standard_normal((*size, 1), dtype=np.float32)
    grain = grain + 0.5 * rng.standard_normal((*size, 3), dtype=np.float32)
    levels = picture * 255 + grain * (1.1 + 1.1 * picture)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def colour(red: int, green: int, blue: int) -> npt.NDArray[np.floating[Any]]:
    """Linear reflectance `(3,)` of a colour given as display values in 0..255.

    Examples:
        >>> from ssdnet.samples.surface import colour
        >>> [round(float(share), 2) for share in colour(255, 128, 0)]  # half the level, a fifth of the light
        [1.0, 0.22, 0.0]
    """
    return (np.array([red, green, blue], np.float32) / 255) ** np.float32(_GAMMA)
