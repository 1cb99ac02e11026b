"""Which atoms of a frame count: ``type 1 2``, ``element O``, ``name OW``, ``z < 50``; masks.

Words may be joined by ``and``, ``or``, ``not`` and parentheses. The others are treated as absent.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories.species import names_of, types_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Only", "check_selection", "chosen_atoms", "mask_of"]

Only = Any
"""Text, a mask (N,), indices, a callable of `ase.Atoms` that returns one of them, or None."""

_Mask = NDArray[np.bool_]
_TOKEN = re.compile(r"\s*(<=|>=|==|!=|<|>|=|\(|\)|,|[^\s()<>=!,]+)")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_LISTS = ("type", "element", "name", "index", "id", "resname")
_EXPECTED = "expected a choice such as 'type 1 2', 'element O', 'name OW', 'z < 50'"
#: Characters of a choice; nothing sensible is longer.
_LONGEST = 4000
#: Parentheses and "not" inside each other.
_DEEPEST = 50


def mask_of(atoms: Atoms, only: Only) -> _Mask:
    """The atoms that are chosen, shape (N,).

    Parameters
    ----------
    atoms : ase.Atoms
    only : str, callable, mask or indices

    Raises
    ------
    InputError
        It cannot be understood, does not fit the atoms, or chooses none.
    """
    given = only(atoms) if callable(only) else only
    if isinstance(given, str):
        mask = _Choice(given, atoms).mask()
    else:
        mask = _mask_of_array(given, len(atoms))
    if not mask.any():
        words = only if isinstance(only, str) else "only"
        raise InputError(f"{words!r} chooses none of the {len(atoms)} atoms; {_present(atoms)}")
    return mask


def chosen_atoms(atoms: Atoms, only: Only) -> Atoms:
    """The chosen atoms alone, in their order, in the same cell; errors are those of `mask_of`."""
    mask = mask_of(atoms, only)
    if mask.all():
        return atoms
    kept: Atoms = atoms[mask]
    kept.set_celldisp(atoms.get_celldisp())
    kept.info = dict(atoms.info)
    kept.calc = None
    return kept


def check_selection(text: str) -> None:
    """Refuse a choice in words that cannot be understood, before any file is read."""
    from ase import Atoms

    # A lone atom has all the words; what it does not have is known when there is a frame.
    _Choice(text, Atoms("H", [[0, 0, 0]]), strict=False).mask()


def _mask_of_array(given: Any, count: int) -> _Mask:
    values = np.asarray(given)
    if values.dtype == bool and values.shape == (count,):
        return values
    if values.ndim == 1 and np.issubdtype(values.dtype, np.integer):
        if len(values) and (values.min() < -count or values.max() >= count):
            raise InputError(f"only: expected indices of {count} atoms, got {values.max()}")
        mask = np.zeros(count, bool)
        mask[values] = True
        return mask
    raise InputError(
        f"only: expected a mask of {count} atoms, their indices or a choice in words, got an array "
        f"of {values.dtype} of shape {values.shape}"
    )


def _present(atoms: Atoms) -> str:
    """What there is to choose from."""

    def few(values: NDArray[Any]) -> str:
        different = np.unique(values).tolist()
        return " ".join(map(str, different[:8])) + (" ..." if len(different) > 8 else "")

    return f"there are types {few(types_of(atoms))} and names {few(names_of(atoms))}"


class _Choice:
    """A choice in words: the parts are read from left to right, once."""

    def __init__(self, text: str, atoms: Atoms, strict: bool = True) -> None:
        if len(text) > _LONGEST:
            raise InputError(f"{_EXPECTED}, got {len(text)} characters")
        self.text, self.atoms, self.strict = text, atoms, strict
        self.words = _TOKEN.findall(text)
        self.place = self.depth = 0

    def mask(self) -> _Mask:
        """The whole choice."""
        mask = self._any()
        if self.place < len(self.words):
            raise self._error()
        return mask

    def _any(self) -> _Mask:
        mask = self._all()
        while self._next() in ("or", "||"):
            self.place += 1
            mask = mask | self._all()
        return mask

    def _all(self) -> _Mask:
        mask = self._one()
        while self._next() in ("and", "&&"):
            self.place += 1
            mask = mask & self._one()
        return mask

    def _one(self) -> _Mask:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._error()
        try:
            word = self._take()
            if word == "not":
                return ~self._one()
            if word == "all":
                return np.ones(len(self.atoms), bool)
            if word == "(":
                mask = self._any()
                if self._take() != ")":
                    raise self._error()
                return mask
            if word in _LISTS and self._next() not in _COMPARE:
                return self._listed(word)
            return self._compared(word)
        finally:
            self.depth -= 1

    def _listed(self, word: str) -> _Mask:
        wanted = []
        while (value := self._next()) not in (None, "and", "or", "&&", "||", ")"):
            if value in _COMPARE or value == "(":
                raise self._error()
            self.place += 1
            if value != ",":
                wanted.append(str(value))
        if not wanted:
            raise self._error()
        if word in ("element", "name", "resname"):
            return self._by_name(word, wanted)
        values = self._values(word)
        mask = np.zeros(len(self.atoms), bool)
        for value in wanted:
            ends = re.fullmatch(r"(\d{1,12})(?:(?:-|:)(\d{1,12}))?", value)
            if ends is None:
                if word == "type":  # types may have names
                    mask |= names_of(self.atoms) == value
                    continue
                raise self._error()
            mask |= (values >= int(ends[1])) & (values <= int(ends[2] or ends[1]))
        return mask

    def _by_name(self, word: str, wanted: list[str]) -> _Mask:
        if word == "element":
            names = np.asarray(self.atoms.get_chemical_symbols())
        elif word == "resname":
            names = self._values("residuenames").astype(str)
        else:
            names = names_of(self.atoms)
        kept = {
            name
            for name in set(names.tolist())
            if any(fnmatch.fnmatchcase(name.strip(), pattern) for pattern in wanted)
        }
        return np.isin(names, sorted(kept))

    def _compared(self, word: str) -> _Mask:
        """``z < 50``, ``10 < z < 50``."""
        mask = np.ones(len(self.atoms), bool)
        left, count = self._operand(word), 0
        while (sign := self._next()) in _COMPARE:
            assert sign is not None
            self.place += 1
            right = self._operand(self._take())
            mask &= np.asarray(_COMPARE[sign](left, right), bool)
            left, count = right, count + 1
        if count == 0:
            raise self._error()
        return mask

    def _operand(self, word: str) -> Any:
        try:
            return float(word)
        except ValueError:
            return self._values(word)

    def _values(self, word: str) -> NDArray[Any]:
        """A number of each atom, by its name."""
        atoms = self.atoms
        if word in ("x", "y", "z"):
            return np.asarray(atoms.positions[:, "xyz".index(word)])
        if word == "index":
            return np.arange(len(atoms))
        if word == "type":
            return types_of(atoms)
        found = atoms.arrays.get(word)
        if found is not None and found.ndim == 1:
            return np.asarray(found)
        if not self.strict and re.fullmatch(r"[A-Za-z_][\w\[\].-]*", word):
            return np.ones(len(atoms))
        have = sorted(name for name, array in atoms.arrays.items() if array.ndim == 1)
        raise InputError(
            f"{_EXPECTED}; got {self.text!r}: atoms have no {word!r}, they have x, y, z, index, "
            f"{', '.join(have)}"
        )

    def _next(self) -> str | None:
        return self.words[self.place] if self.place < len(self.words) else None

    def _take(self) -> str:
        word = self._next()
        if word is None:
            raise self._error()
        self.place += 1
        return word

    def _error(self) -> InputError:
        return InputError(f"{_EXPECTED}; got {self.text!r}")
