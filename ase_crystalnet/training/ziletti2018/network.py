"""The network of Ziletti et al. 2018, Table 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["ziletti_network"]


def ziletti_network(classes: int, *, seed: int = 0, mixed: bool = False) -> keras.Model:
    """ConvNet of Ziletti et al., Nat. Commun. 9, 2775 (2018), Table 2.

    Convolutions 7 x 7 with 32, 32, 16, 16, 8 and 8 filters, 'same' padding, orthogonal start and
    ReLU; the largest of 2 x 2 after each of the first two pairs; dropout of 0.25, 128 neurons,
    batch normalisation, softmax. 266 M multiply-adds an image.

    Parameters
    ----------
    classes : int
        Length of the softmax.
    seed : int
        Of the weights and the dropout.
    mixed : bool
        Calculate in bfloat16; weights and probabilities stay float32.
    """
    import keras
    from keras import layers

    initializer = iter(range(seed * 1000, seed * 1000 + 1000))

    policy = keras.DTypePolicy("mixed_bfloat16" if mixed else "float32")

    def orthogonal() -> object:
        return keras.initializers.Orthogonal(seed=next(initializer))

    inputs = keras.Input((64, 64, 3), name="fingerprint")
    x: object = inputs
    for pair, width in enumerate((32, 16, 8)):
        for _ in range(2):
            x = layers.Conv2D(
                width,
                7,
                padding="same",
                activation="relu",
                kernel_initializer=orthogonal(),
                dtype=policy,
            )(x)
        if pair < 2:
            x = layers.MaxPooling2D(2, dtype=policy)(x)
    x = layers.Dropout(0.25, seed=next(initializer), dtype=policy)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu", kernel_initializer=orthogonal())(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(classes, kernel_initializer=orthogonal(), name="logits")(x)
    outputs = layers.Softmax(name="probabilities")(x)
    return keras.Model(inputs, outputs, name="ziletti2018")
