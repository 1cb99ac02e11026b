"""Files that users hand in: plain files, within bounds."""

from __future__ import annotations

import io
import os
import socket
import zipfile

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import (
    LONGEST_LINE,
    bounded_lines,
    open_plain,
    read_archive,
    read_arrays,
    read_plain,
    reason_of,
)


def test_a_plain_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"one\ntwo")
    assert read_plain(tmp_path / "a", 7, "text") == b"one\ntwo"
    with open_plain(tmp_path / "a") as file:
        assert list(bounded_lines(file, "a")) == [b"one\n", b"two"]


def test_a_larger_one_is_not(tmp_path):
    (tmp_path / "a").write_bytes(bytes(8))
    with pytest.raises(InputError, match="expected text"):
        read_plain(tmp_path / "a", 7, "text")


def test_what_is_no_plain_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe"):
        open_plain(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a device"):
        open_plain("/dev/zero")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        open_plain(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "none")
    with pytest.raises(InputError, match="no name"):
        open_plain("a\0b")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(InputError, match="is a socket"):
            open_plain(tmp_path / "s")


def test_what_becomes_a_pipe_in_between_is_refused_too(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").touch()
    real, plain = os.stat, os.stat(tmp_path / "plain")
    monkeypatch.setattr(
        os, "stat", lambda path, **k: plain if "pipe" in str(path) else real(path, **k)
    )
    with pytest.raises(InputError, match="is a pipe"):
        open_plain(tmp_path / "pipe")


def test_a_line_without_an_end_is_refused():
    file = io.BytesIO(b"short\n" + b"x" * (LONGEST_LINE + 1))
    with pytest.raises(InputError, match="line 2 is longer"):
        list(bounded_lines(file, "a"))


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_an_archive_is_unpacked_within_bounds():
    data = zipped(a=b"1", b=bytes(1_000_000))
    assert read_archive(data, 2_000_000, "x")["a"] == b"1"
    with pytest.raises(InputError, match="unpacks to 2 files"):
        read_archive(data, 1_000_000, "x")
    with pytest.raises(InputError, match="damaged zip"):
        read_archive(data[:-30], 2_000_000, "x")


def test_an_archive_that_lies_about_its_sizes_is_not_believed():
    """A member of 1 MB that the table of contents gives as 1 kB."""
    data = zipped(a=bytes(1_000_000))
    lie = data.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lie != data
    with pytest.raises(InputError, match="damaged zip"):
        read_archive(lie, 10_000, "x")


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3), np.array(["a", "bc"]), np.array(5), np.zeros((0, 3))]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_as_they_were_saved(tmp_path, array, order):
    np.savez_compressed(tmp_path / "a.npz", array=np.asarray(array, order=order))
    found = read_arrays(tmp_path / "a.npz", ["array"], 1000)["array"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype and found.shape == array.shape


def test_arrays_of_objects_missing_or_large_ones_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", objects=np.array([{}], object), large=np.zeros(1000))
    for name, message in (("objects", "objects"), ("large", "8000 bytes"), ("none", "no array")):
        with pytest.raises(InputError, match=message):
            read_arrays(tmp_path / "a.npz", [name], 1000)


def test_an_array_that_states_more_than_there_is_costs_nothing(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"shape": (10**15,), "fortran_order": False, "descr": "<f8"}
    )
    (tmp_path / "a.npz").write_bytes(zipped(**{"a.npy": buffer.getvalue()}))
    with pytest.raises(InputError, match="bytes; expected at most"):
        read_arrays(tmp_path / "a.npz", ["a"], 10**9)
    (tmp_path / "b.npz").write_bytes(
        zipped(**{"a.npy": buffer.getvalue().replace(b"1000000000000000", b"1000            ")})
    )
    with pytest.raises(InputError, match="cut short"):
        read_arrays(tmp_path / "b.npz", ["a"], 10**9)


def test_the_reason_of_an_error_is_one_short_line():
    assert reason_of(ValueError("a\n b.\x1b[31m")) == "a b.?[31m"
    assert reason_of(KeyError()) == "KeyError"
    assert len(reason_of(ValueError("x" * 1000))) == 200
