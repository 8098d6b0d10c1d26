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


def layers() -> None:
    """Six samples and what `ssdnet` splits them into."""
    from matplotlib.figure import Figure

    kinds = (
        ("twill", "hole"),
        ("plain_weave", "stain"),
        ("leather", "cut"),
        ("wood", "knot"),
        ("asphalt", "stain"),
        ("brushed_metal", "foreign"),
    )
    chosen = [samples.sample(texture, defect, (192, 192), seed=3) for texture, defect in kinds]
    results = ssdnet.localize_many([sample.image for sample in chosen], detector="ssdnet")
    titles = ("image", "normal", "anomaly", "noise", "how unusual, log10 NFA")
    figure = Figure(figsize=(11, 13.2), dpi=80, layout="constrained")
    panels = figure.subplots(len(kinds), len(titles))
    for row, (kind, result) in zip(panels, zip(kinds, results, strict=True), strict=True):
        normal, anomaly, noise = (np.asarray(part) for part in (result.normal, result.anomaly, result.noise))
        reach = np.percentile(np.abs(anomaly + noise), 99.5)
        row[0].imshow(result.image.pixels)
        row[1].imshow(normal / 255)
        for axes, layer in zip(row[2:4], (anomaly, noise), strict=True):
            axes.imshow(np.clip(0.5 + layer / (2 * reach), 0, 1))
        row[4].imshow(result.log10_nfa, cmap="inferno_r", vmin=-8, vmax=1)
        row[0].set_ylabel(" with ".join(kind).replace("_", " "))
        for axes in row:
            axes.set(xticks=(), yticks=())
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.png"
        figure.savefig(path)
        with Image.open(path) as picture:
            picture.convert("RGB").save(IMAGES / "layers.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    demo()
    textures()
    layers()
