"""Woven cloth, yarn by yarn: each one has its own path, thickness and tone, and goes over and under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdnet.samples.noise import spline_noise, strokes
from ssdnet.samples.surface import Surface, colour

if TYPE_CHECKING:
    import numpy.typing as npt

    from ssdnet.samples.noise import Field

_BLOCK = 256  # pixels of a yarn drawn at a time: a yarn that runs askew needs a narrow box only piecewise


@dataclass(frozen=True)
class Gap:
    """A yarn that is missing, whole or in part.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.cloth import Gap, plain_weave
        >>> middle = Gap(weft=False, where=0.5, start=0.0, stop=1.0)
        >>> whole, without = (plain_weave(np.random.default_rng(0), (48, 48), gap) for gap in (None, middle))
        >>> change = np.abs(without.height - whole.height).mean(axis=0)
        >>> bool(change[16:32].mean() > 10 * change[:8].mean())
        True
    """

    weft: bool
    """Whether it is a weft yarn (running across) rather than a warp yarn (running down)."""
    where: float
    """Its place in the picture, in [0, 1]."""
    start: float
    stop: float
    """The part of its length that is missing, in [0, 1]."""


@dataclass(frozen=True)
class _Weave:
    over: int
    """How many weft yarns a warp yarn floats over,"""
    under: int
    """and how many it dives under."""
    pitch: tuple[float, float]
    """Distance of the warp yarns and of the weft yarns, pixels."""
    cover: tuple[float, float]
    """Thickness of the yarns relative to their distance."""
    warp: tuple[int, int, int]
    weft: tuple[int, int, int]
    """Their colours, display values in 0..255."""
    irregular: float
    """Unevenness of the yarns, 1 is ordinary cotton."""


_PLAIN = (
    _Weave(1, 1, (8.4, 8.8), (0.80, 0.86), (214, 205, 184), (205, 194, 170), 1.3),  # linen
    _Weave(1, 1, (7.6, 7.9), (0.88, 0.92), (134, 137, 141), (112, 114, 119), 0.9),  # grey cotton
    _Weave(1, 1, (10.2, 10.6), (0.72, 0.76), (166, 154, 138), (150, 138, 124), 1.6),  # burlap
    _Weave(1, 1, (7.2, 7.6), (0.92, 0.96), (206, 217, 222), (190, 206, 214), 0.8),  # shirting
)
_TWILL = (
    _Weave(3, 1, (6.4, 7.4), (1.02, 0.92), (84, 96, 120), (172, 172, 168), 1.2),  # denim
    _Weave(2, 1, (6.2, 7.2), (1.00, 0.90), (196, 164, 124), (172, 140, 100), 1.0),  # khaki
    _Weave(2, 2, (6.8, 7.2), (0.98, 0.96), (176, 174, 168), (112, 110, 108), 0.9),  # grey suiting
    _Weave(3, 1, (5.8, 6.8), (1.04, 0.92), (132, 132, 104), (154, 150, 120), 1.0),  # olive drill
)


def plain_weave(rng: np.random.Generator, size: tuple[int, int], gap: Gap | None = None) -> Surface:
    """Linen, cotton, burlap or shirting; `(H, W)` in pixels, yarns 7 to 11 pixels apart.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.cloth import plain_weave
        >>> cloth = plain_weave(np.random.default_rng(0), (48, 64))
        >>> cloth.albedo.shape, cloth.height.shape, cloth.material
        ((48, 64, 3), (48, 64), 'cloth')
    """
    return _weave(rng, size, _PLAIN[rng.integers(len(_PLAIN))], gap)


def twill(rng: np.random.Generator, size: tuple[int, int], gap: Gap | None = None) -> Surface:
    """Denim, khaki, suiting or drill; `(H, W)` in pixels, yarns 5 to 8 pixels apart.

    Examples:
        >>> import numpy as np
        >>> from ssdnet.samples.cloth import twill
        >>> denim = twill(np.random.default_rng(0), (48, 64))
        >>> denim.albedo.shape, denim.height.shape, denim.material
        ((48, 64, 3), (48, 64), 'cloth')
    """
    return _weave(rng, size, _TWILL[rng.integers(len(_TWILL))], gap)


def _weave(rng: np.random.Generator, size: tuple[int, int], weave: _Weave, gap: Gap | None) -> Surface:
    height, width = size
    # Bow and skew of the whole cloth, pixels: no cloth lies straight under a camera.
    skew = rng.uniform(-0.012, 0.012, 2)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    start = rng.uniform(0, max(weave.pitch), 2)
    drift_x = 1.1 * spline_noise(rng, size, 90) + np.float32(skew[0]) * (y - height / 2)
    drift_y = 1.1 * spline_noise(rng, size, 90) + np.float32(skew[1]) * (x - width / 2)
    drift_x += np.float32(start[0])
    drift_y += np.float32(start[1])
    top = np.full(size, -0.9 * max(weave.pitch), np.float32)
    tone = np.full(size, 0.12, np.float32)
    is_weft = np.zeros(size, np.float32)
    step = 1 if rng.random() < 0.5 else -1

    def lift(
        across: npt.NDArray[np.intp], along: npt.NDArray[np.intp], *, weft: bool
    ) -> npt.NDArray[np.floating[Any]]:
        """1 where a yarn is on top at a crossing, -1 where it is below."""
        warp_yarn, weft_yarn = (along, across) if weft else (across, along)
        warp_on_top = (weft_yarn + step * warp_yarn) % (weave.over + weave.under) < weave.over
        return np.where(warp_on_top != weft, np.float32(1), np.float32(-1))

    for weft in (False, True):
        # Weft yarns run across the picture; seen through transposed views they are drawn like warp yarns.
        canvas = (top.T, tone.T, is_weft.T) if weft else (top, tone, is_weft)
        sideways, lengthwise = (drift_y.T, drift_x.T) if weft else (drift_x, drift_y)
        pitch, crossing = weave.pitch[::-1] if weft else weave.pitch
        length, breadth = canvas[0].shape
        margin = int(np.abs(sideways).max() / pitch) + 2
        count = int(breadth / pitch) + 2 * margin
        number = np.arange(count) - margin
        uneven = np.float32(weave.irregular)
        own_path = 0.05 * rng.standard_normal((count, 1), dtype=np.float32)
        own_path = own_path + 0.035 * spline_noise(rng, (count, length), (1, 40))
        thick = 1 + uneven * 0.05 * rng.standard_normal((count, 1), dtype=np.float32)
        thick = thick + uneven * 0.06 * spline_noise(rng, (count, length), (1, 30))
        # A slub is a rare thick place: the upper tail of slow noise, squared.
        slub = np.maximum(spline_noise(rng, (count, length), (1, 70)) - 1.6, 0)
        thick = thick + uneven * 0.18 * slub**2
        shade = 1 + uneven * 0.05 * rng.standard_normal((count, 1), dtype=np.float32)
        shade = shade + uneven * 0.05 * spline_noise(rng, (count, length), (1, 55))
        shade = shade + uneven * 0.03 * spline_noise(rng, (count, length), (1, 8))
        twist = rng.uniform(0.8, 1.2) * pitch
        phase = rng.uniform(0, 2 * np.pi, count)
        fibres = 0.8 * spline_noise(rng, (length, breadth), (8, 1))
        fibres += 0.6 * spline_noise(rng, (length, breadth), 1)
        missing = -1
        if gap is not None and gap.weft == weft:
            missing = round((gap.where * breadth - float(sideways.mean())) / pitch - 0.5) + margin
        cover = weave.cover[weft]
        for k in range(count):
            column = int(np.clip(pitch * number[k], 0, breadth - 1))
            centre = pitch * (number[k] + own_path[k] + 0.5) + sideways[:, column]
            half = 0.5 * pitch * cover * np.clip(thick[k], 0.55, 1.7)
            if gap is not None and missing >= 0 and abs(k - missing) <= 1:
                along = np.arange(length, dtype=np.float32) / length
                inside = (along >= gap.start) & (along < gap.stop)
                if k == missing:
                    half = np.where(inside, 0, half)
                else:
                    # Its neighbours move up a little.
                    ends = np.clip(np.minimum(along - gap.start, gap.stop - along) * length / 12, 0, 1)
                    centre = centre + (missing - k) * 0.10 * pitch * ends
            place = (np.arange(length, dtype=np.float32) - lengthwise[:, column]) / crossing - 0.5
            before = np.floor(place).astype(np.intp)
            t = (place - before).astype(np.float32)
            t = t * t * (3 - 2 * t)
            here = np.full_like(before, number[k])
            level = (1 - t) * lift(here, before, weft=weft) + t * lift(here, before + 1, weft=weft)
            for a in range(0, length, _BLOCK):
                part = slice(a, min(a + _BLOCK, length))
                _draw(
                    canvas,
                    part,
                    centre[part],
                    half[part] * (1 + 0.08 * level[part]),
                    level[part] * np.float32(0.17 * sum(weave.pitch) / 2),
                    shade[k, part],
                    fibres,
                    (2 * np.pi / twist, float(phase[k])),
                    weft=weft,
                )
    fuzz = _stray_fibres(rng, size, weave.irregular)
    top += 0.5 * fuzz
    yarn = colour(*weave.warp) + is_weft[..., None] * (colour(*weave.weft) - colour(*weave.warp))
    dyed = 1 + 0.03 * spline_noise(rng, size, 45)
    # Dye takes unevenly from fibre to fibre, bluer here and yellower there.
    hue = 0.035 * spline_noise(rng, size, 1)[..., None] * np.array([1.0, 0.1, -1.0], np.float32)
    albedo = yarn * (tone * dyed)[..., None] * (1 + hue)
    albedo += (0.45 * np.clip(fuzz, 0, 1))[..., None] * (1.15 * yarn.mean(axis=(0, 1)) - albedo)
    return Surface(np.clip(albedo, 0, 1).astype(np.float32), top, "cloth", shadow=0.30)


def _draw(
    canvas: tuple[Field, Field, Field],
    part: slice,
    centre: npt.NDArray[np.floating[Any]],
    half: npt.NDArray[np.floating[Any]],
    level: npt.NDArray[np.floating[Any]],
    shade: npt.NDArray[np.floating[Any]],
    fibres: Field,
    twist: tuple[float, float],
    *,
    weft: bool,
) -> None:
    """Draw one piece of yarn that runs down the canvas wherever it is above what is there already."""
    breadth = canvas[0].shape[1]
    left = max(int(np.floor((centre - half).min())), 0)
    right = min(int(np.ceil((centre + half).max())) + 1, breadth)
    if left >= right:
        return
    box = (part, slice(left, right))
    across = (np.arange(left, right, dtype=np.float32) - centre[:, None]) / np.maximum(half, 1e-3)[:, None]
    bulge = np.sqrt(np.maximum(1 - across * across, 0))
    along = np.arange(part.start, part.stop, dtype=np.float32)[:, None]
    plies = np.sin(twist[0] * along + 2.2 * across + twist[1])
    strands = fibres[box]
    surface = level[:, None] + 0.75 * half[:, None] * bulge + 0.16 * plies + 0.20 * strands
    visible = (np.abs(across) < 1 + 0.10 * strands) & (surface > canvas[0][box])
    tone = shade[:, None] * (0.70 + 0.30 * bulge) * (1 + 0.08 * plies + 0.12 * strands)
    for target, value in zip(canvas, (surface, tone, np.float32(weft)), strict=True):
        np.copyto(target[box], value, where=visible)


def _stray_fibres(rng: np.random.Generator, size: tuple[int, int], amount: float) -> Field:
    """Fine curled fibres standing out of the yarns; `(H, W)`, 0 where there is none, about 1 on one."""
    height, width = size
    count = int(amount * height * width / 160) + 1
    steps = 26
    heading = rng.uniform(0, 2 * np.pi, (count, 1)) + np.cumsum(rng.normal(0, 0.22, (count, steps)), axis=1)
    y = rng.uniform(0, height, (count, 1)) + np.cumsum(0.7 * np.sin(heading), axis=1)
    x = rng.uniform(0, width, (count, 1)) + np.cumsum(0.7 * np.cos(heading), axis=1)
    return strokes(size, y, x, np.broadcast_to(rng.uniform(0.2, 1.0, (count, 1)), y.shape))
