"""The examples for other programs' workflows, run as they stand."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from ase_crystalnet import CrystalNet
from ase_crystalnet.cli.app import app
from tests.support import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "workflows"


def hot_copper():
    atoms = bulk("Cu", cubic=True) * 5
    atoms.rattle(0.1, seed=3)
    return atoms


def test_an_analysis_of_mdanalysis(tmp_path: Path) -> None:
    MDAnalysis = pytest.importorskip("MDAnalysis")
    kit = runpy.run_path(str(EXAMPLES / "mdanalysis_kit.py"))["CrystalNetAnalysis"]
    atoms = hot_copper()
    universe = MDAnalysis.Universe.empty(len(atoms), trajectory=True)
    universe.add_TopologyAttr("elements", ["Cu"] * len(atoms))
    moved = np.array([atoms.positions, atoms.positions + 0.5, atoms.positions + 1.0])
    box = [*atoms.cell.lengths(), 90, 90, 90]
    universe.load_new(moved.astype(np.float32), dimensions=np.tile(box, (3, 1)))
    found = kit(universe.atoms, CrystalNet(faults=False)).run(step=2)
    assert found.results.class_fractions.shape == (2, len(found.results.classes))
    assert found.results.class_fractions[:, found.results.classes.index("fcc")].min() > 0.99
    assert found.results.order.shape == found.results.certainty.shape == (2,)


def test_a_maker_of_jobflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobflow = pytest.importorskip("jobflow")
    from pymatgen.io.ase import AseAtomsAdaptor

    monkeypatch.chdir(tmp_path)
    maker = runpy.run_path(str(EXAMPLES / "jobflow_maker.py"))["CrystalNetMaker"]
    structure = AseAtomsAdaptor.get_structure(hot_copper())
    # A job remembers where its maker is defined: as the module of an installed package would be.
    sys.modules["jobflow_maker"] = type(sys)("jobflow_maker")
    try:
        sys.modules["jobflow_maker"].CrystalNetMaker = maker
        maker.__module__ = "jobflow_maker"
        task = maker(centers="grid").make(structure)
        output = jobflow.run_locally(task, log=False, ensure_success=True)[task.uuid][1].output
    finally:
        del sys.modules["jobflow_maker"]
    assert output["fractions"]["fcc"] > 0.99 and 0.5 < output["order"] < 1
    json.dumps(output)


def test_a_function_of_plain_values() -> None:
    classify = runpy.run_path(str(EXAMPLES / "plain_function.py"))["classify"]
    atoms = hot_copper()
    given = {
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.tolist(),
        "pbc": atoms.pbc.tolist(),
        "numbers": atoms.numbers.tolist(),
    }
    answer = json.loads(json.dumps(classify(**json.loads(json.dumps(given)))))
    assert answer["classes"].count("fcc") > 490
    assert sum(answer["fractions"].values()) == pytest.approx(1.0)


def test_commands_of_the_snakefile_exist() -> None:
    import typer

    text = (EXAMPLES / "Snakefile").read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands
    called = re.findall(r"crystalnet (\w+)([^\n]*(?:\n\s+\"[^\n]*)?)", text)
    assert [name for name, _ in called] == ["analyze", "plot"]
    for name, rest in called:
        known = {option for each in commands[name].params for option in each.opts}
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", rest)) <= known


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not installed")
def test_snakemake_runs_it(tmp_path: Path) -> None:
    (tmp_path / "md").mkdir()
    for name in ("one", "two"):
        write(tmp_path / "md" / f"{name}.extxyz", [hot_copper()] * 2)
    done = subprocess.run(
        ["snakemake", "--cores", "1", "--snakefile", str(EXAMPLES / "Snakefile")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fraction_fcc" in (tmp_path / "results" / "two.csv").read_text()
    assert list((tmp_path / "figures" / "one").glob("*.png"))
