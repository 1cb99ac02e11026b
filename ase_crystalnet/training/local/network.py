"""Networks on diffraction fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["FAST", "Design", "local_network"]


@dataclass(frozen=True)
class Design:
    """Shape of a ConvNet on 64 x 64 fingerprints; stored in the model's card.

    Attributes
    ----------
    stem : tuple of int
        Kernel, stride and filters of the first convolution.
    blocks : tuple of (filters, stride)
        3x3 convolutions after it.
    dense : int
        Width of the hidden layer.
    dropout : float
        Before the hidden layer.
    """

    stem: tuple[int, int, int] = (5, 2, 24)
    blocks: tuple[tuple[int, int], ...] = ((48, 2), (48, 1), (96, 2), (96, 1))
    dense: int = 128
    dropout: float = 0.25

    def multiply_adds(self, classes: int) -> int:
        """Multiply-adds for one image of 64 x 64 x 3."""
        kernel, stride, width = self.stem
        side = -(-64 // stride)
        total = side**2 * kernel**2 * 3 * width
        for filters, stride in self.blocks:
            side = -(-side // stride)
            total += side**2 * 9 * width * filters
            width = filters
        return total + side**2 * width * self.dense + self.dense * classes


#: The network of "local-fast": a third of the operations (benchmarks/network.py).
FAST = Design((6, 4, 48), ((64, 2), (64, 1)))


def local_network(classes: int, design: Design | None = None, *, seed: int = 0) -> keras.Model:
    """ConvNet of the models "local" and "local-fast": strided stem, 3x3 kernels, no global pooling.

    Where a spot lies is the information, so the last feature map goes whole into the dense layer.

    Parameters
    ----------
    classes : int
        Length of the softmax.
    design : Design, optional
        Widths and strides.
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

    design = design or Design()
    kernel, stride, width = design.stem
    inputs = keras.Input((64, 64, 3), name="fingerprint")
    x: object = convolution(inputs, width, kernel, stride)
    for width, stride in design.blocks:
        x = convolution(x, width, 3, stride)
    x = layers.Flatten()(x)
    x = layers.Dropout(design.dropout, seed=next(initializer))(x)
    x = layers.Dense(
        design.dense,
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
