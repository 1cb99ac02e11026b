"""Bravais lattices: which a metric has, their free parameters, centrings and reflections."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet.xrd.pattern import WAVELENGTH

__all__ = [
    "CENTRINGS", "FAMILIES", "FREE", "angles_of", "centred", "conventional", "matrix", "metric_of",
    "parameters_of", "products", "reflections_in",
]  # fmt: skip

#: Crystal families by the letter of their Bravais lattices, and their crystal systems (order of
#: `pattern.CRYSTAL_SYSTEMS`).
FAMILIES = {"a": (0,), "m": (1,), "o": (2,), "t": (3,), "h": (4, 5), "c": (6,)}
#: Centrings of the conventional cells, in all settings.
CENTRINGS = {"a": "P", "m": "PCAI", "o": "PCABIF", "t": "PI", "h": "PR", "c": "PIF"}
#: Free parameters of the reciprocal metric (a*a*, b*b*, c*c*, b*c*, a*c*, a*b*).
FREE = {
    "c": np.array([[1.0, 1, 1, 0, 0, 0]]),
    "t": np.array([[1.0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]),
    "h": np.array([[1.0, 1, 0, 0, 0, 0.5], [0, 0, 1, 0, 0, 0]]),
    "o": np.eye(6)[:3],
    "m": np.eye(6)[[0, 1, 2, 4]],
    "a": np.eye(6),
}
#: Space groups of empty lattices, which name the Bravais lattice.
_EMPTY = {
    2: "aP", 10: "mP", 12: "mC", 47: "oP", 65: "oC", 69: "oF", 71: "oI", 123: "tP", 139: "tI",
    166: "hR", 191: "hP", 221: "cP", 225: "cF", 229: "cI",
}  # fmt: skip
#: How far a metric may be from a symmetry that is tried, Angstrom.
_TOLERANCES = (0.01, 0.04, 0.12)
#: Cells with more reflections are not looked at.
_MOST = 40_000


def matrix(metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) reciprocal metric from its six numbers."""
    a, b, c, d, e, f = metric
    return np.array([[a, f, e], [f, b, d], [e, d, c]])


def metric_of(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Six numbers of the reciprocal metric of a lattice (3, 3) of row vectors, 1/Angstrom^2."""
    inverse = np.linalg.inv(lattice @ lattice.T)
    return np.asarray(inverse[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])


def parameters_of(metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """a, b, c (Angstrom), alpha, beta, gamma (degrees) of a reciprocal metric."""
    real = np.linalg.inv(matrix(metric))
    lengths = np.sqrt(np.diag(real))
    cosines = real[[1, 0, 0], [2, 2, 1]] / lengths[[1, 0, 0]] / lengths[[2, 2, 1]]
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))])


def products(hkl: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 6): what times the six numbers of the metric is 1/d^2."""
    h, k, m = hkl.T.astype(np.float64)
    return np.stack([h * h, k * k, m * m, 2 * k * m, 2 * h * m, 2 * h * k], axis=1)


def angles_of(squares: NDArray[np.float64], displacement: float = 0.0) -> NDArray[np.float64]:
    """Two-theta of 1/d^2, degrees for Cu K-alpha 1, with a displacement times cos(theta)."""
    sine = np.sqrt(np.maximum(squares, 0.0)) * WAVELENGTH / 2
    theta = np.arcsin(np.minimum(sine, 1.0))
    return np.asarray(2 * np.degrees(theta) + displacement * np.cos(theta))


def centred(hkl: NDArray[np.int64], centring: str) -> NDArray[np.bool_]:
    """Which reflections a centring leaves (n,)."""
    h, k, m = hkl.T
    if centring == "R":
        return np.asarray((-h + k + m) % 3 == 0)
    sums = {"I": (h + k + m,), "C": (h + k,), "A": (k + m,), "B": (h + m,), "F": (h + k, k + m)}
    keep = np.ones(len(hkl), bool)
    for total in sums.get(centring, ()):
        keep &= total % 2 == 0
    return keep


def reflections_in(
    metric: NDArray[np.float64], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Indices (n, 3) of one of each Friedel pair up to 1/d^2 = limit, and 1/d^2, ascending.

    None for a cell with too many.
    """
    lengths = np.sqrt(np.diag(np.linalg.inv(matrix(metric))))
    reach = np.floor(np.sqrt(limit) * lengths).astype(np.int64)
    if np.prod(2.0 * reach + 1) > _MOST:
        return None
    axes = [np.arange(-n, n + 1) for n in reach]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # The second half is the first with other signs; in the middle is (000).
    hkl = hkl[len(hkl) // 2 + 1 :]
    squares = products(hkl) @ metric
    keep = squares < limit
    order = np.argsort(squares[keep], kind="stable")
    return hkl[keep][order], squares[keep][order]


def conventional(metric: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Bravais lattices that a metric nearly has, with the metrics of their conventional cells.

    The lattice itself, as triclinic, is always among them.
    """
    import spglib

    found: dict[str, NDArray[np.float64]] = {}
    try:
        lattice = np.linalg.cholesky(np.linalg.inv(matrix(metric)))
    except np.linalg.LinAlgError:
        return found
    reduced: Any = lattice
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spglib announces errors of its own to come
        niggli = spglib.niggli_reduce(lattice, 1e-3)
        reduced = lattice if niggli is None else niggli
        for tolerance in _TOLERANCES:
            empty = (reduced, [[0.0, 0.0, 0.0]], [1])
            data = answer_of(spglib.get_symmetry_dataset, empty, symprec=tolerance)
            name = None if data is None else _EMPTY.get(int(data.number))
            if data is not None and name is not None and name not in found:
                found[name] = metric_of(np.asarray(data.std_lattice))
    found.setdefault("aP", metric_of(np.asarray(reduced)))
    return found
