"""Networks on diffraction fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["local_network"]


def local_network(
    classes: int,
    *,
    filters: tuple[int, int, int] = (24, 48, 96),
    dense: int = 128,
    dropout: float = 0.25,
    seed: int = 0,
) -> keras.Model:
    """ConvNet of the model "local": strided stem, 3x3 kernels, no global pooling.

    Where a spot lies is the information, so the last feature map (8 x 8) goes whole into the
    dense layer. 19 M multiply-adds an image, a fourteenth of Ziletti's Table 2.

    Parameters
    ----------
    classes : int
        Length of the softmax.
    filters : tuple of int
        At strides 2, 4 and 8.
    dense, dropout
        Width of the hidden layer and dropout before it.
    seed : int
        Of the weights.
    """
    import keras
    from keras import layers

    initializer = iter(range(seed * 1000, seed * 1000 + 1000))

    def convolution(x: object, width: int, kernel: int, stride: int) -> object:
        x = layers.Conv2D(
            width,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=next(initializer)),
        )(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    inputs = keras.Input((64, 64, 3), name="fingerprint")
    x: object = convolution(inputs, filters[0], 5, 2)
    x = convolution(x, filters[1], 3, 2)
    x = convolution(x, filters[1], 3, 1)
    x = convolution(x, filters[2], 3, 2)
    x = convolution(x, filters[2], 3, 1)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout, seed=next(initializer))(x)
    x = layers.Dense(
        dense,
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=next(initializer)),
    )(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dense(
        classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(initializer)),
        name="logits",
    )(x)
    outputs = layers.Softmax(name="probabilities")(x)
    return keras.Model(inputs, outputs, name="local")
