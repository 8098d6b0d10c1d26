"""How much of an image may be defective: a square of foreign texture of growing area in clean samples.

    python benchmarks/defect_area.py

For each share of the area: in how many of six pairs of textures something inside the square is found at the
default `alarms`, and how much of the square the mask covers; for `texture` and `rx`, as they are and with
stronger trimming.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

import ssdnet
from ssdnet import samples
from ssdnet.detectors.rx import RX
from ssdnet.detectors.texture import Texture

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector

SIDE = 256
PAIRS = (
    ("twill", "asphalt"),
    ("leather", "plain_weave"),
    ("tile", "twill"),
    ("plain_weave", "leather"),
    ("wood", "tile"),
    ("asphalt", "leather"),
)
DETECTORS: dict[str, Detector] = {
    "texture": Texture(),
    "texture, trim 0.4, 4 rounds": Texture(trim=0.4, rounds=4),
    "rx": RX(),
    "rx, trim 0.4, 4 rounds": RX(trim=0.4, rounds=4),
}


def covered(texture: str, foreign: str, share: float, detector: Detector) -> float:
    """Share of the foreign square that is inside the mask."""
    side = round(SIDE * share**0.5)
    image = samples.texture(texture, (SIDE, SIDE), seed=1).copy()
    square = (slice(50, 50 + side), slice(60, 60 + side))
    image[square] = samples.texture(foreign, (SIDE, SIDE), seed=2)[:side, :side]
    return float(ssdnet.localize(image, detector=detector).mask[square].mean())


def main() -> int:
    """Print the table."""
    print("| detector | area | found | covered |\n| --- | --- | --- | --- |")
    for name, detector in DETECTORS.items():
        for share in (0.02, 0.05, 0.10, 0.15, 0.20, 0.25):
            found = np.array([covered(*pair, share, detector) for pair in PAIRS])
            print(
                f"| {name} | {share:.2f} | {(found > 0).sum()} of {len(PAIRS)} | {found.mean():.2f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
