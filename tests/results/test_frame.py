"""Results: shapes are checked, sums are right, and what is attached survives a file."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryBuilder
from tests.support.fakes import CLASSES, fake_frame, frames


@pytest.fixture
def frame() -> FrameAnalysis:
    return fake_frame(frames(1, size=3)[0], min_certainty=0.7)


def test_shapes_are_checked_and_named(frame: FrameAnalysis) -> None:
    with pytest.raises(
        InputError, match=r"probabilities: expected shape \(W, C\) = \(108, 8\), got"
    ):
        replace(frame, probabilities=frame.probabilities[:, :7])
    with pytest.raises(InputError, match=r"lattice: expected shape \(W, 3, 3\).*got \(108, 3\)"):
        replace(frame, lattice=frame.lattice[:, 0])
    with pytest.raises(InputError, match=r"lindemann: expected shape \(N,\) = \(108,\)"):
        frame.with_lindemann(np.zeros(5))
    with pytest.raises(InputError, match=r"atom_labels: expected -1 \(refused\) to 7, got .* to 8"):
        replace(frame, atom_labels=np.where(frame.atom_labels < 0, 8, frame.atom_labels))


def test_frozen(frame: FrameAnalysis) -> None:
    with pytest.raises(FrozenInstanceError):
        frame.certainty = frame.order  # type: ignore[misc]


def test_types_are_those_documented(frame: FrameAnalysis) -> None:
    for name, quantity in FrameAnalysis.quantities().items():
        if (array := getattr(frame, name)) is not None:
            assert array.dtype == quantity.dtype, name


@settings(max_examples=25, deadline=None)
@given(threshold=st.floats(0, 1), seed=st.integers(0, 100))
def test_fractions_and_refusals_sum_to_one(threshold: float, seed: int) -> None:
    frame = fake_frame(frames(1, seed=seed)[0], min_certainty=threshold)
    assert frame.class_fractions.sum() + frame.refused_fraction == pytest.approx(1)
    assert frame.refused_fraction == pytest.approx(np.mean(frame.atom_certainty < threshold))
    assert sum(count for _, count, *_ in frame.phases()) == frame.number_of_atoms


def test_means_pass_over_atoms_without_answer(frame: FrameAnalysis) -> None:
    certainty = frame.atom_certainty.copy()
    certainty[:10] = np.nan
    probabilities = frame.atom_probabilities.copy()
    probabilities[:10] = np.nan
    holed = replace(frame, atom_certainty=certainty, atom_probabilities=probabilities)
    assert holed.mean_certainty == pytest.approx(np.mean(certainty[10:]))
    assert holed.mean_probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_snapshot_lindemann(frame: FrameAnalysis) -> None:
    crystal = frame.rank == 3
    np.testing.assert_allclose(frame.snapshot_lindemann[crystal], np.sqrt(0.03) / 2.5, rtol=1e-5)
    assert np.isnan(frame.snapshot_lindemann[~crystal]).all()
    assert frame.mean_snapshot_lindemann == pytest.approx(np.sqrt(0.03) / 2.5)
    assert np.isnan(frame.lindemann_index)


def test_repr_is_a_table_of_phases(frame: FrameAnalysis) -> None:
    text = repr(frame.with_lindemann(np.full(108, 0.125)))
    assert text.startswith("FrameAnalysis: 108 atoms, 108 windows, model fake")
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:-1]}
    assert set(rows) <= {*CLASSES, "refused"}
    assert int(rows["fcc"][1]) == np.sum(frame.atom_labels == 4)
    assert list(rows)[-1] == "refused"
    assert "0.125 (trajectory), 0.069 (this frame alone)" in text


def test_attach_survives_extxyz(frame: FrameAnalysis, tmp_path: Path) -> None:
    atoms = frames(1, size=3)[0]
    frame = frame.with_lindemann(np.linspace(0, 0.2, 108))
    assert frame.attach(atoms) is atoms
    assert atoms.arrays["crystalnet_label"].dtype == np.int8
    write(tmp_path / "out.extxyz", atoms)
    back = read(tmp_path / "out.extxyz")
    for name in (
        "label",
        "class",
        "certainty",
        "order",
        "orientation",
        "probabilities",
        "lindemann",
    ):
        was, now = atoms.arrays[f"crystalnet_{name}"], back.arrays[f"crystalnet_{name}"]
        if name == "class":
            assert now.tolist() == was.tolist()
            assert set(now) == {"fcc", "disordered", "refused"}
        else:
            np.testing.assert_allclose(now, was, atol=1e-7)
    assert back.info["crystalnet_classes"].split() == list(CLASSES)
    np.testing.assert_allclose(back.info["crystalnet_class_fractions"], frame.class_fractions)
    assert back.info["crystalnet_mean_certainty"] == pytest.approx(frame.mean_certainty)
    assert back.info["crystalnet_lindemann_index"] == pytest.approx(0.1)
    assert back.info["crystalnet_model"] == "fake"


def test_attach_again_forgets_the_old_lindemann(frame: FrameAnalysis) -> None:
    atoms = frames(1, size=3)[0]
    frame.with_lindemann(np.zeros(108)).attach(atoms)
    frame.attach(atoms)
    assert "crystalnet_lindemann" not in atoms.arrays
    assert "crystalnet_lindemann_index" not in atoms.info


def test_attach_refuses_other_atoms(frame: FrameAnalysis) -> None:
    with pytest.raises(InputError, match="of 108 atoms, given 32"):
        frame.attach(frames(1, size=2)[0])


def test_trajectory_of_summaries() -> None:
    builder = TrajectoryBuilder(CLASSES, {"model": "fake"})
    analyses = [fake_frame(atoms) for atoms in frames(4)]
    for number, analysis in enumerate(analyses):
        builder.append(analysis, number * 5, "md.xyz")
    result = builder.build()
    assert len(result) == 4
    assert result.frames.tolist() == [0, 5, 10, 15]
    np.testing.assert_allclose(result.class_fractions[2], analyses[2].class_fractions)
    columns = result.columns()
    assert {len(values) for values in columns.values()} == {4}
    assert columns["fraction_fcc"] == result.class_fractions[:, 4].tolist()
    assert len(result.rows()) == 4
    assert "disordered" in repr(result)
    assert "bct139" not in repr(result)
    longer = TrajectoryBuilder(CLASSES)
    longer.extend(result)
    longer.append(analyses[0], 20)
    assert longer.build().frames.tolist() == [0, 5, 10, 15, 20]


def test_trajectory_of_nothing() -> None:
    assert len(TrajectoryBuilder(CLASSES).build()) == 0


def test_trajectory_refuses_other_classes() -> None:
    with pytest.raises(InputError, match="expected classes"):
        TrajectoryBuilder(("fcc", "bcc")).append(fake_frame(frames(1)[0]))
