"""What all built-in detectors promise, and what makes each rival the method it is."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

import ssdnet
from ssdnet import detectors, samples
from ssdnet.detectors.protocol import Decomposing, Detector
from ssdnet.detectors.rivals.aota import Aota, References, mean_nearest
from ssdnet.detectors.rivals.dip import DIP
from ssdnet.detectors.rivals.lowrank import LowRank, Patterns, threshold_singular_values
from ssdnet.detectors.rivals.patchpca import PatchPCA
from ssdnet.detectors.rivals.phot import PHOT, phase_only
from ssdnet.detectors.rx import RX
from ssdnet.detectors.settings import configured
from ssdnet.detectors.ssdnet import SSDnet, Training
from ssdnet.errors import Cancelled, UsageError
from ssdnet.image import read_image
from ssdnet.image.standardization import standardize
from ssdnet.maths.gaussian import principal_components
from ssdnet.maths.random_features import RandomFeatures
from ssdnet.maths.smoothing import smooth

QUICK: dict[str, Detector] = {
    "ssdnet": SSDnet(training=Training(widths=(8, 12, 16), batch=4, patch=32, steps=3, precision="float32")),
    "dip": DIP(steps=1),
}
"""Instead of the defaults of those that train."""

EACH = pytest.mark.parametrize("name", detectors.available())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def silent(fraction, message):
    pass


def make(name):
    return QUICK.get(name) or detectors.create(name)


def run(detector, pixels, valid=None, *, seed=0, progress=silent):
    known = torch.ones(pixels.shape[1:], dtype=torch.bool) if valid is None else valid
    scores = detector.score(pixels, known, generator=generator(seed), progress=progress)
    return scores[0] if scores.ndim == 3 else scores  # by which pixels are ranked


def score(detector, image):
    """The `(H, W)` score of an array."""
    picture = read_image(image)
    pixels = torch.from_numpy(standardize(picture).pixels)
    return run(detector, pixels, torch.tensor(picture.valid)).numpy()


def noise(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


def auroc(values, mask):
    """Probability that a defective pixel scores above a normal one."""
    order = values.ravel().argsort().argsort()
    positive = mask.ravel()
    ranks = order[positive].sum() - positive.sum() * (positive.sum() - 1) / 2
    return ranks / (positive.sum() * (~positive).sum())


def contrast(image):
    """The simplest of all detectors: distance from the median colour, smoothed."""
    pixels = torch.from_numpy(standardize(read_image(image)).pixels)
    return smooth(pixels.square().sum(dim=0), torch.ones(pixels.shape[1:]), 3.0).numpy()


class TestContract:
    """Of `ssdnet.detectors.protocol`."""

    @EACH
    def test_it_is_a_frozen_detector_of_its_name(self, name):
        detector = detectors.create(name)
        assert isinstance(detector, Detector)
        assert detector.name == name
        assert all((detector.summary, detector.assumes, detector.source))
        with pytest.raises(FrozenInstanceError):
            setattr(detector, next(iter(vars(detector))), 1)

    @EACH
    @pytest.mark.parametrize(
        "shape", [(1, 16, 16), (3, 16, 16), (5, 33, 47), (1, 16, 150), (3, 97, 64), (40, 24, 25)], ids=str
    )
    def test_any_size_and_number_of_channels(self, name, shape):
        result = run(make(name), noise(*shape))
        assert result.shape == shape[1:]
        assert result.dtype == torch.float32
        assert torch.isfinite(result).all()
        assert result.std() > 0

    @EACH
    def test_missing_pixels_have_no_influence(self, name):
        pixels = noise(2, 48, 52)
        valid = torch.rand(48, 52, generator=generator(1)) > 0.1
        valid[10:25, 20:40] = False
        other = torch.where(valid, pixels, 1e6)
        first, second = (run(make(name), image, valid)[valid] for image in (pixels, other))
        assert first.numpy().tobytes() == second.numpy().tobytes()

    @EACH
    @pytest.mark.parametrize("share", [0.003, 0.05, 0.5])
    def test_an_image_with_little_in_it_is_judged_where_it_is(self, name, share):
        valid = torch.rand(64, 64, generator=generator()) < share
        assert torch.isfinite(run(make(name), noise(3, 64, 64), valid)[valid]).all()

    @EACH
    def test_a_constant_image_has_a_constant_map(self, name):
        result = run(make(name), torch.zeros(3, 40, 40))
        assert torch.isfinite(result).all()
        assert not ssdnet.localize(np.full((40, 40), 7, np.uint8), detector=make(name)).regions

    @EACH
    def test_same_seed_same_bytes_whatever_the_global_generator_and_the_input_stays(self, name):
        pixels, valid = noise(3, 48, 40), torch.rand(48, 40, generator=generator()) > 0.1
        copies = pixels.clone(), valid.clone()
        results = []
        for seed in range(2):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                results.append(run(make(name), pixels, valid)[valid])
        assert results[0].numpy().tobytes() == results[1].numpy().tobytes()
        assert torch.equal(pixels, copies[0])
        assert torch.equal(valid, copies[1])

    @EACH
    def test_progress_never_goes_back_and_can_stop_the_work(self, name):
        seen = []
        run(make(name), noise(2, 40, 48), progress=lambda share, _: seen.append(share))
        assert seen == sorted(seen)
        assert 0 <= seen[0] <= seen[-1] <= 1
        assert seen

        def stop(share, message):
            raise Cancelled(message)

        with pytest.raises(Cancelled):
            run(make(name), noise(2, 40, 48), progress=stop)

    @EACH
    def test_those_that_decompose_fill_in_what_is_missing(self, name):
        detector = make(name)
        images = [noise(2, 40, 48), noise(2, 33, 35, seed=1)]
        masks = [torch.rand(image.shape[1:], generator=generator()) > 0.2 for image in images]
        fitted = detector.fit_each(images, masks, generators=[generator() for _ in images], progress=silent)
        for (model, _), image, known in zip(fitted, images, masks, strict=True):
            assert isinstance(model, Decomposing) == detector.decomposes
            if detector.decomposes:
                normal = model.reconstruct(image, known, hidden=torch.zeros_like(known))
                assert normal.shape == image.shape
                assert torch.isfinite(normal).all()

    @EACH
    def test_what_was_found_comes_with_all_settings(self, name):
        detector = make(name)
        result = ssdnet.localize(samples.texture("twill", (48, 48), seed=0), detector=detector)
        assert result.detector == name
        assert set(result.detector_settings) == set(vars(detector))


def mesh(rows, columns):
    return 200.0 * ((columns % 12 < 3) | (rows % 12 < 3))


def stripes(rows, columns):
    return 100 * np.sin(columns / 3)


def nothing(rows, columns):
    return 0.0 * rows


@pytest.mark.parametrize("name", ["phot", "patchpca", "aota", "lowrank"])
@pytest.mark.parametrize("texture", [nothing, mesh, stripes])
def test_neither_borders_nor_the_rim_of_a_hole_are_brighter_than_the_rest(name, texture):
    """The outer pixels exceed the 99 % quantile of the inside about as often as the inside itself does."""
    image = texture(*np.indices((150, 181))) + np.random.default_rng(5).normal(size=(150, 181)) * 10
    whole = score(make(name), image)
    rim = np.ones(image.shape, dtype=bool)
    rim[6:-6, 6:-6] = False
    assert np.mean(whole[rim] > np.quantile(whole[30:-30, 30:-30], 0.99)) < 0.06
    image[60:90, 70:110] = np.nan
    values = score(make(name), image)
    near = np.zeros(image.shape, dtype=bool)
    near[54:96, 64:116] = True
    near &= np.isfinite(image)
    far = np.isfinite(image) & ~near & ~rim
    assert values[near].mean() - values[far].mean() < 2 * values[far].std()


@pytest.mark.parametrize("name", ["patchpca", "aota"])
@pytest.mark.parametrize("texture", [name for name in samples.TEXTURES if name != "tile"])
def test_a_foreign_patch_is_found_better_than_by_contrast(name, texture):
    sample = samples.sample(texture, "foreign", (160, 160), seed=3)
    found = auroc(score(make(name), sample.image), sample.mask)
    assert found > max(0.85, auroc(contrast(sample.image), sample.mask))


class TestPHOT:
    def periodic(self, height=128, width=160):
        tile = np.random.default_rng(0).normal(size=(8, 8))
        return np.tile(tile, (height // 8, width // 8))

    def test_a_periodic_texture_is_flat_and_a_defect_on_it_stands_out(self):
        image = self.periodic()
        assert score(PHOT(), image).max() < 3  # standard deviations
        image[60:64, 81:85] = image[70:74, 20:24]  # of the same texture, out of step
        found = score(PHOT(), image)
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert found.max() > 10
        assert abs(row - 61.5) < 5
        assert abs(column - 82.5) < 5

    def test_all_frequencies_are_equally_strong(self):
        spectrum = torch.fft.rfft2(phase_only(noise(48, 50)), norm="ortho").abs()
        torch.testing.assert_close(spectrum, torch.ones_like(spectrum), atol=1e-4, rtol=0)

    def test_the_phases_are_those_of_an_image_that_ends_as_it_begins(self):
        plane = noise(64, 64)
        plane = plane - plane.mean()
        framed = plane.clone()
        framed[0] = framed[-1] = framed[:, 0] = framed[:, -1] = 0
        expected = torch.fft.irfft2(torch.polar(torch.ones(64, 33), torch.fft.rfft2(framed).angle()))
        torch.testing.assert_close(phase_only(framed), expected * 64, atol=1e-3, rtol=0)

    def test_uneven_light_makes_no_frame(self):
        rows, columns = np.indices((120, 100))
        values = score(PHOT(), 20.0 * rows - 5 * columns + np.random.default_rng(0).normal(size=rows.shape))
        rim = np.ones(values.shape, dtype=bool)
        rim[6:-6, 6:-6] = False
        assert np.mean(values[rim] > np.quantile(values[~rim], 0.99)) < 0.05


class TestPatchPCA:
    def test_it_is_the_distance_that_numpy_computes(self):
        pixels = noise(2, 24, 20)
        detector = PatchPCA(levels=1, patch=3, components=5, trim=0.0, rounds=0, shrinkage=1e-6, smoothing=0)
        padded = np.pad(pixels.double().numpy(), ((0, 0), (1, 1), (1, 1)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        patches = windows.transpose(1, 2, 0, 3, 4).reshape(24 * 20, -1)
        inside = np.pad(np.ones((24, 20)), 1)
        share = np.lib.stride_tricks.sliding_window_view(inside, (3, 3)).mean(axis=(2, 3)).ravel()
        learned = patches[share >= 0.5]  # all but the corners
        centred = patches - learned.mean(axis=0)
        directions = np.linalg.svd(centred[share >= 0.5])[2][:5].T
        coefficients = centred @ directions
        weight = share[share >= 0.5]
        offset = np.average(coefficients[share >= 0.5], axis=0, weights=weight)
        covariance = np.cov(coefficients[share >= 0.5].T, aweights=weight, ddof=0)
        difference = coefficients - offset
        expected = np.sqrt((difference @ np.linalg.inv(covariance) * difference).sum(axis=1)).reshape(24, 20)
        np.testing.assert_allclose(run(detector, pixels)[2:-2, 2:-2], expected[2:-2, 2:-2], rtol=1e-3)

    @pytest.mark.parametrize("shape", [(200, 12), (12, 200)])
    def test_principal_components_are_those_of_the_singular_value_decomposition(self, shape):
        samples_ = noise(*shape) @ torch.diag(torch.linspace(1, 3, shape[1]))
        expected = torch.linalg.svd(samples_, full_matrices=False).Vh[:4].T
        found = principal_components(samples_, 4)
        torch.testing.assert_close((found.T @ expected).abs(), torch.eye(4), atol=1e-3, rtol=0)

    def test_seeds_change_nothing(self):
        pixels = noise(3, 150, 160)  # more patches than the components are learned from
        assert torch.equal(run(PatchPCA(), pixels, seed=0), run(PatchPCA(), pixels, seed=1))


class TestAota:
    def test_the_mean_of_the_nearest_is_what_numpy_computes(self):
        queries, references = noise(7, 3), noise(40, 3, seed=1)
        excluded = torch.rand(7, 40, generator=generator()) < 0.5
        excluded[0] = True
        excluded[1, 3:] = True
        distances = np.linalg.norm(queries.numpy()[:, None] - references.numpy(), axis=2)
        distances[excluded.numpy()] = np.inf
        expected = [np.mean(row[np.isfinite(row)][:10]) for row in np.sort(distances, axis=1)[1:]]
        found = mean_nearest(queries, references, excluded, share=0.25)
        np.testing.assert_allclose(found, [0, *expected], rtol=1e-4)

    def test_all_positions_are_compared_with_all_others_but_their_neighbours(self):
        pixels = noise(2, 40, 56)
        _, (features,) = RandomFeatures.fit(
            [pixels],
            [torch.ones(40, 56, dtype=torch.bool)],
            levels=2,
            orbits=1,
            kernel_size=3,
            pool=1,
            generator=generator(),
            progress=silent,
        )
        references = References.of([features], 10_000, share=0.1, guard=2)
        found = references.log_distance(features, silent).exp()
        values = torch.cat([strip for _, strip in features.strips()]).flatten(0, 1).numpy()
        values = values / values.std(axis=0)
        places = np.stack(np.divmod(np.arange(20 * 28), 28), axis=1)
        expected = []
        for value, place in zip(values, places, strict=True):
            others = np.abs(places - place).max(axis=1) > 2
            distances = np.sort(np.linalg.norm(values[others] - value, axis=1))
            expected.append(distances[: round(0.1 * len(values))].mean())
        np.testing.assert_allclose(found.flatten(), expected, rtol=1e-3)

    def test_a_second_defect_of_the_same_kind_hides_neither_but_in_a_nearest_few(self):
        image = np.random.default_rng(0).normal(size=(128, 128))
        mask = np.zeros(image.shape, dtype=bool)
        for start in (20, 84):
            mask[start : start + 16, start : start + 16] = True
        image[mask] += 2
        many, few = (auroc(score(Aota(neighbors=share), image), mask) for share in (0.25, 1e-6))
        assert many > 0.95
        assert few < many


class TestLowRank:
    def planted(self):
        """Low-rank data, gross errors on a tenth of it, and what is seen."""
        data = noise(300, 4) @ noise(4, 60, seed=1)
        errors = 10 * noise(300, 60, seed=2) * (torch.rand(300, 60, generator=generator(3)) < 0.1)
        return data, errors, torch.rand(300, 60, generator=generator(4)) < 0.9

    def test_it_recovers_a_planted_background_from_gross_errors_and_missing_entries(self):
        data, errors, seen = self.planted()
        corrupted = torch.where(seen, data + errors, 1e3)
        filled = torch.where(seen, corrupted, 0)
        patterns = Patterns.learn(filled, seen, weight=1 / math.sqrt(300))
        assert patterns.basis.shape == (60, 4)
        found = patterns.background(filled, seen)
        basis = principal_components(filled, 4)
        plain = (filled @ basis) @ basis.T
        error, baseline = ((guess - data).norm() / data.norm() for guess in (found, plain))
        assert error < 0.03
        assert baseline > 0.3  # or nothing was hard

    def test_the_background_of_what_was_learned_from_is_that_of_robust_pca(self):
        from ssdnet.detectors.rivals.lowrank import _alternate

        data, errors, seen = self.planted()
        noisy = data + errors + 0.5 * noise(300, 60, seed=5)
        patterns = Patterns.learn(noisy, seen, weight=0.05)
        whole = _alternate(noisy, seen, threshold_singular_values, patterns.weight, patterns.start)
        assert (patterns.background(noisy, seen) - whole).norm() < 0.03 * whole.norm()
        projected = (whole @ patterns.basis) @ patterns.basis.T
        assert (projected - whole).norm() < 0.01 * whole.norm()

    def test_thresholding_lowers_the_singular_values(self):
        target = noise(30, 12)
        before, after = (
            torch.linalg.svdvals(matrix) for matrix in (target, threshold_singular_values(target, 4.0))
        )
        torch.testing.assert_close(after, (before - 4).clamp_min(0), atol=1e-3, rtol=0)

    def test_a_defect_of_a_regular_texture_is_taken_out_of_the_normal_layer(self):
        rows, columns = np.indices((96, 104))
        clean = np.sin(rows / 2.5) + np.cos(columns / 1.7)
        image = clean + 0.05 * np.random.default_rng(0).normal(size=clean.shape)
        mask = np.zeros(clean.shape, dtype=bool)
        mask[40:44, 30:60] = True
        image[mask] = 1.5
        result = ssdnet.localize(image, detector=LowRank())
        assert result.normal is not None
        normal = np.asarray(result.normal)[:, :, 0]
        assert np.abs(normal - clean)[mask].mean() < 0.3 * np.abs(image - clean)[mask].mean()
        assert auroc(result.anomaly_map, mask) > max(0.98, auroc(contrast(image), mask))

    def test_strips_leave_no_seams(self, monkeypatch):
        pixels = noise(2, 90, 60)
        whole = run(LowRank(), pixels)
        monkeypatch.setattr("ssdnet.detectors.rivals.lowrank._CHUNK_VALUES", 5000)
        torch.testing.assert_close(run(LowRank(), pixels), whole, rtol=5e-3, atol=0)


class TestDIP:
    def test_it_is_the_deep_image_prior_of_ssdnet(self):
        pixels = noise(1, 40, 48)
        prior = configured(SSDnet.deep_image_prior(), {"training.steps": 4})
        assert torch.equal(run(DIP(steps=4), pixels), run(prior, pixels))
        result = ssdnet.localize(np.asarray(noise(40, 48)), detector=DIP(steps=4))
        assert result.normal is not None

    @pytest.mark.slow
    def test_what_is_smooth_is_learned_before_what_is_noise(self):
        rows, columns = np.indices((64, 64))
        smooth_part = torch.tensor(np.sin(rows / 9) + np.cos(columns / 7)).float()[None]
        noise_part = noise(1, 64, 64)
        known = torch.ones(64, 64, dtype=torch.bool)
        pixels = smooth_part + noise_part
        model = DIP().fit([pixels], [known], generator=generator())
        assert isinstance(model, Decomposing)
        normal = model.reconstruct(pixels, known)
        left = [1 - (normal * target).sum() / target.square().sum() for target in (smooth_part, noise_part)]
        assert left[0] < 0.5
        assert left[1] > 0.65


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (PHOT, {"smoothing": 0.0}, r"phot: smoothing must be a number in \[0.1, inf\)"),
        (PatchPCA, {"patch": 4}, "patchpca: patch must be odd"),
        (PatchPCA, {"components": 0}, "patchpca: components must be a whole number of at least 1"),
        (PatchPCA, {"components": None}, "components"),
        (PatchPCA, {"trim": 1.0}, "trim"),
        (PatchPCA, {"levels": True}, "levels"),
        (Aota, {"neighbors": 0.0}, "aota: neighbors"),
        (Aota, {"neighbors": math.nan}, "neighbors"),
        (Aota, {"references": 0}, "references"),
        (Aota, {"guard": 1.5}, "guard"),
        (LowRank, {"patch": 7}, "lowrank: patch must be even"),
        (LowRank, {"sparsity": 0}, "sparsity"),
        (DIP, {"steps": 0}, "dip: steps"),
        (DIP, {"learning_rate": "fast"}, "learning_rate"),
    ],
)
def test_settings_that_mean_nothing_are_refused(kind, settings, words):
    with pytest.raises(UsageError, match=words):
        kind(**settings)


@pytest.mark.parametrize("kind", [PatchPCA, RX])
@pytest.mark.parametrize(("side", "levels"), [(40, 2), (128, 3)])
def test_no_levels_are_as_many_as_the_image_has(kind, side, levels):
    pixels = noise(1, side, side + 20)
    chosen = run(kind(), pixels)
    assert torch.equal(chosen, run(kind(levels=levels), pixels))
    assert not torch.equal(chosen, run(kind(levels=levels + 1), pixels))
