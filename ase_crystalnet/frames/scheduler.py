"""Reach a Dask scheduler, or say within half a minute who is at fault that it cannot be reached.

Dask itself waits without end where something answers that does not speak its language.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError, WorkerError

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

__all__ = ["connected", "reach", "security_of"]

#: Seconds for a scheduler to come up, and seconds for it to answer.
COME_UP, ANSWER = 15.0, 10.0
#: Names of the files in a folder of certificates.
CERTIFICATES = {"tls_ca_file": "ca.pem", "tls_client_cert": "cert.pem", "tls_client_key": "key.pem"}


@contextlib.contextmanager
def connected(where: str, certificates: str | os.PathLike[str]) -> Iterator[Client]:
    """A client of a scheduler that is reached with TLS, closed at the end.

    Parameters
    ----------
    where : str
        Address, ``tls://...``.
    certificates : path
        See `security_of`.

    Raises
    ------
    InputError
        If Dask is not installed, or certificates or address will not do.
    WorkerError
        If no scheduler answers.
    """
    client = reach(where, security_of(certificates))
    try:
        yield client
    finally:
        client.close()


def security_of(certificates: str | os.PathLike[str]) -> Security:
    """Who may connect: the certificates of this side and of the authority that signed all of them.

    Parameters
    ----------
    certificates : path
        A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``, or one PEM file of all three.

    Raises
    ------
    InputError
        If Dask is not installed or a file is missing.
    """
    _client_class()
    from distributed.security import Security

    path = Path(certificates)
    files = {use: path / name if path.is_dir() else path for use, name in CERTIFICATES.items()}
    for file in files.values():
        if not file.is_file():
            raise InputError(
                f"dask: {file}: no such file; expected a folder with "
                f"{', '.join(CERTIFICATES.values())}, or one PEM file that holds all of them"
            )
    return Security(require_encryption=True, **{use: str(file) for use, file in files.items()})


def reach(where: str, security: Security | None = None) -> Client:
    """Connect to a scheduler.

    Parameters
    ----------
    where : str
        Address, such as ``tcp://10.0.0.1:8786``.
    security : distributed.security.Security, optional
        For an address ``tls://...``.

    Raises
    ------
    InputError
        If Dask is not installed, or the address asks for certificates and there are none, or the
        other way round.
    WorkerError
        If nothing answers, or what answers is no scheduler.
    """
    client_class = _client_class()
    encrypted = where.startswith("tls://")
    if security is not None and not encrypted:
        raise InputError(
            f"dask: certificates are for addresses tls://..., got {where!r}; start the scheduler "
            "with --tls-ca-file, --tls-cert and --tls-key, and give the address it prints"
        )
    if security is None and encrypted:
        security = _configured()
    _knock(where)
    _ask(where, security)
    try:
        client = client_class(where, set_as_default=False, timeout=ANSWER, security=security)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise WorkerError(
            f"dask: the scheduler at {where!r} answers but takes no client ({_cause(error)}); "
            "look at what it writes"
        ) from error
    return client


def _client_class() -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "dask: the package distributed is not installed; pip install 'ase-crystalnet[dask]'"
        ) from error
    return Client


def _configured() -> Security:
    """Certificates of Dask's own configuration."""
    from distributed.security import Security

    security = Security()
    if not all(getattr(security, use) for use in CERTIFICATES):
        raise InputError(
            "dask: an address tls://... needs certificates; give --dask-security with a folder of "
            f"{', '.join(CERTIFICATES.values())}, or a client that has them"
        )
    return security


def _knock(where: str) -> None:
    """Raise if nothing listens at an address."""
    import dask
    from distributed.comm.addressing import get_address_host_port

    wanted = "expected an address such as tcp://10.0.0.1:8786, as `dask scheduler` prints it"
    if "://" in where and not where.startswith(("tcp://", "tls://")):
        return
    try:
        host, port = get_address_host_port(where, strict=True)
    except (ValueError, OSError) as error:
        raise WorkerError(f"dask: no scheduler answers at {where!r}; {wanted}") from error
    given = dask.utils.parse_timedelta(dask.config.get("distributed.comm.timeouts.connect", "30s"))
    end = time.monotonic() + min(COME_UP, given)
    while True:  # it may be about to start
        try:
            socket.create_connection((host, port), timeout=min(5.0, COME_UP)).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise WorkerError(
                    f"dask: no scheduler answers at {where!r} ({_cause(error)}); {wanted}"
                ) from error
        time.sleep(0.2)


def _ask(where: str, security: Security | None) -> None:
    """Raise if what listens at an address is no scheduler."""
    if "://" in where and not where.startswith(("tcp://", "tls://")):
        return
    outcome: list[Any] = []

    async def identity() -> Any:
        from distributed.comm.core import connect

        options = security.get_connection_args("client") if security is not None else {}
        comm = await connect(where, timeout=ANSWER, **options)
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    def run() -> None:
        try:
            outcome.append(asyncio.run(asyncio.wait_for(identity(), ANSWER)))
        except Exception as error:
            outcome.append(error)

    # In a thread: there may be an event loop here already, as in a notebook.
    thread = threading.Thread(target=run, name="dask-identity", daemon=True)
    thread.start()
    thread.join(2 * ANSWER)
    answer = outcome[0] if outcome else TimeoutError()
    if isinstance(answer, dict) and answer.get("type") == "Scheduler":
        return
    if isinstance(answer, dict):
        raise WorkerError(
            f"dask: what answers at {where!r} is a Dask {str(answer.get('type')).lower()}, not the "
            "scheduler; give the address that `dask scheduler` prints"
        )
    if security is not None:
        why = "; it does not take these certificates, or does not use TLS"
    else:
        why = "; it does not speak Dask's protocol, is of another version, or wants TLS"
    reason = _cause(answer) if isinstance(answer, Exception) else "another answer"
    raise WorkerError(f"dask: what answers at {where!r} is not a Dask scheduler ({reason}){why}")


def _cause(error: BaseException) -> str:
    """One line of an error, which may be that of an innermost one."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120]
