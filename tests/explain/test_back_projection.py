"""The way back from feature maps to the image: transposes, unpooling, rectifiers, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.errors import ModelError
from ase_crystalnet.explain.back_projection import BackProjection

SIDE = 16


def network(*stack: Any, classes: int = 4, side: int = SIDE) -> Any:
    """A network of layers one after the other, with a dense softmax at the end."""
    keras = import_keras()
    inputs = x = keras.Input((side, side, 3))
    for layer in stack:
        x = layer(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


def scramble(model: Any, rng: np.random.Generator) -> Any:
    """Give every weight a random value, batch normalisation a positive variance."""
    for layer in model.layers:
        weights = [rng.normal(size=w.shape) for w in layer.get_weights()]
        if type(layer).__name__ == "BatchNormalization":
            weights[3] = rng.uniform(0.5, 2.0, weights[3].shape)
        layer.set_weights(weights)
    return model


def images(rng: np.random.Generator, count: int = 2, side: int = SIDE) -> Any:
    return rng.normal(size=(count, side, side, 3)).astype(np.float32)


def dot(a: Any, b: Any) -> float:
    return float(np.sum(np.asarray(a, float) * np.asarray(b, float)))


def linear_networks() -> dict[str, Any]:
    layers = import_keras().layers

    def branches() -> Any:
        keras = import_keras()
        inputs = keras.Input((SIDE, SIDE, 3))
        x = layers.Conv2D(5, 3, padding="same")(inputs)
        wide = layers.Conv2D(5, 5, padding="same")(x)
        joined = layers.Concatenate()([layers.Add()([x, wide]), wide])
        x = layers.Conv2D(4, 3, strides=2)(joined)
        return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))

    return {
        "plain": network(layers.Conv2D(6, 7, padding="same"), layers.Conv2D(4, 7, padding="same")),
        "strided": network(
            layers.Conv2D(6, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Conv2D(4, 3, strides=2, padding="valid"),
        ),
        "separable": network(
            layers.ZeroPadding2D(((1, 2), (0, 3))),
            layers.SeparableConv2D(6, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            layers.Dropout(0.5),
            layers.AveragePooling2D(2),
            layers.Conv2D(4, 1),
        ),
        "branches": branches(),
    }


@pytest.mark.parametrize("name", ["plain", "strided", "separable", "branches"])
def test_the_way_back_is_the_transpose_of_the_way_forward(
    name: str, rng: np.random.Generator
) -> None:
    """<A x, y> = <x, A^T y> to every convolution, A the linear part of the network up to there."""
    projection = BackProjection(scramble(linear_networks()[name], rng))
    x = images(rng)
    for number in range(len(projection.convolutions)):
        forward = projection.feature_maps(x)[1][number]
        offset = projection.feature_maps(np.zeros_like(x))[1][number]
        y = rng.normal(size=forward.shape).astype(np.float32)
        back = projection.back(x, number, y)
        assert back.shape == x.shape
        expected = dot(forward - offset, y)
        size = np.linalg.norm(forward - offset) * np.linalg.norm(y)
        assert abs(dot(x, back) - expected) < 1e-5 * size
        assert abs(expected) > 1e-4 * size  # else any answer would do
        # and it is linear: filter by filter it adds up to the whole
        parts = [
            projection.back(x, number, y * (np.arange(y.shape[-1]) == f))
            for f in range(y.shape[-1])
        ]
        np.testing.assert_allclose(sum(parts), back, atol=1e-5 * np.abs(back).max())


def test_a_strided_convolution_goes_back_fractionally_strided(rng: np.random.Generator) -> None:
    """Each value of the feature map lays down its kernel, two pixels from the next one's."""
    layers = import_keras().layers
    model = scramble(network(layers.Conv2D(2, 3, strides=2)), rng)
    projection = BackProjection(model)
    x = images(rng, 1)
    y = rng.normal(size=(1, 7, 7, 2)).astype(np.float32)
    kernel = model.layers[1].get_weights()[0]  # (3, 3, 3, 2)
    expected = np.zeros_like(x)
    for i in range(7):
        for j in range(7):
            expected[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += kernel @ y[0, i, j]
    np.testing.assert_allclose(projection.back(x, 0, y), expected, atol=1e-5)


def pooled(rng: np.random.Generator, unpooling: Any) -> tuple[BackProjection, Any]:
    """One-by-one convolutions that hand the channels on, and a maximum pooling between them."""
    layers = import_keras().layers
    model = network(layers.Conv2D(3, 1), layers.MaxPooling2D(2), layers.Conv2D(3, 1))
    for number in (1, 3):
        model.layers[number].set_weights([np.eye(3)[None, None], np.zeros(3)])
    return BackProjection(model, unpooling), images(rng)


def test_switches_return_to_the_pixel_that_won(rng: np.random.Generator) -> None:
    projection, x = pooled(rng, "switches")
    features = projection.feature_maps(x)[1][1]
    y = rng.normal(size=features.shape).astype(np.float32)
    back = projection.back(x, 1, y)
    windows = x.reshape(2, 8, 2, 8, 2, 3).max(axis=(2, 4))
    np.testing.assert_array_equal(features, windows)
    won = x == np.repeat(np.repeat(windows, 2, 1), 2, 2)
    assert np.all(back[~won] == 0)
    np.testing.assert_array_equal(back[won], np.repeat(np.repeat(y, 2, 1), 2, 2)[won])
    assert dot(features, y) == pytest.approx(dot(x, back), rel=1e-4)


def test_repeating_returns_to_all_pixels(rng: np.random.Generator) -> None:
    projection, x = pooled(rng, "repeat")
    features = projection.feature_maps(x)[1][1]
    y = rng.normal(size=features.shape).astype(np.float32)
    np.testing.assert_array_equal(
        projection.back(x, 1, y), np.repeat(np.repeat(y, 2, axis=1), 2, axis=2)
    )


@pytest.mark.parametrize("separate", [True, False])
def test_rectifiers_pass_what_is_positive_where_they_were_lit(
    rng: np.random.Generator, separate: bool
) -> None:
    layers = import_keras().layers
    first = [layers.Conv2D(3, 1, activation=None if separate else "relu")]
    if separate:
        first.append(layers.ReLU())
    model = network(*first, layers.Conv2D(3, 1))
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            layer.set_weights([np.eye(3)[None, None], np.zeros(3)])
    projection = BackProjection(model)
    x = images(rng)
    y = rng.normal(size=x.shape).astype(np.float32)
    np.testing.assert_array_equal(projection.back(x, 1, y), np.maximum(y, 0) * (x > 0))
    np.testing.assert_array_equal(projection.feature_maps(x)[1][0], np.maximum(x, 0))


def test_feature_maps_and_logits_are_those_of_the_network(rng: np.random.Generator) -> None:
    keras = import_keras()
    layers = keras.layers
    model = network(
        layers.Conv2D(5, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.Activation("relu", name="lit"),
        layers.MaxPooling2D(2),
        layers.Conv2D(4, 3, activation="relu", name="second"),
    )
    scramble(model, rng)
    sequential = keras.Sequential(model.layers)
    x = images(rng, 70)  # more than one batch
    for given in (model, sequential):
        projection = BackProjection(given)
        logits, features = projection.feature_maps(x)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(
            odds / odds.sum(axis=1, keepdims=True), model(x).numpy(), atol=1e-5
        )
        for name, found in zip(("lit", "second"), features, strict=True):
            part = keras.Model(model.inputs[0], model.get_layer(name).output)
            np.testing.assert_allclose(found, part(x).numpy(), atol=1e-5)


def test_a_network_of_mixed_precision_is_explained_in_float32(rng: np.random.Generator) -> None:
    layers = import_keras().layers
    mixed = {"dtype": "mixed_bfloat16"}
    for unpooling in ("switches", "repeat"):
        model = network(
            layers.Conv2D(3, 3, activation="relu", **mixed),
            layers.MaxPooling2D(2, **mixed),
            layers.Conv2D(3, 3, **mixed),
            layers.ReLU(**mixed),
        )
        projection = BackProjection(model, unpooling)  # type: ignore[arg-type]
        x = images(rng)
        features = projection.feature_maps(x)[1]
        assert all(feature.dtype == np.float32 for feature in features)
        assert np.isfinite(projection.back(x, 1, features[1])).all()
        assert projection.evidence(x, 1, 0).dtype == np.float32


def test_evidence_adds_up_to_the_margin(rng: np.random.Generator) -> None:
    """Without biases after the feature map, the evidence sums to the logit over the others."""
    keras = import_keras()
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 5, activation="relu")(inputs)
    x = layers.Conv2D(4, 3, activation="relu", use_bias=False)(x)
    x = layers.Dense(8, activation="relu", use_bias=False)(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", use_bias=False)(x))
    projection = BackProjection(model)
    given = images(rng, 5)
    logits = projection.feature_maps(given)[0]
    for label in range(3):
        margin = logits[:, label] - np.delete(logits, label, axis=1).mean(axis=1)
        for number in range(2):
            evidence = projection.evidence(given, number, label)
            np.testing.assert_allclose(evidence.sum(axis=(1, 2, 3)), margin, atol=1e-5)


def test_refuses_what_it_has_no_rule_for() -> None:
    keras = import_keras()
    layers = keras.layers
    conv = lambda **kwargs: layers.Conv2D(2, 3, **kwargs)  # noqa: E731
    with pytest.raises(ModelError, match=r"layer 'odd' of model 'mine' is a LayerNormalization"):
        BackProjection(network(conv(), layers.LayerNormalization(name="odd")), name="mine")
    with pytest.raises(ModelError, match=r"'curved' .* has activation 'tanh'"):
        BackProjection(network(conv(activation="tanh", name="curved")))
    with pytest.raises(ModelError, match=r"'leaky' .*'ReLU with a slope"):
        BackProjection(network(conv(), layers.ReLU(negative_slope=0.1, name="leaky")))
    with pytest.raises(ModelError, match="softmax"):
        BackProjection(network(conv(activation="softmax")))
    with pytest.raises(ModelError, match="no convolution"):
        BackProjection(network(layers.AveragePooling2D(4)))
