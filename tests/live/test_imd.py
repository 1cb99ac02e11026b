"""`crystalnet live` and its parts with a LAMMPS that runs, and with what is none."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

from ase_crystalnet.cli import analyze
from ase_crystalnet.cli.app import app
from ase_crystalnet.cli.live import condition
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.live.source import LiveSource, socket_of
from tests.support.fakes import FakeAnalyzer, fake_frame, frames
from tests.support.lammps_runs import argon, free_port, needs_lammps, start_lammps

pytestmark = needs_lammps


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())


def live(*arguments: object):
    return CliRunner().invoke(app, ["live", *map(str, arguments)])


def watched(port: int, rest: str, version: int = 3) -> str:
    words = "velocities off forces off" if version == 3 else ""
    return f"fix watch all imd {port} version {version} trate 20 {words}\n{rest}"


def test_every_frame_is_what_lammps_dumps(tmp_path: Path, fake: None) -> None:
    """Triclinic: the vectors of the box come in rows."""
    port, path = free_port(), tmp_path / "run.h5"
    dump = "dump 1 all custom 20 md.dump id type x y z\ndump_modify 1 sort id format float %.9g\n"
    script = argon(f"change_box all triclinic xy final 1.5 units box\n{watched(port, dump)}run 200")
    lammps = start_lammps(tmp_path, script)
    found = live(port, "--all-frames", "-o", path, "--lindemann", "all", "--centers", "atoms")
    assert lammps.wait(30) == 0, (tmp_path / "lammps.out").read_text()
    assert found.exit_code == 0, found.output
    written = read(tmp_path / "md.dump", ":", format="lammps-dump-text")[1:]
    with ResultFile(path) as file:
        steps = file.trajectory().step
        np.testing.assert_array_equal(steps, np.arange(20, 201, 20))
        np.testing.assert_allclose(file.trajectory().time, steps * 1e-3)
        for ours, atoms in zip(file, written, strict=True):
            # The fake analyzer centres a window on every atom.
            np.testing.assert_allclose(ours.centers, atoms.positions, atol=2e-3)
            assert atoms.cell[1, 0] == pytest.approx(1.5)
        assert np.isfinite(file[9].lindemann).all()
    assert "step 200" in found.output


def test_frames_are_those_of_the_simulation_to_single_precision(tmp_path: Path) -> None:
    port = free_port()
    dump = "dump 1 all custom 20 md.dump id type x y z\ndump_modify 1 sort id format float %.9g\n"
    tilt = "change_box all triclinic xy final 1.5 units box\n"
    lammps = start_lammps(tmp_path, argon(tilt + watched(port, dump) + "run 60"))
    with LiveSource(f"localhost:{port}", all_frames=True, patience=20) as source:
        seen = list(source)
    assert lammps.wait(30) == 0
    # Every twentieth step; those before the source was there are not waited for.
    written = read(tmp_path / "md.dump", ":", format="lammps-dump-text")
    assert seen
    for frame in seen:
        step, rest = divmod(frame.atoms.info["step"], 20)
        assert rest == 0
        atoms = written[step]
        np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=1e-5)
        np.testing.assert_allclose(frame.atoms.cell.array, atoms.cell.array, atol=1e-4)
    assert "closed" in source.why


def test_the_simulation_does_not_wait_for_a_slow_analysis(tmp_path: Path) -> None:
    port = free_port()
    script = argon(watched(port, "run 20000"))
    lammps = start_lammps(tmp_path, script)
    with LiveSource(f"localhost:{port}", every=10, patience=20) as source:
        seen = []
        for frame in source:
            seen.append(frame.number)
            if len(seen) == 2:
                assert lammps.wait(60) == 0
    # One frame was at hand, one was kept: all between were passed over.
    assert len(seen) == 3 and seen[-1] - seen[-2] > 500


def test_a_condition_ends_the_simulation(tmp_path: Path, fake: None) -> None:
    port = free_port()
    lammps = start_lammps(tmp_path, argon(watched(port, "run 100000000")))
    found = live(port, "--until", "disordered>0.1")
    assert found.exit_code == 0, found.output
    assert "told to end" in found.output
    lammps.wait(30)
    assert "terminated on IMD request" in (tmp_path / "lammps.out").read_text()


def test_leaving_and_coming_back_without_the_simulation_noticing(
    tmp_path: Path, fake: None
) -> None:
    port, path = free_port(), tmp_path / "run.h5"
    script = argon("timer timeout 0:00:06 every 10\n" + watched(port, "run 100000000"))
    lammps = start_lammps(tmp_path, script)
    found = live(port, "-o", path, "--frames", 2)
    assert found.exit_code == 0 and "goes on" in found.output, found.output
    assert lammps.poll() is None
    assert live(port, "-o", path, "--frames", 2).exit_code == 2  # it exists
    found = live(port, "-o", path, "--frames", 3, "--resume")
    assert found.exit_code == 0, found.output
    assert lammps.wait(30) == 0, (tmp_path / "lammps.out").read_text()
    with ResultFile(path) as file:
        steps = file.trajectory().step
    assert len(steps) == 5 and (np.diff(steps) > 0).all()


def test_version_2_sends_no_box(tmp_path: Path, fake: None) -> None:
    def start() -> tuple[int, subprocess.Popen[bytes]]:
        port = free_port()  # one that was in use is refused for a minute
        script = argon(f"write_data ar.data\n{watched(port, 'run 200', version=2)}")
        return port, start_lammps(tmp_path, script)

    port, lammps = start()
    found = live(port, "--wait", 20)
    assert found.exit_code == 2 and "sends no box" in found.output
    assert lammps.wait(30) == 0
    port, lammps = start()
    found = live(port, "--topology", tmp_path / "ar.data", "--wait", 20)
    assert found.exit_code == 0, found.output
    assert lammps.wait(30) == 0, (tmp_path / "lammps.out").read_text()


def test_two_analyses_share_a_simulation(tmp_path: Path) -> None:
    port = free_port()
    lammps = start_lammps(tmp_path, argon(watched(port, "run 400")))
    address = f"localhost:{port}"
    with (
        LiveSource(address, all_frames=True, patience=20) as one,
        LiveSource(address, all_frames=True) as other,
    ):
        heard: list[int] = []
        first, second = iter(one), iter(other)
        next(first), next(second)
        thread = threading.Thread(target=lambda: heard.extend(f.number for f in second))
        thread.start()
        numbers = [f.number for f in first]
        thread.join(20)
    assert lammps.wait(30) == 0
    assert numbers[-1] == heard[-1] == 20
    assert not Path(socket_of("localhost", port)).exists() or _gone(port)


def _gone(port: int) -> bool:
    for _ in range(100):
        if not Path(socket_of("localhost", port)).exists():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "expected a handshake"),
        (struct.pack("!i", 4) + struct.pack("<i", 9), "version 2 or 3"),
        (struct.pack("!i", 4) + struct.pack("<i", 3), "no handshake"),
        (
            struct.pack("!i", 4) + struct.pack("<i", 3) + struct.pack("!ii7B", 10, 7, *([0] * 7)),
            "no coordinates",
        ),
    ],
)
def test_what_is_no_simulation_is_told_in_a_line(said: bytes, expected: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as one:
                one.sendall(said)
                one.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    one.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(InputError, match=expected):
            LiveSource(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("length", [-1, 0, 2**31 - 1])
def test_nonsense_ends_it_with_a_reason(length: int) -> None:
    """Big-endian, as of another kind of processor; the first frame is good."""
    greeting = struct.pack("!ii", 4, 3) + struct.pack("!ii7B", 10, 7, 1, 0, 1, 1, 0, 0, 0)
    first = struct.pack("!iiddq", 12, 1, 0.5, 1.5, 3)
    first += struct.pack("!ii9f", 13, 1, 9, 0, 0, 0, 8, 0, 0, 0, 7)
    first += struct.pack("!ii6f", 2, 2, *range(6))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as one:
                one.sendall(greeting + first)
                one.recv(8)
                time.sleep(0.5)
                one.sendall(struct.pack("!ii", 2, length))
                one.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        with LiveSource(f"127.0.0.1:{server.getsockname()[1]}", time_unit="fs") as source:
            (frame,) = list(source)
    assert frame.atoms.positions.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert frame.atoms.cell.lengths().tolist() == [9, 8, 7]
    assert (frame.atoms.info["step"], frame.atoms.info["time"]) == (3, 0.0015)
    assert "no sense" in source.why


def test_nobody_listens() -> None:
    found = live(free_port(), "--wait", 0)
    assert found.exit_code == 2
    assert "connection refused" in found.output and "fix imd" in found.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere",), ("host:0",), ("1234", "--resume"), ("1234", "-o", "x.csv"),
        ("1234", "--until", "melted"), ("1234", "--pbc", "xq"), ("1234", "--lindemann", "1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = live(*arguments)
    assert found.exit_code == 2 and found.output.count("error") == 1, found.output


def test_conditions() -> None:
    frame = fake_frame(frames(1)[0])
    assert condition("disordered > 0.2")(frame) and not condition("fcc>0.9")(frame)
    assert condition("order<0.9")(frame) and condition("lindemann>0.01")(frame)
    with pytest.raises(InputError, match="expected one of fcc, disordered, order"):
        condition("gas>0.5", ("fcc", "disordered"))
