"""Prototypes of the classes over their whole parameter ranges, and windows cut out of them.

Every length is in units of the nearest-neighbour distance of the undisturbed crystal. The
classes are those of Ziletti et al., Nat. Commun. 9, 2775 (2018), Table 1, and ``disordered``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import CLASSES

__all__ = [
    "Crystal",
    "Disorder",
    "cut_crystal",
    "prototype",
    "random_ball",
    "random_direction",
    "sample_crystal",
]


_CUBE = np.eye(3)
_FCC_SITES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
_THIRDS = np.array([[0, 0, 0], [2 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 2 / 3]])
_A_SITE, _B_SITE, _C_SITE = (0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)


def _up(z: float) -> Array:
    return np.array([0.0, 0.0, z])


def _hexagonal(c_over_a: float) -> Array:
    return np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, c_over_a]])


def _stacking(sequence: str, c_over_a: float) -> tuple[Array, Array]:
    """Close-packed layers named by their sites (A, B, C); ``c_over_a`` is of the whole cell."""
    site = {"A": _A_SITE, "B": _B_SITE, "C": _C_SITE}
    sites = np.array([(*site[s], i / len(sequence)) for i, s in enumerate(sequence)])
    return _hexagonal(c_over_a), sites


@dataclass(frozen=True)
class Crystal:
    """A crystal with nearest-neighbour distance 1.

    Attributes
    ----------
    name : str
        Prototype.
    target : (C,) array
        Probability of each class of a vocabulary (`CLASSES`, `STRUCTURES`); not one-hot where two
        classes meet.
    cell : (3, 3) array
        Lattice vectors in rows.
    sites : (n, 3) array
        Fractional coordinates.
    """

    name: str
    target: Array
    cell: Array
    sites: Array

    @property
    def density(self) -> float:
        """Atoms per cubed nearest-neighbour distance."""
        return float(len(self.sites) / abs(np.linalg.det(self.cell)))


def _unit(cell: Array, sites: Array) -> Array:
    """The cell scaled so that the nearest-neighbour distance is 1."""
    reach = np.ceil(1.2 * np.linalg.norm(cell, axis=1).max() / np.linalg.norm(cell, axis=1))
    n = [np.arange(-m, m + 1) for m in np.minimum(reach, 4)]
    shifts = np.stack(np.meshgrid(*n, indexing="ij"), -1).reshape(-1, 3)
    vectors = (sites[:, None, None] - sites[None, :, None] + shifts) @ cell
    lengths = np.linalg.norm(vectors, axis=-1)
    return cell / lengths[lengths > 1e-6].min()


def prototype(name: str, *parameters: float) -> tuple[Array, Array]:
    """Cell (rows) and fractional sites of a prototype, nearest-neighbour distance 1.

    Parameters
    ----------
    name : str
        ``sc``, ``bcc``, ``fcc``, ``diam``; with c/a: ``bct139`` (alpha-Pa, In), ``bct141``
        (beta-Sn), ``hcp``, ``dhcp``, ``9R`` (alpha-Sm), ``hexdiamond``, ``graphite``,
        ``rgraphite`` (rhombohedral), ``rh`` (beta-Po, alpha-Hg; hexagonal axes); ``alpha-As`` with
        c/a and z.

    Raises
    ------
    ValueError
        The name is none of these.
    """
    p = parameters
    makers: dict[str, Callable[[], tuple[Array, Array]]] = {
        "sc": lambda: (_CUBE, np.zeros((1, 3))),
        "bcc": lambda: (_CUBE, np.array([[0, 0, 0], [0.5, 0.5, 0.5]])),
        "fcc": lambda: (_CUBE, _FCC_SITES),
        "diam": lambda: (_CUBE, np.vstack([_FCC_SITES, _FCC_SITES + 0.25])),
        "bct139": lambda: (np.diag([1, 1, p[0]]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]])),
        "bct141": lambda: (
            np.diag([1, 1, p[0]]),
            np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.25], [0.5, 0, 0.75]]),
        ),
        "hcp": lambda: _stacking("AB", p[0]),
        "dhcp": lambda: _stacking("ABAC", p[0]),
        "9R": lambda: _stacking("ABABCBCAC", p[0]),
        "hexdiamond": lambda: (
            _hexagonal(p[0]),
            np.array(
                [(1 / 3, 2 / 3, z) for z in (0.0625, 0.4375)]
                + [(2 / 3, 1 / 3, z) for z in (0.5625, 0.9375)]
            ),
        ),
        "graphite": lambda: (
            _hexagonal(p[0]),
            np.array([(0, 0, 0), (1 / 3, 2 / 3, 0), (0, 0, 0.5), (2 / 3, 1 / 3, 0.5)]),
        ),
        "rgraphite": lambda: (
            _hexagonal(p[0]),
            np.vstack([_THIRDS + _up(1 / 6), _THIRDS - _up(1 / 6)]),
        ),
        "rh": lambda: (_hexagonal(p[0]), _THIRDS),
        "alpha-As": lambda: (
            _hexagonal(p[0]),
            np.vstack([_THIRDS + _up(p[1]), _THIRDS - _up(p[1])]),
        ),
    }
    if name not in makers:
        raise ValueError(f"prototype {name!r} is unknown: use one of {', '.join(makers)}")
    cell, sites = makers[name]()
    sites = np.asarray(sites, float) % 1
    return _unit(np.asarray(cell, float), sites), sites


# Where classes meet, in ln(c/a): within INNER it is the neighbour's, beyond OUTER its own, and
# in between the label is shared linearly. Indium, the least tetragonal of the elements, is at
# 0.073; a cubic crystal seldom meets a purely tetragonal strain of 3 %.
INNER, OUTER = 0.03, 0.06


def _meeting(x: float, points: dict[float, str]) -> tuple[float, str | None]:
    """Share of the class's own label at parameter x, and the class it is shared with."""
    for point, neighbour in points.items():
        distance = abs(np.log(x / point))
        if distance < OUTER:
            return float(np.clip((distance - INNER) / (OUTER - INNER), 0, 1)), neighbour
    return 1.0, None


def _target(own: str, share: float, neighbour: str | None) -> Array:
    target = np.zeros(len(CLASSES))
    target[CLASSES.index(own)] = share
    if neighbour is not None:
        target[CLASSES.index(neighbour)] += 1 - share
    return target


_MEETINGS = {
    "bct139": {1.0: "bcc", np.sqrt(2): "fcc"},
    "bct141": {np.sqrt(2): "diam"},
    "rh": {np.sqrt(3 / 8): "bcc", np.sqrt(3 / 2): "sc", np.sqrt(6): "fcc"},
}
# Prototype, share of its class's samples, ranges of its parameters.
_RANGES: dict[str, list[tuple[str, float, tuple[tuple[float, float], ...]]]] = {
    "bct139": [("bct139", 1.0, ((0.55, 2.0),))],
    "bct141": [("bct141", 0.8, ((0.4, 1.33),)), ("bct141", 0.2, ((1.5, 1.9),))],
    "hex/rh": [
        ("hcp", 0.36, ((1.45, 1.95),)),
        ("dhcp", 0.08, ((3.0, 3.45),)),
        ("9R", 0.06, ((6.9, 7.7),)),
        ("hexdiamond", 0.08, ((1.55, 1.75),)),
        ("graphite", 0.06, ((2.4, 3.0),)),
        ("rgraphite", 0.02, ((3.6, 4.5),)),
        ("rh", 0.22, ((0.42, 3.3),)),
        ("alpha-As", 0.12, ((2.55, 3.0), (0.215, 0.236))),
    ],
    "sc": [("sc", 1.0, ())],
    "fcc": [("fcc", 1.0, ())],
    "diam": [("diam", 1.0, ())],
    "bcc": [("bcc", 1.0, ())],
}


def sample_crystal(label: str, rng: np.random.Generator, *, shared: bool = True) -> Crystal:
    """A crystal of a class, its parameters drawn from their whole range.

    Parameters
    ----------
    label : str
        One of the first seven `CLASSES`.
    rng : numpy.random.Generator
    shared : bool
        Draw also where two classes meet (soft labels); False keeps to the pure part, as a test
        set must.
    """
    kinds = _RANGES[label]
    while True:
        name, _, ranges = kinds[rng.choice(len(kinds), p=[k[1] for k in kinds])]
        parameters = tuple(float(rng.uniform(*r)) for r in ranges)
        share, neighbour = (
            _meeting(parameters[0], _MEETINGS[name]) if name in _MEETINGS else (1.0, None)
        )
        if shared or share == 1.0:
            break
    cell, sites = prototype(name, *parameters)
    return Crystal(name, _target(label, share, neighbour), cell, sites)


@dataclass(frozen=True)
class Disorder:
    """What is done to a crystal before the window is cut (lengths in nearest-neighbour distances).

    Attributes
    ----------
    sigma : float
        Standard deviation of a displacement component.
    vacancy_fraction : float
    strain : float
        Largest principal strain, of random axes and signs.
    anisotropy : float
        Natural logarithm by which the displacements' principal axes differ (standard deviation).
    collective : float
        Share of the displacements' variance that is smooth in space (long phonons).
    interstitials : float
        Added atoms in the window per atom before it is cut: about twice the share that is left in
        250 atoms, since the margin's atoms count.
    surface : float or None
        Distance from the centre, in window radii, of a plane beyond which nothing is.
    fault : bool
        Put a twin plane or a stacking fault into fcc, one to five layers from the centre.
    """

    sigma: float = 0.0
    vacancy_fraction: float = 0.0
    strain: float = 0.0
    anisotropy: float = 0.0
    collective: float = 0.0
    interstitials: float = 0.0
    surface: float | None = None
    fault: bool = False


def random_strain(size: float, rng: np.random.Generator) -> Array:
    """Deformation I + e with a random symmetric e whose largest principal strain is `size`."""
    if size == 0:
        return np.eye(3)
    e = rng.normal(size=(3, 3))
    e = e + e.T
    result: Array = np.eye(3) + size * e / np.abs(np.linalg.eigvalsh(e)).max()
    return result


def displacements(points: Array, disorder: Disorder, rng: np.random.Generator) -> Array:
    """Thermal displacements (n, 3): independent, anisotropic and collective parts."""
    if disorder.sigma == 0:
        return np.zeros_like(points)
    smooth = disorder.collective
    u = rng.normal(size=points.shape) * np.sqrt(1 - smooth)
    if smooth > 0:
        waves = 24
        k = rng.normal(size=(waves, 3))
        k *= (rng.uniform(0.25, 1.6, waves) / np.linalg.norm(k, axis=1))[:, None]
        amplitude = rng.normal(size=(waves, 3)) * np.sqrt(2 * smooth / waves)
        u += np.cos(points @ k.T + rng.uniform(0, 2 * np.pi, waves)) @ amplitude
    if disorder.anisotropy > 0:
        scale = np.exp(rng.normal(scale=disorder.anisotropy, size=3))
        scale /= np.sqrt(np.mean(scale**2))
        axes = Rotation.random(random_state=rng).as_matrix()
        u = u @ (axes * scale) @ axes.T
    return disorder.sigma * u


def _lattice_points(cell: Array, sites: Array, radius: float, origin: Array) -> Array:
    inverse = np.linalg.inv(cell)
    reach = radius * np.linalg.norm(inverse, axis=0)
    low = np.floor(-reach - origin @ inverse - 1).astype(int)
    high = np.ceil(reach - origin @ inverse + 1).astype(int)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = (cells[:, None] + sites).reshape(-1, 3) @ cell + origin
    return points[np.einsum("ij,ij->i", points, points) < radius**2]


def faulted_fcc(rng: np.random.Generator, layers: int = 13) -> tuple[Array, Array]:
    """Fcc with a twin plane or an intrinsic stacking fault one to five layers from the centre."""
    step = np.ones(layers, int)
    plane = layers // 2 + int(rng.choice([-4, -3, -2, 2, 3, 4]))
    if rng.random() < 0.5:
        step[plane:] = 2  # twin: the stacking turns round
    else:
        step[plane] = 2  # intrinsic fault: one layer is left out
    letters = np.cumsum(step) % 3
    sites = np.array([[(0, 0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)][s] for s in letters])
    return _hexagonal(layers * np.sqrt(2 / 3)), np.column_stack([sites, np.arange(layers) / layers])


def cut_crystal(
    crystal: Crystal,
    atoms: int,
    disorder: Disorder,
    rng: np.random.Generator,
    *,
    on_atom: bool | None = None,
    orientation: Array | None = None,
) -> Array:
    """A spherical window out of a disturbed crystal, in random orientation.

    Parameters
    ----------
    crystal : Crystal
    atoms : int
        Expected number of atoms, after vacancies, of the uncut ball.
    disorder : Disorder
    rng : numpy.random.Generator
    on_atom : bool, optional
        Centre on a site (True) or anywhere (False); by default either, evenly.
    orientation : (3, 3) array, optional
        Rotation of the crystal, of column vectors; at random by default.

    Returns
    -------
    (n, 3) array
        Positions relative to the centre, in nearest-neighbour distances.
    """
    density = crystal.density * (1 - disorder.vacancy_fraction)
    radius = (3 * atoms / (4 * np.pi * density)) ** (1 / 3)
    if on_atom is None:
        on_atom = bool(rng.random() < 0.5)
    cell, sites = crystal.cell, crystal.sites
    if disorder.fault:
        cell, sites = faulted_fcc(rng)
        # The middle layer of the slab that holds one fault is the window's centre.
        middle = sites[len(sites) // 2] @ cell
        origin = -middle if on_atom else -middle + rng.uniform(-0.4, 0.4, 3)
    elif on_atom:
        origin = -sites[rng.integers(len(sites))] @ cell
    else:
        origin = -rng.random(3) @ cell
    margin = 1.0 + 4 * disorder.sigma + 4 * disorder.strain * radius
    points = _lattice_points(cell, sites, radius + margin, origin)
    if orientation is None:
        orientation = Rotation.random(random_state=rng).as_matrix()
    else:
        # Nothing is drawn for atoms that no displacement brings into the window.
        points = points[np.einsum("ij,ij->i", points, points) < (1.1 * radius + 1) ** 2]
    points = points @ (orientation @ random_strain(disorder.strain, rng)).T
    points = points[rng.random(len(points)) >= disorder.vacancy_fraction]
    points = points + displacements(points, disorder, rng)
    if disorder.interstitials > 0:
        extra = rng.poisson(disorder.interstitials * len(points))
        points = np.vstack([points, random_ball(extra, radius, rng)])
    points = points[np.einsum("ij,ij->i", points, points) < radius**2]
    if disorder.surface is not None:
        points = points[points @ random_direction(rng) < disorder.surface * radius]
    return points


def random_direction(rng: np.random.Generator) -> Array:
    """A unit vector (3,), all directions alike."""
    direction = rng.normal(size=3)
    result: Array = direction / np.linalg.norm(direction)
    return result


def random_ball(count: int, radius: float, rng: np.random.Generator) -> Array:
    """Independent points (count, 3), evenly in a ball."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    result: Array = directions * (radius * rng.random((count, 1)) ** (1 / 3))
    return result
