"""Small valid files of every kind that is read, made on the spot."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms
from ase.io import write

from tests.support.apt_files import write_apt, write_ato, write_pyccapt
from tests.support.fakes import fake_frame, frames


@dataclass(frozen=True)
class Seed:
    """A valid file: who reads it, its name, its content."""

    target: str
    name: str
    content: bytes


def _written(name: str, atoms: Atoms | list[Atoms], **options: object) -> bytes:
    with TemporaryDirectory() as place:
        path = Path(place) / name
        write(path, atoms, **options)
        return path.read_bytes()


def _dump() -> bytes:
    from tests.support.trajectories import lammps_dump

    with TemporaryDirectory() as place:
        return lammps_dump(Path(place) / "x.dump", 2).read_bytes()


def _trajectories() -> list[Seed]:
    few = frames(2, 1)
    extended = _written("x.extxyz", few)
    dump = _dump()
    files = {
        "x.extxyz": extended,
        "x.xyz": _written("x.xyz", few, format="xyz"),
        "x.dump": dump,
        "x.data": _written("x.data", few[0], format="lammps-data"),
        "POSCAR": _written("POSCAR", few[0], format="vasp"),
        "x.cif": _written("x.cif", few[0]),
        "x.traj": _written("x.traj", few),
        "x.json": _written("x.json", few[0]),
        "x.pdb": _written("x.pdb", few[0]),
        "x.extxyz.gz": gzip.compress(extended),
        "x.dump.gz": gzip.compress(dump),
    }
    import bz2
    import lzma

    files["x.extxyz.xz"] = lzma.compress(extended)
    files["x.dump.bz2"] = bz2.compress(dump)
    files.update(_written_by_others())
    return [Seed("trajectory", name, content) for name, content in files.items()]


#: Rows of docs/formats.md that have a reader of ours, or one that is called by us alone.
OTHERS = (
    "units.dump", "element.dump", "typeless.dump", "x.yaml", "full-nohint.data", "dipole.data",
    "labels.data", "ipi.xyz", "names.xyz", "x.imd", "x.dcd", "x.xtc", "x.trr", "x.nc", "x.ncdf",
    "x.dump.zst",
)  # fmt: skip


def _written_by_others() -> dict[str, bytes]:
    from tests.support.formats import KINDS

    found = {}
    with TemporaryDirectory() as place:
        for kind in KINDS:
            if kind.name in OTHERS:
                path = Path(place) / kind.name
                kind.make(path)
                found[kind.name] = path.read_bytes()
    return found


ANGLES = np.round(np.arange(10.0, 70.0, 0.1), 4)
COUNTS = np.round(1000 * np.exp(-0.5 * ((ANGLES - 40) / 0.3) ** 2) + 20)


def _zip(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def _raw3() -> bytes:
    head = bytearray(712)
    head[:7] = b"RAW1.01"
    struct.pack_into("<II", head, 8, 1, 1)
    struct.pack_into("<dddd", head, 616, 1.5418, 1.5406, 1.54439, 1.39222)
    part = bytearray(304)
    struct.pack_into("<IIdd", part, 0, 304, len(ANGLES), ANGLES[0] / 2, ANGLES[0])
    struct.pack_into("<d", part, 176, 0.1)
    struct.pack_into("<d", part, 240, 1.5406)
    struct.pack_into("<I", part, 252, 4)
    return bytes(head + part) + COUNTS.astype("<f4").tobytes()


def _raw4() -> bytes:
    source = bytearray(120)
    struct.pack_into("<II", source, 0, 30, 120)
    struct.pack_into("<dddd", source, 72, 1.5418, 1.5406, 1.54439, 1.39222)
    note = bytearray(48)
    struct.pack_into("<II", note, 0, 10, 48)
    drive = bytearray(64)
    struct.pack_into("<II", drive, 0, 50, 64)
    drive[12:18] = b"2Theta"
    struct.pack_into("<d", drive, 56, ANGLES[0])
    part = bytearray(160)
    part[32:46] = b"Locked Coupled"
    struct.pack_into("<ddI", part, 72, ANGLES[0], 0.1, len(ANGLES))
    struct.pack_into("<II", part, 136, 4, len(drive))
    head = b"RAW4.00".ljust(61, b"\0")
    return bytes(head + note + source + part + drive) + COUNTS.astype("<f4").tobytes()


def _raw1() -> bytes:
    head = bytearray(156)
    head[:4] = b"RAW "
    struct.pack_into("<Iff", head, 4, len(ANGLES), 1.0, 0.1)
    struct.pack_into("<f", head, 24, ANGLES[0])
    struct.pack_into("<ff", head, 72, 1.54056, 1.54439)
    return bytes(head) + COUNTS.astype("<f4").tobytes()


def _raw2() -> bytes:
    head, part = bytearray(256), bytearray(60)
    head[:4] = b"RAW2"
    struct.pack_into("<H", head, 4, 1)
    struct.pack_into("<ff", head, 190, 1.54056, 1.54439)
    struct.pack_into("<HH", part, 0, 60, len(ANGLES))
    struct.pack_into("<fff", part, 8, 1.0, 0.1, ANGLES[0])
    return bytes(head + part) + COUNTS.astype("<f4").tobytes()


def _stoe() -> bytes:
    head = bytearray(2048)
    head[:14] = b"RAW_1.06Powdat"
    struct.pack_into("<ff", head, 0x142, 1.5406, 1.5444)
    struct.pack_into("<HH", head, 0x1DA, 5, 9)
    struct.pack_into("<H", head, 2048 - 0x1DE, len(ANGLES))
    struct.pack_into("<6f", head, 2048 - 0x1D4, ANGLES[0], 5, ANGLES[-1], 35, 0.1, 0.05)
    struct.pack_into("<II", head, 2048 - 0x188, int(COUNTS.min()), int(COUNTS.max()))
    return bytes(head) + COUNTS.astype("<u4").tobytes().ljust(2560, b"\0")


def _spreadsheet() -> bytes:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    body = "".join(
        f'<row r="{i + 2}"><c r="A{i + 2}"><v>{x}</v></c><c r="B{i + 2}"><v>{y}</v></c></row>'
        for i, (x, y) in enumerate(zip(ANGLES, COUNTS, strict=True))
    )
    head = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    return _zip(
        {
            "xl/workbook.xml": "<workbook/>",
            "xl/sharedStrings.xml": f"<sst {space}><si><t>2theta</t></si><si><t>I</t></si></sst>",
            "xl/worksheets/sheet1.xml": f"<worksheet {space}><sheetData>{head}{body}</sheetData>"
            "</worksheet>",
        }
    )


def _other_scans(rows: str, counts: str) -> dict[str, str | bytes]:
    """Kinds that are told by their content, not by a name of their own."""
    ten = "\n".join(
        " ".join(f"{y:.0f}" for y in COUNTS[i : i + 10]) for i in range(0, len(COUNTS), 10)
    )
    q = 40 * np.pi * np.sin(np.radians(ANGLES / 2)) / 0.7093
    in_q = "".join(f"{x:.6f}  {y:.0f}\n" for x, y in zip(q, COUNTS, strict=True))
    return {
        "steps.dat": f"10.0 0.1 {ANGLES[-1]} title\n{ten}\n",
        "rigaku.dat": f"*TYPE = Raw\n*BEGIN\n*START = 10.0\n*STEP = 0.1\n*COUNT = {len(COUNTS)}\n"
        f"{ten.replace(' ', ', ')}\n*END\n",
        "x.udf": "SampleIdent,x,/\nDataAngleRange, 10.0, 69.9,/\nScanStepSize, 0.1,/\nRawScan\n"
        f"{ten.replace(' ', ', ')}/\n",
        "x.cpi": f"SIETRONICS XRD SCAN\n10.0\n{ANGLES[-1]}\n0.1\nCu\n1.5406\nSCANDATA\n"
        f"{counts.replace(' ', chr(10))}\n",
        "german.txt": rows.replace(" ", "\t").replace(".", ",") + "\n",
        "q.dat": f"# Wavelength: 7.093e-11 m\n#  q_nm^-1   I\n{in_q}",
        "x.xy.gz": gzip.compress(f"{rows}\n".encode()),
        "v1.raw": _raw1(),
        "v2.raw": _raw2(),
        "stoe.raw": _stoe(),
        "x.xlsx": _spreadsheet(),
        "x.gsas": f"title\nBANK 1 {len(COUNTS)} 60 CONST 1000.0 10.0 0 0 STD\n"
        + "\n".join(
            "".join(f"{y:8.0f}" for y in COUNTS[i : i + 10]) for i in range(0, len(COUNTS), 10)
        )
        + "\n",
    }


def _scans() -> list[Seed]:
    rows = "\n".join(f"{x:.2f} {y:.0f}" for x, y in zip(ANGLES, COUNTS, strict=True))
    counts = " ".join(f"{y:.0f}" for y in COUNTS)
    xrdml = (
        '<?xml version="1.0"?>\n<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.5">'
        '<xrdMeasurement><usedWavelength><kAlpha1 unit="Angstrom">1.540598</kAlpha1>'
        "</usedWavelength><scan><dataPoints>\n"
        '<positions axis="2Theta" unit="deg"><startPosition>10.0</startPosition>'
        f"<endPosition>{ANGLES[-1]}</endPosition></positions>\n"
        "<commonCountingTime>1</commonCountingTime>\n"
        f'<intensities unit="counts">{counts}</intensities></dataPoints></scan>'
        "</xrdMeasurement></xrdMeasurements>"
    )
    ras = '*RAS_DATA_START\n*RAS_HEADER_START\n*HW_XG_WAVE_LENGTH_ALPHA1 "1.540593"\n'
    ras += "*RAS_HEADER_END\n*RAS_INT_START\n"
    ras += "\n".join(f"{x:.2f} {y:.0f} 1.0" for x, y in zip(ANGLES, COUNTS, strict=True))
    ras += "\n*RAS_INT_END\n*RAS_DATA_END\n"
    rasx = _zip(
        {
            "root.xml": "<Root/>",
            "Data0/Profile0.txt": "\n".join(
                f"{x:.2f}\t{y:.0f}\t1" for x, y in zip(ANGLES, COUNTS, strict=True)
            ),
            "Data0/MesurementConditions0.xml": "<C><WavelengthKalpha1>1.540593"
            "</WavelengthKalpha1></C>",
        }
    )
    datum = "".join(
        f"<Datum>1,1,{x:.2f},{x / 2:.2f},{y:.0f}</Datum>\n"
        for x, y in zip(ANGLES, COUNTS, strict=True)
    )
    brml = _zip(
        {
            "Experiment0/RawData0.xml": '<RawData><WaveLengthAlpha1 Value="1.5406"/><DataRoutes>'
            '<DataRoute><ScanInformation ScanName="TwoTheta"/>'
            f"{datum}</DataRoute></DataRoutes></RawData>"
        }
    )
    cif = "data_x\n_diffrn_radiation_wavelength 1.5406\nloop_\n_pd_meas_2theta_scan\n"
    cif += "_pd_meas_counts_total\n" + rows + "\n"
    uxd = f"; comment\n_FILEVERSION=1\n_WL1=1.5406\n_START=10.0\n_STEPSIZE=0.1\n_COUNTS\n{counts}\n"
    files: dict[str, str | bytes] = {
        **_other_scans(rows, counts),
        "x.xy": f"# wavelength = 1.5406 Angstrom\n{rows}\n",
        "x.csv": "two_theta,intensity\n" + rows.replace(" ", ",") + "\n",
        "x.xrdml": xrdml,
        "x.ras": ras,
        "x.rasx": rasx,
        "x.brml": brml,
        "x3.raw": _raw3(),
        "x4.raw": _raw4(),
        "x.cif": cif,
        "x.uxd": uxd,
    }
    return [
        Seed("scan", name, text if isinstance(text, bytes) else text.encode())
        for name, text in files.items()
    ]


def _atom_probe() -> list[Seed]:
    rng = np.random.default_rng(0)
    ions = np.empty((300, 4), ">f4")
    ions[:, :3] = rng.uniform(-3, 3, (300, 3))
    ions[:, 3] = rng.choice([27.0, 13.5, 58.7], 300)
    more = np.zeros((300, 7), ">f4")
    files = {
        "x.pos": ions.tobytes(),
        "x.epos": np.hstack([ions, more]).astype(">f4").tobytes(),
        "x.rrng": b"[Ions]\nNumber=2\nIon1=Al\nIon2=Ni\n[Ranges]\nNumber=2\n"
        b"Range1=26.8 27.2 Vol:0.01661 Al:1 Color:00FF00\n"
        b"Range2=58.0 59.0 Vol:0.01094 Ni:1 Color:FF0000\n",
        "x.rng": b"2 2\nAluminium\nAl 0.0 1.0 0.0\nNickel\nNi 1.0 0.0 0.0\n"
        b"------------------- Al Ni\n. 26.8 27.2 1 0\n. 58.0 59.0 0 1\n",
        "x.env": b"2 2\nAl 0 1 0\nNi 1 0 0\nAl 26.8 27.2 0.0166 1\nNi 58.0 59.0 0.0109 1\n",
        **_other_atom_probe(ions),
    }
    if find_spec("ifes_apt_tc_data_modeling"):
        with TemporaryDirectory() as place:
            write_apt(Path(place) / "x.apt", ions[:, :3], ions[:, 3])
            files["x.apt"] = (Path(place) / "x.apt").read_bytes()
    return [Seed("atom probe", name, content) for name, content in files.items()]


def _other_atom_probe(ions: np.ndarray) -> dict[str, bytes]:
    """Kinds that few programs write."""
    row = (
        "<item><masstochargebegin>{}</masstochargebegin><masstochargeend>{}</masstochargeend><ions>"
        "<item><volume>0.0166</volume><atoms><item><atomicnumber>{}</atomicnumber></item></atoms>"
        "</item></ions></item>"
    )
    rows = "".join(row.format(*words) for words in ((26.8, 27.2, 13), (58.0, 59.0, 28)))
    text = "\n".join(",".join(f"{value:.4f}" for value in ion) for ion in ions.tolist())
    files = {
        "x.csv": f"x (nm),y (nm),z (nm),m/n (Da)\n{text}\n".encode(),
        "little.pos": ions.astype("<f4").tobytes(),
        "isotopes.rrng": b"[Ions]\nNumber=1\nIon1=Fe\n[Ranges]\nNumber=2\n"
        b"Range1=27.9 28.1 56Fe:1 Charge:2\nRange2=26.8 27.2 Vol:0.0118 Fe54:1 Charge:2\n",
        "x.fig.txt": b"27Al + 26.8 27.2\n58Ni ++ 28.9 29.1\n16O 1H2+ 17.9 18.1\n",
        "x.xrng": f"<?xml version='1.0'?><x><ranges>{rows}</ranges></x>".encode(),
        "x_range.csv": b"name;mc_low;mc_up;color;element;complex\n"
        b"AlO;42.8;43.2;#ff0000;['Al', 'O'];[1, 1]\nNi;58.0;59.0;#00ff00;['Ni'];[1]\n",
    }
    positions, mass = ions[:, :3].astype(np.float64), ions[:, 3].astype(np.float64)
    columns = {f"{axis} (nm)": positions[:, i] for i, axis in enumerate("xyz")}
    with TemporaryDirectory() as place:
        folder = Path(place)
        for version in (3, 5):
            write_ato(folder / f"{version}.ato", positions, mass, version=version)
        write_pyccapt(folder / "x.h5", {**columns, "mc (Da)": mass, "delta_p": np.arange(300)})
        made = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {**files, **dict(sorted(made.items()))}


def _result() -> list[Seed]:
    from ase_crystalnet.io.results.hdf5_writer import HDF5Writer

    with TemporaryDirectory() as place:
        path = Path(place) / "x.h5"
        with HDF5Writer(path) as writer:
            for number, atoms in enumerate(frames(2, 1)):
                writer.append(fake_frame(atoms), number, "x.extxyz")
        return [Seed("result", "x.h5", path.read_bytes())]


def _models() -> list[Seed]:
    from tests.support.tiny_models import write_card, write_network

    with TemporaryDirectory() as place:
        folder = Path(place)
        write_network(folder / "model.keras")
        write_card(folder)
        return [
            Seed("card", "card.json", (folder / "card.json").read_bytes()),
            Seed("network", "model.keras", (folder / "model.keras").read_bytes()),
        ]


def _library() -> list[Seed]:
    from ase_crystalnet.xrd.answer.library import PatternLibrary
    from ase_crystalnet.xrd.phases.library import PhaseLibrary

    with TemporaryDirectory() as place:
        path = Path(place) / "x.npz"
        PatternLibrary.load().subset(np.arange(12)).save(path)
        packed = path.read_bytes()
        # Damage to a compressed array is caught by its checksum: stored, it is met by the checks.
        with np.load(path) as arrays:
            np.savez(path, **dict(arrays))
        found = [Seed("library", "x.npz", packed), Seed("library", "y.npz", path.read_bytes())]
        PhaseLibrary.load().subset(np.arange(12)).save(path)
        found.append(Seed("phases", "x.npz", path.read_bytes()))
        with np.load(path) as arrays:
            np.savez(path, **dict(arrays))
        return [*found, Seed("phases", "y.npz", path.read_bytes())]


def _geometry() -> list[Seed]:
    atoms = frames(1, 2)[0]
    numbers = np.concatenate([atoms.cell.array.ravel(), atoms.positions.ravel()])
    return [
        Seed("geometry", "x.txt", " ".join(f"{value:.6g}" for value in numbers).encode()),
        Seed("reflections", "x.txt", " ".join(f"{value:.6g}" for value in numbers[:21]).encode()),
    ]


MAKERS: dict[str, Callable[[], list[Seed]]] = {
    "trajectories": _trajectories,
    "scans": _scans,
    "atom probe": _atom_probe,
    "result": _result,
    "models": _models,
    "library": _library,
    "geometry": _geometry,
}


def all_seeds(networks: bool = True) -> list[Seed]:
    """Every seed; those of networks need TensorFlow."""
    return [
        seed for name, make in MAKERS.items() if networks or name != "models" for seed in make()
    ]
