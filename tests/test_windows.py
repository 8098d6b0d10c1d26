"""A window of an image has the scores that the whole has there, whatever its place, size and gaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdnet import samples
from ssdnet.detectors.rivals.aota import Aota
from ssdnet.detectors.rivals.fca import FCA
from ssdnet.detectors.rivals.patchpca import PatchPCA
from ssdnet.detectors.rivals.selfsim import SelfSimilarity
from ssdnet.detectors.rx import RX
from ssdnet.detectors.ssdnet import SSDnet, Training
from ssdnet.detectors.texture import Texture
from ssdnet.errors import UsageError
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.maths.window import Window

STATISTICS = Texture(levels=2, lengths=(2.0, 6.0))
TRAINING = Training(widths=(4, 6), steps=5, batch=2, patch=32, precision="float32")
# Few octaves and short lines, so that a window of a small image is not all of it.
DETECTORS = {
    "texture": STATISTICS,
    "ssdnet": SSDnet(training=TRAINING, statistics=STATISTICS),
    "ssdnet, residual only": SSDnet(
        training=TRAINING, guard=2, texture=0.0, learned=0.0, residual=0.0, raw=1.0
    ),
    "rx": RX(levels=2, orbits=1, smoothing=2.0),
    "patchpca": PatchPCA(levels=2, smoothing=2.0),
    "aota": Aota(levels=2, orbits=1, references=200, smoothing=2.0),
    "fca": FCA(orbits=1, kernel_size=3),
    "selfsim": SelfSimilarity(scales=2, candidates=500, stride=4),
}


def picture(shape, channels, seed, holes):
    """Standardised pixels and the valid mask of a texture with a defect, and some pixels missing."""
    sample = samples.sample("leather", "stain", shape, seed=seed)
    values = sample.image.astype(np.float32)[:, :, :1].repeat(channels, axis=2)
    values += np.random.default_rng(seed).normal(0, 2, values.shape)
    if holes:
        values[shape[0] // 3 : shape[0] // 3 + 14, shape[1] // 2 : shape[1] // 2 + 9] = np.nan
        values[:5, : shape[1] // 4] = np.nan
        values[np.random.default_rng(seed + 1).random(shape) < 0.03] = np.nan
    image = read_image(values)
    return torch.from_numpy(standardize(image).pixels), torch.tensor(image.valid)


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=8)
@given(data=st.data())
def test_a_window_equals_the_same_part_of_the_whole(name, data):
    shape = (data.draw(st.integers(150, 260)), data.draw(st.integers(150, 260)))
    channels, holes = data.draw(st.sampled_from([1, 3, 4])), data.draw(st.booleans())
    pixels, valid = picture(shape, channels, data.draw(st.integers(0, 3)), holes)
    generator = torch.Generator().manual_seed(0)
    model, (whole,) = DETECTORS[name].fit_score([pixels], [valid], generator=generator)
    assert model.halo < min(shape)
    top, left = data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))
    bottom = data.draw(st.integers(top + 1, shape[0]))
    right = data.draw(st.integers(left + 1, shape[1]))
    window = Window(top, bottom, left, right, shape)
    rows, columns = window.around(model.halo).slices
    part = model.score(pixels[:, rows, columns], valid[rows, columns], window=window)
    known = valid[window.slices]
    assert part.shape[-2:] == window.size
    if part.ndim == 2:
        part, whole = part[None], whole[None]
    for some, all_ in zip(part, whole, strict=True):
        spread = float(all_[valid].max() - all_[valid].min())
        assert float((some - all_[window.slices])[known].abs().max() if known.any() else 0) <= 1e-4 * spread


@pytest.mark.parametrize("name", DETECTORS)
def test_scoring_again_what_was_learned_gives_the_same(name):
    pixels, valid = picture((120, 97), 3, 0, holes=True)
    generator = torch.Generator().manual_seed(0)
    model, (score,) = DETECTORS[name].fit_score([pixels], [valid], generator=generator)
    again = model.score(pixels, valid)
    torch.testing.assert_close(again[..., valid], score[..., valid], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", DETECTORS)
def test_pixels_without_their_context_are_refused(name):
    pixels, valid = picture((120, 97), 1, 0, holes=False)
    model = DETECTORS[name].fit([pixels], [valid], generator=torch.Generator().manual_seed(0))
    window = Window(0, 20, 0, 20, (120, 97))
    with pytest.raises(UsageError, match=r"give those of window.around\(model.halo\)"):
        model.score(pixels[:, :20, :20], valid[:20, :20], window=window)
