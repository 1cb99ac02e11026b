"""From a feature map of a ConvNet back to the image, by transposed convolutions.

The way back of a linear layer (convolution of any stride, batch normalisation, mean pooling) is its
transpose with the layer's own weights; of a strided convolution that is the fractionally strided
convolution. TensorFlow computes it when it differentiates, so the network is cloned with other
rules for what is not linear, and differentiated: any graph of known layers can be walked.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ase_crystalnet._compute.types import Float32
from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.errors import ModelError

__all__ = ["BackProjection", "Unpooling"]
Unpooling = Literal["switches", "repeat"]

#: Each has a kernel over pixels; numbered from 1 in the order of the data.
_CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
_ACTIVATIONS = ("ReLU", "Activation")
#: A feature map is what leaves these after a convolution, as far as the next activation.
_TRANSPARENT = ("BatchNormalization", "Dropout", "SpatialDropout2D", "GaussianDropout")
_OTHERS = (
    "InputLayer",
    "ZeroPadding2D",
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "Flatten",
    "Reshape",
    "Dense",
    "Softmax",
    "Add",
    "Concatenate",
)
_BATCH = 64  # images at a time; a Table 2 network holds 1.5 MB of feature maps for each


class BackProjection:
    """Feature maps of a network, and their way back to its input.

    Going back, a rectifier passes what is positive, and only where it was lit on the way forward
    (as in the code of Ziletti et al. 2018 and in guided backpropagation, Springenberg et al. 2015);
    a maximum pooling returns its input to the pixel that had won (`"switches"`, Zeiler & Fergus,
    ECCV 2014) or to all pixels of its window (`"repeat"`, Ziletti et al.). Biases are left out.

    Parameters
    ----------
    network : keras.Model
        From (None, H, W, channels) to (None, classes), ending in a softmax.
    unpooling : {'switches', 'repeat'}
    name : str
        Of the model, for messages.

    Raises
    ------
    ModelError
        The network has no convolution, or a layer that no rule is known for.
    """

    def __init__(
        self, network: Any, unpooling: Unpooling = "switches", name: str = "given"
    ) -> None:
        keras = import_keras()
        _check_layers(network, name)
        self.convolutions, self._forward = _clone(network, None)
        if not self.convolutions:
            raise ModelError(f"model {name!r} has no convolution: it has no response maps")
        clone = _clone(network, unpooling)[1]
        # One network for each feature map, so that no more is computed than leads to it.
        self._back = [keras.Model(clone.inputs[0], feature) for feature in clone.outputs[1:]]
        self._input_shape: tuple[int, ...] = tuple(network.input_shape[1:])

    def feature_maps(self, inputs: Float32) -> tuple[Float32, list[Float32]]:
        """Logits and feature maps.

        Parameters
        ----------
        inputs : (B, H, W, channels) array
            What the network sees.

        Returns
        -------
        logits : (B, classes) array
            Input of the softmax.
        features : list of (B, h, w, filters) arrays
            Of each of `convolutions`, after batch normalisation and rectifier.
        """
        parts = [
            [np.asarray(array) for array in self._forward(inputs[i : i + _BATCH], training=False)]
            for i in range(0, len(inputs), _BATCH)
        ]
        logits, *features = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return logits, features

    def evidence(self, inputs: Float32, convolution: int, label: int) -> Float32:
        """What each place of a feature map adds to a class.

        Feature times derivative of the class's logit, less the mean of the other logits (the
        softmax sees differences only). In a network of rectifiers these sum to the logit, up to
        what the biases after the convolution add.

        Parameters
        ----------
        inputs : (B, H, W, channels) array
        convolution, label : int
            Indices into `convolutions` and the classes.

        Returns
        -------
        (B, h, w, filters) float32 array
            Of either sign.
        """
        import tensorflow as tf

        out = []
        for start in range(0, len(inputs), _BATCH):
            images = tf.constant(inputs[start : start + _BATCH])
            with tf.GradientTape() as tape:
                tape.watch(images)
                logits, *features = self._forward(images, training=False)
                count = logits.shape[-1]
                others = (tf.reduce_sum(logits, axis=1) - logits[:, label]) / (count - 1)
                margin = logits[:, label] - others
            feature = features[convolution]
            out.append((feature * tape.gradient(margin, feature)).numpy())
        return np.concatenate(out)

    def back(self, inputs: Float32, convolution: int, start: Float32) -> Float32:
        """Carry values at a feature map back to the input.

        Parameters
        ----------
        inputs : (B, H, W, channels) array
            They set which rectifiers are lit and which pixels win.
        convolution : int
            Index into `convolutions`.
        start : (B, h, w, filters) array
            What to carry back; for a response map the feature map itself, or one filter of it.

        Returns
        -------
        (B, H, W, channels) float32 array
            Of either sign: the input has no rectifier.
        """
        import tensorflow as tf

        out = np.empty((len(inputs), *self._input_shape), np.float32)
        for first in range(0, len(inputs), _BATCH):
            part = slice(first, first + _BATCH)
            images = tf.constant(inputs[part])
            with tf.GradientTape() as tape:
                tape.watch(images)
                feature = self._back[convolution](images, training=False)
            out[part] = tape.gradient(feature, images, output_gradients=tf.constant(start[part]))
        return out


def _check_layers(network: Any, name: str) -> None:
    known = (*_CONVOLUTIONS, *_ACTIVATIONS, *_TRANSPARENT, *_OTHERS)
    last = network.layers[-1]
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in known:
            raise ModelError(
                f"layer {layer.name!r} of model {name!r} is a {kind}: response maps go through "
                f"{', '.join(known)}"
            )
        activation = _activation(layer)
        if activation not in ("linear", "relu") and not (layer is last and activation == "softmax"):
            raise ModelError(
                f"layer {layer.name!r} of model {name!r} has activation {activation!r}: response "
                "maps go through 'relu' and 'linear', and a softmax at the end"
            )


def _activation(layer: Any) -> str:
    """Name of a layer's activation, 'linear' where it has none."""
    kind = type(layer).__name__
    if kind == "ReLU":
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return "relu" if plain else "ReLU with a slope, a maximum or a threshold"
    if kind == "Softmax":
        return "softmax"
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(getattr(activation, "__name__", activation))


def _clone(network: Any, unpooling: Unpooling | None) -> tuple[tuple[str, ...], Any]:
    """A network with the same weights, without its softmax, that also returns its feature maps.

    With `unpooling` it has the rules of the way back, else it is differentiated as it stands.
    Returns the names of the convolutions, and the clone with outputs [logits, *feature maps].
    """
    keras = import_keras()
    names: list[str] = []
    features: dict[int, Any] = {}
    # Tensors between a convolution and its activation, by id, with the convolution's number.
    open_tensors: dict[int, tuple[int, Any]] = {}

    def make(layer: Any) -> Any:
        kind, activation = type(layer).__name__, _activation(layer)
        # In float32, whatever the network was trained in.
        config = {**layer.get_config(), "dtype": "float32"}
        if activation == "softmax":
            if kind == "Dense":
                return type(layer).from_config({**config, "activation": "linear"})
            return keras.layers.Identity(name=layer.name, dtype="float32")
        if unpooling is None:
            return type(layer).from_config(config)
        if kind == "MaxPooling2D" and unpooling == "repeat":
            return keras.layers.Lambda(
                _repeating(layer), layer.output.shape[1:], name=layer.name, dtype="float32"
            )
        if kind == "ReLU":
            return keras.layers.Activation(_rectify, name=layer.name, dtype="float32")
        copy = type(layer).from_config(config)
        if activation == "relu":
            copy.activation = _rectify
        return copy

    def call(layer: Any, *args: Any, **_: Any) -> Any:
        result = layer(*args)  # the other arguments are masks of sequences, always None here
        kind = type(network.get_layer(layer.name)).__name__
        number = open_tensors.get(id(args[0]), (None, None))[0] if args else None
        if kind in _CONVOLUTIONS:
            number = len(names)
            names.append(layer.name)
        elif kind not in (*_TRANSPARENT, *_ACTIVATIONS):
            number = None
        if number is not None:
            features[number] = result
            if kind in _TRANSPARENT or (kind in _CONVOLUTIONS and _activation(layer) == "linear"):
                open_tensors[id(result)] = (number, result)
        return result

    # A Sequential model is seen as the graph it holds.
    graph = keras.Model(network.inputs, network.outputs)
    clone = keras.models.clone_model(graph, clone_function=make, call_function=call)
    for layer in network.layers:
        if layer.weights:
            clone.get_layer(layer.name).set_weights(layer.get_weights())
    outputs = [clone.outputs[0], *(features[number] for number in range(len(names)))]
    return tuple(names), keras.Model(clone.inputs[0], outputs)


def _rectify(values: Any) -> Any:
    """Rectifier; on the way back, pass what is positive where it was lit on the way forward."""
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def rule(x: Any) -> Any:
        return tf.nn.relu(x), lambda upstream: tf.nn.relu(upstream) * tf.cast(x > 0, x.dtype)

    return rule(values)


def _repeating(layer: Any) -> Any:
    """Maximum pooling that returns each value to all pixels of its window."""
    import tensorflow as tf

    size, strides, padding = layer.pool_size, layer.strides, layer.padding.upper()

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def rule(x: Any) -> Any:
        channels = x.shape[-1]

        def back(upstream: Any) -> Any:
            ones = tf.ones((*size, channels, 1), upstream.dtype)
            return tf.nn.depthwise_conv2d_backprop_input(
                tf.shape(x), ones, upstream, (1, *strides, 1), padding
            )

        return tf.nn.max_pool2d(x, size, strides, padding), back

    return rule
