"""Files of powder patterns that are hostile or damaged: time, memory and words have bounds."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured import readers
from ase_crystalnet.xrd.measured.readers import measured_patterns, read_scan, stated_wavelength

LOOP = "loop_\n" + "".join(f"_tag_{i}\n" for i in range(12))
#: What made a regular expression try every way to read it, as a function of the number of lines.
HOSTILE = {
    "blank lines": lambda n: b"\n" * n,
    "blank lines and spaces": lambda n: b" \t\n" * n,
    "loop tags in a text field": lambda n: (
        b"data_x\n_note\n;\n" + (LOOP + "\n").encode() * (n // 12) + b";\n"
    ),
    "loop tags": lambda n: b"data_x\nloop_\n" + b"_tag\n" * n,
    "loops": lambda n: b"loop_\n" * n,
    "open elements": lambda n: b"<kAlpha1 " * n,
    "open attributes": lambda n: b"WaveLengthAlpha1 " * n,
    "underscores": lambda n: b"_pd_" + b"wavelength" * n,
    "stars": lambda n: b"*" + b"WAVE_LENGTH_ALPHA1" * n,
    "digits": lambda n: b"wavelength " + b"0" * n,
    "words": lambda n: b"lambda " * n,
}


def seconds(data: bytes) -> float:
    """Time of this process, the least of three: what others do on the machine is not in it."""
    taken = []
    for _ in range(3):
        since = time.process_time()
        stated_wavelength(data)
        taken.append(time.process_time() - since)
    return min(taken)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_wavelength_is_looked_for_in_linear_time(name):
    """Sixteen times the input: 16 times the time if linear, 256 if quadratic."""
    make = HOSTILE[name]
    size = 500
    # As large as gives a time that can be measured, or as nobody has.
    while (short := seconds(make(size))) < 0.002 and size < 200_000:
        size *= 2
    assert seconds(make(16 * size)) < 80 * max(short, 1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "loop_\n_diffrn_radiation_wavelength_id\n_diffrn_radiation_wavelength\n1 0.7093(1)\n",
        "loop_\n\n _diffrn_radiation_wavelength \n '0.7093' \n",
        "loop_ _a _diffrn_radiation_wavelength\n# remark\n1 0.7093\n2 0.71\n",
        "_note\n;\nloop_\n_diffrn_radiation_wavelength\n0.5\n;\n"
        "loop_\n_diffrn_radiation_wavelength\n0.7093\n",
        "_diffrn_radiation_wavelength\n 0.7093\n",
        "_pd_x\n5\n_diffrn_radiation_wavelength 0.7093\n",
    ],
)
def test_wavelengths_of_cif_files(text):
    assert stated_wavelength(f"data_x\n{text}".encode()) == 0.7093


def test_a_wavelength_in_a_field_of_text_or_of_another_loop_is_none():
    head = b"data_x\nloop_\n_a\n_b\n1 0.7\nloop_\n_c\n"
    assert stated_wavelength(head + b"0.9\n") is None
    assert stated_wavelength(b"_a\n_diffrn_radiation_wavelength_id\n1\n") is None
    assert stated_wavelength(b"_x\n;\nloop_\n_diffrn_radiation_wavelength\n0.7\n;\n") is None


def bomb(name: str, size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"0" * size)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["rasx", "brml"])
def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(readers, "_LARGEST_UNPACKED", 5_000_000)
    path = tmp_path / f"a.{suffix}"
    for name in ("Data0/Profile0.txt", "Experiment0/RawData0.xml"):
        path.write_bytes(bomb(name, 10_000_000))
        assert path.stat().st_size < 20_000
        with pytest.raises(InputError, match="unpacks to 1 files of 10 MB"):
            read_scan(path)
        assert stated_wavelength(path.read_bytes()) is None


def test_geddes_is_shown_no_more_than_was_counted(tmp_path, monkeypatch):
    """An archive that states smaller members than it has is packed anew, or refused."""
    import geddes

    data = bomb("Data0/Profile0.txt", 10_000_000)
    lie = data.replace((10_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    monkeypatch.setattr(geddes, "read_bytes", lambda *_: pytest.fail("geddes was asked"))
    (tmp_path / "a.rasx").write_bytes(lie)
    with pytest.raises(InputError, match="damaged zip"):
        read_scan(tmp_path / "a.rasx")


@pytest.mark.parametrize("name", ["a.xy", "a.raw", "a.brml", "a.cif"])
def test_pipes_devices_and_large_files_are_refused(tmp_path, monkeypatch, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe"):
        read_scan(tmp_path / name)
    with pytest.raises(InputError, match="is a device"):
        read_scan("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read_scan(tmp_path)
    monkeypatch.setattr(readers, "_LARGEST", 1000)
    (tmp_path / "large.xy").write_bytes(b"1 1\n" * 1000)
    with pytest.raises(InputError, match="one powder pattern, not images"):
        read_scan(tmp_path / "large.xy")


@pytest.mark.parametrize(
    "change",
    [
        {"X": np.zeros((3, 10))},
        {"X": np.array(["a"] * 3)},
        {"space_group": np.zeros(2, int)},
        {"ids": np.zeros((3, 2), int)},
        {"ids": None},
    ],
)
def test_damaged_measured_patterns_are_refused(tmp_path: Path, change):
    labels = {"space_group": np.ones(3, int), "ids": np.arange(3)}
    whole = {"X": np.ones((3, 8500), np.float32), **labels}
    np.savez(tmp_path / "a.npz", **whole)
    assert measured_patterns(tmp_path / "a.npz")[0].shape == (3, 8500)
    kept = {k: v for k, v in {**whole, **change}.items() if v is not None}
    np.savez(tmp_path / "b.npz", **kept)
    with pytest.raises(InputError, match=r"b\.npz"):
        measured_patterns(tmp_path / "b.npz")
