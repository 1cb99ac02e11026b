"""Networks on powder patterns, for 7 crystal systems or 230 space groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.pattern import INPUT_POINTS, POINTS

if TYPE_CHECKING:
    import keras

__all__ = ["NETWORKS", "conv_network", "dense_network", "make_network", "residual_network"]


def _seeds(seed: int) -> Any:
    return iter(range(seed * 1000, seed * 1000 + 1000))


def residual_network(
    classes: int = 230,
    *,
    points: int = INPUT_POINTS,
    filters: tuple[int, int, int, int] = (24, 32, 64, 96),
    dense: int = 768,
    dropout: float = 0.3,
    seed: int = 0,
    dtype: str = "float32",
) -> keras.Model:
    """Residual 1-D ConvNet; where a line lies matters, so its last map is flattened, not pooled.

    Parameters
    ----------
    classes : int
        Length of the softmax.
    points : int
        Length of the input (`pattern.network_input`).
    filters : tuple of int
        Of the stem and of the three resolutions.
    dense, dropout
        Width of the hidden layer, dropout before and after it.
    seed : int
        Of weights and dropout.
    dtype : str
        Keras' policy of the hidden layers: ``"mixed_bfloat16"`` trains a fifth faster on
        processors with AVX-512 BF16.
    """
    import keras
    from keras import layers

    seeds = _seeds(seed)

    def convolution(x: Any, width: int, kernel: int, stride: int, relu: bool = True) -> Any:
        x = layers.Conv1D(
            width,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
            dtype=dtype,
        )(x)
        x = layers.BatchNormalization(momentum=0.98, dtype=dtype)(x)
        return layers.ReLU(dtype=dtype)(x) if relu else x

    def block(x: Any, width: int, kernel: int, stride: int) -> Any:
        y = convolution(convolution(x, width, kernel, stride), width, kernel, 1, relu=False)
        if stride > 1:
            x = layers.AveragePooling1D(stride, padding="same", dtype=dtype)(x)
        if x.shape[-1] != width:
            x = convolution(x, width, 1, 1, relu=False)
        return layers.ReLU(dtype=dtype)(layers.Add(dtype=dtype)([x, y]))

    inputs = keras.Input((points,), name="pattern")
    x: Any = layers.Reshape((points, 1), dtype=dtype)(inputs)
    x = convolution(x, filters[0], 15, 4)
    x = layers.MaxPooling1D(2, dtype=dtype)(x)
    x = block(x, filters[1], 7, 1)
    x = block(x, filters[2], 7, 3)
    x = block(x, filters[2], 7, 1)
    x = block(x, filters[3], 5, 3)
    x = block(x, filters[3], 5, 1)
    x = layers.Flatten(dtype=dtype)(x)
    x = layers.Dropout(dropout, seed=next(seeds), dtype=dtype)(x)
    x = _hidden(x, dense, dropout, next(seeds), dtype)
    return _with_softmax(inputs, x, classes, next(seeds), "resnet")


def dense_network(
    classes: int = 230,
    *,
    points: int = POINTS,
    units: tuple[int, ...] = (2000, 1000, 500),
    dropout: float = 0.2,
    seed: int = 0,
    dtype: str = "float32",
) -> keras.Model:
    """Fully connected network on the whole pattern, the kind Vecsei et al. (2019) found best.

    Parameters
    ----------
    classes, points : int
        Length of the softmax and of the pattern.
    units : tuple of int
        Of the hidden layers.
    dropout : float
        After each of them.
    seed, dtype
        See `residual_network`.
    """
    import keras

    seeds = _seeds(seed)
    inputs = keras.Input((points,), name="pattern")
    x: Any = inputs
    for width in units:
        x = _hidden(x, width, dropout, next(seeds), dtype)
    return _with_softmax(inputs, x, classes, next(seeds), "dense")


def conv_network(
    classes: int = 230,
    *,
    points: int = POINTS,
    seed: int = 0,
    dtype: str = "float32",
) -> keras.Model:
    """Convolutional network of Park et al., IUCrJ 4, 486 (2017), as Vecsei et al. used it.

    80 filters of 100, 50 and 25 points with strides 5, 5 and 2, each with dropout 0.3 and average
    pooling over 3; then dense layers of 2300 and 1150 units with dropout 0.5 for space groups, of
    700 and 70 for crystal systems.

    Parameters
    ----------
    classes, points : int
        Length of the softmax and of the pattern.
    seed, dtype
        See `residual_network`.
    """
    import keras
    from keras import layers

    seeds = _seeds(seed)
    inputs = keras.Input((points,), name="pattern")
    x: Any = layers.Reshape((points, 1), dtype=dtype)(inputs)
    for kernel, stride, pool in ((100, 5, 2), (50, 5, 3), (25, 2, 3)):
        x = layers.Conv1D(
            80,
            kernel,
            strides=stride,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
            dtype=dtype,
        )(x)
        x = layers.Dropout(0.3, seed=next(seeds), dtype=dtype)(x)
        x = layers.AveragePooling1D(3, strides=pool, dtype=dtype)(x)
    x = layers.Flatten(dtype=dtype)(x)
    for width in (2300, 1150) if classes > 7 else (700, 70):
        x = _hidden(x, width, 0.5, next(seeds), dtype)
    return _with_softmax(inputs, x, classes, next(seeds), "conv")


def make_network(
    name: str, classes: int = 230, *, seed: int = 0, dtype: str = "float32"
) -> keras.Model:
    """One of `NETWORKS`.

    Raises
    ------
    InputError
        There is no network of this name.
    """
    if name not in NETWORKS:
        raise InputError(f"network {name!r} is unknown: use one of {', '.join(NETWORKS)}")
    return NETWORKS[name](classes, seed=seed, dtype=dtype)


def _hidden(x: Any, units: int, dropout: float, seed: int, dtype: str) -> Any:
    import keras
    from keras import layers

    x = layers.Dense(
        units,
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
        dtype=dtype,
    )(x)
    return layers.Dropout(dropout, seed=seed, dtype=dtype)(x)


def _with_softmax(inputs: Any, x: Any, classes: int, seed: int, name: str) -> Any:
    """Logits and softmax in float32, whatever the hidden layers are."""
    import keras
    from keras import layers

    x = layers.Dense(
        classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        name="logits",
        dtype="float32",
    )(x)
    outputs = layers.Softmax(name="probabilities", dtype="float32")(x)
    return keras.Model(inputs, outputs, name=name)


#: Builders of the networks, by name.
NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "resnet": residual_network,
    "dense": dense_network,
    "conv": conv_network,
}
