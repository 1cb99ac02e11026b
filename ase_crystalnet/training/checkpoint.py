"""Where a training has got to: all that changes while it learns, in one file that is whole."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import reason_of
from ase_crystalnet.io.whole_files import whole_file

__all__ = ["Checkpoint"]

#: What damaged archives and arrays raise.
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile)


class Checkpoint:
    """The state of a training on disk.

    A training that is restored goes on as if it had never stopped: weights, the optimizer's
    memory and the random numbers of dropout are kept. The file is written whole under a temporary
    name and renamed, so that a kill or a full disk leaves the one before.

    Parameters
    ----------
    path : Path
        A ``.npz`` file.
    network : keras.Model
    optimizer : keras.optimizers.Optimizer
        Is built for the network here.
    more : sequence of variables
        What else is learned, as averaged weights.
    settings : str
        What decides how the training goes on; a state that was made with others is refused.
    """

    def __init__(
        self,
        path: Path,
        network: Any,
        optimizer: Any,
        more: Sequence[Any] = (),
        settings: str = "",
    ) -> None:
        self.path, self.settings = path, settings
        optimizer.build(network.trainable_variables)
        weights = network.weights
        kept = {id(variable) for variable in weights}
        # Where the random numbers of dropout have got to; last, since older files lack it.
        random = [variable for variable in network.variables if id(variable) not in kept]
        self._variables = [*weights, *optimizer.variables, *more, *random]
        self._random = len(random)

    def save(self, **progress: Any) -> None:
        """Keep the state.

        Parameters
        ----------
        **progress
            What else has to be known to go on, as JSON can hold it.

        Raises
        ------
        OSError
            It cannot be written; the state before is still there.
        """
        arrays: dict[str, Any] = {f"a{i}": np.asarray(v) for i, v in enumerate(self._variables)}
        with whole_file(self.path) as part:
            np.savez(part, **arrays, settings=self.settings, progress=json.dumps(progress))

    def restore(self) -> dict[str, Any] | None:
        """Take up the state that is kept, if one is.

        Returns
        -------
        dict or None
            The progress that was kept with it.

        Raises
        ------
        InputError
            It cannot be read, or is that of another training.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path) as data:
                arrays = {name: data[name] for name in data.files}
            found = [arrays[name] for name in sorted(arrays, key=_number) if _number(name) >= 0]
            progress = _progress(arrays)
        except _UNREADABLE as error:
            raise InputError(
                f"{self.path}: expected the state of a training, got a damaged file "
                f"({reason_of(error)}); delete it to train from the start"
            ) from error
        settings = str(arrays.get("settings", self.settings))
        wanted = [tuple(variable.shape) for variable in self._variables]
        shapes = [array.shape for array in found]
        whole = shapes == wanted or shapes == wanted[: len(wanted) - self._random]
        if settings != self.settings or not whole:
            raise InputError(
                f"{self.path} holds a training with other settings: give the same ones to go on "
                "with it, or another work folder"
            )
        for variable, array in zip(self._variables, found, strict=False):
            variable.assign(array)
        return progress

    def remove(self) -> None:
        """Forget the state: the training is over."""
        self.path.unlink(missing_ok=True)


def _number(name: str) -> int:
    """Place of an array among the variables; -1 of anything else."""
    return int(name[1:]) if re.fullmatch(r"a\d+", name) else -1


def _progress(arrays: dict[str, Any]) -> dict[str, Any]:
    if "progress" in arrays:
        progress: dict[str, Any] = json.loads(str(arrays["progress"]))
        return progress
    # Older files of powder networks hold their numbers one by one.
    return {name: array.item() for name, array in arrays.items() if _number(name) < 0}
