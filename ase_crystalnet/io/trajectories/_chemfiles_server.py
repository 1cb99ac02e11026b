"""A process that reads a trajectory with chemfiles: run as a script, with its file and format.

Damaged files can end the process in chemfiles' C++, and then it is this one that ends. It imports
nothing of the package. Each line asked is answered by one line of JSON; "len" by a number, "names"
by those of a topology, the number of a frame by what it states, with its coordinates after the
line: float64, native.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from typing import Any, BinaryIO


def serve(source: str, format: str, asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there is no more question."""
    import numpy as np

    chemfiles = importlib.import_module("chemfiles")
    file: Any = None

    def answer(question: str) -> tuple[dict[str, Any], bytes]:
        nonlocal file
        if file is None:
            file = chemfiles.Trajectory(source, "r", format)
        if question == "len":
            return {"value": int(file.nsteps)}, b""
        if question == "names":
            return {"names": [str(atom.name or atom.type) for atom in file.read().atoms]}, b""
        frame = file.read_step(int(question))
        positions = np.ascontiguousarray(frame.positions, dtype=np.float64)
        stored = {name: frame[name] for name in frame.list_properties()}
        time = stored.get("time")
        head = {
            "atoms": positions.size // 3,
            # Vectors are the columns there; without a cell all is zero.
            "cell": np.asarray(frame.cell.matrix, dtype=float).T.tolist(),
            "step": int(frame.step),
            "time": float(time) if isinstance(time, int | float) else None,
        }
        return head, positions.tobytes()

    for line in asked:
        try:
            head, body = answer(line.decode().strip())
        except chemfiles.ChemfilesError as error:  # no `Exception` to Python
            head, body = {"error": " ".join(str(error).split())}, b""
        except Exception as error:
            head, body = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}, b""
        answers.write(json.dumps(head).encode() + b"\n" + body)
        answers.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(sys.argv[1], sys.argv[2], sys.stdin.buffer, sys.stdout.buffer)
