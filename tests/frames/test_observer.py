"""An observer that goes on with a file: the Lindemann parameter as if it had never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.observer import Observer
from ase_crystalnet.io.results import hdf5_writer
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.memory import write_memory
from tests.support.fakes import FakeAnalyzer, frames


@pytest.mark.parametrize("window", [2, 3, "all"])
@pytest.mark.parametrize("sizes", [(2,) * 9, (2, 2, 3, 3, 3, 2, 2, 2, 1)])
def test_an_observer_that_goes_on_gives_the_lindemann_parameter_to_the_bit(
    tmp_path: Path, window: Any, sizes: tuple[int, ...]
) -> None:
    """Also where atoms come and go, and in another order, by their ids."""
    rng = np.random.default_rng(4)
    structures = []
    for atoms in (frames(1, size=size)[0] for size in sizes):
        atoms.arrays["id"] = np.arange(len(atoms))
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.set_cell(atoms.cell * rng.uniform(0.99, 1.01), scale_atoms=True)
        structures.append(atoms[rng.permutation(len(atoms))])
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    with Observer(FakeAnalyzer(), whole, lindemann=window) as observer:
        for atoms in structures:
            observer(atoms)
    for begin, end in ((0, 1), (1, 4), (4, 4), (4, 5), (5, 9)):
        with Observer(FakeAnalyzer(), parts, lindemann=window, resume=True) as observer:
            for atoms in structures[begin:end]:
                observer(atoms)
    with ResultFile(whole) as one, ResultFile(parts) as other:
        assert len(one) == len(other) == 9
        assert np.isfinite(one[3 if sizes[2] == sizes[3] else 1].lindemann).all()
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first.lindemann, second.lindemann)


def test_an_observer_that_stopped_within_a_frame_goes_on_from_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of a frame is on disk before the frame counts."""
    structures = frames(6)
    whole, path = tmp_path / "whole.h5", tmp_path / "run.h5"
    with Observer(FakeAnalyzer(), whole, lindemann=3) as observer:
        for atoms in structures:
            observer(atoms)
    observer = Observer(FakeAnalyzer(), path, lindemann=3)
    for atoms in structures[:4]:
        observer(atoms)
    remembered: list[int] = []

    def stop(*arguments: Any) -> None:
        write_memory(*arguments)
        remembered.append(arguments[-1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hdf5_writer, "write_memory", stop)
        with pytest.raises(KeyboardInterrupt), observer:
            observer(structures[4])
    assert remembered == [5]
    with Observer(FakeAnalyzer(), path, lindemann=3, resume=True) as observer:
        assert observer.frames == 4
        for atoms in structures[4:]:
            observer(atoms)
    with ResultFile(whole) as one, ResultFile(path) as other:
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first.lindemann, second.lindemann)


def test_an_observer_says_where_it_has_nothing_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.h5"
    with monkeypatch.context() as patch:  # as a version before wrote it
        patch.setattr(hdf5_writer, "create_memory", lambda *_: None)
        patch.setattr(hdf5_writer, "write_memory", lambda *_: None)
        with Observer(FakeAnalyzer(), path, lindemann="all") as observer:
            for atoms in frames(3):
                observer(atoms)
    with pytest.warns(UserWarning, match=r"run\.h5: holds nothing to go on from"):
        observer = Observer(FakeAnalyzer(), path, lindemann="all", resume=True)
    with observer:
        observer(frames(1)[0])
        observer(frames(2)[1])
    with ResultFile(path) as result:
        index = result.trajectory().lindemann_index
    assert np.isnan(index).tolist() == [True, False, False, True, False]
    with Observer(FakeAnalyzer(), path, lindemann="all", resume=True) as observer:
        observer(frames(3)[2])
    with ResultFile(path) as result:
        assert np.isfinite(result.trajectory().lindemann_index[-1])


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e300, 7.0])
def test_a_damaged_memory_is_refused(tmp_path: Path, value: float) -> None:
    import h5py

    path = tmp_path / "run.h5"
    with Observer(FakeAnalyzer(), path, lindemann=3) as observer:
        for atoms in frames(4):
            observer(atoms)
    with h5py.File(path, "r+") as file:
        file["memory/state"][0, 5 if value == 7 else 3] = value
        if value == 7:
            file["memory/state"][0, 5] = value  # atoms that are not there
    with pytest.raises(InputError, match=r"run\.h5: damaged"):
        Observer(FakeAnalyzer(), path, lindemann=3, resume=True)
    Observer(FakeAnalyzer(), path, lindemann=3, overwrite=True).close()  # the lock was given back
