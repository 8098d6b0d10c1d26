"""Make the pictures of the README and the docs: `python docs/figures.py`.

Everything is drawn from `ssdnet.samples`, so the same pictures come out again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import ssdnet
from ssdnet import samples

IMAGES = Path(__file__).parent / "images"


def demo() -> None:
    """The overlay of the demo image, as `ssdnet demo` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.png"
        Image.fromarray(samples.demo().image).save(path)
        ssdnet.localize(path).save(IMAGES, stem="demo", formats=["overlay"])


def textures() -> None:
    """A row of clean textures, and below it each with a defect."""
    names = samples.TEXTURES
    defects = ("missing_yarn", "stain", "cut", "scratch", "knot", "hole", "fold")
    side = 192
    clean = [samples.texture(name, (side, side), seed=3) for name in names]
    damaged = [
        samples.sample(name, defect, (side, side), seed=3, contrast=1.3).image
        for name, defect in zip(names, defects, strict=True)
    ]
    sheet = np.vstack([np.hstack(clean), np.hstack(damaged)])
    Image.fromarray(sheet).save(IMAGES / "samples.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    demo()
    textures()
