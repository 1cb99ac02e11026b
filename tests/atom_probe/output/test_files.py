"""Results of an atom-probe analysis: HDF5, files for OVITO and ParaView, table, figures."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import ase.io
import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_crystalnet.atom_probe.analysis import AtomProbeOptions, analyze_windows
from ase_crystalnet.atom_probe.classes.classifier import ClassFindings
from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.atom_probe.output import maps as figures
from ase_crystalnet.atom_probe.output import plane_figures as figures_planes
from ase_crystalnet.atom_probe.output.files import check_outputs, window_fields, write_outputs
from ase_crystalnet.atom_probe.output.report import report
from ase_crystalnet.atom_probe.results import (
    AtomProbeAnalysis,
    DepthSpectra,
    read_analysis,
    write_analysis,
)
from ase_crystalnet.atom_probe.search.findings import WindowFindings
from ase_crystalnet.atom_probe.search.poles import Pole
from ase_crystalnet.atom_probe.windows import IonWindower
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.lattice.orientation import HEXAGONAL_AXES
from tests.support import REPOSITORY

RANGES = RangeTable(
    (Ion("Si", (("Si", 1),), volume=20.0), Ion("CrO", (("Cr", 1), ("O", 1)), volume=40.0)),
    np.array([27.5, 67.5]),
    np.array([28.5, 68.5]),
    np.array([0, 1]),
    "tip.rrng",
)


@pytest.fixture(scope="module")
def ions() -> Reconstruction:
    """A box of random ions: Si, CrO and unranged."""
    rng = np.random.default_rng(5)
    points = rng.uniform([0, 0, -90], [60, 50, 0], (5000, 3)).astype(np.float32)
    mass = rng.choice(np.array([28, 68, 99], np.float32), 5000, p=[0.7, 0.2, 0.1])
    species = np.full(5000, -1, np.int16)
    return Reconstruction(points, mass, species, source="tip.pos").ranged(RANGES)


@pytest.fixture(scope="module")
def windows(ions):
    return IonWindower(window_ions=150).prepare(ions)


@pytest.fixture(scope="module")
def nothing(windows) -> AtomProbeAnalysis:
    """The analysis of random ions."""
    return analyze_windows(windows, AtomProbeOptions(false_alarm=1e-4))


@pytest.fixture(scope="module")
def found(nothing) -> AtomProbeAnalysis:
    """The same with planes, a lattice and a pole put in."""
    count = len(nothing)
    rank = np.zeros(count, np.int8)
    rank[:4] = [1, 2, 3, 3]
    normal = np.full((count, 3), np.nan)
    normal[:4] = [[0, 0, 1], [0, 0.6, 0.8], [1, 0, 0], [0.6, 0, 0.8]]
    spacing = np.full(count, np.nan)
    spacing[:4] = [3.1, 3.1, 2.0, 2.0]
    p_value = nothing.findings.p_value.copy()
    p_value[:4] = 1e-7
    findings = replace(nothing.findings, rank=rank, normal=normal, spacing=spacing, p_value=p_value)
    labels = np.full(count, -1)
    labels[2] = 1
    certainty = np.full(count, np.nan)
    certainty[2:4] = [0.99, 0.4]
    classes = ClassFindings(
        labels=labels,
        certainty=certainty,
        probabilities=np.full((count, 2), np.nan, np.float32),
        lattice=np.full((count, 3, 3), np.nan),
        orientation=np.full((count, 4), np.nan),
    )
    pole = Pole(
        normal=np.array([0.0, 0.0, 1.0]), spacing=3.1, spacing_spread=0.01, spread=2.0,
        windows=np.array([0, 1]), independent=2, expected=0.1, p_value=1e-6, contrast=0.4,
    )  # fmt: skip
    return replace(
        nothing, findings=findings, classes=classes, class_names=("fcc", "diam"), poles=(pole,)
    )


# ---------------------------------------------------------------------------------------- analysis
def test_random_ions_show_nothing(nothing, windows):
    assert nothing.rank_shares["nothing"] == 1.0 and nothing.poles == ()
    assert np.isnan(nothing.findings.spacing).all()
    assert np.isfinite(nothing.findings.detection_limit).all()
    assert len(nothing) + nothing.refused == len(windows)
    assert not nothing.measures.sparse.any()
    (depth,) = nothing.depth
    inside = np.isfinite(depth.spectrum)
    assert inside.any() and np.mean(depth.spectrum[inside]) == pytest.approx(1.0, abs=0.1)


def test_one_choice_of_background_windows_gives_one_result(windows, nothing):
    again = analyze_windows(windows, AtomProbeOptions(false_alarm=1e-4))
    np.testing.assert_array_equal(again.findings.p_value, nothing.findings.p_value)


def test_progress_is_told_to_the_end(windows):
    steps: dict[str, tuple[int, int]] = {}
    analyze_windows(
        windows,
        AtomProbeOptions(),
        lambda step, done, total: steps.__setitem__(step, (done, total)),
    )
    assert set(steps) == {"windows", "planes", "spectra along depth"}
    assert all(done == total for done, total in steps.values())


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"false_alarm": 0.0}, "false_alarm=0.0 is not between"),
        ({"false_alarm": float("nan")}, "false_alarm=nan is not between"),
        ({"atomic_volume": -1.0}, "atomic_volume=-1.0 is not a volume"),
    ],
)
def test_options_out_of_range(parameters, says):
    with pytest.raises(InputError, match=says):
        AtomProbeOptions(**parameters)


def test_the_grid_gives_the_centers_again(nothing):
    index, origin, step = nothing.grid()
    np.testing.assert_allclose(origin + index * step, nothing.centers, atol=1e-6)
    assert len(np.unique(index, axis=0)) == len(nothing)


# -------------------------------------------------------------------------------------------- HDF5
def test_hdf5_gives_everything_back(found, tmp_path):
    write_analysis(tmp_path / "a.h5", found)
    again = read_analysis(tmp_path / "a.h5")
    arrays = again.window_arrays()
    assert set(arrays) == set(found.window_arrays())
    for name, values in found.window_arrays().items():
        np.testing.assert_array_equal(arrays[name], values)
        assert arrays[name].dtype == values.dtype
    assert report(again) == report(found)
    assert again.poles[0].spacing == 3.1 and again.poles[0].windows.tolist() == [0, 1]
    assert isinstance(again.depth[0], DepthSpectra)
    assert isinstance(again.findings, WindowFindings)
    write_analysis(tmp_path / "b.h5", replace(found, classes=None, poles=(), depth=()))
    bare = read_analysis(tmp_path / "b.h5")
    assert bare.classes is None and bare.poles == () and bare.depth == ()


def test_other_files_are_no_results(tmp_path):
    import h5py

    (tmp_path / "text.h5").write_text("no")
    h5py.File(tmp_path / "other.h5", "w").close()
    with pytest.raises(InputError, match="no HDF5 file"):
        read_analysis(tmp_path / "text.h5")
    with pytest.raises(InputError, match="no result of `crystalnet apt`"):
        read_analysis(tmp_path / "other.h5")
    with pytest.raises(FileNotFoundError):
        read_analysis(tmp_path / "none.h5")


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
def test_a_full_disk_is_an_error_and_no_crash(found, tmp_path):
    """HDF5 itself takes the process with it."""
    (tmp_path / "found.pickle").write_bytes(pickle.dumps(found))
    write_analysis(tmp_path / "whole.h5", found)
    code = f"""
        import pickle, resource, sys
        from pathlib import Path
        sys.path[:0] = [{str(REPOSITORY)!r}]
        from ase_crystalnet.atom_probe.output.files import write_outputs
        found = pickle.loads(Path("found.pickle").read_bytes())
        size = Path("whole.h5").stat().st_size
        for limit in (0, 1, 1000, 3000, size // 2, size - 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                write_outputs([Path("a.h5")], found, None)
            except OSError as error:
                print(error.strerror)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["File too large"] * 6
    assert {path.name for path in tmp_path.iterdir()} == {"found.pickle", "whole.h5"}


def test_a_damaged_result_is_named(found, tmp_path, rng):
    write_analysis(tmp_path / "whole.h5", found)
    content = np.frombuffer((tmp_path / "whole.h5").read_bytes(), np.uint8)
    outcomes = []
    for trial in range(40):
        bad = content.copy()
        begin = rng.integers(0, len(bad))
        length = [1, 40, 2000][trial % 3]
        bad[begin : begin + length] = rng.integers(0, 256, len(bad[begin : begin + length]))
        path = tmp_path / f"{trial}.h5"
        path.write_bytes(bad.tobytes())
        try:
            read_analysis(path)
            outcomes.append("read")
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            outcomes.append("named")
    assert outcomes.count("named") > 3 and outcomes.count("read") > 3
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file.attrs["format"] = "crystalnet-atom-probe-1"
        file.attrs["head"] = "{}"
        file["species_counts"] = h5py.ExternalLink("whole.h5", "species_counts")
    with pytest.raises(InputError, match="damaged"):
        read_analysis(tmp_path / "linked.h5")


# ----------------------------------------------------------------------------- extxyz and VTK
def test_extxyz_gives_each_ion_its_nearest_window(found, ions, tmp_path):
    write_outputs([tmp_path / "a.extxyz"], found, ions)
    atoms = ase.io.read(tmp_path / "a.extxyz")
    assert len(atoms) == len(ions)
    np.testing.assert_allclose(atoms.positions, ions.positions, atol=1e-5)
    for i in (0, 1234, 4999):
        nearest = np.argmin(np.linalg.norm(found.centers - ions.positions[i], axis=1))
        assert atoms.arrays["crystalnet_rank"][i] == found.findings.rank[nearest]
    assert {0, 1, 2, 3} == set(atoms.arrays["crystalnet_rank"])
    split = tmp_path / "split.extxyz"
    write_outputs([split], found, ions, "split")
    assert len(ase.io.read(split)) == len(ions) + ions.counts[1]


def vtk_arrays(path):
    """Arrays of a VTK file with raw appended data, by name; parsed without the writer."""
    content = path.read_bytes()
    head, _, tail = content.partition(b"<AppendedData")
    data = tail[tail.index(b"_") + 1 :]
    kinds = {"Int8": "<i1", "Float32": "<f4", "Float64": "<f8", "Int32": "<i4", "UInt8": "<u1"}
    found = {}
    for element in re.findall(r"<DataArray [^>]*>", head.decode()):
        tags = dict(re.findall(r'(\w+)="([^"]*)"', element))
        if tags["type"] not in kinds:
            continue
        start = int(tags["offset"])
        size = int.from_bytes(data[start : start + 8], "little")
        values = np.frombuffer(data[start + 8 : start + 8 + size], kinds[tags["type"]])
        found[tags["Name"]] = values.reshape(-1, int(tags["NumberOfComponents"])).squeeze()
    return head.decode(), found


def test_vti_is_the_grid_of_windows(found, ions, tmp_path):
    pytest.importorskip("pyevtk")
    write_outputs([tmp_path / "a.vti"], found, ions)
    head, arrays = vtk_arrays(tmp_path / "a.vti")
    index, origin, step = found.grid()
    shape = index.max(axis=0) + 1
    assert '<VTKFile type="ImageData"' in head
    given = [float(x) for x in re.search(r'Origin="([^"]*)"', head).group(1).split()]
    np.testing.assert_allclose(given, origin - step / 2)
    image = arrays["rank"].reshape(shape, order="F")
    assert [image[tuple(i)] for i in index[:5]] == [1, 2, 3, 3, 0]
    assert (image == -1).sum() == np.prod(shape) - len(found)
    density = arrays["density"].reshape(shape, order="F")[tuple(index.T)]
    np.testing.assert_allclose(density, 1000 * found.measures.density, rtol=1e-6)
    normals = arrays["plane_normal"].reshape(*shape, 3, order="F")
    assert arrays["plane_normal"].shape == (np.prod(shape), 3) and normals.ndim == 4


def test_vtu_has_the_windows_as_points(found, ions, tmp_path):
    pytest.importorskip("pyevtk")
    write_outputs([tmp_path / "a.vtu"], found, ions)
    head, arrays = vtk_arrays(tmp_path / "a.vtu")
    assert f'NumberOfPoints="{len(found)}"' in head
    np.testing.assert_allclose(arrays["points"], found.centers)
    np.testing.assert_allclose(arrays["plane_normal"][1], [0, 0.6, 0.8], rtol=1e-6)
    assert (arrays["plane_normal"][4:] == 0).all()  # nothing to draw
    assert arrays["class"][:4].tolist() == [-1, -1, 1, -1]


def test_window_fields_are_numbers_per_window(found):
    fields = window_fields(found)
    assert all(len(values) == len(found) for values in fields.values())
    total = fields["percent_Si"] + fields["percent_CrO"]
    np.testing.assert_allclose(total, 100.0, rtol=1e-5)


def test_outputs_that_cannot_be_written_are_refused_first(tmp_path):
    (tmp_path / "a.h5").write_text("")
    with pytest.raises(OutputExistsError, match="exists already; --overwrite"):
        check_outputs([tmp_path / "a.h5"], False)
    check_outputs([tmp_path / "a.h5"], True)
    with pytest.raises(InputError, match=r"ends in \.h5"):
        check_outputs([tmp_path / "a.vtk"], False)
    with pytest.raises(InputError, match="given twice"):
        check_outputs([tmp_path / "b.h5", tmp_path / "b.h5"], False)
    with pytest.raises(OutputExistsError, match="is a folder"):
        check_outputs([], True, [tmp_path])


def test_a_failed_output_leaves_nothing(found, ions, tmp_path, monkeypatch):
    from ase_crystalnet.atom_probe.output import files as outputs

    def fail(path, analysis):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(outputs, "write_analysis", fail)
    with pytest.raises(OSError, match="disk full"):
        write_outputs([tmp_path / "a.h5"], found, ions)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------- table, figures
def test_the_table_says_what_there_is(found, nothing):
    text = report(found)
    assert "5,000" in text and "Si" in text and "at.%" in text
    assert re.search(r"detection efficiency +\d", text)
    assert "diam 1, refused 1" in text
    assert "spacing 0.3100 nm" in text
    assert re.search(r"lattice +2 \(", text)
    assert re.search(r"poles +none", report(nothing))
    assert re.search(r"strongest window +p = 1.0e-07, among all windows 1\.\de-05; at \(", text)
    assert re.search(
        r"strongest window +p = [\d.e-]+, among all windows [\d.e+-]+\n", report(nothing)
    )
    assert "check volumes and ranges" not in text
    dense = replace(found, measures=replace(found.measures, efficiency=np.full(len(found), 1.5)))
    assert "above 100 % in 100 % of the windows: check volumes and ranges" in report(dense)
    bare = replace(found, species=(), species_counts=np.array([5000]), composition={})
    assert "no range file was given" in report(bare)


def test_figures_show_windows_where_they_are(found, windows):
    slices = figures.Slices(found, through=0)
    image = slices.image(found.findings.rank.astype(float), normal=1)
    index, _, _ = found.grid()
    assert image[index[0][2], index[0][0]] == 1.0
    left, right, bottom, top = slices.extent(1)
    centers = found.centers / 10
    assert left < centers[:, 0].min() and right > centers[:, 0].max()
    assert bottom < centers[:, 2].min() and top > centers[:, 2].max()


def test_normals_are_projected_as_on_a_stereogram():
    half = np.sqrt(0.5)
    given = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [half, 0, half], [-half, 0, -half]])
    found = figures_planes.stereographic(given)
    tangent = np.tan(np.pi / 8)
    wanted = [[0, 0], [0, 0], [1, 0], [tangent, 0], [tangent, 0]]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


LATTICES = {
    "fcc": 4.05 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "diam": 5.43 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "hcp": np.array([2.95, 2.95, 4.68])[:, None] * HEXAGONAL_AXES,
    "bct141": np.array([[5.83, 0, 0], [0, 5.83, 0], [5.83 / 2, 5.83 / 2, 3.18 / 2]]),
}


def with_pole(found: AtomProbeAnalysis, name: str, index: tuple[int, ...]) -> AtomProbeAnalysis:
    """Windows of one lattice, each turned by an operation of its own, that share a pole."""
    names = tuple(LATTICES)
    turn = Rotation.from_euler("zyx", [20, 35, -15], degrees=True).as_matrix()
    lattice = LATTICES[name] @ turn.T
    # The reciprocal vector h a* + k b* + l c* of the conventional cell.
    lengths = {"fcc": [4.05] * 3, "diam": [5.43] * 3, "hcp": [2.95, 2.95, 4.68]}
    cell = np.array(lengths.get(name, [5.83, 5.83, 3.18]))[:, None]
    cell = cell * (HEXAGONAL_AXES if name == "hcp" else np.eye(3))
    vector = np.linalg.inv(cell) @ np.array(index) @ turn.T
    length = float(np.linalg.norm(vector))
    normal = vector / length * (1 if vector[2] >= 0 else -1)
    labels = np.full(len(found), -1)
    labels[:3] = names.index(name)
    lattices = np.full((len(found), 3, 3), np.nan)
    # The same lattice by other vectors: each window may find its own.
    swapped, sheared = [[0, 1, 0], [1, 0, 0], [0, 0, -1]], [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    changes = np.array([np.eye(3), swapped, sheared])
    lattices[:3] = changes @ lattice
    classes = replace(found.classes, labels=labels, lattice=lattices)
    pole = replace(found.poles[0], normal=normal, spacing=1 / length, windows=np.arange(3))
    return replace(found, classes=classes, class_names=names, poles=(pole,))


@pytest.mark.parametrize(
    ("name", "index", "family"),
    [
        ("fcc", (2, 0, -2), "{2 2 0}"),
        ("fcc", (-1, 1, 1), "{1 1 1}"),
        ("diam", (0, 4, 0), "{4 0 0}"),
        ("hcp", (0, 0, 2), "{0 0 0 2}"),
        ("hcp", (0, 1, 1), "{1 0 -1 1}"),
        ("hcp", (-1, 2, 0), "{1 1 -2 0}"),
        ("bct141", (1, 0, 1), "{1 0 1}"),
        ("bct141", (0, 2, 0), "{2 0 0}"),
    ],
)
def test_poles_of_classified_lattices_bear_their_indices(found, name, index, family):
    analysis = with_pole(found, name, index)
    assert figures_planes.indices_of(analysis, analysis.poles[0]) == family
    figure = figures_planes.plot_poles(analysis)
    figure.canvas.draw()
    (label,) = [text for text in figure.axes[0].texts if family in text.get_text()]
    box, page = label.get_window_extent(), figure.bbox
    assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1


def test_poles_without_a_lattice_or_off_it_have_no_indices(found):
    assert figures_planes.indices_of(found, found.poles[0]) is None
    analysis = with_pole(found, "fcc", (2, 2, 0))
    other = replace(analysis.poles[0], spacing=1.3 * analysis.poles[0].spacing)
    assert figures_planes.indices_of(analysis, other) is None
    assert figures_planes.indices_of(replace(analysis, classes=None), other) is None


@pytest.mark.parametrize(
    "normal", [(1, 0, 0), (-1, 0, 0.02), (0, 1, 0), (0, -1, 0), (0.7, 0.7, 0.1)]
)
def test_labels_of_poles_at_the_rim_are_inside_the_picture(found, normal):
    unit = np.array(normal) / np.linalg.norm(normal)
    analysis = replace(found, poles=(replace(found.poles[0], normal=unit),))
    figure = figures_planes.plot_poles(analysis)
    figure.canvas.draw()
    (label,) = [text for text in figure.axes[0].texts if "windows" in text.get_text()]
    box, rim = label.get_window_extent(), figure.axes[0].get_window_extent()
    assert box.x0 >= rim.x0 and box.x1 <= rim.x1 and box.y0 >= rim.y0 and box.y1 <= rim.y1


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (np.linspace(0.1, 93, 500), (0, 100)),
        (np.full(50, 100.0), (0, 100)),
        (np.linspace(97.2, 99.4, 500), (97, 99.5)),
        (np.linspace(0, 0.013, 500), (0, 0.015)),
        (np.zeros(20), (0, 1)),
        (np.array([np.nan, np.nan]), (0, 1)),
    ],
)
def test_scales_end_at_ticks(values, ends):
    assert figures.scale_of(values) == pytest.approx(ends)


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("found", "structure poles"),  # the others are drawn by tests/cli/test_apt.py
        ("nothing", "best poles"),
    ],
)
def test_figures_can_be_drawn_of_much_and_of_nothing(which, names, request, windows, tmp_path):
    analysis = request.getfixturevalue(which)
    draw = {
        "structure": lambda: figures.plot_structure(analysis),
        "best": lambda: figures_planes.plot_best_windows(analysis, windows),
        "poles": lambda: figures_planes.plot_poles(analysis),
    }
    for name in names.split():
        draw[name]().savefig(tmp_path / f"{name}.png", dpi=30)
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
