"""Materials and runs of `ase_crystalnet.training.md`: data only.

Melting temperatures are the experimental ones or, where the potential's own is well known, that;
a few per cent do not matter here, because every run is checked for what it became. The benchmark's
are those of Chung, Freitas, Cheon and Reed, Phys. Rev. Materials 6, 043801 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BENCHMARK", "TRAINING", "Job", "Material"]


@dataclass(frozen=True)
class Material:
    """An interatomic potential and the crystal that it is started from.

    Parameters
    ----------
    name : str
        Unique in its set.
    structure : {'fcc', 'bcc', 'hcp', 'sc', 'diamond', 'bct'}
        Of the starting crystal; 'bct' is beta-tin.
    symbols : tuple of str
        Chemical symbols of LAMMPS' atom types 1, 2, ...; masses are ASE's for them.
    a, c : float
        Lattice constants in Angstrom; `c` for 'hcp' and 'bct'.
    pair_style : str
        LAMMPS' pair_style in 'metal' units.
    pair_coeff : tuple of str
        Arguments of the pair_coeff commands.
    files : tuple of str
        Potential files that they name.
    melting_temperature : float
        In K.
    timestep : float
        In ps.
    reference : str
        Publication of the potential.
    fractions : tuple of float
        Atomic fractions of `symbols`, for alloys.
    barostat : bool
        False keeps the volume of the starting crystal (fluids of a chosen density).
    melt_expansion : float
        Linear factor by which the box grows before melting; 1 where the liquid is the denser.
    """

    name: str
    structure: str
    symbols: tuple[str, ...]
    a: float
    pair_style: str
    pair_coeff: tuple[str, ...]
    files: tuple[str, ...]
    melting_temperature: float
    timestep: float
    reference: str
    c: float | None = None
    fractions: tuple[float, ...] = (1.0,)
    barostat: bool = True
    melt_expansion: float = 1.04


@dataclass(frozen=True)
class Job:
    """One run: a material in a phase at a temperature, in units of its melting temperature."""

    material: Material
    phase: str
    reduced_temperature: float
    atoms: int
    frames: int
    equilibration: float
    production: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run and, with .npz, of its file."""
        return f"{self.material.name}_{self.phase}_{self.reduced_temperature:.2f}"


def _file(
    name: str,
    structure: str,
    a: float,
    pair_style: str,
    file: str,
    melting_temperature: float,
    reference: str,
    *,
    timestep: float = 0.002,
    c: float | None = None,
    melt_expansion: float = 1.04,
    label: str | None = None,
) -> Material:
    """One element whose potential is one file (plain 'eam' files do not name the element)."""
    coeff = f"* * {file}" if pair_style == "eam" else f"* * {file} {name}"
    return Material(
        name=label or name,
        structure=structure,
        symbols=(name,),
        a=a,
        c=c,
        pair_style=pair_style,
        pair_coeff=(coeff,),
        files=(file,),
        melting_temperature=melting_temperature,
        timestep=timestep,
        reference=reference,
        melt_expansion=melt_expansion,
    )


def _krypton(reduced_density: float) -> Material:
    """Lennard-Jones krypton held at a density (atoms per sigma^3)."""
    sigma, epsilon = 3.65, 0.01413
    return Material(
        name=f"LJ{100 * reduced_density:.0f}",
        structure="fcc",
        symbols=("Kr",),
        a=(4 / reduced_density) ** (1 / 3) * sigma,
        pair_style=f"lj/cut {2.5 * sigma}",
        pair_coeff=(f"* * {epsilon} {sigma}",),
        files=(),
        melting_temperature=114.0,
        timestep=0.004,
        reference="Lennard-Jones, cut at 2.5 sigma",
        barostat=False,
    )


def _kob_andersen() -> Material:
    """Kob and Andersen, Phys. Rev. E 51, 4626 (1995), at density 1.2, in units of Ni80P20."""
    sigma, epsilon = 2.2, 0.0805
    pairs = (("1 1", 1.0, 1.0), ("1 2", 1.5, 0.8), ("2 2", 0.5, 0.88))
    return Material(
        name="KobAndersen",
        structure="fcc",
        symbols=("Ni", "P"),
        fractions=(0.8, 0.2),
        a=(4 / 1.2) ** (1 / 3) * sigma,
        pair_style=f"lj/cut {2.5 * sigma}",
        pair_coeff=tuple(
            f"{which} {e * epsilon:.6f} {s * sigma:.4f} {2.5 * s * sigma:.4f}"
            for which, e, s in pairs
        ),
        files=(),
        melting_temperature=560.0,
        timestep=0.002,
        reference="Kob and Andersen, Phys. Rev. E 51, 4626 (1995)",
        barostat=False,
    )


def _alloy(
    name: str,
    symbols: tuple[str, ...],
    fractions: tuple[float, ...],
    structure: str,
    a: float,
    pair_style: str,
    file: str,
    melting_temperature: float,
    reference: str,
    timestep: float = 0.002,
    melt_expansion: float = 1.04,
    barostat: bool = True,
) -> Material:
    return Material(
        name=name,
        structure=structure,
        symbols=symbols,
        fractions=fractions,
        a=a,
        pair_style=pair_style,
        pair_coeff=(f"* * {file} {' '.join(symbols)}",),
        files=(file,),
        melting_temperature=melting_temperature,
        timestep=timestep,
        reference=reference,
        melt_expansion=melt_expansion,
        barostat=barostat,
    )


def _meam(name: str, structure: str, a: float, c: float | None, parameters: str) -> Material:
    """One element of LAMMPS' library.meam; `parameters` is 'NULL' or a file."""
    return Material(
        name=name,
        structure=structure,
        symbols=(name,),
        a=a,
        c=c,
        pair_style="meam",
        pair_coeff=(f"* * library.meam {name} {parameters} {name}",),
        files=("library.meam", *(() if parameters == "NULL" else (parameters,))),
        melting_temperature={"Sn": 505.0, "Bi": 544.0}[name],
        timestep=0.002,
        reference="library.meam of LAMMPS",
    )


_ZHOU = "Zhou et al., Acta Mater. 49, 4005 (2001)"
_FOILES = "Foiles, Baskes and Daw, Phys. Rev. B 33, 7983 (1986)"
_CU = _file(
    "Cu", "fcc", 3.615, "eam/alloy", "Cu_mishin1.eam.alloy", 1327.0,
    "Mishin et al., Phys. Rev. B 63, 224106 (2001)",
)  # fmt: skip
_NI = _file("Ni", "fcc", 3.52, "eam", "Ni_u3.eam", 1650.0, _FOILES)
_AG = _file("Ag", "fcc", 4.09, "eam", "Ag_u3.eam", 1170.0, _FOILES)
_W = _file("W", "bcc", 3.157, "eam/alloy", "W_zhou.eam.alloy", 3695.0, _ZHOU)
_TA = _file(
    "Ta", "bcc", 3.303, "eam/alloy", "CuTa.eam.alloy", 3290.0,
    "Zhou, Johnson and Wadley, Phys. Rev. B 69, 144113 (2004)",
)  # fmt: skip
_V = _file(
    "V", "bcc", 3.03, "eam/fs", "VFe_mm.eam.fs", 2183.0,
    "Mendelev et al., Phys. Rev. B 76, 214105 (2007)",
)  # fmt: skip
_ZR = _file(
    "Zr", "hcp", 3.22, "eam/fs", "Zr_mm.eam.fs", 2000.0,
    "Mendelev and Ackland, Phil. Mag. Lett. 87, 349 (2007)", c=5.215,
)  # fmt: skip
_CO = _file(
    "Co", "hcp", 2.507, "eam/alloy", "CoAl.eam.alloy", 1700.0,
    "Pasianot and Savino, Phys. Rev. B 45, 12704 (1992)", c=4.07,
)  # fmt: skip
_SI_SW = _file(
    "Si", "diamond", 5.431, "sw", "Si.sw", 1691.0,
    "Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)", timestep=0.001, melt_expansion=1.0,
    label="SiSW",
)  # fmt: skip
_SI_MOD = _file(
    "Si", "diamond", 5.429, "tersoff/mod", "Si.tersoff.mod", 1681.0,
    "Kumagai et al., Comp. Mat. Sci. 39, 457 (2007)", timestep=0.001, melt_expansion=1.0,
    label="SiMOD",
)  # fmt: skip
_CUZR = _alloy(
    "CuZr", ("Cu", "Zr"), (0.5, 0.5), "bcc", 3.27, "eam/fs", "CuZr_mm.eam.fs", 1200.0,
    "Mendelev, Sordelet and Kramer, J. Appl. Phys. 102, 043501 (2007)",
)  # fmt: skip
_SILICA = _alloy(
    "SiO2", ("Si", "O"), (1 / 3, 2 / 3), "fcc", 3.92, "vashishta", "SiO.1997.vashishta", 2000.0,
    "Broughton et al., Phys. Rev. B 56, 611 (1997)", timestep=0.001, melt_expansion=1.0,
    barostat=False,  # held at 2.2 g/cm^3: started from random sites, it evaporates at zero pressure
)  # fmt: skip
_SN = _meam("Sn", "bct", 5.92, 3.22, "NULL")
_BI = _meam("Bi", "sc", 3.2, None, "Bi.meam")
_KA = _kob_andersen()


def _jobs(
    entries: list[tuple[Material, str, tuple[float, ...]]],
    atoms: int,
    frames: int,
    equilibration: float,
    production: float,
    first_seed: int,
) -> tuple[Job, ...]:
    flat = [(m, phase, t) for m, phase, temperatures in entries for t in temperatures]
    return tuple(
        Job(m, phase, t, atoms, frames, equilibration, production, first_seed + k)
        for k, (m, phase, t) in enumerate(flat)
    )


#: Liquids and glasses to learn 'disordered' from, then hot crystals for validation.
TRAINING: tuple[Job, ...] = (
    *_jobs(
        [
            (_CU, "liquid", (1.0, 1.5)),
            (_W, "liquid", (1.0,)),
            (_SI_SW, "liquid", (1.05, 1.5)),
            (_ZR, "liquid", (1.0, 1.4)),
            (_krypton(0.85), "liquid", (1.0,)),
            (_CUZR, "liquid", (0.9, 1.5)),
            (_NI, "liquid", (0.9,)),
            (_AG, "liquid", (1.2,)),
            (_TA, "liquid", (0.85, 1.3)),
            (_V, "liquid", (1.1,)),
            (_CO, "liquid", (1.0,)),
            (_krypton(0.7), "liquid", (1.2,)),
            (_krypton(1.0), "liquid", (2.5,)),
            (_KA, "liquid", (1.0,)),
        ],
        1700, 3, 4.0, 7.5, 100,
    ),
    *_jobs(
        [
            (_CUZR, "glass", (0.25,)),
            (_SI_MOD, "glass", (0.2,)),
            (_KA, "glass", (0.2,)),
            (_TA, "glass", (0.15,)),
            (_SI_SW, "glass", (0.2,)),
            (_SILICA, "glass", (0.15,)),
        ],
        1700, 3, 3.0, 6.0, 200,
    ),
    *_jobs(
        [
            (_CU, "solid", (0.6, 0.95)),
            (_W, "solid", (0.6, 0.95)),
            (_ZR, "solid", (0.5, 0.7)),
            (_SI_SW, "solid", (0.6, 0.95)),
            (_TA, "solid", (0.9,)),
            (_CO, "solid", (0.6, 0.9)),
            (_AG, "solid", (0.9,)),
            (_SI_MOD, "solid", (0.9,)),
            (_SN, "solid", (0.4, 0.8)),
            (_BI, "solid", (0.2, 0.5)),
        ],
        1700, 2, 6.0, 8.0, 300,
    ),
)  # fmt: skip


def _benchmark() -> tuple[Job, ...]:
    argon = Material(
        name="Ar", structure="fcc", symbols=("Ar",), a=5.25, pair_style="lj/cut 10.2",
        pair_coeff=("* * 0.010341 3.4",), files=(), melting_temperature=83.8, timestep=0.002,
        reference="Lennard-Jones argon, cut at 3 sigma",
    )  # fmt: skip
    lithium = Material(
        name="Li", structure="bcc", symbols=("Li",), a=3.44, pair_style="snap",
        pair_coeff=("* * Li_Zuo_JPCA2020.snapcoeff Li_Zuo_JPCA2020.snapparam Li",),
        files=("Li_Zuo_JPCA2020.snapcoeff", "Li_Zuo_JPCA2020.snapparam"),
        melting_temperature=454.0, timestep=0.002,
        reference="Zuo et al., J. Phys. Chem. A 124, 731 (2020)",
    )  # fmt: skip
    aluminium = _file(
        "Al", "fcc", 4.05, "eam/fs", "Al1.eam.fs", 933.0, "Mendelev, v2_5_fcc (2007)",
        timestep=0.002,
    )  # fmt: skip
    iron = _file(
        "Fe", "bcc", 2.855, "eam/fs", "Fe_2.eam.fs", 1811.0,
        "Mendelev et al., Phil. Mag. 83, 3977 (2003)", timestep=0.002,
    )  # fmt: skip
    titanium = _file(
        "Ti", "hcp", 2.95, "meam/spline", "Ti.meam.spline", 1941.0,
        "Hennig et al., Phys. Rev. B 78, 054121 (2008)", timestep=0.002, c=4.68,
    )  # fmt: skip
    magnesium = _file(
        "Mg", "hcp", 3.184, "eam/fs", "Mg_mm.eam.fs", 923.0,
        "Sun et al., Phys. Rev. B 73, 024116 (2006)", timestep=0.002, c=5.17,
    )  # fmt: skip
    silicon = _file(
        "Si", "diamond", 5.43, "edip", "Si.edip", 1687.0,
        "Justo et al., Phys. Rev. B 58, 2539 (1998)", timestep=0.001, melt_expansion=1.0,
    )  # fmt: skip
    germanium = _file(
        "Ge", "diamond", 5.66, "tersoff", "Ge.tersoff", 1211.0,
        "Mahdizadeh and Akhlamadi, J. Mol. Graph. Model. 72, 1 (2017)", timestep=0.002,
        melt_expansion=1.0,
    )  # fmt: skip
    elements = (aluminium, argon, iron, magnesium, silicon, germanium, titanium)
    solids = (0.6, 0.9, 1.0)
    return (
        *_jobs([(m, "solid", solids) for m in elements], 2000, 3, 8.0, 9.0, 400),
        *_jobs([(m, "liquid", (1.0,)) for m in elements], 2000, 3, 6.0, 7.5, 450),
        # SNAP is a hundred times slower than EAM, so lithium comes last, small and short
        *_jobs([(lithium, "solid", solids)], 1024, 2, 3.0, 3.0, 500),
        *_jobs([(lithium, "liquid", (1.0,))], 1024, 2, 2.0, 4.0, 550),
    )


#: Elements of the DC3 benchmark: crystals up to the melting point, and their melts.
BENCHMARK: tuple[Job, ...] = _benchmark()
