"""An analysis told which crystal it is of: its poles named, and the order in its windows.

Both add to an `AtomProbeAnalysis`, as `classify_windows` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.analysis import BATCH, Progress
from ase_crystalnet.atom_probe.crystal.known import KnownCrystal
from ase_crystalnet.atom_probe.crystal.naming import NamedPoles, name_poles
from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.atom_probe.results import AtomProbeAnalysis
from ase_crystalnet.atom_probe.windows import IonWindows
from ase_crystalnet.errors import InputError

__all__ = ["find_order", "name_analysis", "order_frame"]


def name_analysis(analysis: AtomProbeAnalysis, crystal: KnownCrystal) -> AtomProbeAnalysis:
    """Name the poles of an analysis; without poles it stays as it is.

    Parameters
    ----------
    analysis : AtomProbeAnalysis
    crystal : KnownCrystal
        What the specimen, or its matrix, is known to be.
    """
    if not analysis.poles:
        return analysis
    return replace(analysis, named=name_poles(analysis.poles, crystal))


def find_order(
    analysis: AtomProbeAnalysis,
    windows: IonWindows,
    crystal: KnownCrystal,
    structure: str,
    species: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> AtomProbeAnalysis:
    """Look for an ordered structure in every window, and map where it is.

    Parameters
    ----------
    analysis : AtomProbeAnalysis
        With named poles, which give the lattice.
    windows : IonWindows
        Of the same reconstruction; they are cut again.
    crystal : KnownCrystal
        The parent lattice.
    structure : str
        L1_2, L1_0, B2, D0_19 or omega.
    species : sequence of str, optional
        What orders: elements, or ions by name. Default: the second most common element.
    progress : callable, optional
        As of `analyze_windows`.

    Raises
    ------
    InputError
        If the structure is none of the crystal's lattice, no ion is ranged, or there is no such
        species.

    Notes
    -----
    Where no pole is named the lattice is not known: the analysis stays without order, and says why
    in its settings (``refused``).
    """
    from ase_crystalnet.atom_probe.order.finder import OrderFinder, OrderFindings
    from ase_crystalnet.atom_probe.order.phases import map_order
    from ase_crystalnet.atom_probe.order.structures import reflections_of

    say = progress or (lambda step, done, total: None)
    reflections = reflections_of(structure, crystal)
    ions = windows.ions
    excess, variance, names = _species_waves(ions, species, reflections.chemical)
    try:
        frame, along = order_frame(analysis.named, crystal)
        OrderFinder(reflections, frame, along=along)
    except InputError as error:
        # Nothing is wrong with what was given: the planes do not say how the lattice lies.
        settings = {**analysis.settings, "order": reflections.structure, "refused": str(error)}
        return replace(analysis, settings=settings)
    rate = float(analysis.settings.get("false_alarm", 0.01))
    each = rate
    if analysis.settings.get("family_wise"):
        each = float(-np.expm1(np.log1p(-rate) / max(len(analysis), 1)))
    finder = OrderFinder(reflections, frame, each, along)
    found, done = [], 0
    for batch in windows.batches(analysis.centers, BATCH):
        rows = slice(done, done + len(batch))
        index = np.maximum(batch.indices, 0)
        found.append(
            finder(
                batch.positions, batch.mask, excess[index], variance[index],
                analysis.findings.wave_vectors[rows],
            )
        )  # fmt: skip
        done += len(batch)
        say("order", done, len(analysis))
    findings = OrderFindings.concatenate(found)
    lateral, depth = _typical_blur(findings)
    say("order map", 0, 1)
    order_map = None
    if reflections.chemical:
        over_all = OrderFinder(reflections, frame, rate, along)
        order_map = map_order(
            over_all, ions.positions, excess, variance, ions.species, len(ions.ions),
            lateral=lateral, depth=depth,
        )  # fmt: skip
    settings = {
        **analysis.settings, "order": reflections.structure, "order_species": names,
    }  # fmt: skip
    return replace(analysis, order=findings, order_map=order_map, settings=settings)


def order_frame(named: NamedPoles | None, crystal: KnownCrystal) -> tuple[Array, Array | None]:
    """Frame of the lattice, and the only direction in which it is known, if there is one.

    Parameters
    ----------
    named : NamedPoles, optional
    crystal : KnownCrystal

    Raises
    ------
    InputError
        If no pole is named, or the orientation is ambiguous.
    """
    if named is None or not any(named.names):
        raise InputError(
            "order: no pole can be named, so that the lattice is not known; planes must resolve "
            "in several windows, in more than one direction or with the spacing of one family"
        )
    if np.isfinite(named.orientation).all():
        if not named.certain:
            raise InputError(
                "order: the poles fit several orientations of the crystal nearly alike; is it "
                f"{named.crystal}?"
            )
        return named.frame, None
    row = next(i for i, name in enumerate(named.names) if name)
    g = crystal.vectors(named.indices[row])
    scale = named.depth_scale if np.isfinite(named.depth_scale) else named.lateral_scale
    return _turn(g, named.normals[row]) / scale, named.normals[row]


def _turn(start: Array, end: Array) -> Array:
    """A rotation that takes one direction to another."""
    from scipy.spatial.transform import Rotation

    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    return np.asarray(Rotation.align_vectors([b], [a])[0].as_matrix())


def _typical_blur(findings: object) -> tuple[float, float]:
    """Blur of the windows whose planes resolve best, a fifth of them: what a map is scaled by."""
    lateral = np.asarray(findings.lateral_blur)  # type: ignore[attr-defined]
    depth = np.asarray(findings.depth_blur)  # type: ignore[attr-defined]
    resolved = np.isfinite(findings.order)  # type: ignore[attr-defined]
    if not resolved.any():
        return 2.0, 0.5
    best = np.argsort(lateral[resolved] + 4 * depth[resolved])[: max(int(resolved.sum()) // 5, 1)]
    return float(np.median(lateral[resolved][best])), float(np.median(depth[resolved][best]))


def _species_waves(
    ions: Reconstruction, species: Sequence[str] | None, chemical: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """Excess over the local share and its variance (N,) of every ion, and the species' names."""
    from ase_crystalnet.atom_probe.order.composition import local_share

    if not chemical:
        ones = np.ones(len(ions), np.float32)
        return ones, ones, []
    ranged = ions.species >= 0
    if not ranged.any():
        raise InputError("order: no ion is ranged; give a range file")
    if species is None:
        elements = [name for name in ions.composition() if name != "H"]
        if len(elements) < 2:
            raise InputError("order: all ranged ions are of one element; nothing can order")
        species = [elements[1]]
    chosen = np.zeros(len(ions.ions), bool)
    for name in species:
        hit = [name == i.name or name in (s for s, _ in i.composition) for i in ions.ions]
        if not any(hit):
            known = ", ".join(ion.name for ion in ions.ions)
            raise InputError(f"order: expected one of {known}; got {name!r}")
        chosen |= np.array(hit)
    own = chosen[ions.species[ranged]]
    share = local_share(ions.positions[ranged], own)
    excess = np.zeros(len(ions), np.float32)
    variance = np.zeros(len(ions), np.float32)
    excess[ranged] = own - share
    variance[ranged] = share * (1 - share)
    return excess, variance, list(species)
