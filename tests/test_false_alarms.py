"""Clean textures alarm no more often than promised, within what chance explains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import ssdnet
from ssdnet import samples

IMPROBABLE = 1e-3
"""A count that a binomial law gives less often than this is not chance."""


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["texture", "rx", "patchpca", "phot"])
def test_clean_textures_alarm_within_the_binomial_bound(detector):
    """Of images that each have `alarms` false regions on average, 1 - exp(-alarms) have one or more."""
    counts = {1.0: 0, 0.1: 0, 0.01: 0}
    images = 0
    for side, seeds in ((96, range(900, 904)), (160, range(910, 914))):
        for seed in seeds:
            for name in samples.TEXTURES:
                clean = samples.texture(name, (side, side), seed=seed)
                score = ssdnet.localize(clean, detector=detector).pred_score
                images += 1
                for alarms in counts:
                    counts[alarms] += score >= -np.log10(alarms)
    for alarms, count in counts.items():
        # The promise is kept within a factor of two.
        assert binom.sf(count - 1, images, -np.expm1(-2 * alarms)) > IMPROBABLE, (alarms, count, images)
    # Nor is it kept by never finding anything: one an image is promised, a fifth of that is the least.
    assert binom.cdf(counts[1.0], images, -np.expm1(-0.2)) > IMPROBABLE
