"""The formats that laboratories write: every one is read, and what was not read is said."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured.columns import number_of, role_of
from ase_crystalnet.xrd.measured.profile import Profile, joined, ordered
from ase_crystalnet.xrd.measured.readers import read_scan
from ase_crystalnet.xrd.measured.wavelengths import source_of

ANGLES = np.round(10 + 0.02 * np.arange(3501), 4)
COUNTS = np.round(
    100
    + 3000 * np.exp(-0.5 * ((ANGLES - 27.4) / 0.08) ** 2)
    + 1800 * np.exp(-0.5 * ((ANGLES - 54.3) / 0.08) ** 2)
)


def rows(form: str, x: np.ndarray = ANGLES, y: np.ndarray = COUNTS) -> str:
    return "".join(form.format(a, b) + "\n" for a, b in zip(x, y, strict=True))


def ten_a_line(values: np.ndarray = COUNTS, form: str = "{:8.0f}") -> str:
    cells = [form.format(value) for value in values]
    return "\n".join("".join(cells[i : i + 10]) for i in range(0, len(cells), 10)) + "\n"


def commas(text: str) -> str:
    return text.replace(".", ",")


TEXTS = {
    "fullprof.dat": f"  10.000   0.020  80.000   TiO2 rutile\n{ten_a_line()}",
    "dbws.dat": f"{10:8.3f}{0.02:8.3f}{80:8.3f}  sample\n{ten_a_line(form='{:7.0f} ')}",
    "ill.dat": f"sample 12\nheader of words\n10.0 0.02 80.0\n{ten_a_line()}",
    "fox.dat": f"# comment\n10.0 80.0 0.02\n{rows('{1}')}",
    "lines.dat": f"name\nnote\n10.0\n80.0\n0.02\n{rows('{1}')}",
    "mdi.mdi": f"09/11/91 DIF Demo\n10.000 0.0200 4.0 CU 1.540598 80.000 3501\n{ten_a_line()}",
    "filled.dat": f"10.0 0.02 80.0\n{ten_a_line()}    -1000\n",
    "rigaku.dat": (
        "*TYPE = Raw\n*GROUP_COUNT = 1\n*BEGIN\n*START = 10.0\n*STOP = 80.0\n*STEP = 0.02\n"
        "*COUNT = 3501\n" + ten_a_line(form="{:.0f}, ").replace(", \n", "\n") + "*END\n*EOF\n"
    ),
    "philips.udf": (
        "SampleIdent,x ,/\nAnode,Cu ,/\nDataAngleRange, 10.0000, 80.0000,/\nScanStepSize, 0.020,/\n"
        "RawScan\n" + ten_a_line(form="{:.0f}, ").replace(", \n", ",\n")[:-2] + "/\n"
    ),
    "sietronics.cpi": (
        "SIETRONICS XRD SCAN\n10.00\n80.00\n0.02\nCu\n1.54056\n1-1-2000\n2.0\nsample\nSCANDATA\n"
        + rows("{1:.0f}")
    ),
    "uxd.uxd": f"_FILEVERSION=2\n_START=10.0\n_STEPSIZE=0.02\n_STEPTIME=1\n_COUNTS\n{ten_a_line()}",
    "d_second.csv": "2theta,d,I\n"
    + "".join(
        f"{x:.2f},{1.5406 / 2 / np.sin(np.radians(x / 2)):.5f},{y:.0f}\n"
        for x, y in zip(ANGLES, COUNTS, strict=True)
    ),
    "d_unnamed.txt": "".join(
        f"{x:.2f} {1.5406 / 2 / np.sin(np.radians(x / 2)):.5f} {y:.0f}\n"
        for x, y in zip(ANGLES, COUNTS, strict=True)
    ),
    "index.csv": ",2theta,intensity\n"
    + "".join(f"{i},{x},{y}\n" for i, (x, y) in enumerate(zip(ANGLES, COUNTS, strict=True))),
    "unnamed_index.txt": "".join(
        f"{i} {x} {y}\n" for i, (x, y) in enumerate(zip(ANGLES, COUNTS, strict=True))
    ),
    "intensity_first.csv": "Counts,2Theta (deg)\n"
    + "".join(f"{y:.0f},{x}\n" for x, y in zip(ANGLES, COUNTS, strict=True)),
    "observed.txt": "2Theta Yobs Ycalc Bkg\n"
    + "".join(f"{x} {y} {y * 0.9:.1f} 100\n" for x, y in zip(ANGLES, COUNTS, strict=True)),
    "panalytical.csv": "[Measurement conditions]\nAnode material,Cu\nK-Alpha1 wavelength,1.540598\n"
    "Scan range,10.0,80.0\n[Scan points]\nAngle,TimePerStep,Intensity,ESD\n"
    + rows("{:.4f},10.0,{:.0f},1.5"),
    "position.csv": "Pos. [\u00b02Th.],Iobs [cts]\n" + rows("{:.4f},{:.0f}"),
    "decimal_comma.txt": commas(rows("{:.2f}\t{:.0f}")),
    "decimal_comma_blank.txt": commas(rows("{:.2f} {:.1f}")),
    "decimal_comma_semicolon.csv": commas("Winkel;Intensit\u00e4t\n" + rows("{:.2f};{:.1f}")),
    "decimal_comma_quoted.csv": commas(rows('"{:.2f}"') .replace("\n", "")) and "".join(
        '"' + commas(f"{x:.2f}") + '","' + commas(f"{y:.1f}") + '"\n'
        for x, y in zip(ANGLES, COUNTS, strict=True)
    ),
    "thousands.csv": "2Theta;Counts\n" + rows("{:.2f};{:,.0f}").replace(",", "'"),
    "thousands_comma.txt": rows("{:.2f}\t{:,.0f}"),
    "thousands_point.txt": "".join(
        commas(f"{x:.2f}") + ";" + f"{y:,.0f}".replace(",", ".") + "\n"
        for x, y in zip(ANGLES, COUNTS, strict=True)
    ),
    "uncertainty.txt": rows("{:.2f} {:.0f}(12)"),
    "fortran.txt": rows("{:.8E} {:.8E}").replace("E+", "D+"),
    "per_second.txt": "angle  cps\n" + rows("{:.2f}  {:.3f}"),
    "chi.chi": "sample\n2-Theta Angle (Degrees)\nIntensity\n      3501\n" + rows("{:.5e}  {:.5e}"),
    "peaks_after.csv": "2theta,intensity\n" + rows("{},{}") + "[Peaks]\nNo,d,I rel\n1,3.2,100,a\n",
}  # fmt: skip


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_laboratories(tmp_path: Path, name: str) -> None:
    scan = read_scan(written(tmp_path / name, TEXTS[name]))
    np.testing.assert_allclose(scan.two_theta, ANGLES, atol=1e-4)
    np.testing.assert_allclose(scan.intensity, COUNTS, rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be") if False else b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: gzip.compress(text.encode()),
        lambda text: text + "\x1a",
        lambda text: f"caf\u00e9\n{text}".encode("latin-1"),
    ],
)
def test_line_ends_encodings_and_packing(tmp_path: Path, change) -> None:
    for name in ("thousands_comma.txt", "fullprof.dat"):
        scan = read_scan(written(tmp_path / name, change(TEXTS[name])))
        np.testing.assert_allclose(scan.two_theta, ANGLES, atol=1e-4)
        np.testing.assert_allclose(scan.intensity, COUNTS)


def test_axes_of_q_and_d(tmp_path: Path) -> None:
    sine = np.sin(np.radians(ANGLES / 2))
    copper, nm = 4 * np.pi * sine / 1.5406, 10.0
    for name, head, x, wavelength in (
        ("nm.dat", "# Wavelength: 7.0932e-11 m\n#  q_nm^-1   I\n",
         nm * copper * 1.5406 / 0.70932, 0.70932),
        ("a.csv", "q (1/A),I\n", copper, 1.5406),
        ("d.csv", "d (A),I\n", 1.5406 / 2 / sine, 1.5406),
        ("q.chi", "x\nQ (Inverse Nanometres)\nIntensity\n 3501\n", nm * copper, 1.5406),
    ):  # fmt: skip
        form = "{:.8f},{:.0f}" if name.endswith("csv") else "{:.8f}  {:.0f}"
        scan = read_scan(written(tmp_path / name, head + rows(form, x)))
        assert scan.wavelength == wavelength
        np.testing.assert_allclose(scan.two_theta, ANGLES, atol=1e-4)
        np.testing.assert_allclose(scan.intensity, COUNTS)
        assert any("converted to two-theta" in note for note in scan.notes)


def test_rows_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    lines = rows("{:.2f} {:.0f}").split("\n")
    lines[700] = "24.00 overflow"
    lines[900] = "28.00"
    scan = read_scan(written(tmp_path / "a.xy", "\n".join(lines)))
    assert len(scan.two_theta) == len(ANGLES) - 2
    assert any("2 rows of 3501 could not be read" in note and "701" in note for note in scan.notes)
    lines[100:2000] = ["no row"] * 1900
    with pytest.raises(InputError, match="rows cannot be read"):
        read_scan(written(tmp_path / "b.xy", "\n".join(lines)))


def test_falling_angles(tmp_path: Path) -> None:
    x, y = ANGLES.copy(), COUNTS.copy()
    x[[200, 201]], y[[200, 201]] = x[[201, 200]], y[[201, 200]]
    scan = read_scan(written(tmp_path / "a.xy", rows("{} {}", x, y)))
    np.testing.assert_allclose(scan.intensity, COUNTS)
    assert "1 angle did not rise" in " ".join(scan.notes)
    down = read_scan(written(tmp_path / "b.xy", rows("{} {}", ANGLES[::-1], COUNTS[::-1])))
    np.testing.assert_allclose(down.two_theta, ANGLES)
    # two ranges that overlap, one after the other
    x = np.concatenate([ANGLES[:2000], ANGLES[1900:]])
    y = np.concatenate([COUNTS[:2000], COUNTS[1900:]])
    both = read_scan(written(tmp_path / "c.xy", rows("{} {}", x, y)))
    np.testing.assert_allclose(both.intensity, COUNTS)
    assert "2 ranges are joined" in " ".join(both.notes)
    with pytest.raises(InputError, match="do not rise"):
        ordered(Profile(np.random.default_rng(0).permutation(ANGLES), COUNTS))


def test_scans_of_a_file() -> None:
    a = Profile(ANGLES[:1000], COUNTS[:1000], seconds=1.0)
    b = Profile(ANGLES[1000:], 4 * COUNTS[1000:], seconds=4.0)
    whole = joined([b, a])
    np.testing.assert_allclose(whole.x, ANGLES)
    np.testing.assert_allclose(whole.y, 4 * COUNTS)
    assert "3 more scans over the same range" in " ".join(joined([a] * 4).notes)


def ras(*, factor: float = 1.0, parts: int = 1) -> str:
    out = "*RAS_DATA_START\r\n"
    for x, y in zip(np.array_split(ANGLES, parts), np.array_split(COUNTS, parts), strict=True):
        strong = np.where(y > 1000, factor, 1.0)
        out += '*RAS_HEADER_START\r\n*HW_XG_WAVE_LENGTH_ALPHA1 "1.540593"\r\n'
        out += f'*MEAS_DATA_COUNT "{len(x)}.0000000000"\r\n*MEAS_SCAN_AXIS_X "2-Theta/Theta"\r\n'
        out += "*RAS_HEADER_END\r\n*RAS_INT_START\r\n"
        out += "".join(
            f"{a:.4f} {b / f:.4f} {f:.4f}\r\n" for a, b, f in zip(x, y, strong, strict=True)
        )
        out += "*RAS_INT_END\r\n"
    return out + "*RAS_DATA_END\r\n"


@pytest.mark.parametrize("options", [{}, {"factor": 10.0}, {"parts": 2}])
def test_rigaku(tmp_path: Path, options: dict) -> None:
    scan = read_scan(written(tmp_path / "a.ras", ras(**options)))
    np.testing.assert_allclose(scan.two_theta, ANGLES)
    np.testing.assert_allclose(scan.intensity, COUNTS)
    assert scan.wavelength == 1.540593
    with zipfile.ZipFile(tmp_path / "a.rasx", "w") as archive:
        for k, part in enumerate(np.array_split(np.arange(len(ANGLES)), options.get("parts", 1))):
            table = rows("{:.4f}\t{:.1f}\t1", ANGLES[part], COUNTS[part])
            archive.writestr(f"Data{k}/Profile{k}.txt", "\ufeff" + table)
        archive.writestr("Data0/C.xml", "<WavelengthKalpha1>1.540593</WavelengthKalpha1>")
    scan = read_scan(tmp_path / "a.rasx")
    np.testing.assert_allclose(scan.intensity, COUNTS)
    assert scan.wavelength == 1.540593


def test_xrdml_of_several_scans_and_attenuators(tmp_path: Path) -> None:
    def scan(x: np.ndarray, y: np.ndarray, body: str, axis: str = "Gonio") -> str:
        return (
            f'<scan scanAxis="{axis}"><dataPoints><positions axis="2Theta" unit="deg">'
            f"<startPosition>{x[0]}</startPosition><endPosition>{x[-1]}</endPosition></positions>"
            f"<commonCountingTime>1</commonCountingTime>{body}</dataPoints></scan>"
        )

    def counts(y: np.ndarray) -> str:
        return f'<intensities unit="counts">{" ".join(map(str, y))}</intensities>'

    raw = np.where(COUNTS > 1000, COUNTS / 8, COUNTS)
    factors = " ".join("8" if y > 1000 else "1" for y in COUNTS)
    attenuated = f"<counts>{' '.join(map(str, raw))}</counts>"
    attenuated += f"<beamAttenuationFactors>{factors}</beamAttenuationFactors>"
    for body in (
        scan(ANGLES, COUNTS, counts(COUNTS)),
        scan(ANGLES, COUNTS, attenuated),
        scan(ANGLES[:99], COUNTS, counts(COUNTS[:99]), "Phi")
        + scan(ANGLES, COUNTS, counts(COUNTS)),
        scan(ANGLES[:1500], COUNTS, counts(COUNTS[:1500]))
        + scan(ANGLES[1500:], COUNTS, counts(COUNTS[1500:])),
    ):
        text = f"<xrdMeasurements><xrdMeasurement>{body}</xrdMeasurement></xrdMeasurements>"
        found = read_scan(written(tmp_path / "a.xrdml", text))
        np.testing.assert_allclose(found.two_theta, ANGLES, atol=1e-6)
        np.testing.assert_allclose(found.intensity, COUNTS)
    with pytest.raises(InputError, match="none of them over two-theta"):
        text = f"<xrdMeasurements>{scan(ANGLES, COUNTS, counts(COUNTS), 'Phi')}</xrdMeasurements>"
        read_scan(written(tmp_path / "b.xrdml", text))


def raw1(parts: int = 1) -> bytes:
    out = b""
    pieces = np.array_split(np.arange(len(ANGLES)), parts)
    for number, piece in enumerate(pieces):
        head = bytearray(156)
        head[:4] = b"RAW "
        struct.pack_into("<Iff", head, 4, len(piece), 1.0, 0.02)
        struct.pack_into("<f", head, 24, ANGLES[piece[0]])
        struct.pack_into("<ff", head, 72, 1.54056, 1.54439)
        struct.pack_into("<I", head, 152, len(pieces) - 1 - number)
        out += bytes(head) + COUNTS[piece].astype("<f4").tobytes()
    return out


def raw2(parts: int = 1) -> bytes:
    head = bytearray(256)
    head[:4] = b"RAW2"
    struct.pack_into("<H", head, 4, parts)
    head[188:190] = b"Cu"
    struct.pack_into("<ff", head, 190, 1.54056, 1.54439)
    out = bytes(head)
    for piece in np.array_split(np.arange(len(ANGLES)), parts):
        part = bytearray(60)
        struct.pack_into("<HH", part, 0, 60, len(piece))
        struct.pack_into("<fff", part, 8, 1.0, 0.02, ANGLES[piece[0]])
        out += bytes(part) + COUNTS[piece].astype("<f4").tobytes()
    return out


def stoe() -> bytes:
    blocks = -(-4 * len(ANGLES) // 512)
    head = bytearray(4 * 512)
    head[:14] = b"RAW_1.06Powdat"
    struct.pack_into("<ff", head, 0x142, 1.5406, 1.5444)
    struct.pack_into("<HH", head, 0x1DA, blocks, blocks + 4)
    place = 4 * 512
    struct.pack_into("<H", head, place - 0x1DE, len(ANGLES))
    struct.pack_into("<6f", head, place - 0x1D4, 10, 5, ANGLES[-1], ANGLES[-1] / 2, 0.02, 0.01)
    struct.pack_into("<II", head, place - 0x188, int(COUNTS.min()), int(COUNTS.max()))
    return bytes(head) + COUNTS.astype("<u4").tobytes().ljust(512 * blocks, b"\0")


def gsas(kind: str) -> str:
    if kind == "STD":
        body = ten_a_line(form="{:8.0f}")
        return f"title\nBANK 1 3501 351 CONST 1000.0 2.0 0 0 STD\n{body}"
    cells = "".join(f"{value:8.1f}{3.0:8.1f}" for value in COUNTS)
    lines = "\n".join(cells[i : i + 80] for i in range(0, len(cells), 80))
    return f"title\nBANK 1 3501 701 CONST 1000.0 2.0 0 0 ESD\n{lines}\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v1.raw", raw1()), ("v1_two.raw", raw1(2)), ("v2.raw", raw2()), ("v2_three.raw", raw2(3)),
        ("stoe.raw", stoe()), ("packed.raw.gz", gzip.compress(raw2())),
        ("a.gsas", gsas("STD")), ("b.gsa", gsas("ESD")),
    ],
)  # fmt: skip
def test_binary_and_gsas(tmp_path: Path, name: str, content: bytes | str) -> None:
    scan = read_scan(written(tmp_path / name, content))
    np.testing.assert_allclose(scan.two_theta, ANGLES, atol=2e-4)
    np.testing.assert_allclose(scan.intensity, COUNTS)
    if isinstance(content, bytes):
        assert scan.wavelength == pytest.approx(1.5406, abs=1e-4)
        if not name.endswith("gz"):
            for cut in (20, 300, len(content) // 2):
                with pytest.raises(InputError, match=name):
                    read_scan(written(tmp_path / f"cut_{name}", content[:cut]))


def spreadsheet(shared: bool = True) -> bytes:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    words = ["2theta", "Counts"]
    head = "".join(
        f'<c r="{"AB"[k]}1" t="s"><v>{k}</v></c>' if shared
        else f'<c r="{"AB"[k]}1" t="inlineStr"><is><t>{words[k]}</t></is></c>'
        for k in range(2)
    )  # fmt: skip
    body = "".join(
        f'<row r="{i + 2}"><c r="A{i + 2}"><v>{x}</v></c><c r="B{i + 2}"><v>{y}</v></c></row>'
        for i, (x, y) in enumerate(zip(ANGLES, COUNTS, strict=True))
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        strings = "".join(f"<si><t>{word}</t></si>" for word in words)
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{strings}</sst>")
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData/></worksheet>")
        archive.writestr(
            "xl/worksheets/sheet2.xml",
            f'<worksheet {space}><sheetData><row r="1">{head}</row>{body}</sheetData></worksheet>',
        )
    return buffer.getvalue()


@pytest.mark.parametrize("shared", [True, False])
def test_spreadsheets(tmp_path: Path, shared: bool) -> None:
    scan = read_scan(written(tmp_path / "a.xlsx", spreadsheet(shared)))
    np.testing.assert_allclose(scan.two_theta, ANGLES)
    np.testing.assert_allclose(scan.intensity, COUNTS)


def test_packed_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ase_crystalnet.xrd.measured import readers

    monkeypatch.setattr(readers, "_LARGEST", 5_000_000)
    with pytest.raises(InputError, match="unpacks to more than 5 MB"):
        read_scan(written(tmp_path / "a.xy.gz", gzip.compress(b"1 1\n" * 5_000_000)))
    with pytest.raises(InputError, match="damaged gzip"):
        read_scan(written(tmp_path / "b.xy.gz", gzip.compress(b"1 1\n" * 1000)[:-20]))


@pytest.mark.parametrize(
    ("said", "wavelength"),
    [
        ("# Wavelength: 7.0932e-11 m", 0.70932),
        ("# wavelength = 0.070932 nm", 0.70932),
        ("# lambda = 70.932 pm", 0.70932),
        ("# Wavelength: Cu K-alpha1 1.540598", 1.540598),
        ("# Wavelength K-alpha1: 0.70932", 0.70932),
        ("# Wavelength (K\u03b11) = 1,540598 \u00c5", 1.540598),
        ("K-Alpha1 wavelength,1.540598\nK-Alpha2 wavelength,1.544426", 1.540598),
        ("K-Alpha2 wavelength,1.544426\nK-Alpha1 wavelength,1.540598", 1.540598),
        ("# energy: 17.479 keV", 0.70933),
        ("# X-ray energy = 8048 eV", 1.54056),
        ("# Anode: Mo", 0.70932),
        ("# Anode material,Co", 1.789),
        ("# CuKa radiation, Ni filter", 1.5406),
        ("# Radiation: Mo K\u03b1", 0.70932),
        ('*HW_XG_TARGET_NAME "Cr"', 2.28973),
        ("# tube: Ag", 0.55942),
        ("# sample: CuCo alloy", None),
        ("# Fe target concentration", None),
        ("# operator: Mo", None),
        ("# wavelength: unknown", None),
    ],
)
def test_what_is_said_of_the_radiation(said: str, wavelength: float | None) -> None:
    found = source_of(f"{said}\n{rows('{} {}')}".encode())
    if wavelength is None:
        assert found is None
    else:
        assert found is not None
        assert found.wavelength == pytest.approx(wavelength, rel=2e-5)


def test_copper_is_assumed_and_said(tmp_path: Path) -> None:
    scan = read_scan(written(tmp_path / "a.xy", rows("{} {}")))
    assert scan.assumed
    assert "no wavelength is stated: Cu K-alpha" in " ".join(scan.remarks)
    scan = read_scan(tmp_path / "a.xy", 0.7093)
    assert not scan.assumed and not scan.notes


@pytest.mark.parametrize(
    ("word", "comma", "value"),
    [
        ("1'039", False, 1039), ("1\u2019039", False, 1039), ("1,039", False, 1039),
        ("1,039", True, 1.039), ("1.039", True, 1039), ("1.039", False, 1.039),
        ("1.039,5", True, 1039.5), ("20,02", True, 20.02), ("20,02", False, 20.02),
        ("1\u00a0039", False, 1039), ("1.5D+02", False, 150), ("100(3)", False, 100),
        ('"7"', False, 7), ("1,2,3", False, None), ("1.2.3", False, None), ("x", False, None),
        ("\u22125", False, -5),
    ],
)  # fmt: skip
def test_numbers(word: str, comma: bool, value: float | None) -> None:
    assert number_of(word, comma) == value


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("2theta", "two_theta"), ("2Theta (deg)", "two_theta"), ("2\u03b8", "two_theta"),
        ("Two-Theta", "two_theta"), ("2th_deg", "two_theta"), ("Angle", "two_theta"),
        ("Pos. [\u00b02Th.]", "two_theta"), ("Theta", "theta"), ("q_nm^-1", "q"), ("Q (1/A)", "q"),
        ("d", "d"), ("d-spacing", "d"), ("d [\u00c5]", "d"), ("I", "intensity"),
        ("Intensity", "intensity"), ("Counts", "intensity"), ("cps", "intensity"),
        ("Intensit\u00e4t", "intensity"), ("ESD", "sigma"), ("TimePerStep", "time"),
        ("", "index"), ("No.", "index"), ("Ycalc", "other"), ("Sample", ""),
    ],
)  # fmt: skip
def test_names_of_columns(name: str, role: str) -> None:
    assert role_of(name) == role


def test_shipped_cases(data_dir: Path) -> None:
    """One input of each kind that was refused or read wrongly once; all but one are rutile."""
    folder = data_dir / "cases"
    names = (
        "cu_wl_alpha1.xy", "d_col_second.csv", "fullprof_ins0.dat", "indexcol.csv", "mo_anode.xy",
        "mo_wl_alpha1.xy", "panalytical.csv", "pyfai_2th.dat", "pyfai_q_nm.dat",
        "rigaku_attenuator.ras", "rigaku_count_as_float.ras", "tab_decimalcomma.txt",
        "thousands.csv",
    )  # fmt: skip
    strongest = []
    for name in names:
        scan = read_scan(folder / name)
        grid = scan.on_grid()
        strongest.append(5 + 0.01 * grid.argmax())
        assert len(scan.two_theta) > 1800
    np.testing.assert_allclose(strongest, 27.43, atol=0.08)
    assert read_scan(folder / "two_ranges.xrdml").two_theta[-1] > 69


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"1 " * n + b"\n1 2 3\n",
        lambda n: b'"1",' * n,
        lambda n: b"10.0 0.02 80\n" + b"x\n5\n" * n,
        lambda n: b"*TYPE\n*COUNT\n" + b"1,2\n*START=1\n" * n,
        lambda n: b"<xrdMeasurement>" + b'<scan><positions axis="2Theta" ' * n,
        lambda n: b"*RAS_HEADER_START\n*RAS_INT_START\n" * n,
        lambda n: rows("{} {}").encode() + b"word\n" * n,
        lambda n: b"# wavelength K-alpha 1 \n" * n + b"1 2\n" * 20,
    ],
)
def test_hostile_texts_take_linear_time(tmp_path: Path, make) -> None:
    """Sixteen times the input: 16 times the time if linear, 256 if quadratic."""
    import time

    def seconds(size: int) -> float:
        path = written(tmp_path / "a.txt", make(size))
        taken = []
        for _ in range(3):
            since = time.process_time()
            with contextlib.suppress(InputError):
                read_scan(path)
            taken.append(time.process_time() - since)
        return min(taken)

    size = 500
    while (short := seconds(size)) < 0.01 and size < 20_000:
        size *= 2
    assert seconds(16 * size) < 80 * max(short, 1e-3)
