"""Leather, brushed metal, wood, granite tile and asphalt: albedo and height of each, from random fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssdnet.samples.cloth import plain_weave, twill
from ssdnet.samples.noise import cells, fractal_noise, smoothstep, spline_noise
from ssdnet.samples.surface import Surface, colour

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def leather(rng: np.random.Generator, size: tuple[int, int]) -> Surface:
    """Grain leather: creases round domed cells at two scales, fine pebbling and pores.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.textures import leather
        >>> surface = leather(np.random.default_rng(0), (48, 64))
        >>> bool(surface.height.min() < -2), bool(surface.height.max() < 1)  # creases, and no peaks
        (True, True)
    """
    dyes = ((150, 92, 68), (92, 70, 60), (176, 128, 86), (112, 52, 46), (88, 90, 96))
    dye = colour(*dyes[rng.integers(len(dyes))])
    warp = (5.0 * fractal_noise(rng, size, 30, octaves=3), 5.0 * fractal_noise(rng, size, 30, octaves=3))
    height = 0.14 * spline_noise(rng, size, 2.6) + 0.14 * spline_noise(rng, size, 1.4)
    tone = 1 + 0.04 * spline_noise(rng, size, 40) + 0.035 * spline_noise(rng, size, 2.2)
    for spacing, least, depth in ((40.0, 0.30, 3.4), (19.0, 0.0, 2.3), (8.0, 0.0, 0.7)):
        bend = min(spacing / 25, 1.0)
        grain = cells(
            rng, size, spacing, spread=(0.0, 0.3), warp=(bend * warp[0], bend * warp[1]), stretch=1.35
        )
        # Creases fade in and out along their length, the finer ones oftener.
        strength = least + (1 - least) * smoothstep(-1.0, 1.5, spline_noise(rng, size, 0.8 * spacing + 5))
        border = (grain.second - grain.nearest) * np.float32(spacing)
        line = strength * np.exp(-((border / 2.6) ** 2))
        shoulder = (0.3 + 0.7 * strength) * np.exp(-border / np.float32(0.22 * spacing))
        height -= np.float32(depth) * (0.45 * line + 0.55 * shoulder)
        tone -= np.float32(0.06 * depth) * line
    pores = smoothstep(2.4, 3.2, spline_noise(rng, size, 1.8))
    height -= 0.9 * pores
    tone -= 0.20 * pores
    albedo = dye * np.maximum(tone, 0.05)[..., None]
    return Surface(np.clip(albedo, 0, 1).astype(np.float32), height, "leather", gloss=0.10, shadow=0.22)


def brushed_metal(rng: np.random.Generator, size: tuple[int, int]) -> Surface:
    """Steel or aluminium ground in one direction: fine lines of many lengths, a few of them bright.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.textures import brushed_metal
        >>> surface = brushed_metal(np.random.default_rng(0), (64, 64))
        >>> down, across = (float(np.square(np.diff(surface.albedo, axis=axis)).mean()) for axis in (0, 1))
        >>> surface.grain == 0, down > 2 * across  # it runs along x
        (True, True)
    """
    casts = ((170, 172, 176), (182, 180, 176), (150, 153, 160))
    base = colour(*casts[rng.integers(len(casts))])
    lines = 0.55 * spline_noise(rng, size, (1, 14))
    lines += 0.75 * spline_noise(rng, size, (1, 55))
    lines += 0.60 * spline_noise(rng, size, (1.6, 220))
    lines += 0.35 * spline_noise(rng, size, (4, 300))
    lines += 0.30 * rng.standard_normal(size, dtype=np.float32)
    single = np.maximum(spline_noise(rng, size, (1, 90)) - 2.2, 0)
    dark = np.maximum(spline_noise(rng, size, (1, 60)) - 2.3, 0)
    tone = 1 + 0.115 * lines + 0.45 * single - 0.40 * dark
    tone += 0.02 * spline_noise(rng, size, (60, 500))
    albedo = base * np.clip(tone, 0.15, 2)[..., None]
    return Surface(np.clip(albedo, 0, 1).astype(np.float32), 0.06 * lines, "metal", gloss=0.1, grain=0.0)


def wood(rng: np.random.Generator, size: tuple[int, int]) -> Surface:
    """Planed softwood or oak: growth rings running down the picture, fibres, and pores along them.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.textures import wood
        >>> surface = wood(np.random.default_rng(0), (64, 64))
        >>> down, across = (float(np.square(np.diff(surface.albedo, axis=axis)).mean()) for axis in (0, 1))
        >>> round(surface.grain, 2), across > 2 * down  # it runs along y
        (1.57, True)
    """
    kinds = (
        ((220, 190, 150), (178, 134, 92)),
        ((200, 168, 130), (140, 104, 74)),
        ((150, 116, 90), (92, 66, 50)),
    )
    light, dark = (colour(*c) for c in kinds[rng.integers(len(kinds))])
    x = np.arange(size[1], dtype=np.float32)[None, :]
    wander = 6.0 * spline_noise(rng, size, (260, 70)) + 1.4 * spline_noise(rng, size, (90, 24))
    wander += 0.45 * spline_noise(rng, size, (22, 2.5)) + 0.35 * spline_noise(rng, size, (9, 1.2))
    pace = spline_noise(rng, (1, size[1]), (1, 30))
    ring = (x + wander) / np.float32(rng.uniform(12, 17)) + 0.45 * pace
    number = np.floor(ring)
    phase = ring - number
    year = rng.uniform(0.35, 1.0, 4096).astype(np.float32)[number.astype(np.intp) % 4096]
    # A ring darkens slowly to latewood, then turns light within a pixel or two.
    late = year * phase**1.8 * (1 - smoothstep(0.80, 1.0, phase))
    fibre = 0.6 * spline_noise(rng, size, (34, 1)) + 0.5 * spline_noise(rng, size, (90, 1.8))
    fibre += 0.5 * spline_noise(rng, size, (8, 1))
    vessel = 0.8 * spline_noise(rng, size, (11, 1)) + 0.5 * spline_noise(rng, size, (28, 1)) - 0.4 * phase
    pores = smoothstep(1.25, 2.3, vessel)
    stain = 0.10 * spline_noise(rng, size, (200, 28)) + 0.05 * spline_noise(rng, size, (60, 9))
    share = np.clip(0.85 * late + 0.12 * fibre + stain + 0.15, 0, 1.3)
    albedo = light + share[..., None] * (dark - light)
    flecks = 0.03 * spline_noise(rng, size, (2.5, 1)) + 0.03 * rng.standard_normal(size, dtype=np.float32)
    albedo *= (1 - 0.38 * pores + 0.06 * fibre + flecks)[..., None]
    height = 0.15 * fibre - 0.5 * pores + 0.25 * late
    return Surface(np.clip(albedo, 0, 1).astype(np.float32), height, "wood", gloss=0.02)


def tile(rng: np.random.Generator, size: tuple[int, int]) -> Surface:
    """Polished granite or granite-like ceramic: mineral grains of several sizes and colours.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.textures import tile
        >>> surface = tile(np.random.default_rng(0), (48, 64))
        >>> bool(surface.height.std() < 0.1 < surface.albedo.std() * 2)  # polished: all is in its colour
        True
    """
    kinds = (
        ((206, 202, 196), (176, 174, 172), (132, 132, 134), (58, 58, 62)),
        ((204, 178, 160), (182, 150, 134), (158, 154, 150), (66, 60, 60)),
        ((120, 122, 126), (92, 94, 98), (152, 154, 156), (42, 43, 47)),
        ((222, 218, 210), (206, 200, 190), (182, 172, 158), (122, 112, 104)),
    )
    minerals = np.stack([colour(*c) for c in kinds[rng.integers(len(kinds))]])
    warp = (2.2 * fractal_noise(rng, size, 7, octaves=3), 2.2 * fractal_noise(rng, size, 7, octaves=3))
    albedo = np.zeros((*size, 3), np.float32)
    for spacing, weights, opacity in (
        (10.0, (0.50, 0.28, 0.16, 0.06), 1.0),
        (5.0, (0.30, 0.30, 0.25, 0.15), 0.55),
        (2.6, (0.30, 0.25, 0.20, 0.25), 0.45),
    ):
        grain = cells(rng, size, spacing, spread=(0.0, 0.45), warp=warp)
        mineral = minerals[rng.choice(4, grain.count, p=weights)]
        mineral = mineral * rng.normal(1, 0.07, (grain.count, 1)).astype(np.float32)
        # Only some grains of the finer layers lie over the coarser ones.
        chosen = (rng.random(grain.count) < opacity).astype(np.float32)
        edge = smoothstep(0.0, 0.14, grain.second - grain.nearest)
        cover = chosen[grain.index] * (edge if opacity < 1 else 1)
        albedo += cover[..., None] * (mineral[grain.index].astype(np.float32) - albedo)
    cloud = 1 + 0.06 * fractal_noise(rng, size, 9) + 0.03 * spline_noise(rng, size, 1.5)
    albedo *= cloud[..., None]
    height = 0.05 * spline_noise(rng, size, 2.5)
    return Surface(np.clip(albedo, 0, 1), height.astype(np.float32), "stone", gloss=0.04)


def asphalt(rng: np.random.Generator, size: tuple[int, int]) -> Surface:
    """Road surface: stones of all sizes, worn flat on top, in a dark binder with pits.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.textures import asphalt
        >>> surface = asphalt(np.random.default_rng(0), (48, 64))
        >>> surface.material, bool(surface.height.std() > 0.3)
        ('stone', True)
    """
    binders = ((104, 104, 108), (92, 96, 104), (112, 108, 102))
    binder = colour(*binders[rng.integers(len(binders))])
    warp = (1.3 * spline_noise(rng, size, 4), 1.3 * spline_noise(rng, size, 4))
    height = 0.45 * fractal_noise(rng, size, 5, octaves=3)
    tone = 1 + 0.20 * spline_noise(rng, size, 1.3) + 0.03 * spline_noise(rng, size, 30)
    albedo = binder * tone[..., None]
    stones = np.array([1.25, 1.2, 1.15], np.float32) * binder
    for spacing, share, rise in ((3.0, 0.60, 0.5), (4.8, 0.55, 0.9), (8.0, 0.55, 1.2)):
        grain = cells(rng, size, spacing, spread=(0.05, 0.50), warp=warp)
        chosen = rng.random(grain.count) < share
        bright = np.exp(rng.normal(0.12, 0.32, grain.count))
        hue = 1 + 0.05 * rng.standard_normal((grain.count, 3)) * np.array([1.0, 0.2, -1.0])
        body = smoothstep(0.02, 0.16, -grain.nearest) * chosen[grain.index]
        body = body * smoothstep(0.0, 0.12, grain.second - grain.nearest)
        paint = (stones * bright[:, None] * hue).astype(np.float32)[grain.index]
        albedo += (0.8 * body)[..., None] * (paint - albedo)
        height += np.float32(rise) * body
    pits = smoothstep(1.6, 3.2, spline_noise(rng, size, 2.6))
    height -= 1.8 * pits
    albedo *= (1 - 0.5 * pits + 0.05 * rng.standard_normal(size, dtype=np.float32))[..., None]
    return Surface(np.clip(albedo, 0, 1).astype(np.float32), height.astype(np.float32), "stone", shadow=0.35)


GENERATORS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Surface]] = {
    "plain_weave": plain_weave,
    "twill": twill,
    "leather": leather,
    "brushed_metal": brushed_metal,
    "wood": wood,
    "tile": tile,
    "asphalt": asphalt,
}
"""Makers of a `Surface` from a generator and `(H, W)`, by the name of the texture."""

WEAVES = ("plain_weave", "twill")
"""The textures that are made of yarns."""
