"""Names of atoms: chemical symbols, numbers of types, and whatever force fields call them.

The class of a structure does not depend on its species, so no name is an error. A name that is no
symbol is kept in ``atoms.arrays['name']``, and the element is guessed from its first letters; of a
name without any the number of its type serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["NAME", "named_species", "numbers_of", "species_map"]

#: Where names and types of atoms are kept in `Atoms.arrays`.
NAME, TYPE = "name", "type"
#: The largest atomic number that has a symbol.
_LAST = 118


def numbers_of(names: Iterable[str]) -> tuple[NDArray[np.int64], bool]:
    """Atomic numbers, shape (N,), for names of any kind, and whether all are chemical symbols.

    Numbers stand for themselves, as far as there are elements.
    """
    from ase.data import atomic_numbers

    table = np.asarray(list(names), dtype=object)
    different = sorted(set(table.tolist()))
    plain = all(name in atomic_numbers for name in different)
    known = {
        name: atomic_numbers[name] if plain else _number(name, place)
        for place, name in enumerate(different, 1)
    }
    return np.array([known[name] for name in table], np.int64), plain


def _number(name: str, place: int) -> int:
    """Atomic number of a name that may be a symbol, a number, or begin with a symbol."""
    from ase.data import atomic_numbers

    if name in atomic_numbers:
        return int(atomic_numbers[name])
    if name.isdigit() and name.isascii() and len(name) < 10:
        return min(int(name), _LAST)
    letters = re.match(r"[^A-Za-z]*([A-Za-z]+)", name)
    if letters:
        word = letters[1]
        whole = word.capitalize()
        if whole in atomic_numbers and len(word) == len(name):
            return int(atomic_numbers[whole])  # "CU", "cu"
        for size in (2, 1):
            symbol = word[:size]
            if symbol[1:].islower() or size == 1:
                symbol = symbol.capitalize()
                if symbol in atomic_numbers and symbol != "X":
                    return int(atomic_numbers[symbol])
    return min(place, _LAST)


def species_map(given: str | Mapping[Any, Any] | None) -> tuple[tuple[str, str], ...]:
    """Pairs of a type number or name and an element, from ``1=Cu,2=Zr`` or a mapping.

    Raises
    ------
    InputError
        A part has no "=", or the element is none.
    """
    from ase.data import atomic_numbers

    if given is None:
        return ()
    if isinstance(given, Mapping):
        pairs = [(str(key), str(value)) for key, value in given.items()]
    else:
        parts = [part.partition("=") for part in str(given).replace(";", ",").split(",")]
        pairs = [(key.strip(), value.strip()) for key, _, value in parts]
    for key, value in pairs:
        if not key or value not in atomic_numbers:
            raise InputError(
                f"species: expected type=element such as 1=Cu,2=Zr, got {key!r}={value!r}"
            )
    return tuple(pairs)


def types_of(atoms: Atoms) -> NDArray[Any]:
    """Number of the type of each atom, shape (N,); atomic numbers where the file has no types."""
    return np.asarray(atoms.arrays.get(TYPE, atoms.numbers))


def names_of(atoms: Atoms) -> NDArray[Any]:
    """Name of each atom, shape (N,): of the file, or the chemical symbol."""
    for key in (NAME, "atomtypes", "names"):
        if key in atoms.arrays:
            return np.asarray(atoms.arrays[key]).astype(str)
    from ase.data import chemical_symbols

    last = len(chemical_symbols) - 1
    return np.asarray(chemical_symbols)[np.clip(atoms.numbers, 0, last)]


def named_species(atoms: Atoms, species: tuple[tuple[str, str], ...]) -> None:
    """Give atoms of the named types their elements; the others stay as they are.

    Parameters
    ----------
    atoms : ase.Atoms
        Changed in place.
    species : tuple of (str, str)
        Type number or name, and element.
    """
    from ase.data import atomic_numbers

    types, names = types_of(atoms), names_of(atoms)
    if TYPE not in atoms.arrays:
        atoms.arrays[TYPE] = np.array(types)
    numbers = np.array(atoms.numbers)
    for key, element in species:
        of_type = types == int(key) if key.isdigit() else names == key
        numbers[of_type] = atomic_numbers[element]
    atoms.numbers = numbers
