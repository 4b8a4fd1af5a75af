import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate1d, gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from xactor_jax.layers import picture_losses as losses

component_weights = jax.jit(losses.component_weights, static_argnums=(1, 2))
gradient_loss = jax.jit(losses.gradient_loss, static_argnames="scales")


def test_boxes_cover_the_cells_whose_centres_they_hold():
    boxes = jnp.array([[[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0]]])
    maps = np.asarray(losses.box_maps(boxes, 4, 4))[0]
    np.testing.assert_array_equal(maps[0], np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool))
    np.testing.assert_array_equal(maps[1], np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], bool))


def test_component_weights_give_each_part_the_weight_of_a_whole_picture():
    boxes = jnp.array([[[0.25, 0.25, 0.5, 0.75], [0.75, 0.5, 1.0, 0.75]]])
    weights = np.asarray(component_weights(boxes, 16, 16))[0, ..., 0]
    assert weights[4:8, 4:12].mean() * (4 * 8) / 256 == pytest.approx(1.0)
    assert weights[12:16, 8:12].mean() * (4 * 4) / 256 == pytest.approx(1.0)
    assert weights.sum() / 256 == pytest.approx(2.0)


def test_component_weights_of_a_box_outside_the_picture_are_zero():
    assert not np.any(component_weights(jnp.array([[[1.2, 0.0, 1.5, 1.0]]]), 8, 8))


def test_motion_weights_have_mean_one_and_peak_where_the_picture_moved(rng):
    reference = rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    target = reference.copy()
    target[:, 2, 3] += 0.5
    weights = np.asarray(jax.jit(losses.motion_weights)(jnp.asarray(target), jnp.asarray(reference)))
    assert weights.mean((1, 2, 3)) == pytest.approx([1.0, 1.0], rel=1e-4)
    assert np.all(weights.reshape(2, -1).argmax(-1) == 2 * 8 + 3)


def test_weighted_l1_against_float64(rng):
    x, y = (rng.normal(size=(2, 4, 4, 3)).astype(np.float32) for _ in range(2))
    w = rng.uniform(size=(2, 4, 4, 1)).astype(np.float32)
    expected = (w.astype(np.float64) * np.abs(x.astype(np.float64) - y)).mean()
    assert float(jax.jit(losses.weighted_l1)(jnp.asarray(x), jnp.asarray(y), jnp.asarray(w))) == pytest.approx(
        expected, rel=1e-5
    )


def test_gradient_loss_against_float64(rng):
    x, y = (rng.normal(size=(2, 8, 8, 3)) for _ in range(2))
    w = rng.uniform(size=(2, 8, 8, 1))
    expected, a, b, v = 0.0, x, y, w
    for _ in range(3):
        e = a - b
        expected += (v[:, 1:] * np.abs(np.diff(e, axis=1))).mean() + (v[:, :, 1:] * np.abs(np.diff(e, axis=2))).mean()
        a, b, v = ((z[:, ::2, ::2] + z[:, 1::2, ::2] + z[:, ::2, 1::2] + z[:, 1::2, 1::2]) / 4 for z in (a, b, v))
    got = gradient_loss(*(jnp.asarray(z, jnp.float32) for z in (x, y, w)))
    assert float(got) == pytest.approx(expected / 3, rel=1e-4)


def test_gradient_loss_without_weights_compares_differences_at_every_scale(rng):
    a, b = rng.normal(size=(2, 1, 4, 4, 1))
    half = lambda x: x.reshape(1, 2, 2, 2, 2, 1).mean(axis=(2, 4))
    expected = 0.0
    for x, y in ((a, b), (half(a), half(b))):
        for axis in (1, 2):
            expected += np.abs(np.diff(x, axis=axis) - np.diff(y, axis=axis)).mean()
    a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    assert gradient_loss(a, b, scales=2) == pytest.approx(expected / 2, rel=1e-4)
    assert gradient_loss(a, a + 1.0, scales=2) == pytest.approx(0.0, abs=1e-6)
    assert gradient_loss(a, b, scales=0) == 0.0


def test_fine_detail_is_what_a_binomial_filter_takes_away(rng):
    x = rng.uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    soft = correlate1d(correlate1d(x.astype(np.float64), kernel, 1, mode="nearest"), kernel, 2, mode="nearest")
    np.testing.assert_allclose(jax.jit(losses.fine_detail)(x), x - soft, atol=1e-6)


def test_detail_loss_against_float64(rng):
    x, y = (rng.uniform(-1, 1, (2, 16, 24, 3)) for _ in range(2))
    w = rng.uniform(size=(2, 16, 24, 1))
    cells = lambda z: z.mean(-1).reshape(2, 2, 8, 3, 8).mean((2, 4))
    strength = lambda z: np.sqrt(cells(np.asarray(losses.fine_detail(jnp.asarray(z)), np.float64) ** 2) + 1e-5)
    expected = (cells(w) * np.abs(strength(x) - strength(y))).mean()
    found = jax.jit(losses.detail_loss)(*(np.asarray(z, np.float32) for z in (x, y, w)))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_blur_costs_more_detail_than_a_shift_by_a_pixel(rng):
    """The mean absolute error says the opposite, which is why pictures trained with it alone are blurred."""
    y = rng.uniform(-1, 1, (1, 32, 32, 3))
    blurred, moved = gaussian_filter(y, (0, 1, 1, 0)), np.roll(y, 1, axis=2)
    both = jax.jit(lambda a, b: (losses.detail_loss(a, b, jnp.ones((1, 32, 32, 1))), jnp.abs(a - b).mean()))
    (detail_blurred, l1_blurred), (detail_moved, l1_moved) = both(blurred, y), both(moved, y)
    assert detail_blurred > 5 * detail_moved and l1_blurred < l1_moved


def test_where_nothing_moved_the_reference_is_asked_for(rng):
    reference = rng.uniform(-0.5, 0.5, (1, 16, 16, 3)).astype(np.float32)
    target = reference + rng.normal(0, 0.01, reference.shape).astype(np.float32)  # the noise of another frame
    target[:, :, 8:] += 0.3  # moved
    still = np.zeros((1, 16, 16, 1))
    still[:, :, :8] = 1
    soft = np.abs(gaussian_filter((target - reference).mean(-1), (0, 1, 1), mode="nearest"))[:, :, 6:8]
    assert soft.max() > losses.STILL  # beside the border the blurred difference is large
    still[:, :, 6:8] = soft[..., None] < losses.STILL
    images = np.full_like(reference, 0.1)
    expected = (still * np.abs(images - reference)).mean()
    assert float(jax.jit(losses.still_loss)(images, target, reference)) == pytest.approx(expected, rel=0.03)


def test_psnr_is_skimage_s(rng):
    a = rng.uniform(-1, 1, size=(2, 8, 8, 3)).astype(np.float32)
    b = np.clip(a + 0.1 * rng.normal(size=a.shape), -1, 1).astype(np.float32)
    expected = peak_signal_noise_ratio(a, b, data_range=2.0)
    assert jax.jit(losses.psnr)(jnp.asarray(a), jnp.asarray(b)) == pytest.approx(expected, rel=1e-4)


def test_feature_matching_is_the_mean_over_levels_and_has_a_gradient_only_for_the_made_picture(rng):
    real, fake = ([rng.normal(size=s).astype(np.float32) for s in ((2, 4, 4, 3), (2, 2, 2, 5))] for _ in range(2))
    distances = [np.abs(f.astype(np.float64) - r).mean() for r, f in zip(real, fake, strict=True)]
    value, (at_real, at_fake) = jax.jit(jax.value_and_grad(losses.feature_matching, argnums=(0, 1)))(real, fake)
    assert float(value) == pytest.approx(np.mean(distances), rel=1e-5)
    assert not any(np.any(g) for g in at_real)
    for r, f, gradient in zip(real, fake, at_fake, strict=True):
        np.testing.assert_allclose(gradient, np.sign(f - r) / (2 * f.size), rtol=1e-5)
