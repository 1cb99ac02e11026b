"""What is done with each frame, whatever it comes from; ASE's sockets (the protocol of i-PI)."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.socketio import SocketClient, SocketIOCalculator
from ase.md.verlet import VelocityVerlet
from rich.console import Console

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.live import Monitor, WatchedCalculator
from ase_crystalnet.live.monitor import LiveWarning
from ase_crystalnet.live.view import line, screen, sparks
from tests.support.fakes import FakeAnalyzer, frames


def stepped(count: int, first: int = 0):
    structures = frames(count)
    for number, atoms in enumerate(structures):
        atoms.info["step"] = 10 * (first + number)
    return structures


def test_steps_that_the_file_holds_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with Monitor(FakeAnalyzer(), path, lindemann="all") as monitor:
        for atoms in stepped(4):
            monitor(atoms)
    with pytest.raises(OutputExistsError):
        Monitor(FakeAnalyzer(), path)
    analyzer = FakeAnalyzer()
    with Monitor(analyzer, path, lindemann="all", resume=True) as monitor:
        assert monitor.frames == 4 and monitor.last_step == 30
        # It was started again two frames before its end.
        for atoms in stepped(5, first=2):
            monitor(atoms)
        assert monitor.frames == 7 and analyzer.calls == 3
    with ResultFile(path) as file:
        np.testing.assert_array_equal(file.trajectory().step, np.arange(0, 70, 10))
    with pytest.raises(InputError, match="lindemann was 'all'"):
        Monitor(FakeAnalyzer(), path, resume=True)


def test_the_simulation_goes_on_whatever_happens_here() -> None:
    def on(frame):
        raise ZeroDivisionError("a callback of mine")

    monitor = Monitor(FakeAnalyzer(fail_at=1), on=on)
    first, second = stepped(2)
    with pytest.warns(LiveWarning, match="step 0: ZeroDivisionError: a callback"):
        monitor(first)
    with pytest.warns(LiveWarning, match="step 10: RuntimeError: stopped on purpose"):
        monitor(second)
    assert monitor.failed == 2 and not monitor.stopped
    with pytest.raises(ZeroDivisionError):
        Monitor(FakeAnalyzer(), on=on, strict=True)(first)


def test_a_callback_that_asks_for_the_end() -> None:
    monitor = Monitor(FakeAnalyzer(), on=lambda frame: frame.class_fractions[-1] > 0.2)
    monitor(stepped(1)[0])
    assert monitor.stopped


def test_a_driver_that_asks_for_forces_over_a_socket(tmp_path: Path) -> None:
    """The server drives, as i-PI does; the client has the forces, and what it computes is seen."""
    atoms = bulk("Cu", cubic=True) * 2
    atoms.rattle(0.1, seed=1)
    path, name = tmp_path / "run.h5", f"crystalnet{threading.get_native_id()}"
    monitor = Monitor(FakeAnalyzer(), path)
    calculator = WatchedCalculator(EMT(), monitor, every=2)

    def drive() -> None:
        client = SocketClient(unixsocket=name)
        mine = atoms.copy()
        mine.calc = calculator
        client.run(mine, use_stress=False)

    with SocketIOCalculator(unixsocket=name) as server:
        thread = threading.Thread(target=drive)
        thread.start()
        driven = atoms.copy()
        driven.calc = server
        VelocityVerlet(driven, 2.0).run(6)
    thread.join(10)
    monitor.close()
    alone = atoms.copy()
    alone.calc = EMT()
    VelocityVerlet(alone, 2.0).run(6)
    np.testing.assert_allclose(driven.positions, alone.positions, atol=1e-9)
    with ResultFile(path) as file:
        np.testing.assert_array_equal(file.trajectory().step, [0, 2, 4, 6])
        np.testing.assert_allclose(file[3].centers, alone.positions, atol=1e-4)


def test_what_the_terminal_shows() -> None:
    monitor = Monitor(FakeAnalyzer())
    for atoms in stepped(3):
        monitor(atoms)
    summary = monitor.summary()
    assert summary is not None
    assert line(summary).startswith("step 20: ")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen(None, "waiting"))
    console.print(screen(summary, "3 frames"))
    shown = console.export_text()
    for word in ("waiting", "fcc", "disordered", "order", "Lindemann", "3 frames"):
        assert word in shown
    assert "bcc" not in shown
    assert sparks([0, 0.5, np.nan, 1, 7], 1.0, 4) == "▅ ██"
