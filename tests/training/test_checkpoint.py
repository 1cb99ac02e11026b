"""Trainings that are stopped go on as if nothing had happened; what they go on from is whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.training import checkpoint as module
from ase_crystalnet.training.checkpoint import Checkpoint
from tests.support.small_trainings import TRAININGS


class Stopped(Exception):
    """Stands for Ctrl-C."""


class Variable:
    """An array that can be assigned to."""

    def __init__(self, *values: float) -> None:
        self.value = np.array(values)
        self.shape = self.value.shape

    def assign(self, value: Any) -> None:
        self.value = np.array(value)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.value


class Learner:
    """Weights, what dropout remembers, and an optimizer with a memory of its own."""

    def __init__(self, start: float = 0.0, size: int = 2) -> None:
        self.weights = self.trainable_variables = [Variable(*[start] * size)]
        self.random = Variable(start, start)
        self.variables = [*self.weights, self.random]
        self.optimizer = Optimizer(Variable(start))

    def kept(self, path: Path, **options: Any) -> Checkpoint:
        return Checkpoint(path, self, self.optimizer, **options)

    def values(self) -> list[list[float]]:
        return [v.value.tolist() for v in (*self.variables, *self.optimizer.variables)]


class Optimizer:
    def __init__(self, memory: Variable) -> None:
        self.variables = [memory]

    def build(self, variables: Any) -> None:
        assert variables


def test_all_that_changes_is_kept(tmp_path: Path) -> None:
    path, average = tmp_path / "deep" / "state.npz", Variable(7.0)
    assert Learner().kept(path).restore() is None
    one, other = Learner(1.5), Learner()
    one.kept(path, more=[average]).save(epochs=2, random={"state": 2**100})
    taken = Variable(0.0)
    assert other.kept(path, more=[taken]).restore() == {"epochs": 2, "random": {"state": 2**100}}
    assert other.values() == one.values()
    assert taken.value == 7.0
    other.kept(path).remove()
    other.kept(path).remove()  # as often as one likes
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "other",
    [
        lambda path: Learner(size=3).kept(path, settings="a"),
        lambda path: Learner().kept(path, settings="b"),
        lambda path: Learner().kept(path, settings="a", more=[Variable(1.0)]),
    ],
)
def test_the_state_of_another_training_is_refused(tmp_path: Path, other: Any) -> None:
    path = tmp_path / "state.npz"
    Learner().kept(path, settings="a").save()
    with pytest.raises(InputError, match=r"state\.npz holds a training with other settings"):
        other(path).restore()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{}"])
def test_a_damaged_state_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged file") as caught:
        Learner().kept(path).restore()
    assert "\n" not in str(caught.value) and "delete it" in str(caught.value)


def test_a_state_cut_short_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    Learner(2.0).kept(path).save(epochs=1)
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        learner = Learner()
        with pytest.raises(InputError, match="damaged file"):
            learner.kept(path).restore()
        assert learner.values() == Learner().values()  # nothing was taken up in part


def test_states_of_powder_networks_from_before_are_read(tmp_path: Path) -> None:
    """They hold numbers one by one, and not always those of dropout."""
    path = tmp_path / "checkpoint.npz"
    np.savez(path, a0=np.array([3.0, 4.0]), a1=np.array([5.0]), seen=64, seconds=1.5)
    learner = Learner()
    assert learner.kept(path).restore() == {"seen": 64, "seconds": 1.5}
    assert learner.values() == [[3.0, 4.0], [0.0, 0.0], [5.0]]


def test_a_full_disk_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.npz"
    Learner(1.0).kept(path).save(epochs=1)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for place, name in ((os, "replace"), (module.np, "savez")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            with pytest.raises(OSError):
                Learner(2.0).kept(path).save(epochs=2)
        learner = Learner()
        assert learner.kept(path).restore() == {"epochs": 1}
        assert learner.values() == Learner(1.0).values()
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["local", *(pytest.param(n, marks=pytest.mark.slow) for n in TRAININGS if n != "local")]
)
def test_a_training_that_is_stopped_learns_what_a_whole_one_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = TRAININGS[name]
    saved: list[int] = []
    save = Checkpoint.save

    def counted(checkpoint: Checkpoint, **progress: Any) -> None:
        save(checkpoint, **progress)
        saved.append(len(saved))
        if stops and len(saved) in stops:
            raise Stopped

    monkeypatch.setattr(Checkpoint, "save", counted)
    stops: tuple[int, ...] = ()
    whole = train(tmp_path / "whole")
    epochs = len(saved)
    assert epochs == 3
    saved.clear()
    stops = (1, 3)  # in the middle, and when all is learned but not told
    for _ in stops:
        with pytest.raises(Stopped):
            train(tmp_path / "parts")
    parts = train(tmp_path / "parts")
    assert len(saved) == epochs
    # An epoch with other dropout, order or memory of the optimizer moves weights by a thousandth.
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-5)
    assert not list(tmp_path.rglob(".writing-*"))


@pytest.mark.slow
def test_dropout_that_forgets_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above could be blind."""
    begin, save = Checkpoint.__init__, Checkpoint.save

    def forgetful(checkpoint: Checkpoint, *arguments: Any, **options: Any) -> None:
        begin(checkpoint, *arguments, **options)
        assert checkpoint._random
        del checkpoint._variables[-checkpoint._random :]

    def stop(checkpoint: Checkpoint, **progress: Any) -> None:
        save(checkpoint, **progress)
        raise Stopped

    whole = TRAININGS["local"](tmp_path / "whole")
    monkeypatch.setattr(Checkpoint, "__init__", forgetful)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", stop)
        with pytest.raises(Stopped):
            TRAININGS["local"](tmp_path / "parts")
    parts = TRAININGS["local"](tmp_path / "parts")
    assert max(np.abs(a - b).max() for a, b in zip(whole, parts, strict=True)) > 1e-4
