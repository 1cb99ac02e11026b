"""Training of the networks on patterns drawn anew for every batch.

A run has a folder with its plan, its history and its last checkpoint; given the same folder again
it goes on. The learning rate falls along a cosine over the budget, which is a number of patterns,
or a time if that is over first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.training.checkpoint import Checkpoint
from ase_crystalnet.training.model_folder import save_network
from ase_crystalnet.training.powder.network import make_network
from ase_crystalnet.training.powder.plan import XrdPlan
from ase_crystalnet.training.powder.splits import SPLITS, sampling_weights, split_structures
from ase_crystalnet.training.powder.synthetic import SYNTHETIC
from ase_crystalnet.xrd.pattern import SYSTEM_MATRIX, coarse_to_input, system_of
from ase_crystalnet.xrd.simulated.patterns import Recipe, draw_patterns
from ase_crystalnet.xrd.simulated.structures import StructureSet

__all__ = ["accuracy", "held_out_patterns", "held_out_sets", "split_of", "train_network"]

Log = Callable[[str], None]


def split_of(structures: StructureSet, plan: XrdPlan) -> NDArray[np.str_]:
    """The split every network of this package is trained and tested on.

    Random crystals do not change it: they are trained on, but for those that happen to have the
    elements or the structure type of a test set, which belong to nothing. Where there are no
    others, they are split themselves.
    """
    known = structures.source != SYNTHETIC
    if not known.any():
        known[:] = True
    real = structures.subset(known)
    keep = np.isin(real.source, plan.favored)
    split = np.full(len(structures), "train", dtype="<U11")
    rng = np.random.default_rng(plan.split_seed)
    split[known] = split_structures(real, rng, share=plan.held_out, keep=keep)
    for name, kind in (
        ("composition", structures.elements),
        ("type", structures.structure_type),
    ):
        split[~known & np.isin(kind, kind[split == name])] = "neither"
    return split


def labels(structures: StructureSet, index: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Class 0 .. classes - 1 of structures."""
    groups = structures.space_group[index].astype(np.int64)
    return groups - 1 if classes == 230 else system_of(groups)


def inputs_of(
    structures: StructureSet,
    index: NDArray[Any],
    recipe: Recipe,
    rng: np.random.Generator,
    network: str,
) -> NDArray[np.float32]:
    """What a network is shown: the logarithmic axis for "resnet", the pattern itself for others."""
    if network == "resnet":
        return coarse_to_input(draw_patterns(structures, index, recipe, rng, coarse=True))
    return draw_patterns(structures, index, recipe, rng)


def held_out_sets(split: NDArray[np.str_]) -> list[str]:
    """Names of the test sets that are not empty: few structures may have one type only."""
    return [name for name in SPLITS[1:] if (split == name).any()]


def held_out_patterns(
    structures: StructureSet, split: NDArray[np.str_], name: str, recipe: Recipe, network: str,
    most: int = 1500,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:  # fmt: skip
    """Fixed inputs and space groups (1 to 230) of a test set: one pattern of each structure.

    Raises
    ------
    InputError
        The test set is empty.
    """
    index = np.flatnonzero(split == name)
    if not len(index):
        raise InputError(f"no structure is held out for the test set {name!r}: give more of them")
    rng = np.random.default_rng([7, SPLITS.index(name)])
    index = np.sort(rng.permutation(index)[:most])
    inputs = np.concatenate(
        [
            inputs_of(structures, index[i : i + 500], recipe, rng, network)
            for i in range(0, len(index), 500)
        ]
    )
    return inputs, structures.space_group[index].astype(np.int64)


def accuracy(probabilities: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[str, float]:
    """Percent right: crystal system, space group, group among the first five, half refused.

    Parameters
    ----------
    probabilities : (B, 230) or (B, 7) array
    groups : (B,) array of int
        True space groups 1 to 230.
    """
    half = np.argsort(-probabilities.max(axis=1), kind="stable")[: max(len(groups) // 2, 1)]
    if probabilities.shape[1] == 7:
        right = probabilities.argmax(axis=1) == system_of(groups)
        result = {"system": right, "system_half_refused": right[half]}
    else:
        systems = (probabilities @ SYSTEM_MATRIX).argmax(axis=1) == system_of(groups)
        right = probabilities.argmax(axis=1) == groups - 1
        five = np.argsort(-probabilities, axis=1)[:, :5]
        result = {
            "system": systems,
            "group": right,
            "group_top5": (five == (groups - 1)[:, None]).any(axis=1),
            "group_half_refused": right[half],
        }
    return {name: round(100 * float(value.mean()), 2) for name, value in result.items()}


@dataclass
class _State:
    """Everything that changes while training."""

    network: Any
    optimizer: Any
    average: list[Any]
    seen: int = 0
    seconds: float = 0.0

    def checkpoint(self, work: Path) -> Checkpoint:
        """All of it, in the folder of the run."""
        return Checkpoint(work / "checkpoint.npz", self.network, self.optimizer, self.average)

    def save(self, work: Path) -> None:
        self.checkpoint(work).save(seen=self.seen, seconds=self.seconds)

    def restore(self, work: Path) -> bool:
        """Take up what was saved; whether there was anything."""
        progress = self.checkpoint(work).restore()
        if progress is not None:
            self.seen, self.seconds = int(progress["seen"]), float(progress["seconds"])
        return progress is not None

    def averaged(self, plan: XrdPlan) -> Any:
        """The network in float32 with the averaged weights."""
        network = make_network(plan.network, plan.classes, seed=plan.seed)
        source = self.average or self.network.weights
        network.set_weights([np.asarray(v) for v in source])
        return network


def train_network(
    work: Path,
    structures: StructureSet,
    plan: XrdPlan,
    *,
    every: float = 240.0,
    log: Log = lambda text: None,
) -> Any:
    """Train one network and return it with its averaged weights, in float32.

    Parameters
    ----------
    work : Path
        Folder of the run: ``plan.json``, ``history.json``, ``checkpoint.npz``, ``network.keras``.
    structures : StructureSet
    plan : XrdPlan
    every : float
        Seconds between checkpoints; at each the test sets are evaluated and ``network.keras`` is
        written anew.
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        The folder holds a run with another plan.
    """
    keras = import_keras()
    import tensorflow as tf

    work.mkdir(parents=True, exist_ok=True)
    _check_plan(work / "plan.json", plan)
    structures = structures.subset(~np.isin(structures.source, plan.leave_out))
    split = split_of(structures, plan)
    train = np.flatnonzero(split == "train")
    chances = np.cumsum(
        sampling_weights(
            structures.subset(train),
            mineral=plan.mineral,
            favored=plan.favored,
            favor=plan.favor,
            balance=plan.balance,
            synthetic=plan.synthetic,
        )
    )
    tests = {
        name: held_out_patterns(structures, split, name, plan.recipe, plan.network)
        for name in held_out_sets(split)
    }
    keras.utils.set_random_seed(plan.seed)
    learner = make_network(plan.network, plan.classes, seed=plan.seed, dtype=plan.dtype)
    optimizer = keras.optimizers.AdamW(plan.learning_rate, weight_decay=plan.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(learner.trainable_variables)
    average = [tf.Variable(v) for v in learner.weights] if plan.average else []
    state = _State(learner, optimizer, average)
    if state.restore(work):
        log(f"goes on after {state.seen} patterns")
    history: list[dict[str, Any]] = []
    if (work / "history.json").is_file():
        rows = json.loads((work / "history.json").read_text())
        # A run that was killed between the two may have told more than its checkpoint holds.
        history = [row for row in rows if row["patterns"] <= state.seen]
    step = _compiled_step(state, plan)
    started = time.monotonic() - state.seconds
    losses: list[float] = []
    saved = time.monotonic()
    final = False
    for inputs, targets in _batches(structures, train, chances, plan, state.seen):
        state.seconds = time.monotonic() - started
        progress = max(
            state.seen / plan.patterns, state.seconds / plan.seconds if plan.seconds else 0.0
        )
        final = progress >= 1
        if final or time.monotonic() - saved > every:
            network = state.averaged(plan)
            if final:
                fresh = _batches(structures, train, chances, plan, 0)
                _refresh_statistics(network, fresh, plan.statistics)
            row = _report(work, network, state, tests, losses, history)
            log(
                f"{state.seen} patterns, {state.seconds:.0f} s, loss {row['loss']:.3f}, "
                + ", ".join(f"{k} {v.get('group', v['system'])}" for k, v in row["tests"].items())
            )
            saved, losses = time.monotonic(), []
            if final:
                break
        # In a short run, a fiftieth of it is for warming up.
        warm = min(1.0, max((state.seen / plan.batch_size + 1) / plan.warm_up, 50 * progress))
        fallen = 0.5 * (1 + np.cos(np.pi * progress))
        rate = warm * (plan.last_rate + (1 - plan.last_rate) * fallen)
        optimizer.learning_rate.assign(plan.learning_rate * rate)
        quadratic = plan.cost == "alternating" and (state.seen // len(train)) % 2 == 0
        losses.append(float(step(inputs, targets, tf.constant(quadratic))))
        state.seen += len(inputs)
    return network


def _refresh_statistics(
    network: Any, batches: Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]], number: int
) -> None:
    """Means and variances of batch normalization anew: averaged weights need their own."""
    layers = [layer for layer in network.layers if hasattr(layer, "moving_mean")]
    if not layers:
        return
    for i, (inputs, _) in zip(range(number), batches, strict=False):
        for layer in layers:
            layer.momentum = i / (i + 1)  # the mean of all batches
        network(inputs, training=True)


def _check_plan(path: Path, plan: XrdPlan) -> None:
    text = json.dumps(asdict(plan), indent=1)
    if path.is_file() and path.read_text() != text:
        raise InputError(f"{path.parent} holds a run with another plan: choose another folder")
    write_whole(path, text)


def _compiled_step(state: _State, plan: XrdPlan) -> Callable[..., Any]:
    import tensorflow as tf

    network, optimizer = state.network, state.optimizer
    variables = network.trainable_variables

    def cost(targets: Any, probabilities: Any, quadratic: Any) -> Any:
        hot = tf.one_hot(targets, plan.classes)
        smooth = hot * (1 - plan.label_smoothing) + plan.label_smoothing / plan.classes
        return tf.cond(
            quadratic,
            lambda: tf.reduce_mean(tf.reduce_sum((probabilities - hot) ** 2, axis=1)),
            lambda: (
                -tf.reduce_mean(tf.reduce_sum(smooth * tf.math.log(probabilities + 1e-9), axis=1))
            ),
        )

    def step(inputs: Any, targets: Any, quadratic: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = cost(targets, network(inputs, training=True), quadratic)
        gradients = tape.gradient(loss, variables)
        gradients, _ = tf.clip_by_global_norm(gradients, plan.clip)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        # Early on, the average must not hold on to the random start.
        count = tf.cast(optimizer.iterations, tf.float32)
        keep = tf.minimum(plan.average, (1 + count) / (10 + count))
        for mean, variable in zip(state.average, network.weights, strict=False):
            mean.assign(keep * mean + (1 - keep) * tf.cast(variable, mean.dtype))
        return loss

    signature = [
        tf.TensorSpec((None, network.input_shape[1]), tf.float32),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((), tf.bool),
    ]
    return tf.function(step, input_signature=signature, autograph=False)


def _batches(
    structures: StructureSet,
    train: NDArray[np.int64],
    chances: NDArray[np.float64],
    plan: XrdPlan,
    seen: int,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Batches without end, the next one drawn while the last is learned."""

    def make(number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rng = np.random.default_rng([plan.seed, number])
        at = np.searchsorted(chances, rng.random(plan.batch_size) * chances[-1])
        index = train[np.minimum(at, len(train) - 1)]
        return (
            inputs_of(structures, index, plan.recipe, rng, plan.network),
            labels(structures, index, plan.classes),
        )

    number = seen // plan.batch_size
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, number)
        while True:
            number += 1
            batch, coming = coming.result(), pool.submit(make, number)
            yield batch


def _report(
    work: Path,
    network: Any,
    state: _State,
    tests: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]],
    losses: list[float],
    history: list[dict[str, Any]],
) -> dict[str, Any]:
    """Evaluate, write checkpoint, history and network; the row of the history."""
    row = {
        "patterns": state.seen,
        "seconds": round(state.seconds, 1),
        "loss": float(np.mean(losses)) if losses else float("nan"),
        "tests": {
            name: accuracy(network.predict(inputs, batch_size=256, verbose=0), groups)
            for name, (inputs, groups) in tests.items()
        },
    }
    if history and history[-1]["patterns"] == state.seen:  # a finished run, asked for again
        before = history.pop()
        row["seconds"], row["loss"] = before["seconds"], before["loss"]
    history.append(row)
    save_network(network, work / "network.keras")
    # The checkpoint last: with it the row counts as told.
    write_whole(work / "history.json", json.dumps(history, indent=1))
    state.save(work)
    return row
