"""Attentive response maps: what in a fingerprint decides the network's answer.

Ziletti et al., Nat. Commun. 9, 2775 (2018), Fig. 5 and Methods, after Kumar et al. ("Explaining the
unexplained", 2017): the feature maps with the strongest response are carried back to the image by
transposed convolutions. The paper ranks filters by the sum of their response, and adds up those of
the last convolution. Such a sum shows the parts of the image that the network uses, not the class
that they support. The evidence for each class does: the contributions of the last feature maps to
its logit, positive and negative ones carried back separately, and their difference. At a Bragg
spot, the evidence correlates with the change of the logit when that spot is erased
(``benchmarks/response_maps.py``).

Maps are in the plane of the detector, on the scale of what the network is given (for the model
"local" the square root of D_F). Their unit is arbitrary; only places and ratios mean something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet._compute.types import Float32
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.errors import InputError
from ase_crystalnet.explain.back_projection import BackProjection, Unpooling

__all__ = ["Explainer", "Explanation", "LayerResponse"]


@dataclass(frozen=True, eq=False)
class LayerResponse:
    """Response maps of the filters of one convolution that a fingerprint lights most.

    Attributes
    ----------
    name : str
        Of the convolution in the network.
    number : int
        Which convolution, from 1.
    filters : (K,) int array
        Brightest first.
    shares : (K,) float array
        Of the sum over all feature maps of the layer (of the evidence for a class, if that ranks).
    maps : (K, P, P, 3) float32 array
        Not negative.
    """

    name: str
    number: int
    filters: NDArray[np.intp]
    shares: NDArray[np.float64]
    maps: Float32


@dataclass(frozen=True, eq=False)
class Explanation:
    """Response maps of one fingerprint.

    Attributes
    ----------
    image : (P, P, 3) float32 array
        The fingerprint D_F.
    classes : tuple of str
    probabilities : (C,) float array
    label : int or None
        Class for which filters were ranked; None: by how brightly they are lit.
    layers : tuple of LayerResponse
        First, third and last convolution.
    filter_sum : (P, P, 3) float32 array
        Sum of the maps of all filters of the last convolution.
    class_maps : (C, P, P, 3) float32 array
        Evidence for each class against the others: positive for it, negative against it.
    """

    image: Float32
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    label: int | None
    layers: tuple[LayerResponse, ...]
    filter_sum: Float32
    class_maps: Float32

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it by name, for ``numpy.savez``."""
        found: dict[str, NDArray[Any]] = {
            "image": self.image,
            "classes": np.array(self.classes),
            "probabilities": self.probabilities,
            "filter_sum": self.filter_sum,
            "class_maps": self.class_maps,
        }
        for layer in self.layers:
            name = f"convolution_{layer.number}"
            found[f"{name}_filters"] = layer.filters
            found[f"{name}_shares"] = layer.shares
            found[f"{name}_maps"] = layer.maps
        return found


class Explainer:
    """Response maps of a model.

    Parameters
    ----------
    classifier : Classifier
    unpooling : {'switches', 'repeat'}
        See `BackProjection`.
    network : keras.Model, optional
        In place of the classifier's own, for comparison; probabilities remain the classifier's.

    Raises
    ------
    ModelError
        The model is no ConvNet, or has a layer that maps cannot be carried back through.

    Examples
    --------
    >>> from ase_crystalnet import Classifier
    >>> from ase_crystalnet.explain.explainer import Explainer
    >>> explainer = Explainer(Classifier("local"))
    >>> explainer.shown[0]
    0
    """

    def __init__(
        self, classifier: Classifier, unpooling: Unpooling = "switches", *, network: Any = None
    ) -> None:
        self.classifier = classifier
        self.unpooling = unpooling
        self._network = classifier.network if network is None else network
        self._projection = BackProjection(self._network, unpooling, classifier.card.name)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.classifier.classes

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the convolutions, first to last."""
        return self._projection.convolutions

    @property
    def shown(self) -> tuple[int, ...]:
        """Indices of the first, third and last convolution (each once, in a small network)."""
        last = len(self.convolutions) - 1
        return tuple(sorted({0, min(2, last), last}))

    def untrained(self, rng: np.random.Generator) -> Explainer:
        """The same network with weights drawn anew: what of a map training did not make.

        Kernels are normal with variance 2 / inputs (He et al. 2015), biases and batch normalisation
        as at the beginning of a training. Adebayo et al. (NeurIPS 2018) found maps of some methods
        to be the same with and without training.
        """
        keras = import_keras()
        network = keras.models.clone_model(self._network)
        for layer in network.layers:
            layer.set_weights(
                [
                    rng.normal(scale=np.sqrt(2 / np.prod(array.shape[:-1])), size=array.shape)
                    if array.ndim > 1
                    else array
                    for array in layer.get_weights()
                ]
            )
        return Explainer(self.classifier, self.unpooling, network=network)

    # ------------------------------------------------------------------ one fingerprint
    def explain(
        self, image: ArrayLike, label: int | str | None = None, top: int = 4
    ) -> Explanation:
        """All response maps of one fingerprint.

        Parameters
        ----------
        image : (P, P, 3) array
            D_F, largest value 1.
        label : int or str, optional
            Rank filters by their evidence for this class instead of by how brightly they are lit.
        top : int
            Filters of each layer.

        Returns
        -------
        Explanation

        Raises
        ------
        InputError
            The image has another shape, the class is unknown, or `top` is not positive.
        """
        images = self._checked(np.asarray(image, np.float32)[None])
        if top < 1:
            raise InputError(f"top={top} is not a positive number of filters")
        chosen = None if label is None else self.index(label)
        layers = tuple(self.layer_responses(images, n, top, chosen)[0] for n in self.shown)
        return Explanation(
            image=images[0],
            classes=self.classes,
            probabilities=self.classifier.predict(images)[0].astype(np.float64),
            label=chosen,
            layers=layers,
            filter_sum=self.filter_sums(images)[0],
            class_maps=self.class_maps(images)[0],
        )

    def index(self, label: int | str) -> int:
        """Index of a class by its name or index; InputError if there is none."""
        if isinstance(label, str):
            if label not in self.classes:
                raise InputError(
                    f"class {label!r} is unknown to model {self.classifier.card.name!r}; it has "
                    f"{', '.join(self.classes)}"
                )
            return self.classes.index(label)
        if not 0 <= label < len(self.classes):
            raise InputError(f"class {label} is none of 0 to {len(self.classes) - 1}")
        return label

    # ------------------------------------------------------------------ batches
    def layer_responses(
        self, images: Float32, convolution: int, top: int = 4, label: int | None = None
    ) -> list[LayerResponse]:
        """The brightest filters of a convolution for each fingerprint, and their maps.

        Parameters
        ----------
        images : (B, P, P, 3) array
            D_F.
        convolution : int
            Index into `convolutions`; negative from the end.
        top : int
            How many filters; fewer where the layer has fewer.
        label : int, optional
            Rank by evidence for this class.
        """
        number = range(len(self.convolutions))[convolution]
        inputs = self.inputs(images)
        features = self.features(inputs, number)
        weight = features
        if label is not None:
            weight = np.maximum(self._projection.evidence(inputs, number, label), 0)
        light = weight.sum(axis=(1, 2), dtype=np.float64)
        order = np.argsort(-light, axis=1, kind="stable")[:, :top]
        share = np.take_along_axis(light, order, axis=1)
        share = share / np.maximum(light.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        return [
            LayerResponse(
                name=self.convolutions[number],
                number=number + 1,
                filters=order[b],
                shares=share[b],
                maps=self._filter_maps(inputs[b], features[b], number, order[b]),
            )
            for b in range(len(images))
        ]

    def filter_sums(self, images: Float32, convolution: int = -1) -> Float32:
        """Sum of the maps of all filters of a convolution, (B, P, P, 3), for each fingerprint."""
        number = range(len(self.convolutions))[convolution]
        inputs = self.inputs(images)
        features = self.features(inputs, number)
        every = np.arange(features.shape[-1])
        return np.stack(
            [
                self._filter_maps(x, feature, number, every).sum(axis=0)
                for x, feature in zip(inputs, features, strict=True)
            ]
        )

    def class_maps(self, images: Float32) -> Float32:
        """Evidence for each class in each fingerprint, (B, C, P, P, 3), of either sign.

        What the last feature maps add to the class's logit above the mean of the others is carried
        back where it is positive and, apart, where it is negative; this is the difference.
        """
        last = len(self.convolutions) - 1
        inputs = self.inputs(images)
        maps = []
        for label in range(len(self.classes)):
            evidence = self._projection.evidence(inputs, last, label)
            for_it, against = (
                np.maximum(self._projection.back(inputs, last, np.maximum(part, 0)), 0)
                for part in (evidence, -evidence)
            )
            maps.append(for_it - against)
        return np.stack(maps, axis=1)

    def margins(self, images: Float32) -> Float32:
        """Logit of each class less the mean of the others, (B, C): what the evidence adds up to."""
        logits = self._projection.feature_maps(self.inputs(images))[0]
        count = logits.shape[1]
        result: Float32 = (logits * count - logits.sum(axis=1, keepdims=True)) / (count - 1)
        return result

    # ------------------------------------------------------------------ steps
    def _checked(self, images: Float32) -> Float32:
        if images.ndim != 4 or images.shape[1:] != (64, 64, 3):
            raise InputError(f"fingerprints have shape {images.shape}; expected (B, 64, 64, 3)")
        return images

    def inputs(self, images: Float32) -> Float32:
        """What the network is given of the fingerprints (B, P, P, 3)."""
        images = self._checked(np.asarray(images, np.float32))
        return np.sqrt(images) if self.classifier.card.input == "sqrt" else images

    def features(self, inputs: Float32, number: int) -> Float32:
        """Feature maps (B, h, w, filters), what is negative left out."""
        return np.maximum(self._projection.feature_maps(inputs)[1][number], 0)

    def _filter_maps(
        self, x: Float32, feature: Float32, number: int, filters: NDArray[np.intp]
    ) -> Float32:
        """Map of each of some filters for one input, (K, P, P, 3), not negative."""
        start = np.zeros((len(filters), *feature.shape), np.float32)
        rows = np.arange(len(filters))
        start[rows, :, :, filters] = np.moveaxis(feature[:, :, filters], -1, 0)
        repeated = np.broadcast_to(x, (len(filters), *x.shape))
        return np.maximum(self._projection.back(repeated, number, start), 0)
