"""What runs a network: onnxruntime, which answers, or TensorFlow, which trains.

Both take the same weights, in the two files of a model folder, and agree to 1e-5 in every
probability (`tests/regression/test_engines.py`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import thread_count
from ase_crystalnet.classifier.card import Card
from ase_crystalnet.classifier.network import Shape, load_network, refuse_forked
from ase_crystalnet.classifier.session import open_session, run_session
from ase_crystalnet.errors import InputError

__all__ = ["ENGINES", "Engine", "Network", "chosen_engine"]

Engine = Literal["onnx", "tensorflow"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

#: Fewer samples are filled up: libraries sum up a few in another order than many, which shows in
#: the last digit, and TensorFlow a single one in an order that depends on the number of threads.
LEAST_BATCH = 8
#: Samples that onnxruntime is shown at a time, in one thread, however many threads there are: so
#: their number cannot matter. More take longer each: what is between layers leaves the cache.
BLOCK = 16


def chosen_engine(card: Card, engine: str | None) -> Engine:
    """The engine asked for; by default "onnx" where the model has that file, else "tensorflow".

    The file that it reads is compared with the card.

    Raises
    ------
    InputError
        There is no engine of this name.
    ModelError
        The model is not there in the form that it needs, or does not fit its card.
    """
    if engine is None:
        found: Engine = "tensorflow" if card.onnx_sha256 is None else "onnx"
    elif engine in ENGINES:
        found = engine
    else:
        raise InputError(f"engine={engine!r} is unknown: use one of {', '.join(ENGINES)}")
    if found == "onnx":
        card.onnx()
    else:
        card.weights()
    return found


class Network:
    """A trained network that answers.

    Parameters
    ----------
    card : Card
        Of the model.
    engine : {'onnx', 'tensorflow'}
    shapes : tuple of two shapes
        Of input and output, with None for the number of samples.
    root : bool
        Show the network square roots.

    Raises
    ------
    ModelError
        The file cannot be read, has changed, or has not these shapes.
    InputError
        The engine is TensorFlow, which is not installed.
    WorkerError
        This process was forked from one that has a network in use.
    """

    def __init__(
        self, card: Card, engine: Engine, shapes: tuple[Shape, Shape], *, root: bool = False
    ) -> None:
        self.engine = engine
        self._input, self._output = shapes
        self._root = root
        # The hash again: the file may have changed since, and is opened only if it has not.
        if engine == "onnx":
            self._session = open_session(card.onnx(), shapes)
        else:
            self._call = self._compiled(load_network(card.weights(), shapes=shapes))

    def __call__(self, samples: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        """Outputs of the network.

        Parameters
        ----------
        samples : (B, ...) float32 array
        batch_size : int
            Samples the network sees at a time; onnxruntime in blocks of at most 16, each in one
            of ``NUMBA_NUM_THREADS`` threads.

        Returns
        -------
        (B, C) float32 array

        Raises
        ------
        WorkerError
            As of the class.
        """
        refuse_forked()
        out = np.empty((len(samples), self._output[1] or 0), np.float32)
        size = min(batch_size, BLOCK) if self.engine == "onnx" else batch_size
        starts = range(0, len(samples), size)
        threads = min(thread_count(None), len(starts)) if self.engine == "onnx" else 1

        def answer(start: int) -> None:
            part = samples[start : start + size]
            there = len(part)
            if there < LEAST_BATCH:
                part = np.resize(part, (LEAST_BATCH, *part.shape[1:]))
            out[start : start + there] = self._answers(part)[:there]

        if threads <= 1:
            for start in starts:
                answer(start)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(answer, starts))
        return out

    def _answers(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.engine == "tensorflow":
            return np.asarray(self._call(part).numpy())
        return run_session(self._session, np.sqrt(part) if self._root else part)

    def _compiled(self, network: Any) -> Any:
        import tensorflow as tf

        root = self._root

        def predict(samples: Any) -> Any:
            return network(tf.sqrt(samples) if root else samples, training=False)

        signature = [tf.TensorSpec(self._input, tf.float32)]
        return tf.function(predict, input_signature=signature, autograph=False)
