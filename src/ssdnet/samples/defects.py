"""What goes wrong with a surface: each defect turns a `Surface` into a damaged one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssdnet.samples.cloth import Gap
from ssdnet.samples.noise import Field, fractal_noise, smoothstep, spline_noise, strokes
from ssdnet.samples.textures import GENERATORS, WEAVES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssdnet.samples.surface import Light, Surface


@dataclass(frozen=True, eq=False)
class Scene:
    """What a defect may know besides the surface it damages.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.cloth import plain_weave
        >>> from ssdnet.samples.defects import Scene, missing_yarn
        >>> from ssdnet.samples.surface import lamp
        >>> def weave(gap=None):
        ...     return plain_weave(np.random.default_rng(0), (48, 48), gap)
        >>> scene = Scene("plain_weave", (48, 48), lamp(np.random.default_rng(1), (48, 48)), weave)
        >>> damaged = missing_yarn(weave(), scene, np.random.default_rng(2))
        >>> bool((damaged.height != weave().height).any())
        True
    """

    texture: str
    size: tuple[int, int]
    """`(H, W)`."""
    light: Light
    remake: Callable[[Gap], Surface]
    """The same cloth woven without one yarn; for the weaves only."""

    @property
    def extent(self) -> int:
        """Pixels that sizes of defects are relative to: a larger picture shows more, not larger, defects."""
        return min(*self.size, 512)


def _blob(rng: np.random.Generator, scene: Scene, radius: float, *, rough: float, slim: float = 1.0) -> Field:
    """An irregular patch: `(H, W)`, positive inside, 0 on the outline, about 1 in the middle."""
    height, width = scene.size
    centre = rng.uniform(0.3, 0.7, 2)
    angle = rng.uniform(0, np.pi)
    y = (np.arange(height, dtype=np.float32) - np.float32(centre[0] * height))[:, None]
    x = (np.arange(width, dtype=np.float32) - np.float32(centre[1] * width))[None, :]
    along = (np.cos(angle) * x + np.sin(angle) * y) / (radius / slim)
    across = (np.cos(angle) * y - np.sin(angle) * x) / (radius * slim)
    outline = rough * fractal_noise(rng, scene.size, max(0.9 * radius, 2.0), octaves=5, gain=0.55)
    level: Field = (1 - np.hypot(along, across) + outline).astype(np.float32)
    return level


def _line(
    rng: np.random.Generator, scene: Scene, length: float, heading: float
) -> tuple[Field, Field, Callable[[float], Field]]:
    """A slightly bent line near the middle.

    Returns:
        Place along it (`(H, W)`, 0 at one end, 1 at the other), signed distance to it in pixels, and a maker
        of noise that varies along it on a given scale in pixels.
    """
    height, width = scene.size
    centre = rng.uniform(0.4, 0.6, 2)
    y = (np.arange(height, dtype=np.float32) - np.float32(centre[0] * height))[:, None]
    x = (np.arange(width, dtype=np.float32) - np.float32(centre[1] * width))[None, :]
    along = (np.cos(heading) * x + np.sin(heading) * y) / length + 0.5
    across = np.cos(heading) * y - np.sin(heading) * x

    def vary(scale: float) -> Field:
        values = spline_noise(rng, (int(3 * length) + 2, 1), (scale, 1))[:, 0]
        place = np.clip((along + 1) * length, 0, values.size - 1).astype(np.intp)
        varied: Field = values[place]
        return varied

    bend = rng.uniform(-0.10, 0.10) * length
    across = across + bend * (2 * along - 1) ** 2 + 0.015 * length * vary(length / 3) + 0.25 * vary(3)
    return along.astype(np.float32), across.astype(np.float32), vary


def _between(along: Field, taper: float) -> Field:
    """1 between the ends of a line, falling to 0 towards them over `taper` of its length."""
    return smoothstep(0.0, taper, np.minimum(along, 1 - along))


def stain(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A liquid that dried: light is absorbed, most along the outline; the relief stays.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, stain
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> stained = stain(surface, scene, rng)
        >>> bool((stained.albedo <= surface.albedo).all()), stained.height is surface.height
        (True, True)
    """
    radius = max(rng.uniform(0.08, 0.13) * scene.extent, 3.0)
    level = _blob(rng, scene, radius, rough=0.34, slim=rng.uniform(0.7, 1.0))
    liquids = ((0.55, 0.80, 1.10), (0.78, 0.85, 0.90), (0.95, 0.85, 0.66), (0.60, 0.84, 0.82))
    absorption = np.array(liquids[rng.integers(len(liquids))], np.float32) * rng.uniform(0.65, 1.1)
    soaked = smoothstep(-0.06, rng.uniform(0.15, 0.5), level)
    rim = np.exp(-(((level - 0.12) / 0.09) ** 2))
    uneven = 1 + 0.18 * spline_noise(rng, scene.size, max(radius / 3, 2.0))
    # It collects where the surface is low.
    relief = np.clip(1 - 0.06 * (surface.height - surface.height.mean()), 0.7, 1.3)
    density = np.maximum((0.75 * soaked + 0.35 * rim * soaked) * uneven * relief, 0)
    return replace(surface, albedo=surface.albedo * np.exp(-density[..., None] * absorption))


def hole(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """Torn open down to a dark background; cloth frays into it.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, hole
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> torn = hole(surface, scene, rng)
        >>> bool(torn.height.min() < surface.height.min()), bool(torn.albedo.min() < surface.albedo.min())
        (True, True)
    """
    radius = max(rng.uniform(0.04, 0.07) * scene.extent, 2.5)
    level = _blob(rng, scene, radius, rough=0.20, slim=rng.uniform(0.6, 1.0))
    if surface.material == "cloth":
        # It tears from yarn to yarn, not along a drawn line.
        level = level + 0.10 * (surface.height - surface.height.mean()) / (surface.height.std() + 1e-3)
    soft = min(1.0 / radius, 0.4)
    opening = smoothstep(-soft, soft, level)
    rim = np.exp(-((np.minimum(level, 0.0) / min(2.2 * soft, 0.5)) ** 2)) * (1 - opening)
    albedo = surface.albedo * (1 + 0.18 * rim)[..., None]
    # Little light reaches the ground below; what does, falls unevenly.
    ground = np.float32(0.016) * np.maximum(1 + 0.5 * spline_noise(rng, scene.size, max(radius / 2, 2.0)), 0)
    albedo += opening[..., None] * (ground[..., None] - albedo)
    height = surface.height + 1.2 * rim
    height += opening * (surface.height.min() - 1.5 - height)
    if surface.material == "cloth":
        fray = _fray(rng, scene, level, radius)
        thread = np.clip(fray, 0, 1)
        albedo += thread[..., None] * (0.9 * surface.albedo.mean(axis=(0, 1)) - albedo)
        height += 1.5 * thread * opening
    return replace(surface, albedo=np.clip(albedo, 0, 1), height=height)


def _fray(rng: np.random.Generator, scene: Scene, level: Field, radius: float) -> Field:
    """Loose fibres that start on the outline of a patch and point inwards."""
    y, x = np.nonzero(np.abs(level) < 1.5 / radius)
    if y.size == 0:
        return np.zeros(scene.size, np.float32)
    chosen = rng.integers(0, y.size, int(1.6 * radius) + 1)
    start_y, start_x = y[chosen, None], x[chosen, None]
    inside = np.argwhere(level > 0)
    middle = inside.mean(axis=0) if inside.size else np.array([y.mean(), x.mean()])
    steps = max(int(0.9 * radius), 4)
    heading = np.arctan2(middle[0] - start_y, middle[1] - start_x) + rng.normal(0, 0.7, (chosen.size, 1))
    heading = heading + np.cumsum(rng.normal(0, 0.16, (chosen.size, steps)), axis=1)
    # Most fibres are short and thin; a few are ends of yarn.
    length = 0.8 * rng.random((chosen.size, 1)) ** 1.1
    weight = (0.25 + 1.2 * rng.random((chosen.size, 1)) ** 2) * np.linspace(1, 0.4, steps)
    row = start_y + np.cumsum(length * np.sin(heading), axis=1)
    column = start_x + np.cumsum(length * np.cos(heading), axis=1)
    return strokes(scene.size, row, column, weight)


def cut(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A blade went through: a narrow dark gap with raised, lighter lips.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, cut
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> change = cut(surface, scene, rng).height - surface.height
        >>> bool(change.min() < -1 < 0.5 < change.max())  # the gap, and its lips
        True
    """
    length = max(rng.uniform(0.25, 0.42) * scene.extent, 7.0)
    # Across the grain rather than along it: there it could pass for a part of the texture.
    heading = surface.grain + np.pi / 2 + rng.uniform(-0.9, 0.9)
    along, across, vary = _line(rng, scene, length, heading)
    width = np.float32(rng.uniform(1.2, 2.0)) * _between(along, 0.5) ** 0.5 * (1 + 0.2 * vary(9))
    width *= (along > 0) & (along < 1)
    opening = 1 - smoothstep(-0.5, 0.5, np.abs(across) - width)
    opening = opening * smoothstep(0.2, 0.8, width)
    side = np.where(across > 0, np.float32(1.0), np.float32(0.55))
    lip = np.exp(-(((np.abs(across) - width - 1.2) / 1.4) ** 2)) * side * smoothstep(0.2, 1.0, width)
    albedo = surface.albedo * (1 + 0.25 * lip * (1 - opening))[..., None]
    albedo += (0.97 * opening)[..., None] * (np.float32(0.012) - albedo)
    height = surface.height + 1.5 * lip * (1 - opening) - 3.0 * opening
    return replace(surface, albedo=np.clip(albedo, 0, 1), height=height)


def missing_yarn(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:  # noqa: ARG001
    """A yarn ran out or broke: the cloth is woven without it, so this goes before other defects.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.cloth import twill
        >>> from ssdnet.samples.defects import Scene, missing_yarn
        >>> from ssdnet.samples.surface import lamp
        >>> size = (48, 48)
        >>> cloth, light = twill(np.random.default_rng(0), size), lamp(np.random.default_rng(1), size)
        >>> scene = Scene("twill", size, light, lambda gap: twill(np.random.default_rng(0), size, gap))
        >>> deeper = missing_yarn(cloth, scene, np.random.default_rng(2)).height < cloth.height - 2
        >>> bool(0 < deeper.mean() < 0.2)
        True
    """
    start, stop = (0.0, 1.0) if rng.random() < 0.4 else (rng.uniform(0.05, 0.3), rng.uniform(0.65, 1.0))
    # Most twills hide their weft, and with it the place where it is missing.
    weft = scene.texture == "plain_weave" and rng.random() < 0.5
    return scene.remake(Gap(bool(weft), rng.uniform(0.25, 0.75), start, stop))


def knot(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A lump: knotted yarn on cloth, a branch in wood, a blister or a stuck crumb elsewhere.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, knot
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> bool(knot(surface, scene, rng).height.max() > surface.height.max() + 1)
        True
    """
    if surface.material == "wood":
        return _branch(surface, scene, rng)
    radius = max(rng.uniform(0.026, 0.042) * scene.extent, 2.5)
    level = _blob(rng, scene, radius, rough=0.16, slim=rng.uniform(0.7, 0.95))
    body = smoothstep(-0.1, 0.15, level)
    dome = np.sqrt(np.maximum(level, 0))
    lumps = spline_noise(rng, scene.size, max(radius / 3, 1.5)) + 0.6 * spline_noise(rng, scene.size, 1.2)
    fibrous = surface.material == "cloth"
    # The lump hides the relief below it, and throws a shadow away from the lamp.
    height = surface.height + body * (surface.height.max() - surface.height) * (0.9 if fibrous else 0.5)
    height = height + 0.75 * radius * dome + 0.35 * body * lumps
    lx, ly, _ = scene.light.direction
    shadow = _shift(smoothstep(-0.25, 0.3, level), -0.55 * radius * ly, -0.55 * radius * lx) * (1 - body)
    albedo = surface.albedo * (1 - 0.45 * shadow)[..., None]
    own = surface.albedo.mean(axis=(0, 1)) * np.float32(1.25)
    paint = own * (1 + 0.12 * lumps)[..., None] if fibrous else 0.72 * surface.albedo
    albedo = albedo + (0.85 * body)[..., None] * (paint - albedo)
    if fibrous:
        hair = np.clip(_fray(rng, scene, -level, radius), 0, 1)
        albedo = albedo + (0.7 * hair)[..., None] * (own - albedo)
    return replace(surface, albedo=np.clip(albedo, 0, 1).astype(np.float32), height=height)


def _shift(field: Field, down: float, right: float) -> Field:
    """`field` moved by a vector of pixels; what comes in from outside is the nearest edge."""
    height, width = field.shape
    row = np.clip(np.arange(height) - round(down), 0, height - 1)
    column = np.clip(np.arange(width) - round(right), 0, width - 1)
    return field[row[:, None], column[None, :]]


def _branch(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A knot in wood: dark rings of a branch that was sawn through."""
    radius = max(rng.uniform(0.04, 0.07) * scene.extent, 3.0)
    level = _blob(rng, scene, radius, rough=0.07, slim=rng.uniform(0.8, 0.95))
    inside = smoothstep(-0.12, 0.12, level)
    rings = 0.5 + 0.5 * np.sin(radius * level * 1.5 + 1.2 * spline_noise(rng, scene.size, 5))
    bark = np.exp(-(((level - 0.03) / 0.08) ** 2))
    tone = 0.52 - 0.14 * rings - 0.22 * bark - 0.12 * smoothstep(0.6, 1.0, level)
    heart = surface.albedo.mean(axis=(0, 1)) * np.array([1.0, 0.86, 0.74], np.float32)
    knotty = heart * (tone * (1 + 0.08 * spline_noise(rng, scene.size, 1.5)))[..., None]
    halo = 1 - 0.22 * smoothstep(-0.9, 0.0, level)
    albedo = surface.albedo * halo[..., None]
    albedo = albedo + inside[..., None] * (knotty - albedo)
    return replace(surface, albedo=np.clip(albedo, 0, 1), height=surface.height * (1 - 0.7 * inside))


def scratch(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """Something hard was dragged over it: a long fine groove, here deep, there barely touching.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, scratch
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import asphalt
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = asphalt(rng, size), Scene("asphalt", size, lamp(rng, size), lambda gap: surface)
        >>> change = (scratch(surface, scene, rng).albedo - surface.albedo).mean(axis=2)
        >>> bool(change.max() > 0.2), bool((change > 0.2).mean() < 0.1)  # white powder on a thin line
        (True, True)
    """
    length = max(rng.uniform(0.45, 0.75) * scene.extent, 9.0)
    heading = surface.grain + np.pi / 2 + rng.uniform(-1.0, 1.0)
    # Light on dark or dark on light: on a light surface a light line would not show.
    stone = surface.material == "stone"
    bright = stone or bool(surface.albedo.mean() < 0.35)
    albedo, height = surface.albedo, surface.height
    along, across, vary = _line(rng, scene, length, heading)
    for offset, weight in ((0.0, 1.0), (rng.uniform(2.5, 4.0), 0.55)):
        pressure = _between(along, 0.12) * np.clip(0.85 + 0.35 * vary(length / 9), 0.15, 1.2)
        pressure = np.float32(weight) * pressure * ((along > 0) & (along < 1))
        groove = pressure * np.exp(-(((across - offset) / rng.uniform(0.75, 1.1)) ** 2))
        burr = pressure * np.exp(-(((across - offset - 1.8) / 0.9) ** 2))
        height = height - 1.1 * groove + 0.5 * burr
        target = np.clip(1.8 * albedo + 0.07, 0, 0.95) if bright else 0.22 * albedo
        if stone:
            # What is scratched off stone is a white powder.
            target = np.maximum(target, np.float32(0.6))
        albedo = albedo + np.clip(0.85 * groove, 0, 1)[..., None] * (target - albedo)
    return replace(surface, albedo=np.clip(albedo, 0, 1), height=height)


def fold(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A wide ridge, steeper on one side, seen by its light and dark flank.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, fold
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> change = fold(surface, scene, rng).height - surface.height
        >>> bool(change.min() >= 0), bool(change.max() > 1)
        (True, True)
    """
    lx, ly, _ = scene.light.direction
    # A ridge that runs towards the lamp has no dark side.
    heading = np.arctan2(ly, lx) + np.pi / 2 + rng.uniform(-0.6, 0.6)
    along, across, vary = _line(rng, scene, 0.9 * scene.extent, heading)
    width = max(rng.uniform(0.022, 0.036) * scene.extent, 1.5)
    across = across / np.float32(width)
    across = np.where(across > 0, across / np.float32(0.7), across)
    crest = np.exp(-0.5 * across**2) * (1 + 0.12 * vary(20)) * _between(along, 0.5)
    crest = crest * ((along > 0) & (along < 1))
    # Threads on the crest are stretched and worn, hence a little lighter.
    albedo = surface.albedo * (1 + 0.10 * crest**2)[..., None]
    height = surface.height + np.float32(0.9 * width) * crest
    return replace(surface, albedo=np.clip(albedo, 0, 1), height=height)


def foreign(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A scrap of another material on top of it.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, foreign
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> covered = foreign(surface, scene, rng).height > surface.height + 1
        >>> bool(0.01 < covered.mean() < 0.3)
        True
    """
    radius = max(rng.uniform(0.10, 0.15) * scene.extent, 3.5)
    level = _blob(rng, scene, radius, rough=0.10, slim=rng.uniform(0.75, 1.0))
    rows, columns = (np.flatnonzero((level > -0.5).any(axis=axis)) for axis in (1, 0))
    names = [name for name in GENERATORS if name != scene.texture]
    if scene.texture in WEAVES:
        names = [name for name in names if name not in WEAVES]
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scrap = GENERATORS[names[rng.integers(len(names))]](rng, level[box].shape)
    soft = 0.8 / radius
    cover = smoothstep(-soft, soft, level[box])
    albedo, height = surface.albedo.copy(), surface.height.copy()
    # Half way to the colour of the surroundings: the texture shall give it away, not only the colour.
    likeness = np.sqrt(surface.albedo.mean(axis=(0, 1)) / np.maximum(scrap.albedo.mean(axis=(0, 1)), 1e-3))
    albedo[box] += cover[..., None] * (np.clip(scrap.albedo * likeness, 0, 1) - albedo[box])
    level_top = scrap.height - scrap.height.mean() + height.mean() + 1.5
    height[box] += cover * (level_top - height[box])
    return replace(surface, albedo=albedo, height=height)


def blur(surface: Surface, scene: Scene, rng: np.random.Generator) -> Surface:
    """A smeared patch, as from grease on the lens.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.defects import Scene, blur
        >>> from ssdnet.samples.surface import lamp
        >>> from ssdnet.samples.textures import leather
        >>> rng, size = np.random.default_rng(0), (64, 64)
        >>> surface, scene = leather(rng, size), Scene("leather", size, lamp(rng, size), lambda gap: surface)
        >>> smeared = blur(surface, scene, rng)
        >>> smeared.albedo is surface.albedo, float(smeared.defocus.min()), float(smeared.defocus.max())
        (True, 0.0, 1.0)
    """
    radius = max(rng.uniform(0.11, 0.16) * scene.extent, 4.0)
    level = _blob(rng, scene, radius, rough=0.12, slim=rng.uniform(0.7, 1.0))
    return replace(surface, defocus=smoothstep(-0.05, 0.25, level))


DEFECTS: Mapping[str, Callable[[Surface, Scene, np.random.Generator], Surface]] = {
    "stain": stain,
    "hole": hole,
    "cut": cut,
    "missing_yarn": missing_yarn,
    "knot": knot,
    "scratch": scratch,
    "fold": fold,
    "foreign": foreign,
    "blur": blur,
}
"""Makers of a damaged surface, by the name of the defect."""
