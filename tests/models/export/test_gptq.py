import numpy as np
import pytest

from models.export.gptq import Moments, gptq, quantize_weight


def correlated(count=4000, width=64, seed=0):
    """Inputs as of a network: a large mean, a few directions of large variance, correlated dimensions."""
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(6, width))
    inputs = 3 * draw.normal(size=(count, 6)) @ mix + 0.1 * draw.normal(size=(count, width)) + 20
    return inputs.astype(np.float32)


def moments_of(inputs, batches=3):
    moments = Moments(inputs.shape[-1])
    for batch in np.array_split(inputs, batches):
        moments.add(batch)
    return moments


def test_moments_are_those_of_all_tokens():
    inputs = correlated()
    moments = moments_of(inputs)
    assert moments.count == 4000
    assert (moments.minimum, moments.maximum) == (inputs.min(), inputs.max())
    np.testing.assert_allclose(moments.mean, inputs.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(inputs.T.astype(np.float64), bias=True), rtol=1e-3, atol=1e-3)
    tokens = moments_of(inputs.reshape(40, 100, -1))
    np.testing.assert_allclose(tokens.covariance, moments.covariance, rtol=1e-3, atol=1e-3)


def test_the_product_changes_several_times_less_than_with_rounding_to_nearest():
    weight = np.random.default_rng(1).normal(size=(64, 10)).astype(np.float32)
    int8 = quantize_weight(weight, moments_of(correlated()))
    fresh = correlated(seed=2).astype(np.float64)
    exact = fresh @ weight
    nearest = np.rint(weight / int8.scale) * int8.scale
    error = np.square(fresh @ (int8.integers * int8.scale.astype(np.float64)) + int8.correction - exact).mean()

    assert int8.integers.dtype == np.int8
    np.testing.assert_allclose(int8.scale, np.abs(weight).max(axis=0) / 127, rtol=1e-6)
    assert error < np.square(fresh @ nearest - exact).mean() / 4


def test_a_weight_that_is_representable_is_kept():
    integers = np.random.default_rng(0).integers(-127, 128, (64, 10))
    integers[0] = 127
    weight = (integers * 0.25).astype(np.float32)
    int8 = quantize_weight(weight, moments_of(correlated()))
    assert (int8.integers == integers).all()
    assert not int8.correction.any()


def test_inputs_are_rounded_in_blocks_as_in_one(monkeypatch):
    from models.export import gptq as module

    draw = np.random.default_rng(0)
    weight, covariance = draw.normal(size=(64, 10)), moments_of(correlated()).covariance
    scale = np.abs(weight).max(axis=0) / 127
    together = gptq(weight, scale, covariance)
    monkeypatch.setattr(module, "BLOCK", 5)
    assert (gptq(weight, scale, covariance) == together).all()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_inputs_and_weights_without_variance_are_rounded_to_nearest(value):
    weight = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    weight[:, 0] = 0
    int8 = quantize_weight(weight, moments_of(np.full((20, 8), value, np.float32)))
    assert (int8.integers == np.rint(weight / int8.scale)).all()
    np.testing.assert_allclose(int8.correction, value * (weight - int8.integers * int8.scale).sum(axis=0), atol=1e-6)
