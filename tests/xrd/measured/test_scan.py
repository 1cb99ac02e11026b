"""Reading and converting measured powder patterns."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured.readers import read_scan, stated_wavelength
from ase_crystalnet.xrd.measured.scan import Scan, subtract_background
from ase_crystalnet.xrd.pattern import TWO_THETA, WAVELENGTH

ANGLES = np.round(np.arange(10.0, 80.0, 0.02), 4)
COUNTS = np.round(1000 * np.exp(-0.5 * ((ANGLES - 40) / 0.08) ** 2) + 20)
D_SPACING = 2.0


def two_theta_of(d: float, wavelength: float) -> float:
    return float(2 * np.degrees(np.arcsin(wavelength / (2 * d))))


def line_scan(wavelength: float, *, width: float = 0.05, step: float = 0.01) -> Scan:
    """One line of d = 2 Angstrom at a wavelength, in a scan that covers 5 to 90 of copper."""
    low, high = (
        2 * np.degrees(np.arcsin(min(np.sin(np.radians(t / 2)) * wavelength / WAVELENGTH, 0.99)))
        for t in (4.5, 91)
    )
    x = np.arange(low, high, step)
    y = np.exp(-0.5 * ((x - two_theta_of(D_SPACING, wavelength)) / width) ** 2)
    return Scan(x, 100 * y + 5, wavelength)


def raw3(path: Path, wavelength: float = 1.5406) -> None:
    head = bytearray(712)
    head[:7] = b"RAW1.01"
    struct.pack_into("<II", head, 8, 1, 1)  # status: done; ranges
    struct.pack_into("<dddd", head, 616, 1.5418, wavelength, 1.54439, 1.39222)
    part = bytearray(304)
    struct.pack_into("<IIdd", part, 0, 304, len(ANGLES), ANGLES[0] / 2, ANGLES[0])
    struct.pack_into("<d", part, 176, 0.02)
    struct.pack_into("<d", part, 240, wavelength)
    struct.pack_into("<I", part, 252, 4)
    path.write_bytes(bytes(head + part) + COUNTS.astype("<f4").tobytes())


def raw4(path: Path, wavelength: float = 1.5406) -> None:
    source = bytearray(120)
    struct.pack_into("<II", source, 0, 30, 120)
    struct.pack_into("<dddd", source, 72, 1.5418, wavelength, 1.54439, 1.39222)
    note = bytearray(48)
    struct.pack_into("<II", note, 0, 10, 48)
    drive = bytearray(64)
    struct.pack_into("<II", drive, 0, 50, 64)
    drive[12:18] = b"2Theta"
    struct.pack_into("<d", drive, 56, ANGLES[0])
    part = bytearray(160)
    part[32:46] = b"Locked Coupled"
    struct.pack_into("<ddI", part, 72, ANGLES[0], 0.02, len(ANGLES))
    struct.pack_into("<II", part, 136, 4, len(drive))
    head = b"RAW4.00".ljust(61, b"\0")
    path.write_bytes(head + note + source + part + drive + COUNTS.astype("<f4").tobytes())


def xrdml(path: Path, wavelength: float = 1.540598) -> None:
    counts = " ".join(str(int(c)) for c in COUNTS)
    path.write_text(
        '<?xml version="1.0"?>\n'
        '<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/1.5" status="Completed">'
        '<xrdMeasurement measurementType="Scan"><usedWavelength intended="K-Alpha 1">'
        f'<kAlpha1 unit="Angstrom">{wavelength}</kAlpha1><kAlpha2 unit="Angstrom">1.5444</kAlpha2>'
        '</usedWavelength><scan scanAxis="Gonio" status="Completed"><dataPoints>'
        f'<positions axis="2Theta" unit="deg"><startPosition>{ANGLES[0]}</startPosition>'
        f"<endPosition>{ANGLES[-1]}</endPosition></positions>"
        f'<intensities unit="counts">{counts}</intensities></dataPoints></scan>'
        "</xrdMeasurement></xrdMeasurements>\n"
    )


def columns(separator: str = " ", *, head: str = "", tail: str = "") -> str:
    rows = (f"{x:.4f}{separator}{y:.1f}{tail}" for x, y in zip(ANGLES, COUNTS, strict=True))
    return head + "\n".join(rows) + "\n"


CIF = (
    "data_x\nloop_\n_diffrn_radiation_wavelength_id\n_diffrn_radiation_wavelength\n"
    "_diffrn_radiation_wavelength_wt\n1 0.7093(1) 1.0\n2 0.71359 0.5\n"
    "loop_\n_pd_meas_2theta_scan\n_pd_meas_counts_total\n"
)


@pytest.mark.parametrize(
    ("name", "content", "wavelength"),
    [
        ("a.xy", columns(), WAVELENGTH),
        ("a.xye", columns(tail=" 3.2"), WAVELENGTH),
        ("a.dat", columns("\t", head="# Wavelength = 0.412359\n"), 0.412359),
        ("a.csv", columns(",", head="two_theta,counts\n"), WAVELENGTH),
        ("german.csv", columns(";").replace(".", ","), WAVELENGTH),
        ("rruff.txt", columns(", ", head="##X-RAY WAVELENGTH=1.541838\n"), 1.541838),
        ("a.cif", CIF + columns(), 0.7093),
        ("a.uxd", "_WL1=1.7890\n_2THETACOUNTS\n" + columns(), 1.789),
    ],
)
def test_text_files(tmp_path: Path, name: str, content: str, wavelength: float) -> None:
    path = tmp_path / name
    path.write_text(content)
    scan = read_scan(path)
    np.testing.assert_allclose(scan.two_theta, ANGLES, atol=1e-9)
    np.testing.assert_allclose(scan.intensity, COUNTS)
    assert scan.wavelength == wavelength
    assert scan.name == str(path)


@pytest.mark.parametrize(("write", "name"), [(raw3, "a.raw"), (raw4, "b.raw"), (xrdml, "c.xrdml")])
def test_files_of_diffractometers(tmp_path: Path, write: object, name: str) -> None:
    path = tmp_path / name
    write(path, 0.7093)  # type: ignore[operator]
    scan = read_scan(path)
    np.testing.assert_allclose(scan.two_theta, ANGLES, atol=1e-6)
    np.testing.assert_allclose(scan.intensity, COUNTS)
    assert scan.wavelength == pytest.approx(0.7093)
    assert read_scan(path, wavelength=1.5406).wavelength == 1.5406


def test_wavelength_in_a_zipped_file(tmp_path: Path) -> None:
    path = tmp_path / "a.brml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Experiment0/x.xml", '<WaveLengthAlpha1 Unit="A" Value="1.5406" />')
    assert stated_wavelength(path.read_bytes()) == 1.5406
    assert stated_wavelength(b"PK no archive") is None
    assert stated_wavelength(b"10 1\n11 2\n") is None
    assert stated_wavelength(b"# wavelength = 1200 nm\n") is None  # not X-rays


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.xy", b"", "empty"),
        ("ten.xy", b"".join(b"%d 1\n" % i for i in range(10, 20)), "10 points"),
        ("back.xy", columns().replace("10.0400", "9.9000").encode(), "do not rise"),
        ("nan.xy", columns().replace("1020.0", "nan").encode(), "not numbers"),
        ("picture.xy", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "a PNG picture"),
        ("prose.dat", b"nothing\nto see here\n", "no powder pattern"),
        ("structure.cif", b"data_x\n_cell_length_a 5.4\n", "only a structure"),
        ("old.raw", b"RAW2" + bytes(900), "version 1 or 2"),
        ("junk.raw", bytes(range(250, 256)) * 500, "no powder pattern"),
        ("zero.xy", columns().replace(".0\n", "\n").encode(), ""),
    ],
)
def test_what_is_no_pattern_is_said_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    if not message:  # all intensities zero
        content = b"".join(b"%.2f 0\n" % x for x in ANGLES)
        message = "zero"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_scan(path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_scan(tmp_path / "none.xy")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.radians(ANGLES), COUNTS, "radians"),
        (ANGLES * 100, COUNTS, "hundredths of degrees"),
        (ANGLES - 20, COUNTS, "0 to 180"),
        (np.linspace(0.4, 8, 500), np.arange(500), "theta, Q or d"),
        (ANGLES, COUNTS * 0 + 7, "expected lines"),
        (ANGLES, COUNTS * 0 - 7, "negative"),
        (ANGLES, COUNTS[:-1], "equally long"),
        (ANGLES, np.where(ANGLES == 20, np.inf, COUNTS), "point 501"),
        (ANGLES[::-1], COUNTS, "do not rise"),
    ],
)
def test_arrays_that_are_no_pattern(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Scan(x, y)


@pytest.mark.parametrize("wavelength", [0.0, -1.54, float("nan"), 15.4])
def test_no_wavelength_of_x_rays(wavelength: float) -> None:
    with pytest.raises(InputError, match="wavelength"):
        Scan(ANGLES, COUNTS, wavelength)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.3, 2.2))
@example(0.31235057745135314)
@example(1.5390625)
def test_any_wavelength_puts_a_line_where_copper_does(wavelength: float) -> None:
    # Steps that are 0.01 degrees on the axis of copper: at 0.3 A those of 0.01 become 0.05 there,
    # and no reading of the scan could place its highest point within the bound.
    scan = line_scan(wavelength, step=0.01 * wavelength / WAVELENGTH)
    # What is copper's wavelength to what such statements are worth is left where it is.
    wanted = two_theta_of(D_SPACING, wavelength if scan.is_copper else WAVELENGTH)
    assert TWO_THETA[scan.on_grid().argmax()] == pytest.approx(wanted, abs=0.02)


def test_areas_and_polarization_survive_conversion() -> None:
    """Two lines of equal |F|^2 keep the ratio of areas that copper would have given them."""
    angles = {}
    for wavelength in (WAVELENGTH, 0.7093):
        x = np.arange(4 if wavelength > 1 else 2, 91 if wavelength > 1 else 41, 0.005)
        y = np.zeros_like(x)
        for d in (3.5, 1.4):
            theta = np.arcsin(wavelength / (2 * d))
            strength = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
            y += strength * np.exp(-0.5 * ((x - 2 * np.degrees(theta)) / 0.04) ** 2)
        grid = Scan(x, y, wavelength).on_grid(background=False).astype(float)
        near = [abs(TWO_THETA - two_theta_of(d, WAVELENGTH)) < 1.5 for d in (3.5, 1.4)]
        angles[wavelength] = grid[near[1]].sum() / grid[near[0]].sum()
    assert angles[0.7093] == pytest.approx(angles[WAVELENGTH], rel=0.02)


def test_copper_scans_are_only_resampled(rng: np.random.Generator) -> None:
    y = rng.uniform(0, 1, len(TWO_THETA))
    for wavelength in (1.54056, 1.5406, 1.5418):
        grid = Scan(TWO_THETA, y, wavelength).on_grid(background=False)
        np.testing.assert_allclose(grid, y / y.max(), rtol=1e-6)
    fine = np.arange(4.9, 90.1, 0.001)
    shape = np.exp(-0.5 * ((fine - 45) / 0.05) ** 2)
    # steps finer than the grid's are averaged: noise falls by the root of ten, lines stay
    noisy = Scan(fine, 1000 * shape + rng.normal(100, 10, len(fine))).on_grid(background=False)
    exact = 1000 * np.exp(-0.5 * ((TWO_THETA - 45) / 0.05) ** 2) + 100
    rest = noisy * exact.max() - exact
    assert 2.5 < rest[100:3000].std() < 4.5
    assert abs(TWO_THETA[noisy.argmax()] - 45) < 0.011


def test_what_was_not_measured_is_said_and_zero() -> None:
    scan = Scan(ANGLES, COUNTS)
    assert scan.covered == (10.0, pytest.approx(79.98))
    said = " ".join(scan.remarks)
    assert "below 10.0" in said and "above 80.0" in said
    grid = scan.on_grid()
    assert (grid[TWO_THETA < 9.9] == 0).all() and (grid[TWO_THETA > 80.1] == 0).all()
    assert not line_scan(WAVELENGTH).remarks or "outside" in " ".join(line_scan(WAVELENGTH).remarks)
    assert "converted from 0.7093" in " ".join(line_scan(0.7093).remarks)
    assert "coarse" in " ".join(Scan(ANGLES[::10], COUNTS[::10] + ANGLES[::10]).remarks)


def test_background_goes_and_lines_stay() -> None:
    x = TWO_THETA
    lines = sum(np.exp(-0.5 * ((x - c) / 0.06) ** 2) for c in (20, 28, 35, 50))
    hump = 0.4 * np.exp(-0.5 * ((x - 25) / 6) ** 2) + 0.3 * np.exp(-(x - 5) / 20)
    found = subtract_background(lines + hump)
    assert abs(found - lines).max() < 0.06
    # what has no background keeps its lines to the last digit
    np.testing.assert_allclose(subtract_background(lines), lines, atol=1e-9)


def test_a_scan_without_lines_in_the_range() -> None:
    x = np.arange(10.0, 150.0, 0.02)
    scan = Scan(x, np.where(abs(x - 120) < 0.1, 100.0, 0.0), name="far.xy")
    with pytest.raises(InputError, match=r"far.xy: nothing stands above .* between 10.0 and 90.0"):
        scan.on_grid()
