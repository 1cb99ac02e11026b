"""CrystalNet in a flow of jobflow or atomate2: ``CrystalNetMaker().make(structure)``.

The output holds plain values, which any store of jobflow keeps. In a flow it follows a run of
molecular dynamics: ``CrystalNetMaker().make(md.output.structure)``.
"""

from dataclasses import dataclass

from jobflow import Maker, job

from ase_crystalnet import CrystalNet


@dataclass
class CrystalNetMaker(Maker):
    """Job that names the crystals in a structure of pymatgen."""

    name: str = "crystalnet"
    model: str | None = None
    centers: str = "atoms"

    @job
    def make(self, structure):
        frame = CrystalNet(self.model).analyze(structure, centers=self.centers)
        return {
            "fractions": dict(zip(frame.classes, frame.class_fractions.tolist(), strict=True)),
            "order": frame.mean_order,
            "certainty": frame.mean_certainty,
            "lindemann": frame.mean_snapshot_lindemann,
            "model_sha256": frame.metadata["model_sha256"],
        }
