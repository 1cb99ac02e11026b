"""A Dask cluster that fails: one line each, soon, and it names the side at fault."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.io import write

from ase_crystalnet.cli import analyze
from ase_crystalnet.errors import InputError, WorkerError
from ase_crystalnet.frames import dask as frames_dask
from ase_crystalnet.frames import scheduler as frames_scheduler
from ase_crystalnet.frames.run import run
from ase_crystalnet.frames.scheduler import reach, security_of
from tests.support.commands import refused
from tests.support.commands import run as command
from tests.support.fakes import FakeAnalyzer
from tests.support.parallel import Recorder, assert_equal, numbered, posix

pytest.importorskip("distributed", reason="Dask is not installed")

Starter = Callable[..., tuple[str, subprocess.Popen[bytes]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Start `dask scheduler`, or with an address a worker of it; returns its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def started(*words: str, scheduler: str | None = None) -> tuple[str, subprocess.Popen[bytes]]:
        name = "dask_worker" if scheduler else "dask_scheduler"
        log = tmp_path / f"log{len(processes)}"
        line = [sys.executable, "-m", f"distributed.cli.{name}", "--no-dashboard", *words]
        line += [scheduler, "--no-nanny", "--nthreads", "1"] if scheduler else ["--port", "0"]
        with open(log, "wb") as file:
            made = subprocess.Popen([*line, "--host", "127.0.0.1"], stderr=file, cwd=tmp_path)
        processes.append(made)
        wanted = "Start worker at:" if scheduler else "Scheduler at:"
        for _ in range(1200):
            said = [text for text in log.read_text().splitlines() if wanted in text]
            if said:
                return said[0].split(wanted)[1].strip(), made
            assert made.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    yield started
    for process in processes:
        process.send_signal(signal.SIGCONT) if sys.platform != "win32" else None
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(frames_scheduler, "COME_UP", 1.0)
    monkeypatch.setattr(frames_scheduler, "ANSWER", 5.0)
    monkeypatch.setattr(frames_dask, "ANSWER", 5.0)
    monkeypatch.setattr(frames_dask, "PATIENCE", 1.0)
    write("md.extxyz", numbered(4))
    return tmp_path


@pytest.fixture
def other_port() -> Iterator[Callable[[bytes], str]]:
    """A port that takes connections, says something and then nothing more."""
    sockets: list[socket.socket] = []

    def listening(says: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    sockets.append(connection)
                    connection.sendall(says)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"

    yield listening
    for one in sockets:
        one.close()


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
def test_a_port_that_does_not_speak_dask(
    folder: Path, other_port: Callable[[bytes], str], says: bytes
) -> None:
    address = other_port(says)
    with pytest.raises(WorkerError, match=f"{address}' is not a Dask scheduler") as caught:
        reach(address)
    assert "\n" not in str(caught.value)


def test_the_address_of_a_worker(folder: Path, start: Starter) -> None:
    scheduler, _ = start()
    worker, _ = start(scheduler=scheduler)
    with pytest.raises(WorkerError, match="is a Dask worker, not the scheduler"):
        reach(worker)


def test_no_workers_are_said_and_waited_for(
    folder: Path, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    scheduler, _ = start()
    late = threading.Timer(4.0, lambda: start(scheduler=scheduler))
    late.start()
    result = command("analyze", "md.extxyz", "--dask", scheduler)
    late.join()
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "warning" in line]
    assert len(lines) == 1
    assert f"the scheduler at {scheduler} has no workers" in lines[0]


@posix
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_scheduler(
    folder: Path, start: Starter, monkeypatch: pytest.MonkeyPatch, stop: signal.Signals
) -> None:
    recorder = Recorder(folder / "log", seconds=1.0)
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: recorder)
    scheduler, process = start()
    start(scheduler=scheduler)

    def after_a_frame() -> None:
        while not recorder.log.exists() or len(recorder.begun()) < 2:
            time.sleep(0.05)
        process.send_signal(stop)

    thread = threading.Thread(target=after_a_frame)
    thread.start()
    result = command("analyze", "md.extxyz", "-q", "--dask", scheduler)
    thread.join()
    message = refused(result, code=1)
    assert f"dask: the scheduler at {scheduler} is lost" in message


def test_a_file_that_workers_do_not_see(
    folder: Path, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ase_crystalnet.io.trajectories.addresses import FrameAddress

    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    scheduler, _ = start()
    start(scheduler=scheduler)
    elsewhere = "/of/this/node/only/md.extxyz"
    found = [FrameAddress("md.extxyz", elsewhere, 0, "extxyz", (0, 10))]
    monkeypatch.setattr("ase_crystalnet.frames.run.iter_addresses", lambda *_, **__: iter(found))
    message = refused(command("analyze", "md.extxyz", "-q", "--dask", scheduler), code=1)
    assert f"md.extxyz: the worker on {socket.gethostname()} cannot read {elsewhere}" in message


# ---------------------------------------------------------------- who may connect
@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority and a certificate signed by it, in a folder; and all in one file."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    for words in (
        "req -newkey rsa:2048 -nodes -subj /CN=authority -x509 -keyout ca-key.pem -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=node -keyout key.pem -out request.pem",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out cert.pem",
    ):
        subprocess.run([program, *words.split()], cwd=folder, check=True, capture_output=True)
    parts = [(folder / name).read_text() for name in ("key.pem", "cert.pem", "ca.pem")]
    (folder / "all.pem").write_text("".join(parts))
    return folder


def tls(folder: Path) -> list[str]:
    return [
        *("--tls-ca-file", str(folder / "ca.pem"), "--tls-cert", str(folder / "cert.pem")),
        *("--tls-key", str(folder / "key.pem")),
    ]


def test_only_who_has_a_certificate_may_connect(
    folder: Path, start: Starter, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    scheduler, _ = start("--protocol", "tls", *tls(certificates))
    assert scheduler.startswith("tls://")
    start(*tls(certificates), scheduler=scheduler)
    words = ["analyze", "md.extxyz", "-q", "--dask"]
    for given in (certificates, certificates / "all.pem"):
        result = command(*words, scheduler, "--dask-security", given)
        assert result.exit_code == 0, result.output
    with reach(scheduler, security_of(certificates)) as client:
        here = list(run(FakeAnalyzer(), "md.extxyz"))
        for one, other in zip(run(FakeAnalyzer(), "md.extxyz", dask=client), here, strict=True):
            assert_equal(one, other)
    message = refused(command(*words, scheduler))
    assert "an address tls://... needs certificates; give --dask-security" in message
    message = refused(command(*words, scheduler.replace("tls://", "tcp://")), code=1)
    assert "is not a Dask scheduler" in message and "wants TLS" in message


def test_a_certificate_of_another_authority(
    folder: Path, start: Starter, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scheduler, _ = start("--protocol", "tls", *tls(certificates))
    other = tmp_path_factory.mktemp("other")
    line = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-x509"]
    line += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(line, cwd=other, check=True, capture_output=True)
    shutil.copy(other / "cert.pem", other / "ca.pem")
    with pytest.raises(WorkerError, match="does not take these certificates"):
        reach(scheduler, security_of(other))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dask-security", "certs"], "--dask-security is for --dask"),
        (["--dask", "tls://127.0.0.1:1", "--dask-security", "certs"], "certs: no such file"),
        (["--dask", "tcp://127.0.0.1:1", "--dask-security", "all.pem"], "addresses tls://"),
    ],
)
def test_certificates_that_will_not_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[Any], message: str
) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    Path("all.pem").write_text("")
    assert message in refused(command("analyze", "md.extxyz", "-q", *words))


def test_a_folder_that_lacks_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    with pytest.raises(InputError, match=r"cert.pem: no such file; expected a folder with ca.pem"):
        security_of(tmp_path)
